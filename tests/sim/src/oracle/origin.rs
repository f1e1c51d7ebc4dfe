//! Invariant 1: what is delivered was published, unchanged, and has one place only.

use std::collections::BTreeMap;

use super::Found;
use crate::history::{Fact, History, Stream, Uid, uid_in};
use crate::place::Position;

/// Which message stands where, as far as anybody was told.
pub(super) type Truth = BTreeMap<(Stream, Position), Uid>;

pub(super) fn check(history: &History, found: &mut Found) -> Truth {
    let mut truth = Truth::new();
    let mut places: BTreeMap<Uid, Position> = BTreeMap::new();
    let mut stamps: BTreeMap<(Stream, Position), &str> = BTreeMap::new();
    for (at, fact) in &history.facts {
        let (stream, position, uid) = match fact {
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
                    Err(wrong) => {
                        found.add(1, *at, || format!("{wrong}: {fact:?}"));
                        continue;
                    }
                }
            }
            Fact::Binary { stream, kind, data, .. } => {
                if let Err(wrong) = published(history, *stream, kind, data, true) {
                    found.add(1, *at, || format!("{wrong}: {fact:?}"));
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
        if place != position {
            found.add(1, *at, || format!("message {uid} stands at {place:?} and {position:?}: {fact:?}"));
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
) -> Result<Uid, &'static str> {
    let uid = uid_in(data).ok_or("a message nobody published")?;
    let body = history.bodies.get(uid).ok_or("a message nobody published")?;
    if body.stream != stream {
        Err("a message published to another stream")
    } else if **body.data != *data || body.kind != kind || body.binary != binary {
        Err("a message that was changed")
    } else {
        Ok(uid)
    }
}
