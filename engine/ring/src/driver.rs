//! The driver of a data thread: io_uring, or epoll where that is forbidden. Both keep the contract of
//! [`crate::op`]; `tests/contract` asks the same of both. All shards of a process have the same one.

use std::fmt;
use std::io;
use std::time::Duration;

use crate::counters::Counters;
use crate::epoll::{self, Epoll};
use crate::op::{Completion, Completions, Output};
use crate::peer::Peer;
use crate::settings::{Settings, SetupError};
use crate::time::Instant;
use crate::token::Member;
use crate::uring::{self, Uring};
use crate::waker::Waker;

/// Which driver.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    IoUring,
    Epoll,
}

impl Kind {
    /// As in the configuration, figures and the log.
    pub const fn name(self) -> &'static str {
        match self {
            Kind::IoUring => "io_uring",
            Kind::Epoll => "epoll",
        }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// Finds out whether a ring with a table of `sockets` can be had, by making one.
///
/// # Errors
/// It cannot, and why.
pub fn try_io_uring(sockets: u32) -> Result<(), SetupError> {
    let waker = Waker::new().map_err(SetupError::Other)?;
    Uring::new(Settings::new(Vec::new(), sockets, waker)).map(drop)
}

/// One thread's driver. It stays on the thread that made it.
#[expect(clippy::large_enum_variant, reason = "there is one for each thread, and it is not moved")]
pub enum Driver {
    IoUring(Uring),
    Epoll(Epoll),
}

impl Driver {
    /// Sets up a driver for the calling thread.
    ///
    /// # Errors
    /// The system does not allow it; the error says what to change.
    pub fn new(kind: Kind, settings: Settings) -> Result<Driver, SetupError> {
        Ok(match kind {
            Kind::IoUring => Driver::IoUring(Uring::new(settings)?),
            Kind::Epoll => Driver::Epoll(Epoll::new(settings)?),
        })
    }

    /// What it has done so far.
    pub fn counters(&self) -> Counters {
        match self {
            Driver::IoUring(uring) => uring.counters(),
            Driver::Epoll(epoll) => epoll.counters(),
        }
    }

    /// How others reach this one.
    pub fn peer(&self) -> Peer {
        match self {
            Driver::IoUring(uring) => Peer::Ring(uring.fd()),
            Driver::Epoll(epoll) => Peer::Door(epoll.door()),
        }
    }

    /// Makes the members of the mesh known, by their numbers. Needed before the first `wake` or
    /// `HandOver`.
    pub fn connect(&mut self, peers: Vec<Peer>) {
        match self {
            Driver::IoUring(uring) => uring.connect(peers),
            Driver::Epoll(epoll) => epoll.connect(peers),
        }
    }

    /// Wakes `to` from its `wait`, at the latest as this driver enters its own. A letter pushed before is
    /// there when it wakes.
    ///
    /// # Panics
    /// If `to` was not among the members given to `connect`.
    pub fn wake(&mut self, to: Member) {
        match self {
            Driver::IoUring(uring) => uring.wake(to),
            Driver::Epoll(epoll) => epoll.wake(to),
        }
    }

    /// Takes all operations of `output`, which comes back empty with room of an earlier turn.
    ///
    /// # Panics
    /// If completions of the turn before have not all been taken, and operations that [`crate::op::Op`]
    /// rules out.
    pub fn submit(&mut self, output: &mut Output) {
        match self {
            Driver::IoUring(uring) => uring.submit(output),
            Driver::Epoll(epoll) => epoll.submit(output),
        }
    }

    /// Waits for completions, a wake-up or the time `until`; `None` is forever. Returns at once if there is
    /// something to take already.
    ///
    /// # Errors
    /// Only what ends the driver, such as a kernel out of memory.
    pub fn wait(&mut self, until: Option<Instant>, now: Instant) -> io::Result<()> {
        let timeout: Option<Duration> = until.map(|until| until.since(now));
        match self {
            Driver::IoUring(uring) => uring.wait(timeout),
            Driver::Epoll(epoll) => epoll.wait(timeout),
        }
    }

    /// The completions there are. They are to be taken until `None`.
    pub fn completions(&mut self) -> Batch<'_> {
        match self {
            Driver::IoUring(uring) => Batch::IoUring(uring.completions()),
            Driver::Epoll(epoll) => Batch::Epoll(epoll.completions()),
        }
    }
}

/// The completions of one turn.
pub enum Batch<'a> {
    IoUring(uring::Batch<'a>),
    Epoll(epoll::Batch<'a>),
}

impl Completions for Batch<'_> {
    fn next(&mut self) -> Option<Completion<'_>> {
        match self {
            Batch::IoUring(batch) => batch.next(),
            Batch::Epoll(batch) => batch.next(),
        }
    }
}
