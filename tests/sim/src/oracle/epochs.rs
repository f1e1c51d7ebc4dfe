//! Invariants 5 and 8: `recovered` is true exactly when nothing was lost, an epoch names one life of a
//! stream, and what was neither acknowledged nor had to go for a bound is still there.

use std::collections::{BTreeMap, BTreeSet};

use super::{Found, Terms};
use crate::history::{Attachment, Cursor, Fact, Gap, History, Stream};
use crate::place::{Epoch, Lane, Position};

/// What has become of what a cursor speaks of.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Fate {
    /// No process has ended since, or a log has it.
    Kept,
    /// It may not have been in the log, or the log was harmed.
    Unknown,
    /// It was in memory, and that is gone.
    Lost,
}

#[derive(Default)]
struct Claims {
    roomy: bool,
    /// Whether a connection's join of a stream came with a cursor that was made up, or of an earlier life.
    void: BTreeMap<(usize, Stream), bool>,
    /// Messages have times to live.
    ttl: bool,
    /// Clients that have acknowledged something: with it they let go of what has expired.
    acking: BTreeSet<Stream>,
    /// There is a log.
    disk: bool,
    /// By the end of each process, whether its log was there unharmed.
    kept: Vec<bool>,
    /// In whose life a connection was opened.
    opened: BTreeMap<usize, usize>,
    /// In whose life an epoch began.
    begun: BTreeMap<(Stream, Epoch), usize>,
    /// Epochs that somebody got a number in: with a log they outlive their process.
    durable: BTreeSet<(Stream, Epoch)>,
    /// Highest number a client has acknowledged in a lane of an epoch.
    acked: BTreeMap<(Stream, Epoch, Lane), u64>,
    /// Single messages that a client has acknowledged.
    single: BTreeSet<(usize, Position)>,
}

pub(super) fn check(history: &History, terms: &Terms, found: &mut Found) {
    let Terms { roomy, disk, ttl, .. } = *terms;
    let mut claims = Claims { roomy, disk, ttl, ..Claims::default() };
    for (at, fact) in &history.facts {
        let wrong = match *fact {
            Fact::Acked { client, position, through: true } => {
                claims.acking.insert(Stream::Own(client));
                let key = (Stream::Own(client), position.epoch, position.lane);
                let acked = claims.acked.entry(key).or_default();
                *acked = position.sequence.max(*acked);
                None
            }
            Fact::Acked { client, position, through: false } => {
                claims.acking.insert(Stream::Own(client));
                claims.single.insert((client, position));
                None
            }
            Fact::Restarted { keeps } => {
                claims.kept.push(keeps);
                claims.roomy &= keeps || !disk;
                None
            }
            Fact::Accepted { uid, position } => {
                claims.durable.insert((history.bodies[uid].stream, position.epoch));
                None
            }
            Fact::Delivered { stream, position, .. } => {
                claims.durable.insert((stream, position.epoch));
                None
            }
            Fact::Opened { conn, .. } | Fact::Immigrated { conn } => {
                claims.opened.insert(conn, claims.kept.len());
                None
            }
            Fact::Attached { conn, stream, cursor, attachment, .. } => {
                let life = claims.opened.get(&conn).copied().unwrap_or_default();
                claims.begun.entry((stream, attachment.place.epoch)).or_insert(life);
                let fate = cursor.map_or(Fate::Kept, |cursor| claims.fate(stream, cursor, life));
                let void = fate != Fate::Kept || cursor.is_some_and(|cursor| cursor.forged);
                claims.void.insert((conn, stream), void);
                cursor.and_then(|cursor| claims.attached(stream, cursor, attachment, fate))
            }
            Fact::Gap { conn, stream, ref gap, .. } => {
                if let Some(wrong) = claims.gap((conn, stream), gap) {
                    found.add(8, *at, || format!("{wrong}: {fact:?}"));
                }
                None
            }
            _ => None,
        };
        if let Some(wrong) = wrong {
            found.add(5, *at, || format!("{wrong}: {fact:?}"));
        }
    }
}

impl Claims {
    /// What has become, by the process of number `life`, of the memory that `cursor` speaks of.
    fn fate(&self, stream: Stream, cursor: Cursor, life: usize) -> Fate {
        let name = (stream, cursor.place.epoch);
        let Some(begun) = self.begun.get(&name).filter(|begun| **begun < life) else { return Fate::Kept };
        let passed_on = self.kept[*begun..life].iter().all(|kept| *kept);
        match passed_on {
            true if self.durable.contains(&name) => Fate::Kept,
            false if !self.disk => Fate::Lost,
            _ => Fate::Unknown,
        }
    }

    fn attached(
        &self,
        stream: Stream,
        cursor: Cursor,
        attachment: Attachment,
        fate: Fate,
    ) -> Option<&'static str> {
        let behind = |lane: &Lane| {
            let acked = self.acked(stream, cursor.place.epoch, *lane);
            cursor.speaks_of(*lane) && cursor.place.at(*lane) < acked
        };
        let forgotten = !self.is_roomy(stream) || fate != Fate::Kept || Lane::ALL.iter().any(behind);
        if attachment.recovered && fate == Fate::Lost {
            Some("recovered, although the process that knew it is no more")
        } else if !attachment.recovered {
            (!forgotten && !cursor.forged).then_some("not recovered although nothing can have been forgotten")
        } else if cursor.forged {
            Some("a cursor that was made up is said to be recovered")
        } else {
            let other = cursor.place.epoch != attachment.place.epoch;
            other.then_some("recovered, but in another epoch")
        }
    }

    fn gap(&self, key: (usize, Stream), gap: &Gap) -> Option<&'static str> {
        if gap.reason == "expired" {
            return None;
        }
        let void = self.void.get(&key).copied().unwrap_or_default();
        let acked = self.acked(key.1, gap.epoch, gap.lane);
        let single = |sequence| {
            let position = Position { epoch: gap.epoch, lane: gap.lane, sequence };
            matches!(key.1, Stream::Own(client) if self.single.contains(&(client, position)))
        };
        let forgotten = !self.is_roomy(key.1)
            || void
            || (gap.from..=gap.to).all(|sequence| sequence <= acked || single(sequence));
        (!forgotten).then_some("a gap although nothing can have been forgotten")
    }

    /// Nothing of it can have had to go.
    fn is_roomy(&self, stream: Stream) -> bool {
        self.roomy && !(self.ttl && self.acking.contains(&stream))
    }

    fn acked(&self, stream: Stream, epoch: Epoch, lane: Lane) -> u64 {
        self.acked.get(&(stream, epoch, lane)).copied().unwrap_or_default()
    }
}
