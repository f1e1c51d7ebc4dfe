//! Invariants 1, 9 and 15: what is delivered was published, unchanged, to whom it is delivered, and has one place
//! only, however often it was said.

use std::collections::{BTreeMap, BTreeSet};

use super::Found;
use crate::history::{Fact, History, Stream, Uid, uid_in};
use crate::place::Position;

/// Which message stands where, as far as anybody was told.
pub(super) type Truth = BTreeMap<(Stream, Position), Uid>;

pub(super) fn check(history: &History, roomy: bool, found: &mut Found) -> Truth {
    let mut truth = Truth::new();
    let mut places: BTreeMap<Uid, Position> = BTreeMap::new();
    let mut stamps: BTreeMap<(Stream, Position), &str> = BTreeMap::new();
    let (mut forgets, mut acking, mut restarted) = (false, BTreeSet::new(), false);
    for (at, fact) in &history.facts {
        let (stream, position, uid) = match fact {
            Fact::Restarted { keeps } => {
                (restarted, forgets) = (true, forgets || !keeps || !roomy);
                continue;
            }
            Fact::Acked { client, .. } => {
                acking.insert(Stream::Own(*client));
                continue;
            }
            Fact::Accepted { uid, position } => (history.bodies[*uid].stream, *position, *uid),
            Fact::Delivered { stream, position, delivery, .. } => {
                let stamp = *stamps.entry((*stream, *position)).or_insert(&delivery.timestamp);
                if stamp != delivery.timestamp {
                    found.add(1, *at, || {
                        format!("{stream:?} {position:?} came with two timestamps: {fact:?}")
                    });
                }
                match published(history, *stream, &delivery.kind, &delivery.data, false) {
                    Ok(uid) if history.bodies[uid].lane != position.lane => {
                        found.add(12, *at, || format!("in another lane than it was published: {fact:?}"));
                        continue;
                    }
                    Ok(uid) => (*stream, *position, uid),
                    Err((invariant, wrong)) => {
                        found.add(invariant, *at, || format!("{wrong}: {fact:?}"));
                        continue;
                    }
                }
            }
            Fact::Binary { stream, kind, data, .. } => {
                if let Err((invariant, wrong)) = published(history, *stream, kind, data, true) {
                    found.add(invariant, *at, || format!("{wrong}: {fact:?}"));
                }
                continue;
            }
            _ => continue,
        };
        let other = *truth.entry((stream, position)).or_insert(uid);
        if other != uid {
            found.add(1, *at, || format!("{stream:?} {position:?} is both {other} and {uid}: {fact:?}"));
        }
        let place = *places.entry(uid).or_insert(position);
        // A key outlives its process as long as its message is kept on a disk.
        let keyed = history.bodies[uid].keyed;
        let forgot = keyed && (forgets || restarted && acking.contains(&stream));
        if place != position && !forgot {
            let invariant = if keyed { 9 } else { 1 };
            found.add(invariant, *at, || {
                format!("message {uid} stands at {place:?} and {position:?}: {fact:?}")
            });
        }
    }
    truth
}

/// The message that came, if it is one byte for byte.
fn published(
    history: &History,
    stream: Stream,
    kind: &str,
    data: &[u8],
    binary: bool,
) -> Result<Uid, (u8, &'static str)> {
    let uid = uid_in(data).ok_or((1, "a message nobody published"))?;
    let body = history.bodies.get(uid).ok_or((1, "a message nobody published"))?;
    if body.stream != stream {
        Err((15, "a message published to another stream"))
    } else if **body.data != *data || body.kind != kind || body.binary != binary {
        Err((1, "a message that was changed"))
    } else {
        Ok(uid)
    }
}
