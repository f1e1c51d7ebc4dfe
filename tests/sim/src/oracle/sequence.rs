//! Invariants 2, 3 and 6: on one connection a stream's messages come in order, without a hole that was
//! not told, from exactly where the join said.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;

use super::Found;
use super::origin::Truth;
use crate::history::{Fact, Gap, History, Stream, Uid, uid_in};
use crate::place::{Lane, Position};

/// A lane of a stream on a connection.
type Key = (usize, Stream, Lane);

/// A lane of a stream as one connection gets it, since its join.
struct Walk {
    epoch: u32,
    next: u64,
    /// Nothing has come since the join: a hole here is a hole in the seam.
    fresh: bool,
    /// The stream starts again behind `next`.
    rewound: bool,
    /// Binary messages since the last one that says where it stands.
    binaries: Vec<Uid>,
}

#[derive(Default)]
struct Walks<'a> {
    walks: BTreeMap<Key, Walk>,
    /// Connections the server may still hold: (client, connection) to whether it is an SSE stream.
    open: BTreeMap<(usize, usize), bool>,
    /// Connections that had one of the other transport beside them.
    holed: BTreeSet<usize>,
    /// Clients that have acknowledged something.
    acking: BTreeSet<usize>,
    /// Pushes to a topic without an answer, by connection.
    unanswered: BTreeMap<(usize, Stream), usize>,
    truth: Option<&'a Truth>,
    /// Messages of which somebody was told where they stand.
    placed: BTreeSet<Uid>,
}

pub(super) fn check(history: &History, truth: &Truth, found: &mut Found) {
    let placed = truth.values().copied().collect();
    let mut walks = Walks { truth: Some(truth), placed, ..Walks::default() };
    for (at, fact) in &history.facts {
        let wrong = walks.step(history, fact);
        if let Some((invariant, what)) = wrong {
            found.add(invariant, *at, || format!("{what}: {fact:?}"));
        }
    }
}

