//! The epoll driver, for hosts where io_uring is forbidden: operations are system calls, made as the next wait
//! begins, or as soon as the kernel says that they can go on.
//!
//! One turn of the pump: [`Epoll::wait`], [`Epoll::completions`] until there are no more, the shard's turn,
//! [`Epoll::submit`].
//!
//! - Sockets are places in the driver's own table, which holds their descriptors (`table.rs`).
//! - A socket is watched from its first moment to its last, edge-triggered, for input and output at once. What
//!   the kernel has said is kept as flags, so a change of mode, a park and a drain change nothing in the kernel:
//!   a message costs one `recv` and one `send`, and a wait serves many.
//! - Input is received when its completion is asked for, into the one buffer that completions lend. A parked
//!   socket holds none, and buffers never run out.
//! - A turn receives `READS_MAX` times at most, and a socket with more input goes to the end of the line; a
//!   drain sends one piece a wait. So a busy connection delays others by a piece, and no more.
//! - Sends never wait; what did not leave is an answer. All operations but drains, connects and appends are over
//!   when they have begun, so nothing is ever to be cancelled: a close is the last to happen on its socket.
//! - Nothing happens in `submit`, so that a turn takes the same time on either driver, and is judged alike.
//! - A socket moves to another shard as a descriptor in a queue, with its place reserved before (`door.rs`).
//! - Appends wait for the disk on a thread of their own (`log.rs`).

mod accept;
mod batch;
mod connect;
mod door;
mod log;
mod operations;
mod poll;
mod receive;
mod table;

use std::collections::VecDeque;
use std::io;
use std::mem;
use std::time::Duration;

use rustix::process::{Resource, getrlimit};

pub use self::batch::Batch;
pub use self::door::Door;

use self::accept::Accepting;
use self::batch::Event;
use self::connect::{RETRY, Waiting};
use self::door::Arrivals;
use self::log::Log;
use self::poll::{Poll, Ready, Source};
use self::table::Table;
use crate::counters::Counters;
use crate::drains::Drains;
use crate::op::{Completion, Errno, Output};
use crate::peer::Peer;
use crate::settings::{Settings, SetupError};
use crate::token::{Member, Socket};

/// Receives of one turn, at most: with buffers of 2 KiB, half a MiB of input.
const READS_MAX: usize = 256;

/// One epoll set and the sockets in its table. It stays on the thread that made it.
pub struct Epoll {
    poll: Poll,
    table: Table,
    /// What the last wait has found.
    ready: Vec<Ready>,
    /// Answers that have not been taken.
    events: VecDeque<Event>,
    /// Sockets whose input is wanted and may be there, in line.
    inputs: VecDeque<Socket>,
    /// Receives that this turn may still make.
    reads: usize,
    /// Sockets whose drain's last piece left whole: the next one may leave, too.
    outputs: VecDeque<Socket>,
    drains: Drains,
    /// Connects for which a listener had no room.
    waiting: Vec<Waiting>,
    accepting: Vec<Accepting>,
    /// Accepted connections come with their peer's address.
    names_peers: bool,
    /// Where received bytes are lent from.
    buffer: Box<[u8]>,
    /// The output of the last turn, in which the tails of its sends are looked up.
    held: Output,
    /// Its operations are still to be done.
    pending: bool,
    arrivals: Arrivals,
    peers: Vec<Peer>,
    log: Option<Log>,
    counters: Counters,
}

impl Epoll {
    /// Sets up an epoll set for the calling thread, and a thread for its log if there is to be one.
    ///
    /// # Errors
    /// The system does not allow it; the error says what to change.
    pub fn new(settings: Settings) -> Result<Epoll, SetupError> {
        let sockets = settings.sockets;
        if getrlimit(Resource::Nofile).current.is_some_and(|limit| limit < sockets.into()) {
            return Err(SetupError::Descriptors { sockets });
        }
        let refused = |error: io::Error| match error.raw_os_error() {
            Some(libc::EMFILE | libc::ENFILE) => SetupError::Descriptors { sockets },
            _ => SetupError::Other(error),
        };
        let poll = Poll::new(&settings.waker).map_err(refused)?;
        let accepting = settings.listeners.into_iter().map(Accepting::new).collect::<io::Result<_>>();
        let log = settings.log.map(|directory| Log::start(directory, settings.waker.clone())).transpose();
        let table = Table::new(sockets);
        Ok(Epoll {
            poll,
            arrivals: Arrivals::new(table.room(), settings.waker),
            table,
            ready: Vec::new(),
            events: VecDeque::new(),
            inputs: VecDeque::new(),
            reads: 0,
            outputs: VecDeque::new(),
            drains: Drains::default(),
            waiting: Vec::new(),
            accepting: accepting.map_err(refused)?,
            names_peers: settings.peers,
            buffer: vec![0; settings.buffer_bytes as usize].into(),
            held: Output::default(),
            pending: false,
            peers: Vec::new(),
            log: log.map_err(refused)?,
            counters: Counters::default(),
        })
    }

