//! Invariants 5 and 8: `recovered` is true exactly when nothing was lost, an epoch names one life of a
//! stream, and what was neither acknowledged nor had to go for a bound is still there.

use std::collections::BTreeMap;

use super::Found;
use crate::history::{Attachment, Cursor, Fact, Gap, History, Stream};
use crate::place::{Epoch, Lane};

#[derive(Default)]
struct Claims {
    roomy: bool,
    /// Whether a connection's join of a stream came with a cursor that was made up, or of an earlier life.
    void: BTreeMap<(usize, Stream), bool>,
    /// Processes there were before.
    life: u32,
    /// In whose life a connection was opened.
    opened: BTreeMap<usize, u32>,
    /// In whose life an epoch began.
    begun: BTreeMap<(Stream, Epoch), u32>,
    /// Highest number a client has acknowledged in a lane of an epoch.
    acked: BTreeMap<(Stream, Epoch, Lane), u64>,
}

pub(super) fn check(history: &History, roomy: bool, found: &mut Found) {
    let mut claims = Claims { roomy, ..Claims::default() };
    for (at, fact) in &history.facts {
        let wrong = match *fact {
            Fact::Acked { client, position } => {
                let key = (Stream::Own(client), position.epoch, position.lane);
                let acked = claims.acked.entry(key).or_default();
                *acked = position.sequence.max(*acked);
                None
            }
            Fact::Restarted => {
                claims.life += 1;
                None
            }
            Fact::Opened { conn, .. } => {
                claims.opened.insert(conn, claims.life);
                None
            }
            Fact::Attached { conn, stream, cursor, attachment, .. } => {
                let life = claims.opened.get(&conn).copied().unwrap_or_default();
                claims.begun.entry((stream, attachment.place.epoch)).or_insert(life);
                let lost = cursor.is_some_and(|cursor| claims.is_lost(stream, cursor, life));
                claims.void.insert((conn, stream), lost || cursor.is_some_and(|cursor| cursor.forged));
                cursor.and_then(|cursor| claims.attached(stream, cursor, attachment, lost))
            }
            Fact::Gap { conn, stream, ref gap, .. } => claims.gap((conn, stream), gap),
            _ => None,
        };
        if let Some(wrong) = wrong {
            found.add(5, *at, || format!("{wrong}: {fact:?}"));
        }
    }
}

impl Claims {
    /// The memory that `cursor` speaks of went with an earlier process.
    fn is_lost(&self, stream: Stream, cursor: Cursor, life: u32) -> bool {
        self.begun.get(&(stream, cursor.place.epoch)).is_some_and(|begun| *begun < life)
    }

    fn attached(
        &self,
        stream: Stream,
        cursor: Cursor,
        attachment: Attachment,
        lost: bool,
    ) -> Option<&'static str> {
        let behind = |lane: &Lane| {
            let acked = self.acked(stream, cursor.place.epoch, *lane);
            cursor.speaks_of(*lane) && cursor.place.at(*lane) < acked
        };
        let forgotten = !self.roomy || lost || Lane::ALL.iter().any(behind);
        if attachment.recovered && lost {
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
        if gap.reason == "expired" || gap.reason == "dead" {
            return None;
        }
        let void = self.void.get(&key).copied().unwrap_or_default();
        let forgotten = !self.roomy || void || gap.to <= self.acked(key.1, gap.epoch, gap.lane);
        (!forgotten).then_some("a gap although nothing can have been forgotten")
    }

    fn acked(&self, stream: Stream, epoch: Epoch, lane: Lane) -> u64 {
        self.acked.get(&(stream, epoch, lane)).copied().unwrap_or_default()
    }
}