impl Walks<'_> {
    fn step(&mut self, history: &History, fact: &Fact) -> Option<(u8, String)> {
        match *fact {
            Fact::Opened { conn, client, sse } => self.opened(conn, client, sse),
            Fact::Released { conn } => self.open.retain(|(_, other), _| *other != conn),
            Fact::Attached { conn, stream, cursor, attachment, .. } => {
                for lane in Lane::ALL {
                    let from = match cursor {
                        Some(cursor) if attachment.recovered && cursor.speaks_of(lane) => cursor.place,
                        _ => attachment.place,
                    };
                    let (epoch, next) = (from.epoch, from.at(lane) + 1);
                    let walk = Walk { epoch, next, fresh: true, rewound: false, binaries: Vec::new() };
                    self.walks.insert((conn, stream, lane), walk);
                }
            }
            Fact::Detached { conn, stream, .. } => {
                self.walks.retain(|(other, of, _), _| (*other, *of) != (conn, stream));
            }
            Fact::Ended { conn, .. } => self.walks.retain(|(other, ..), _| *other != conn),
            Fact::Attempted { uid } => self.count(history, uid, 1),
            Fact::Accepted { uid, .. } | Fact::Refused { uid, .. } => self.count(history, uid, -1),
            Fact::Switched { conn, stream } => {
                let lanes = (conn, stream, Lane::Urgent)..=(conn, stream, Lane::Low);
                self.walks.range_mut(lanes).for_each(|(_, walk)| walk.rewound = true);
            }
            Fact::Gap { conn, stream, ref gap, .. } => {
                return self.gap(history, (conn, stream, gap.lane), gap);
            }
            Fact::Binary { conn, stream, ref data, .. } => {
                match self.walks.get_mut(&(conn, stream, Lane::Normal)) {
                    Some(walk) => walk.binaries.extend(uid_in(data)),
                    None => return Some((6, "a message in a stream that is not joined".into())),
                }
            }
            Fact::Acked { client, .. } => drop(self.acking.insert(client)),
            // Written again for want of an acknowledgement, or because the other transport is gone.
            Fact::Delivered { conn, client, stream, position, ref delivery }
                if delivery.again
                    && (self.acking.contains(&client) || self.holed.contains(&conn))
                    && self.is_behind(conn, stream, position) => {}
            Fact::Delivered { conn, stream, position, .. } => {
                return self.delivered(history, (conn, stream, position.lane), position);
            }
            _ => {}
        }
        None
    }

    /// The connection has had this message in its turn, and has not been told to begin again.
    fn is_behind(&self, conn: usize, stream: Stream, position: Position) -> bool {
        let walk = self.walks.get(&(conn, stream, position.lane));
        walk.is_some_and(|walk| {
            walk.epoch == position.epoch && position.sequence < walk.next && !walk.rewound
        })
    }

    /// While both transports are up, each message goes to one of them: both have holes.
    fn opened(&mut self, conn: usize, client: usize, sse: bool) {
        let others = self.open.range((client, 0)..(client + 1, 0)).filter(|(_, other)| **other != sse);
        let holed: Vec<usize> = others.flat_map(|((_, other), _)| [conn, *other]).collect();
        self.holed.extend(holed);
        self.open.insert((client, conn), sse);
    }

    fn count(&mut self, history: &History, uid: usize, by: isize) {
        let body = &history.bodies[uid];
        if let Some(conn) = body.pusher {
            let count = self.unanswered.entry((conn, body.stream)).or_default();
            *count = count.saturating_add_signed(by);
        }
    }

    fn gap(&mut self, history: &History, key: Key, gap: &Gap) -> Option<(u8, String)> {
        let Gap { epoch, from, to, .. } = *gap;
        let Some(walk) = self.walks.get_mut(&key) else {
            return Some((6, "a gap in a stream that is not joined".into()));
        };
        if from > to + 1 {
            return Some((5, "a gap that ends before it starts".into()));
        }
        if epoch != walk.epoch {
            // The end of an older life of the stream, told after a join that did not recover.
            let told = walk.fresh.then_some(());
            return told.is_none().then(|| (5, format!("a gap in another epoch than {}", walk.epoch)));
        }
        let next = walk.next;
        walk.next = next.max(to + 1);
        let binaries = std::mem::take(&mut walk.binaries);
        let lost = self.lost(history, key, (epoch, next..from), &binaries)?;
        Some((3, format!("{lost} is missing before the gap")))
    }

    fn delivered(&mut self, history: &History, key: Key, position: Position) -> Option<(u8, String)> {
        let Some(walk) = self.walks.get_mut(&key) else {
            return Some((6, "a message in a stream that is not joined".into()));
        };
        let Walk { epoch, next, fresh, rewound, .. } = *walk;
        let binaries = std::mem::take(&mut walk.binaries);
        if position.epoch != epoch {
            return Some((5, format!("a message of another epoch than {epoch}")));
        }
        (walk.fresh, walk.rewound) = (false, false);
        if position.sequence < next && !rewound {
            return Some((2, format!("{next} was next")));
        }
        walk.next = position.sequence + 1;
        let lost = self.lost(history, key, (epoch, next..position.sequence), &binaries)?;
        Some((if fresh { 6 } else { 3 }, format!("{lost} is missing, {next} was next")))
    }

    /// The first number of `range` that should have come: of what did not, some was the client's own, and of
    /// some nobody was told where it stands.
    fn lost(
        &self,
        history: &History,
        key: Key,
        (epoch, mut range): (u32, Range<u64>),
        binaries: &[Uid],
    ) -> Option<u64> {
        if self.holed.contains(&key.0) {
            return None;
        }
        // Of these nobody was told where they stand: pushes without an answer, binaries of others.
        let unplaced = binaries.iter().filter(|uid| !self.placed.contains(uid)).count();
        let mut pardoned = self.unanswered.get(&(key.0, key.1)).copied().unwrap_or_default() + unplaced;
        range.find(|sequence| {
            let position = Position { epoch, lane: key.2, sequence: *sequence };
            match self.truth.and_then(|truth| truth.get(&(key.1, position))) {
                Some(uid) => history.bodies[*uid].pusher != Some(key.0) && !binaries.contains(uid),
                None if pardoned > 0 => {
                    pardoned -= 1;
                    false
                }
                None => true,
            }
        })
    }
}
