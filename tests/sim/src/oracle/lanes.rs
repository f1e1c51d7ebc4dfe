//! Invariant 12: whoever waits in a lane is passed by a bounded number of messages of other lanes. And what has
//! a time to live is told lost when that is over, not before, and is not sent afterwards.

use std::collections::{BTreeMap, BTreeSet};

use super::Found;
use super::origin::Truth;
use crate::history::{Fact, Gap, History, Stream, uid_in};
use crate::options::MS;
use crate::place::{Lane, Place, Position};

/// Messages of other lanes that may pass one that waits: a round of all lanes twice, less its own.
const PASSED_MAX: u32 = 28;

/// A client's own stream on a connection.
#[derive(Clone)]
struct Line {
    /// Where it is.
    place: Place,
    /// By lane, messages of others that have come since the one that is next could have.
    passed: [u32; 4],
}

#[derive(Default)]
struct Lines<'a> {
    /// Connections that the server may still hold, by client, and whether each is an SSE stream.
    open: BTreeMap<(usize, usize), bool>,
    /// Connections that had one of the other kind beside them: some messages are left to that.
    shared: BTreeSet<usize>,
    opened: BTreeMap<usize, u64>,
    lines: BTreeMap<usize, Line>,
    /// When a publish left, and when its answer came.
    attempted: BTreeMap<usize, u64>,
    accepted: BTreeMap<usize, u64>,
    /// Clients that were told at some time that they are sent less: lanes wait then as declared.
    paced: BTreeSet<usize>,
    truth: Option<&'a Truth>,
    /// Times to live are measured by a clock that does not jump.
    steady: bool,
}

pub(super) fn check(history: &History, truth: &Truth, steady: bool, found: &mut Found) {
    let paced = history.facts.iter().filter_map(|(_, fact)| match fact {
        Fact::Paced { client } => Some(*client),
        _ => None,
    });
    let mut lines = Lines { truth: Some(truth), steady, paced: paced.collect(), ..Lines::default() };
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
            Fact::Accepted { uid, .. } => drop(self.accepted.entry(uid).or_insert(at)),
            Fact::Opened { conn, client, sse } => self.opened(at, conn, client, sse),
            Fact::Released { conn } => self.open.retain(|(_, other), _| *other != conn),
            Fact::Attached { conn, stream: Stream::Own(_), attachment, .. } => {
                self.lines.insert(conn, Line { place: attachment.place, passed: [0; 4] });
            }
            Fact::Gap { conn, stream: stream @ Stream::Own(_), ref gap, .. } => {
                self.reached(conn, gap.lane, gap.to);
                return self.expired(history, stream, gap, at).map(|wrong| (3, wrong));
            }
            Fact::Delivered { conn, stream: stream @ Stream::Own(_), position, ref delivery, .. } => {
                let uid = uid_in(&delivery.data)?;
                if delivery.again && self.has_passed(conn, position) {
                    return self.is_late(history, uid, conn).map(|wrong| (3, wrong));
                }
                self.reached(conn, position.lane, position.sequence);
                let passed = self.passed(conn, stream, (position.lane, uid)).map(|wrong| (12, wrong));
                return passed.or_else(|| self.is_late(history, uid, conn).map(|wrong| (3, wrong)));
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
    }

    /// Whether the connection is beyond a message, which then comes once more for want of an acknowledgement.
    fn has_passed(&self, conn: usize, position: Position) -> bool {
        self.lines.get(&conn).is_some_and(|line| position.sequence <= line.place.at(position.lane))
    }

    fn reached(&mut self, conn: usize, lane: Lane, sequence: u64) {
        if let Some(line) = self.lines.get_mut(&conn) {
            let place = &mut line.place.seen[lane as usize];
            *place = sequence.max(*place);
            line.passed[lane as usize] = 0;
        }
    }

    /// Message `uid` of a lane came: who waits in the others was passed by it, if what is next there had been
    /// accepted before the connection began, or before `uid` was handed in.
    fn passed(&mut self, conn: usize, stream: Stream, (lane, uid): (Lane, usize)) -> Option<String> {
        let since = self.attempted.get(&uid).max(self.opened.get(&conn)).copied()?;
        let paced = matches!(stream, Stream::Own(client) if self.paced.contains(&client));
        let (exempt, truth) = (paced || self.shared.contains(&conn), self.truth?);
        let line = self.lines.get_mut(&conn).filter(|_| !exempt)?;
        for other in Lane::ALL.into_iter().filter(|other| *other != lane) {
            let (epoch, sequence) = (line.place.epoch, line.place.at(other) + 1);
            let next = truth.get(&(stream, Position { epoch, lane: other, sequence }));
            if next.and_then(|next| self.accepted.get(next)).is_some_and(|accepted| *accepted < since) {
                let passed = &mut line.passed[other as usize];
                *passed += 1;
                if *passed > PASSED_MAX {
                    return Some(format!("{sequence} of lane {} waits too long", other.name()));
                }
            }
        }
        None
    }

    /// A gap says that times to live were over: they were, by then.
    fn expired(&self, history: &History, stream: Stream, gap: &Gap, at: u64) -> Option<String> {
        if gap.reason != "expired" || !self.steady {
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
        (ttl > 0 && self.steady && accepted + ttl * MS < *opened).then(|| format!("{uid} had expired before"))
    }
}
