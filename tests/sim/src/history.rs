//! What happened in a run, as the clients and publishers saw it. The oracle reads nothing else.

use std::collections::BTreeMap;
use std::rc::Rc;

use crate::access::Proof;
use crate::place::{Epoch, Lane, Place, Position};
use crate::text::Text;

/// A stream: a client's own, or a topic's. Numbers are places in the run's lists of names.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Stream {
    /// Of the client of that number.
    Own(usize),
    /// Of the topic of that number.
    Topic(usize),
}

/// Number of a message that somebody tried to publish.
pub type Uid = usize;

/// What was handed in.
#[derive(Clone, Debug)]
pub struct Body {
    /// Where to.
    pub stream: Stream,
    /// Type of the message, or name of the event.
    pub kind: String,
    /// JSON, or any bytes, as they were handed in.
    pub data: Text<Rc<[u8]>>,
    /// Pushed as a binary frame.
    pub binary: bool,
    /// Connection it was pushed on, for a client's own event.
    pub pusher: Option<usize>,
    /// How urgent it is said to be.
    pub lane: Lane,
    /// How long it is said to be worth sending, ms; 0: for ever.
    pub ttl_ms: u64,
    /// It has an idempotency key, and may be said more than once.
    pub keyed: bool,
    /// Who handed it in had not proved that he may.
    pub foisted: bool,
}

/// What came out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Delivery {
    /// Type of the message, or name of the event.
    pub kind: String,
    /// JSON, byte for byte.
    pub data: Text<Rc<[u8]>>,
    /// As the envelope says.
    pub timestamp: String,
    /// It says that it may have come before.
    pub again: bool,
}

/// What a join or a `connected` event says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Attachment {
    /// Where the stream goes on: the next messages are those after it, or after the gaps that follow.
    pub place: Place,
    /// Everything since the cursor follows.
    pub recovered: bool,
}

/// Something that happened.
#[derive(Clone, Debug)]
pub enum Fact {
    /// A publish left its publisher.
    Attempted { uid: Uid },
    /// A publish was accepted and got its place.
    Accepted { uid: Uid, position: Position },
    /// A publish was refused, with an HTTP status or (0) an error reply, and a reason; none: it did not say.
    Refused { uid: Uid, status: u16, reason: Rc<str> },
    /// A client opened a connection, for an SSE stream or for a WebSocket.
    Opened { conn: usize, client: usize, sse: bool },
    /// A connection stands on this from now on.
    Brought { conn: usize, proof: Proof },
    /// A client was told that what it had brought is over.
    Disproved { conn: usize },
    /// The server closed its side of a connection.
    Released { conn: usize },
    /// A client's connection is gone.
    Ended { conn: usize, client: usize },
    /// The server took a join or an SSE request that asked to go on after `cursor`.
    Attached { conn: usize, client: usize, stream: Stream, cursor: Option<Cursor>, attachment: Attachment },
    /// A connection got its stream in a lineage: a new one, or (`taken`) that of a token it brought.
    Lineage { conn: usize, lineage: usize, taken: bool },
    /// A client is to be seen on a topic.
    Appeared { conn: usize, client: usize, stream: Stream },
    /// A client learned who is on a topic.
    Roster { conn: usize, stream: Stream, keys: Vec<String> },
    /// In the end this is on the disk.
    AtRest { stream: Stream, place: Place },
    /// The client has left the stream.
    Detached { conn: usize, client: usize, stream: Stream },
    /// A message came.
    Delivered { conn: usize, client: usize, stream: Stream, position: Position, delivery: Delivery },
    /// A binary message came, which does not say where it stands.
    Binary { conn: usize, client: usize, stream: Stream, kind: String, data: Text<Rc<[u8]>> },
    /// A gap was told.
    Gap { conn: usize, client: usize, stream: Stream, gap: Gap },
    /// A client said that it has seen a message of its own stream, and (`through`) all before it in its lane.
    Acked { client: usize, position: Position, through: bool },
    /// A message is among the dead letters.
    Dead { client: usize, position: Position, attempts: u8 },
    /// The stream starts again on this connection, where another transport was lost.
    Switched { conn: usize, stream: Stream },
    /// A client was told how much it is sent, by what it has not acknowledged.
    Paced { client: usize },
    /// A client sent something that takes a reply: a Phoenix push or a JSON-RPC request.
    Asked { conn: usize, reference: u64, join_ref: Option<u64> },
    /// A reply came. `join_ref` is `None` where the protocol does not carry it.
    Answered { conn: usize, reference: u64, join_ref: Option<Option<u64>> },
    /// `phx_close` came.
    ChannelClosed { conn: usize, join_ref: Option<u64> },
    /// The process was killed. `keeps`: what it had accepted is on its disk, unharmed.
    Restarted { keeps: bool },
    /// What a shard refuses for its load, which is per mille of what there may be: whom it takes, and from 0 to 3 what
    /// it sheds.
    Controlled { shard: usize, admission: &'static str, shedding: u8, load: u32 },
    /// Every receiver has come back and had time to catch up.
    Settled,
    /// The server is told to stop.
    Stopping,
    /// A connection of the process before goes on in this one.
    Immigrated { conn: usize },
    /// Another process serves: this one lets connections go, and closes others, until it ends.
    Leaving,
    /// A client was told so.
    Warned { conn: usize },
    /// The server has ended a client's connection, in good order. `prompt`: the client was reading all the time.
    Dismissed { conn: usize, prompt: bool },
    /// Something of MCP.
    Mcp(crate::mcp::Fact),
    /// A shard's counters came.
    Counted { shard: usize, queue_bytes_peak: u64, outbox_bytes: u64, connections: u64, addressed: u64 },
}

/// A recovery token that a connection brings.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pass {
    /// The lineage that it speaks of, as the run numbers them.
    pub lineage: usize,
    /// As it was given, or not quite.
    pub text: String,
    /// Something of it was made up.
    pub forged: bool,
}

