//! Invariant 12: whoever waits in a lane is passed by a bounded number of messages of other lanes. And what has
//! a time to live is told lost when that is over, not before, and is not sent afterwards.

use std::collections::{BTreeMap, BTreeSet};

use super::Found;
use super::origin::Truth;
use crate::history::{Fact, Gap, History, Stream, uid_in};
use crate::options::MS;
use crate::place::{Lane, Position};

/// Messages of other lanes that may pass one that waits: a round of all lanes twice, less its own.
const PASSED_MAX: u32 = 28;

/// A client's own stream on a connection that takes all of it.
#[derive(Clone, Default)]
struct Line {
    /// By lane, the last number that waited when the connection began, and where it is.
    waits_to: [u64; 4],
    at: [u64; 4],
    passed: [u32; 4],
}

#[derive(Default)]
struct Lines<'a> {
    /// Connections in use by client, and whether each is an SSE stream.
    open: BTreeMap<(usize, usize), bool>,
    /// Connections that had one of the other kind beside them: some messages are left to that.
    shared: BTreeSet<usize>,
    opened: BTreeMap<usize, u64>,
    /// The highest number accepted, by client and epoch.
    heads: BTreeMap<(usize, u32), [u64; 4]>,
    /// The same when a connection was opened.
    before: BTreeMap<usize, BTreeMap<u32, [u64; 4]>>,
    lines: BTreeMap<usize, Line>,
    /// When a publish left, and when its answer came.
    attempted: BTreeMap<usize, u64>,
    accepted: BTreeMap<usize, u64>,
    truth: Option<&'a Truth>,
}

pub(super) fn check(history: &History, truth: &Truth, found: &mut Found) {
    let mut lines = Lines { truth: Some(truth), ..Lines::default() };
    for (at, fact) in &history.facts {
        if let Some((invariant, wrong)) = lines.step(history, *at, fact) {
            found.add(invariant, *at, || format!("{wrong}: {fact:?}"));
        }
    }
}

impl Lines<'_> {
    fn step(&mut self, history: &History, at: u64, fact: &Fact) -> Option<(u8, String)> {
        match *fact {
            Fact::Attempted { uid } => drop(self.attempted.insert(uid, at)),
            Fact::Accepted { uid, position } => {
                self.accepted.insert(uid, at);
                if let Stream::Own(client) = history.bodies[uid].stream {
                    let head = self.heads.entry((client, position.epoch)).or_default();
                    let head = &mut head[position.lane as usize];
                    *head = position.sequence.max(*head);
                }
            }
            Fact::Opened { conn, client, sse } => self.opened(at, conn, client, sse),
            Fact::Ended { conn, client } => drop(self.open.remove(&(client, conn))),
            Fact::Attached { conn, stream: Stream::Own(_), attachment, .. } => {
                let before = self.before.get(&conn).and_then(|heads| heads.get(&attachment.place.epoch));
                let waits_to = before.copied().unwrap_or_default();
                self.lines.insert(conn, Line { waits_to, at: attachment.place.seen, passed: [0; 4] });
            }
            Fact::Gap { conn, stream: stream @ Stream::Own(_), ref gap, .. } => {
                self.reached(conn, gap.lane, gap.to);
                return self.expired(history, stream, gap, at).map(|wrong| (3, wrong));
            }
            Fact::Delivered { conn, stream: Stream::Own(_), position, ref delivery, .. } => {
                let late = uid_in(&delivery.data).and_then(|uid| self.is_late(history, uid, conn));
                let passed = self.passed(conn, position);
                return passed.map(|wrong| (12, wrong)).or(late.map(|wrong| (3, wrong)));
            }
            _ => {}
        }
        None
    }

    fn opened(&mut self, at: u64, conn: usize, client: usize, sse: bool) {
        for ((_, other), _) in self.open.range((client, 0)..(client + 1, 0)).filter(|(_, of)| **of != sse) {
            self.shared.extend([conn, *other]);
        }
        self.open.insert((client, conn), sse);
        self.opened.insert(conn, at);
        let heads = self.heads.range((client, 0)..(client + 1, 0));
        self.before.insert(conn, heads.map(|((_, epoch), head)| (*epoch, *head)).collect());
    }

    fn reached(&mut self, conn: usize, lane: Lane, sequence: u64) {
        if let Some(line) = self.lines.get_mut(&conn) {
            line.at[lane as usize] = sequence;
            line.passed[lane as usize] = 0;
        }
    }

    /// A message came: who waits in other lanes was passed by it.
    fn passed(&mut self, conn: usize, position: Position) -> Option<String> {
        if self.lines.get(&conn).is_some_and(|line| position.sequence <= line.at[position.lane as usize]) {
            // Sent again, for want of an acknowledgement.
            return None;
        }
        self.reached(conn, position.lane, position.sequence);
        let shared = self.shared.contains(&conn);
        let line = self.lines.get_mut(&conn).filter(|_| !shared)?;
        for lane in Lane::ALL.into_iter().filter(|lane| *lane != position.lane) {
            let at = lane as usize;
            if line.at[at] < line.waits_to[at] {
                line.passed[at] += 1;
            }
        }
        let late = Lane::ALL.into_iter().find(|lane| line.passed[*lane as usize] > PASSED_MAX)?;
        Some(format!("{} of lane {} waits too long", line.at[late as usize] + 1, late.name()))
    }

    /// A gap says that times to live were over: they were, by then.
    fn expired(&self, history: &History, stream: Stream, gap: &Gap, at: u64) -> Option<String> {
        if gap.reason != "expired" {
            return None;
        }
        let early = (gap.from..=gap.to).find(|sequence| {
            let position = Position { epoch: gap.epoch, lane: gap.lane, sequence: *sequence };
            let uid = self.truth.and_then(|truth| truth.get(&(stream, position)));
            uid.is_some_and(|uid| {
                let ttl = history.bodies[*uid].ttl_ms;
                ttl == 0 || self.attempted.get(uid).is_none_or(|attempted| attempted + ttl * MS > at)
            })
        });
        early.map(|early| format!("{early} is said to have expired, and has not"))
    }

    /// A message came on a connection that began when its time was over.
    fn is_late(&self, history: &History, uid: usize, conn: usize) -> Option<String> {
        let ttl = history.bodies.get(uid)?.ttl_ms;
        let (accepted, opened) = (self.accepted.get(&uid)?, self.opened.get(&conn)?);
        (ttl > 0 && accepted + ttl * MS < *opened).then(|| format!("{uid} had expired before"))
    }
}
