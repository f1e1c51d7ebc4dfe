//! Reads the record of a run and says which promises were not kept. One file per group of invariants;
//! their numbers are those of the project's list: 1 no fabrication, 2 order, 3 contiguity, 4 accepted is
//! seen, 5 epoch honesty, 6 seam, 7 fencing, 8 retention, 9 upstream once, 10 reply pairing, 11 bounded, 12 priority, 13 job
//! conservation, 14 drain, 15 authority, 16 presence, 17 liveness; then those of MCP: 18 pairing, 19
//! questions, 20 once, 21 leases; 22 control; and 0 the contract with the driver and the wire itself.

mod bounds;
mod calls;
mod control;
mod copies;
mod doors;
mod drain;
mod epochs;
mod fences;
mod jobs;
mod lanes;
mod leases;
mod origin;
mod presence;
mod questions;
mod replies;
mod rest;
mod seen;
mod sequence;

use weir_shard::limits::Drain;

use crate::history::{History, Violation};

/// Every MCP request gets exactly one answer, its own, where it was asked.
pub const PAIRING: u8 = 18;
/// What a server asks and is told stays between it and the client of the call.
pub const QUESTIONS: u8 = 19;
/// A tool call is run at most once.
pub const ONCE: u8 = 20;
/// Nothing is left over when everyone has left.
pub const LEASES: u8 = 21;

/// What is refused has a reason, and an end.
pub const CONTROL: u8 = 22;

/// What the oracle must know beside the record.
#[derive(Clone, Debug)]
pub struct Terms {
    /// No bound of an outbox or a session can have been reached.
    pub roomy: bool,
    /// Streams are kept on a disk.
    pub disk: bool,
    /// Messages have times to live, and a client that acknowledges lets go of those that are over.
    pub ttl: bool,
    /// The wall clock, by which a log measures times to live, does not jump.
    pub steady: bool,
    /// Times a message is sent before it is given up.
    pub attempts_max: u8,
    /// Bytes a connection's queue may hold.
    pub queue_bytes_max: usize,
    /// Bytes all outboxes of a shard may hold.
    pub outbox_bytes_max: usize,
    /// The run ended with a drain: the last counters are from before it.
    pub drains: bool,
    /// How many shards there are.
    pub shards: usize,
    /// How they stop.
    pub drain: Drain,
    /// Clients may send as much as they like: nothing is left out.
    pub unlimited: bool,
    /// No bound of sessions, calls or connections to servers can be reached.
    pub ample: bool,
    /// How long an MCP request may take, ns.
    pub mcp_patience: u64,
    /// How much later than due a shard may do what is due, ns.
    pub late: u64,
}

/// Every violation of a run, those found on the way first.
pub fn judge(history: &History, terms: &Terms) -> Vec<Violation> {
    let mut found = Found { violations: history.violations.clone() };
    if history.spoilt {
        return found.violations;
    }
    let truth = origin::check(history, terms.roomy, &mut found);
    sequence::check(history, &truth, &mut found);
    copies::check(history, &mut found);
    lanes::check(history, &truth, terms.steady, &mut found);
    epochs::check(history, terms, &mut found);
    replies::check(history, &mut found);
    fences::check(history, &mut found);
    doors::check(history, terms, &mut found);
    presence::check(history, &mut found);
    rest::check(history, terms, &mut found);
    drain::check(history, terms, &mut found);
    jobs::check(history, terms, &mut found);
    bounds::check(history, terms, &mut found);
    seen::check(history, &mut found);
    calls::check(history, terms, &mut found);
    questions::check(history, &mut found);
    leases::check(history, terms, &mut found);
    control::check(history, &mut found);
    found.violations
}

/// Collects violations; a few of each kind tell enough.
struct Found {
    violations: Vec<Violation>,
}

impl Found {
    fn add(&mut self, invariant: u8, at: u64, what: impl FnOnce() -> String) {
        if self.violations.len() < 50 {
            self.violations.push(Violation { invariant, at, what: what() });
        }
    }
}
