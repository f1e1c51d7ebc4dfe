//! Invariant 4: after the storm, whatever was accepted for a client that came back within retention was
//! seen by it, or told lost.

use std::collections::{BTreeMap, BTreeSet};

use super::Found;
use crate::history::{Attachment, Cursor, Fact, History, Stream, Uid, uid_in};
use crate::place::{Epoch, Lane, Position};

/// What a client has been promised of a stream, and what it knows of.
#[derive(Default)]
struct Promise {
    epoch: Option<Epoch>,
    /// Up to here the server said that nothing is promised, by lane.
    after: [u64; 4],
    seen: BTreeSet<(Lane, u64)>,
    /// Binary messages seen; they do not carry their number.
    binaries: BTreeSet<Uid>,
    gaps: Vec<(Lane, u64, u64)>,
    /// Is on the stream at the end.
    attached: BTreeSet<usize>,
}

pub(super) fn check(history: &History, found: &mut Found) {
    let promises = promises(history);
    let dead: BTreeSet<(usize, Position)> = history
        .facts
        .iter()
        .filter_map(|(_, fact)| match *fact {
            Fact::Dead { client, position, .. } => Some((client, position)),
            _ => None,
        })
        .collect();
    for (at, fact) in &history.facts {
        let Fact::Accepted { uid, position } = *fact else { continue };
        let body = &history.bodies[uid];
        for ((client, stream), promise) in &promises {
            if *stream != body.stream || promise.attached.is_empty() || promise.epoch != Some(position.epoch)
            {
                continue;
            }
            let (lane, n) = (position.lane, position.sequence);
            let told = |(of, from, to): &(Lane, u64, u64)| *of == lane && (*from..=*to).contains(&n);
            let seen = promise.seen.contains(&(lane, n)) || promise.binaries.contains(&uid);
            let seen = seen || *stream == Stream::Own(*client) && dead.contains(&(*client, position));
            if n > promise.after[lane as usize] && !promise.gaps.iter().any(told) && !seen {
                found.add(4, *at, || {
                    format!("client {client} never saw it, nor was told: {stream:?} {fact:?}")
                });
            }
        }
    }
}

impl Promise {
    /// A join was answered. What it did not ask for, and what it could not get, is not promised.
    fn attached(&mut self, cursor: Option<Cursor>, Attachment { place, recovered }: Attachment) {
        if self.epoch != Some(place.epoch) {
            let attached = std::mem::take(&mut self.attached);
            *self = Promise { epoch: Some(place.epoch), after: place.seen, attached, ..Promise::default() };
            return;
        }
        for lane in Lane::ALL {
            if !recovered || cursor.is_none_or(|cursor| !cursor.speaks_of(lane)) {
                let after = &mut self.after[lane as usize];
                *after = place.at(lane).max(*after);
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
            Fact::Attached { conn, client, stream, cursor, attachment } => {
                let promise = promises.entry((client, stream)).or_default();
                promise.attached(cursor, attachment);
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
                    promise.seen.insert((position.lane, position.sequence));
                }
            }
            Fact::Binary { client, stream, ref data, .. } => {
                promises.entry((client, stream)).or_default().binaries.extend(uid_in(data));
            }
            Fact::Gap { client, stream, ref gap, .. } => {
                let promise = promises.entry((client, stream)).or_default();
                if promise.epoch == Some(gap.epoch) {
                    promise.gaps.push((gap.lane, gap.from, gap.to));
                }
            }
            Fact::Accepted { uid, position } => {
                let body = &history.bodies[uid];
                let Some(client) = body.pusher.and_then(|conn| clients.get(&conn)) else { continue };
                if let Some(promise) = promises.get_mut(&(*client, body.stream))
                    && promise.epoch == Some(position.epoch)
                {
                    promise.seen.insert((position.lane, position.sequence));
                }
            }
            _ => {}
        }
    }
    promises
}
