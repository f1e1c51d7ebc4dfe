//! The common end of the data threads: a shard that is drained goes on answering its neighbours' letters
//! until all are.

use std::sync::Barrier;
use std::sync::atomic::{AtomicBool, AtomicU16, Ordering};

use weir_ring::driver::Driver;
use weir_ring::token::Member;

/// Shared by all data threads: read once a turn, written only while draining.
pub(crate) struct Ending {
    shards: u16,
    drained: AtomicU16,
    over: AtomicBool,
    last: Barrier,
}

impl Ending {
    /// The end of so many shards.
    pub(crate) fn new(shards: u16) -> Ending {
        let last = Barrier::new(shards.into());
        Ending { shards, drained: AtomicU16::new(0), over: AtomicBool::new(false), last }
    }

    /// Every shard was drained at one moment. Does not become false again.
    pub(crate) fn is_over(&self) -> bool {
        self.over.load(Ordering::Acquire)
    }

    /// Shard `me` is drained now, or is not any more, because a connection was on its way to it. Who
    /// completes the number wakes the others with its `driver`.
    pub(crate) fn report(&self, drained: bool, me: Member, driver: &mut Driver) {
        if !drained {
            self.drained.fetch_sub(1, Ordering::AcqRel);
        } else if self.drained.fetch_add(1, Ordering::AcqRel) + 1 == self.shards {
            self.over.store(true, Ordering::Release);
            (0..self.shards).map(Member).filter(|to| *to != me).for_each(|to| driver.wake(to));
        }
    }

    /// Waits until all threads are here.
    pub(crate) fn together(&self) {
        self.last.wait();
    }
}
