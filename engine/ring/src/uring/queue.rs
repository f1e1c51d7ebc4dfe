//! The pair of queues shared with the kernel.

use std::io;
use std::os::fd::{AsRawFd, RawFd};
use std::time::Duration;

use io_uring::types::{CancelBuilder, SubmitArgs, Timespec};
use io_uring::{EnterFlags, IoUring, Submitter, cqueue, squeue};

use super::entry::Detached;
use crate::counters::Counters;
use crate::settings::Settings;

/// One io_uring, of the thread that made it (`SINGLE_ISSUER`). Completions are posted only while it
/// enters the kernel (`DEFER_TASKRUN`), bad requests fail alone (`SUBMIT_ALL`).
pub(super) struct Queue {
    ring: IoUring,
    /// The error number that made an `enter` fail for good. Nothing is submitted from then on.
    broken: Option<i32>,
    counters: Counters,
}

impl Queue {
    pub(super) fn new(settings: &Settings) -> io::Result<Queue> {
        let ring = IoUring::builder()
            .setup_single_issuer()
            .setup_defer_taskrun()
            .setup_submit_all()
            .setup_cqsize(settings.completions)
            .build(settings.entries)?;
        ring.submitter().register_files_sparse(settings.sockets)?;
        Ok(Queue { ring, broken: None, counters: Counters::default() })
    }

    pub(super) fn submitter(&self) -> Submitter<'_> {
        self.ring.submitter()
    }

    pub(super) fn fd(&self) -> RawFd {
        self.ring.as_raw_fd()
    }

    /// What it has done.
    pub(super) fn counters(&self) -> Counters {
        self.counters
    }

    /// Queues a request, entering the kernel first if there is no room.
    pub(super) fn push(&mut self, request: Detached) {
        // SAFETY: the request points to no memory.
        unsafe { self.push_lending(request.entry()) }
    }

    /// Queues a request that points to memory.
    ///
    /// # Safety
    /// The memory stays valid and unchanged until the request has completed or the queue is dropped; for
    /// a request that completes as it is submitted: until `flush` or `enter` has returned.
    pub(super) unsafe fn push_lending(&mut self, entry: &squeue::Entry) {
        // SAFETY: the caller keeps what the entry points to.
        while unsafe { self.ring.submission().push(entry) }.is_err() {
            self.flush();
            if self.broken.is_some() {
                return;
            }
        }
    }

    /// Submits all that is queued, without waiting or running what the kernel has deferred.
    pub(super) fn flush(&mut self) {
        // An error stays in `broken` until the next `enter` reports it.
        let _ = self.submit(0, EnterFlags::empty(), None);
    }

    /// Submits all that is queued, runs what the kernel has deferred, and waits for `want` completions,
    /// at most `timeout`.
    ///
    /// # Errors
    /// Only what ends the ring: the kernel is out of memory, or the ring is misused.
    pub(super) fn enter(&mut self, want: u32, timeout: Option<Duration>) -> io::Result<()> {
        self.submit(want, EnterFlags::GETEVENTS, timeout)
    }

    fn submit(&mut self, want: u32, flags: EnterFlags, timeout: Option<Duration>) -> io::Result<()> {
        if let Some(errno) = self.broken {
            return Err(io::Error::from_raw_os_error(errno));
        }
        let timespec = timeout.map(Timespec::from);
        let args = match &timespec {
            Some(timespec) => SubmitArgs::new().timespec(timespec),
            None => SubmitArgs::new(),
        };
        let flags = (flags | EnterFlags::EXT_ARG).bits();
        loop {
            let queued = self.ring.submission().len() as u32;
            self.counters.enters += 1;
            // SAFETY: `queued` requests are in the queue, each pushed under `push_lending`'s contract;
            // `args` is what EXT_ARG calls for and outlives the call.
            let result = unsafe { self.ring.submitter().enter(queued, want, flags, Some(&args)) };
            if let Err(error) = result {
                match error.raw_os_error() {
                    // Interrupted, out of time, or more completions than fit: look at what there is.
                    Some(libc::EINTR | libc::ETIME | libc::EBUSY) => {}
                    errno => {
                        self.broken = errno;
                        return Err(error);
                    }
                }
            }
            let left = self.ring.submission().len() as u32;
            self.counters.submitted += u64::from(queued.saturating_sub(left));
            if left == 0 {
                return Ok(());
            }
        }
    }

    /// The oldest completion, also when there were more than the queue could take.
    pub(super) fn pop(&mut self) -> Option<cqueue::Entry> {
        loop {
            if let Some(completion) = self.ring.completion().next() {
                self.counters.completed += 1;
                return Some(completion);
            }
            if !self.ring.submission().cq_overflow() {
                return None;
            }
            self.counters.overflowed += 1;
            if self.enter(0, None).is_err() {
                return None;
            }
        }
    }

    /// There is a completion to take.
    pub(super) fn ready(&mut self) -> bool {
        !self.ring.completion().is_empty()
    }
}

impl Drop for Queue {
    /// Ends every request before the memory they point to goes.
    fn drop(&mut self) {
        // No request of ours is beyond cancelling, so the call returns; it fails only if there is none.
        let _ = self.ring.submitter().register_sync_cancel(None, CancelBuilder::any());
    }
}
