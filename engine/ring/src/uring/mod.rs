//! The io_uring driver: operations become requests, completions become answers.
//!
//! One turn of the pump: [`Uring::wait`], [`Uring::completions`] until there are no more, the shard's
//! turn, [`Uring::submit`]. Requests are only queued by `submit`; they reach the kernel with the next
//! `wait`, in one system call.
//!
//! - Sockets are direct descriptors: places in the ring's own table, chosen by the kernel.
//! - Sends never wait, and complete (if they have anything to say) before `wait` returns, so nothing
//!   keeps track of them: the output they point to is held until the next one comes.
//! - At most one recv or poll watches a socket. A change of mode cancels it; the new one is armed when
//!   the old one's last completion has come.
//! - Sockets that find no receive buffer wait in a queue and are armed again when buffers are back.
//! - A slot is emptied when the last request on its socket has completed, never before: the kernel
//!   would give its number to the next connection, and completions of both would look the same.
//! - The log is a file and no socket: one append at a time, one request each (`log.rs`).

mod accept;
mod batch;
mod buffers;
mod connect;
mod entry;
mod hand_over;
mod log;
mod operations;
mod peers;
mod queue;
mod table;
mod tag;
mod watch;

use std::collections::BTreeMap;
use std::io;
use std::mem;
use std::os::fd::{AsRawFd, RawFd};
use std::time::Duration;

pub use self::batch::Batch;
pub(crate) use self::entry::arrival;

use self::accept::Accepting;
use self::buffers::Buffers;
use self::connect::Connects;
use self::hand_over::Departure;
use self::log::Log;
use self::peers::Peers;
use self::queue::Queue;
use self::table::Table;
use self::tag::Turn;
use crate::counters::Counters;
use crate::drains::Drains;
use crate::op::Output;
use crate::peer::Peer;
use crate::settings::{Settings, SetupError};
use crate::token::Member;
use crate::waker::Waker;

/// One ring and the sockets in its table. It stays on the thread that made it.
pub struct Uring {
    /// First, so that it is dropped first: its end is the end of every request.
    queue: Queue,
    buffers: Buffers,
    drains: Drains,
    connects: Connects,
    /// None: nobody wants to know who connects.
    peers_asked: Option<Peers>,
    /// The output of the last turn: what its sends point to, and where their answers are looked up.
    held: Output,
    /// Which turn `held` belongs to.
    turn: Turn,
    /// Some of its sends may still be queued.
    sends_queued: bool,
    /// Times a socket found no receive buffer.
    starved: u64,
    table: Table,
    accepting: Vec<Accepting>,
    /// By socket: those whose watch has not ended yet.
    departures: BTreeMap<u32, Departure>,
    peers: Vec<Peer>,
    log: Option<Log>,
    waker: Waker,
}

impl Uring {
    /// Sets up a ring for the calling thread.
    ///
    /// # Errors
    /// The system does not allow it; the error says what to change.
    pub fn new(settings: Settings) -> Result<Uring, SetupError> {
        let refused = |error| SetupError::of(error, settings.sockets);
        let queue = Queue::new(&settings).map_err(refused)?;
        let buffers =
            Buffers::new(&queue.submitter(), settings.buffers, settings.buffer_bytes).map_err(refused)?;
        let accepting = settings.listeners.into_iter().map(Accepting::new).collect::<io::Result<_>>();
        let mut uring = Uring {
            queue,
            buffers,
            drains: Drains::default(),
            connects: Connects::default(),
            peers_asked: settings.peers.then(Peers::default),
            held: Output::default(),
            turn: Turn::default(),
            sends_queued: false,
            starved: 0,
            table: Table::new(settings.sockets),
            accepting: accepting.map_err(refused)?,
            departures: BTreeMap::new(),
            peers: Vec::new(),
            log: settings.log.map(Log::new),
            waker: settings.waker,
        };
        uring.queue.push(entry::waker(uring.waker.as_raw_fd()));
        Ok(uring)
    }

    /// Names this ring to others, for [`Peer::Ring`].
    pub fn fd(&self) -> RawFd {
        self.queue.fd()
    }

    /// What it has done so far.
    pub fn counters(&self) -> Counters {
        let (starved, starving) = (self.starved, self.table.starving() as u64);
        Counters { starved, starving, ..self.queue.counters() }
    }

    /// Makes the members of the mesh known, by their numbers. Needed before the first `wake` or
    /// `HandOver`.
    pub fn connect(&mut self, peers: Vec<Peer>) {
        self.peers = peers;
    }

    /// Wakes `to` from its `wait`, as soon as this ring enters its own. A letter pushed before is there
    /// when it wakes.
    ///
    /// # Panics
    /// If `to` was not among the members given to `connect`.
    pub fn wake(&mut self, to: Member) {
        match &self.peers[usize::from(to.0)] {
            Peer::Ring(fd) => self.queue.push(entry::wake(*fd)),
            Peer::Door(door) => door.wake(),
            Peer::Landing(landing) => landing.wake(),
        }
    }

    /// Takes all operations of `output`, which comes back empty with room of an earlier turn.
    ///
    /// # Panics
    /// If completions of the turn before have not all been taken, and operations that [`crate::op::Op`]
    /// rules out.
    pub fn submit(&mut self, output: &mut Output) {
        // Only if a turn went by without `wait`: its sends must be done with what they point to before
        // that goes.
        if mem::take(&mut self.sends_queued) {
            self.queue.flush();
        }
        mem::swap(&mut self.held, output);
        output.clear();
        self.turn = self.turn.next();
        // Drains and appends take their bytes out of their operation; sends find theirs in what stays.
        let mut operations = mem::take(&mut self.held.ops);
        for (index, operation) in operations.iter_mut().enumerate() {
            self.start(index as u32, operation);
        }
        self.held.ops = operations;
    }

    /// Submits what is queued and waits for completions, a wake-up or the end of `timeout`; `None` is
    /// forever. Returns at once if there is something to take already.
    ///
    /// # Errors
    /// Only what ends the ring, such as a kernel out of memory.
    pub fn wait(&mut self, timeout: Option<Duration>) -> io::Result<()> {
        self.feed();
        let at_once = timeout == Some(Duration::ZERO) || self.queue.ready();
        self.queue.enter(if at_once { 0 } else { 1 }, timeout)?;
        self.sends_queued = false;
        Ok(())
    }

    /// The completions there are. They are to be taken until `None`.
    pub fn completions(&mut self) -> Batch<'_> {
        Batch::new(self)
    }
}