    /// What it has done so far. Buffers never run out.
    pub fn counters(&self) -> Counters {
        self.counters
    }

    /// Names this driver to others, for [`Peer::Door`].
    pub fn door(&self) -> Door {
        self.arrivals.door()
    }

    /// Makes the members of the mesh known, by their numbers. Needed before the first `wake` or
    /// `HandOver`.
    pub fn connect(&mut self, peers: Vec<Peer>) {
        self.peers = peers;
    }

    /// Wakes `to` from its `wait`. A letter pushed before is there when it wakes.
    ///
    /// # Panics
    /// If `to` was not among the members given to `connect`, or has a ring.
    pub fn wake(&mut self, to: Member) {
        match &self.peers[usize::from(to.0)] {
            Peer::Door(door) => door.wake(),
            Peer::Landing(landing) => landing.wake(),
            Peer::Ring(_) => panic!("member {} has another driver", to.0),
        }
    }

    /// Takes all operations of `output`, which comes back empty with room of an earlier turn.
    ///
    /// # Panics
    /// Operations that [`crate::op::Op`] rules out, if a turn went by without `wait`.
    pub fn submit(&mut self, output: &mut Output) {
        self.start_all();
        mem::swap(&mut self.held, output);
        output.clear();
        self.pending = true;
    }

    /// Does what was submitted.
    fn start_all(&mut self) {
        if !mem::take(&mut self.pending) {
            return;
        }
        // Drains and appends take their bytes out of their operation; sends find theirs in what stays.
        let mut operations = mem::take(&mut self.held.ops);
        self.counters.submitted += operations.len() as u64;
        for (index, operation) in operations.iter_mut().enumerate() {
            self.start(index as u32, operation);
        }
        self.held.ops = operations;
    }

    /// Does what was submitted and waits for completions, a wake-up or the end of `timeout`; `None` is forever.
    /// Returns at once if there is something to take already.
    ///
    /// # Errors
    /// None is known on a healthy system.
    ///
    /// # Panics
    /// Operations that [`crate::op::Op`] rules out.
    pub fn wait(&mut self, timeout: Option<Duration>) -> io::Result<()> {
        self.start_all();
        self.stop_accepting();
        let work = !(self.events.is_empty() && self.inputs.is_empty() && self.outputs.is_empty());
        let timeout = match timeout {
            _ if work => Some(Duration::ZERO),
            Some(timeout) if !self.waiting.is_empty() => Some(timeout.min(RETRY)),
            None if !self.waiting.is_empty() => Some(RETRY),
            timeout => timeout,
        };
        let mut ready = mem::take(&mut self.ready);
        let waited = self.poll.wait(timeout, &mut ready);
        self.counters.enters += 1;
        self.reads = READS_MAX;
        self.go_on_draining();
        for ready in ready.drain(..) {
            match ready.source {
                Source::Socket(socket) => self.on_socket(socket, ready),
                Source::Listener(listener) => self.accept_some(listener),
                Source::Waker => {}
            }
        }
        self.ready = ready;
        self.connect_again();
        self.arrive();
        self.hear_of_log();
        waited
    }

    /// The completions there are. They are to be taken until `None`.
    pub fn completions(&mut self) -> Batch<'_> {
        Batch::new(self)
    }

    /// Adds an answer.
    fn tell(&mut self, completion: Completion<'static>) {
        self.events.push_back(Event::Told(completion));
    }
}

/// The kernel's error as an answer has it.
fn errno(error: rustix::io::Errno) -> Errno {
    Errno(error.raw_os_error())
}
