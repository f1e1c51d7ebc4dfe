//! Waking a thread from another one: an eventfd.

use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};
use std::sync::Arc;

/// A handle that wakes one member of the mesh. Rings watch theirs; the control thread reads its own
/// through its event loop. Clones wake the same member.
#[derive(Clone, Debug)]
pub struct Waker(Arc<OwnedFd>);

impl Waker {
    /// A new eventfd, non-blocking.
    ///
    /// # Errors
    /// `EMFILE` or `ENFILE`: out of descriptors.
    pub fn new() -> io::Result<Waker> {
        // SAFETY: no pointer is passed.
        let fd = unsafe { libc::eventfd(0, libc::EFD_CLOEXEC | libc::EFD_NONBLOCK) };
        if fd < 0 {
            return Err(io::Error::last_os_error());
        }
        // SAFETY: the call has just made `fd` and nobody else knows it.
        Ok(Waker(Arc::new(unsafe { OwnedFd::from_raw_fd(fd) })))
    }

    /// Wakes the member. Wake-ups that are not yet noticed count as one.
    pub fn wake(&self) {
        let one = 1_u64.to_ne_bytes();
        // SAFETY: the pointer and length are those of `one`, which outlives the call. A full counter
        // (EAGAIN) means that a wake-up is pending already, so the result says nothing of use.
        unsafe { libc::write(self.0.as_raw_fd(), one.as_ptr().cast(), one.len()) };
    }

    /// Takes notice: true if somebody woke since the last time. For members without a ring.
    pub fn clear(&self) -> bool {
        let mut count = [0; 8];
        // SAFETY: the pointer and length are those of `count`, which outlives the call.
        unsafe { libc::read(self.0.as_raw_fd(), count.as_mut_ptr().cast(), count.len()) == 8 }
    }
}

impl AsRawFd for Waker {
    fn as_raw_fd(&self) -> RawFd {
        self.0.as_raw_fd()
    }
}

impl std::os::fd::AsFd for Waker {
    fn as_fd(&self) -> BorrowedFd<'_> {
        std::os::fd::AsFd::as_fd(&*self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wake_ups_add_up_to_one_until_cleared() {
        let waker = Waker::new().expect("eventfd");
        assert!(!waker.clear());
        waker.wake();
        waker.clone().wake();
        assert!(waker.clear());
        assert!(!waker.clear());
    }
}
