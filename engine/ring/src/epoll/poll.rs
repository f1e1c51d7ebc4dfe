//! The epoll set: what is watched, and what has become ready.

use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, OwnedFd};
use std::ptr;
use std::time::Duration;

use rustix::buffer::spare_capacity;
use rustix::event::Timespec;
use rustix::event::epoll::{self, CreateFlags, EventData, EventFlags};
use rustix::io::Errno;

use crate::token::{Listener, Socket};
use crate::waker::Waker;

/// Events that one wait takes, at most; those beyond come first in the next.
const EVENTS_MAX: usize = 256;
/// The longest wait. Nothing is due then: whoever waits longer waits again.
const WAIT_MAX: Duration = Duration::from_secs(3_600);

/// What is watched.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Source {
    Socket(Socket),
    Listener(Listener),
    /// Woken by another member or thread: that `wait` returned is all there is to it.
    Waker,
}

impl Source {
    /// The top half says what it is, the lower which.
    fn pack(self) -> EventData {
        EventData::new_u64(match self {
            Source::Socket(socket) => socket.0.into(),
            Source::Listener(listener) => 1 << 32 | u64::from(listener.0),
            Source::Waker => 2 << 32,
        })
    }

    fn unpack(data: EventData) -> Source {
        let data = data.u64();
        match data >> 32 {
            0 => Source::Socket(Socket(data as u32)),
            1 => Source::Listener(Listener(data as u8)),
            _ => Source::Waker,
        }
    }
}

/// Something that has become ready.
#[derive(Clone, Copy, Debug)]
pub(super) struct Ready {
    pub(super) source: Source,
    /// Input, an end or an error.
    pub(super) input: bool,
    /// Room for output, or an error.
    pub(super) output: bool,
    /// There is an end, an error or urgent data behind the input: a receive that comes short is not the last.
    pub(super) more: bool,
}

impl Ready {
    fn of(event: &epoll::Event) -> Ready {
        let (flags, broken) = (event.flags, EventFlags::ERR | EventFlags::HUP);
        let more = broken | EventFlags::RDHUP | EventFlags::PRI;
        Ready {
            source: Source::unpack(event.data),
            input: flags.intersects(EventFlags::IN | more),
            output: flags.intersects(EventFlags::OUT | broken),
            more: flags.intersects(more),
        }
    }
}

/// One epoll set.
pub(super) struct Poll {
    fd: OwnedFd,
    /// Room for what a wait finds.
    events: Vec<epoll::Event>,
    /// The kernel has epoll_pwait2(2) and lets us use it. Without it time-outs are whole milliseconds.
    exact: bool,
}

impl Poll {
    /// A set that is woken by `waker`.
    pub(super) fn new(waker: &Waker) -> io::Result<Poll> {
        let fd = epoll::create(CreateFlags::CLOEXEC)?;
        let mut poll = Poll { fd, events: Vec::with_capacity(EVENTS_MAX), exact: true };
        poll.exact = poll.wait_exactly(Duration::ZERO).is_ok();
        // Edge-triggered: each write to it counts once, and nobody needs to read it.
        epoll::add(&poll.fd, waker, Source::Waker.pack(), EventFlags::IN | EventFlags::ET)?;
        Ok(poll)
    }

    /// Watches a socket for all that can happen on it, until its descriptor is closed or removed.
    pub(super) fn watch(&self, fd: BorrowedFd<'_>, socket: Socket) -> Result<(), Errno> {
        let all = EventFlags::IN | EventFlags::OUT | EventFlags::RDHUP | EventFlags::PRI | EventFlags::ET;
        epoll::add(&self.fd, fd, Source::Socket(socket).pack(), all)
    }

    /// Watches a listener for connections, for as long as there are any.
    pub(super) fn listen(&self, fd: BorrowedFd<'_>, listener: Listener) -> Result<(), Errno> {
        epoll::add(&self.fd, fd, Source::Listener(listener).pack(), EventFlags::IN)
    }

    /// Does not watch it any more.
    pub(super) fn forget(&self, fd: BorrowedFd<'_>) {
        // It fails only for what is not watched.
        let _ = epoll::delete(&self.fd, fd);
    }

    /// Waits until something is ready, at most `timeout`, and adds what is to `ready`.
    pub(super) fn wait(&mut self, timeout: Option<Duration>, ready: &mut Vec<Ready>) -> io::Result<()> {
        let timeout = timeout.unwrap_or(WAIT_MAX).min(WAIT_MAX);
        let waited = if self.exact { self.wait_exactly(timeout) } else { self.wait_in_millis(timeout) };
        match waited {
            Ok(()) => ready.extend(self.events.iter().map(Ready::of)),
            // A signal: look at what there is.
            Err(Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
        Ok(())
    }

    /// With epoll_pwait2(2), to the nanosecond.
    fn wait_exactly(&mut self, timeout: Duration) -> Result<(), Errno> {
        self.events.clear();
        let timespec = timespec(timeout);
        // SAFETY: the kernel writes at most EVENTS_MAX events, for which the vector has room; an event of
        // rustix is the kernel's `struct epoll_event`, its time the kernel's `struct __kernel_timespec`. Both
        // outlive the call. Without a set of signals its size is not looked at.
        let count = unsafe {
            libc::syscall(
                libc::SYS_epoll_pwait2,
                self.fd.as_raw_fd(),
                self.events.as_mut_ptr(),
                EVENTS_MAX as libc::c_int,
                &raw const timespec,
                ptr::null::<libc::sigset_t>(),
                0_usize,
            )
        };
        let count = usize::try_from(count).map_err(|_| last_error())?;
        // SAFETY: the kernel has written that many events, and not more than there is room for.
        unsafe { self.events.set_len(count) };
        Ok(())
    }

    /// With epoll_pwait(2), which rounds up to whole milliseconds.
    fn wait_in_millis(&mut self, timeout: Duration) -> Result<(), Errno> {
        self.events.clear();
        epoll::wait(&self.fd, spare_capacity(&mut self.events), Some(&timespec(timeout))).map(drop)
    }
}

fn timespec(time: Duration) -> Timespec {
    Timespec { tv_sec: time.as_secs() as i64, tv_nsec: time.subsec_nanos().into() }
}

fn last_error() -> Errno {
    Errno::from_io_error(&io::Error::last_os_error()).unwrap_or(Errno::IO)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sources_survive_the_kernel() {
        for source in [Source::Socket(Socket(u32::MAX)), Source::Listener(Listener(255)), Source::Waker] {
            assert_eq!(Source::unpack(source.pack()), source);
        }
    }

    /// Both ways to wait say the same, and neither loses what it has no room for.
    #[test]
    fn a_wait_in_millis_says_what_an_exact_one_says() {
        for exact in [true, false] {
            let waker = Waker::new().expect("eventfd");
            let mut poll = Poll::new(&waker).expect("epoll");
            poll.exact = exact;
            let mut ready = Vec::new();
            poll.wait(Some(Duration::from_micros(10)), &mut ready).expect("wait");
            assert!(ready.is_empty(), "nobody has woken it");
            waker.wake();
            poll.wait(None, &mut ready).expect("wait");
            assert_eq!(ready.len(), 1);
            assert_eq!((ready[0].source, ready[0].input), (Source::Waker, true));
            poll.wait(Some(Duration::ZERO), &mut ready).expect("wait");
            assert_eq!(ready.len(), 1, "one wake-up counts once");
        }
    }
}