/// Messages that will not come.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Gap {
    /// Life of the stream.
    pub epoch: Epoch,
    /// Which of its lanes.
    pub lane: Lane,
    /// The first.
    pub from: u64,
    /// The last.
    pub to: u64,
    /// Why.
    pub reason: String,
}

impl Cursor {
    /// It says where the client stands in this lane.
    pub fn speaks_of(&self, lane: Lane) -> bool {
        lane == Lane::Normal || !self.plain
    }
}

/// What a client resumes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cursor {
    /// Last messages seen.
    pub place: Place,
    /// It speaks of the normal lane only.
    pub plain: bool,
    /// Made up: no such message was ever delivered.
    pub forged: bool,
}

/// A promise that was not kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Violation {
    /// Number of the invariant in the project's list; 0: the contract between shard and driver, or of
    /// the wire.
    pub invariant: u8,
    /// When, ns.
    pub at: u64,
    /// What was seen and what should have been.
    pub what: String,
}

/// The record of a run.
#[derive(Debug, Default)]
pub struct History {
    /// In order of time: (ns, fact).
    pub facts: Vec<(u64, Fact)>,
    /// Bodies by uid.
    pub bodies: Vec<Body>,
    /// Violations found while the run went on.
    pub violations: Vec<Violation>,
    epochs: BTreeMap<String, Epoch>,
    calls: usize,
    lineages: usize,
    /// Prints facts as they come.
    pub trace: bool,
    /// Time of the present event, ns.
    pub now: u64,
    /// The contract with the driver is broken: what follows would mean nothing.
    pub spoilt: bool,
}

impl History {
    /// Records `fact`.
    pub fn add(&mut self, fact: Fact) {
        self.note(|| format!("{fact:?}"));
        self.facts.push((self.now, fact));
    }

    /// Prints a line when tracing.
    pub fn note(&self, line: impl FnOnce() -> String) {
        if self.trace {
            println!("{:>12.6} {}", self.now as f64 / 1e9, line());
        }
    }

    /// The number of an epoch's name.
    pub fn epoch(&mut self, name: &str) -> Epoch {
        if let Some(epoch) = self.epochs.get(name) {
            return *epoch;
        }
        let epoch = self.epochs.len() as Epoch;
        self.epochs.insert(name.to_owned(), epoch);
        epoch
    }

    /// The name of an epoch; numbers that were never given out name an epoch that never was.
    pub fn epoch_name(&self, epoch: Epoch) -> &str {
        self.epochs.iter().find(|(_, number)| **number == epoch).map_or("zzzzzzzz", |(name, _)| name)
    }

    /// A number for a tool call.
    pub fn next_call(&mut self) -> usize {
        self.calls += 1;
        self.calls
    }

    /// A number for a new lineage.
    pub fn next_lineage(&mut self) -> usize {
        self.lineages += 1;
        self.lineages
    }

    /// A new body; its publish is attempted now.
    pub fn attempt(&mut self, body: Body) -> Uid {
        self.bodies.push(body);
        let uid = self.bodies.len() - 1;
        self.add(Fact::Attempted { uid });
        uid
    }

    /// The shard broke the contract with its driver.
    pub fn contract(&mut self, what: String) {
        self.spoilt = true;
        self.violation(0, what);
    }

    /// A bound was exceeded.
    pub fn bound(&mut self, what: String) {
        self.violation(11, what);
    }

    /// Something is wrong already.
    pub fn violation(&mut self, invariant: u8, what: String) {
        self.note(|| format!("VIOLATION of {invariant}: {what}"));
        self.violations.push(Violation { invariant, at: self.now, what });
    }
}

/// The uid a body carries: the number after `"u":`.
pub fn uid_in(data: &[u8]) -> Option<Uid> {
    let start = data.windows(4).position(|window| window == b"\"u\":")? + 4;
    let digits: Vec<u8> = data[start..].iter().copied().take_while(u8::is_ascii_digit).collect();
    std::str::from_utf8(&digits).ok()?.parse().ok()
}
