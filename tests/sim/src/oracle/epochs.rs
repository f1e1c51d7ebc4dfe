//! Invariants 5 and 8: `recovered` is true exactly when nothing was lost, an epoch names one life of a
//! stream, and what was neither acknowledged nor had to go for a bound is still there.

use std::collections::BTreeMap;

use super::Found;
use crate::history::{Attachment, Cursor, Epoch, Fact, History, Stream};

#[derive(Default)]
struct Claims {
    roomy: bool,
    /// Whether a connection's join of a stream came with a cursor that was made up.
    forged: BTreeMap<(usize, Stream), bool>,
    /// Highest number a client has acknowledged in an epoch.
    acked: BTreeMap<(Stream, Epoch), u64>,
}

pub(super) fn check(history: &History, roomy: bool, found: &mut Found) {
    let mut claims = Claims { roomy, ..Claims::default() };
    for (at, fact) in &history.facts {
        let wrong = match *fact {
            Fact::Acked { client, position } => {
                let acked = claims.acked.entry((Stream::Own(client), position.epoch)).or_default();
                *acked = position.sequence.max(*acked);
                None
            }
            Fact::Attached { conn, stream, cursor, attachment, .. } => {
                claims.forged.insert((conn, stream), cursor.is_some_and(|cursor| cursor.forged));
                cursor.and_then(|cursor| claims.attached(stream, cursor, attachment))
            }
            Fact::Gap { conn, stream, epoch, to, .. } => claims.gap((conn, stream), epoch, to),
            _ => None,
        };
        if let Some(wrong) = wrong {
            found.add(5, *at, || format!("{wrong}: {fact:?}"));
        }
    }
}

impl Claims {
    fn attached(&self, stream: Stream, cursor: Cursor, attachment: Attachment) -> Option<&'static str> {
        let forgotten = !self.roomy || cursor.position.sequence < self.acked(stream, cursor.position.epoch);
        if !attachment.recovered {
            (!forgotten && !cursor.forged).then_some("not recovered although nothing can have been forgotten")
        } else if cursor.forged {
            Some("a cursor that was made up is said to be recovered")
        } else {
            let other = cursor.position.epoch != attachment.position.epoch;
            other.then_some("recovered, but in another epoch")
        }
    }

    fn gap(&self, key: (usize, Stream), epoch: Epoch, to: u64) -> Option<&'static str> {
        let forged = self.forged.get(&key).copied().unwrap_or_default();
        let forgotten = !self.roomy || forged || to <= self.acked(key.1, epoch);
        (!forgotten).then_some("a gap although nothing can have been forgotten")
    }

    fn acked(&self, stream: Stream, epoch: Epoch) -> u64 {
        self.acked.get(&(stream, epoch)).copied().unwrap_or_default()
    }
}
