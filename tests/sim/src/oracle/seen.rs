//! Invariant 4: after the storm, whatever was accepted for a client that came back within retention was
//! seen by it, or told lost.

use std::collections::{BTreeMap, BTreeSet};

use super::Found;
use crate::history::{Epoch, Fact, History, Stream, Uid, uid_in};

/// What a client has been promised of a stream, and what it knows of.
#[derive(Default)]
struct Promise {
    epoch: Option<Epoch>,
    /// Up to here the server said that nothing is promised.
    after: u64,
    seen: BTreeSet<u64>,
    /// Binary messages seen; they do not carry their number.
    binaries: BTreeSet<Uid>,
    gaps: Vec<(u64, u64)>,
    /// Is on the stream at the end.
    attached: BTreeSet<usize>,
}

pub(super) fn check(history: &History, found: &mut Found) {
    let promises = promises(history);
    for (at, fact) in &history.facts {
        let Fact::Accepted { uid, position } = *fact else { continue };
        let body = &history.bodies[uid];
        for ((client, stream), promise) in &promises {
            if *stream != body.stream || promise.attached.is_empty() || promise.epoch != Some(position.epoch)
            {
                continue;
            }
            let n = position.sequence;
            let told = promise.gaps.iter().any(|(from, to)| (*from..=*to).contains(&n));
            if n > promise.after && !told && !promise.seen.contains(&n) && !promise.binaries.contains(&uid) {
                found.add(4, *at, || {
                    format!("client {client} never saw it, nor was told: {stream:?} {fact:?}")
                });
            }
        }
    }
}

/// Where every promise stands once all have come back.
fn promises(history: &History) -> BTreeMap<(usize, Stream), Promise> {
    let mut promises: BTreeMap<(usize, Stream), Promise> = BTreeMap::new();
    let mut clients: BTreeMap<usize, usize> = BTreeMap::new();
    for (_, fact) in &history.facts {
        match *fact {
            Fact::Settled => break,
            Fact::Opened { conn, client, .. } => drop(clients.insert(conn, client)),
            Fact::Attached { conn, client, stream, attachment, .. } => {
                let promise = promises.entry((client, stream)).or_default();
                let (epoch, after) = (attachment.position.epoch, attachment.position.sequence);
                if promise.epoch != Some(epoch) {
                    let attached = std::mem::take(&mut promise.attached);
                    *promise = Promise { epoch: Some(epoch), after, attached, ..Promise::default() };
                } else if !attachment.recovered {
                    promise.after = promise.after.max(after);
                }
                promise.attached.insert(conn);
            }
            Fact::Detached { conn, client, stream } => {
                promises.entry((client, stream)).or_default().attached.remove(&conn);
            }
            Fact::Ended { conn, client } => {
                for (_, promise) in promises.range_mut((client, Stream::Own(0))..(client + 1, Stream::Own(0)))
                {
                    promise.attached.remove(&conn);
                }
            }
            Fact::Delivered { client, stream, position, .. } => {
                let promise = promises.entry((client, stream)).or_default();
                if promise.epoch == Some(position.epoch) {
                    promise.seen.insert(position.sequence);
                }
            }
            Fact::Binary { client, stream, ref data, .. } => {
                promises.entry((client, stream)).or_default().binaries.extend(uid_in(data));
            }
            Fact::Gap { client, stream, epoch, from, to, .. } => {
                let promise = promises.entry((client, stream)).or_default();
                if promise.epoch == Some(epoch) {
                    promise.gaps.push((from, to));
                }
            }
            Fact::Accepted { uid, position } => {
                let body = &history.bodies[uid];
                let Some(client) = body.pusher.and_then(|conn| clients.get(&conn)) else { continue };
                if let Some(promise) = promises.get_mut(&(*client, body.stream))
                    && promise.epoch == Some(position.epoch)
                {
                    promise.seen.insert(position.sequence);
                }
            }
            _ => {}
        }
    }
    promises
}
