//! Invariant 2, its second half: what may have come to the client before says so, and what cannot does not.

use std::collections::{BTreeMap, BTreeSet};

use super::Found;
use crate::history::{Fact, History, Stream, uid_in};
use crate::place::Position;

#[derive(Default)]
struct Copies {
    /// When a connection was opened, ns.
    opened: BTreeMap<usize, u64>,
    /// When a connection was last told where it goes on: by its join, or where it took over.
    placed: BTreeMap<(usize, Stream), u64>,
    /// When a message came to a client first, and by which connections it came.
    came: BTreeMap<(usize, Stream, Position), (u64, Vec<usize>)>,
    /// Clients that have acknowledged something: they are sent again what they do not acknowledge.
    acking: BTreeSet<usize>,
    /// When a message was handed in.
    attempted: BTreeMap<usize, u64>,
}

pub(super) fn check(history: &History, found: &mut Found) {
    let mut copies = Copies::default();
    for (at, fact) in &history.facts {
        match *fact {
            Fact::Opened { conn, .. } => drop(copies.opened.insert(conn, *at)),
            Fact::Attempted { uid } => drop(copies.attempted.insert(uid, *at)),
            Fact::Acked { client, .. } => drop(copies.acking.insert(client)),
            Fact::Attached { conn, stream, .. } | Fact::Switched { conn, stream } => {
                copies.placed.insert((conn, stream), *at);
            }
            Fact::Delivered { conn, client, stream: stream @ Stream::Own(_), position, ref delivery } => {
                let uid = uid_in(&delivery.data);
                let wrong = copies.delivered((*at, conn), (client, stream, position), (uid, delivery.again));
                if let Some(wrong) = wrong {
                    found.add(2, *at, || format!("{wrong}: {fact:?}"));
                }
            }
            _ => {}
        }
    }
}

impl Copies {
    fn delivered(
        &mut self,
        (at, conn): (u64, usize),
        message: (usize, Stream, Position),
        (uid, again): (Option<usize>, bool),
    ) -> Option<&'static str> {
        let (first, conns) = self.came.entry(message).or_insert((at, Vec::new()));
        let (known, here) = (!conns.is_empty(), conns.contains(&conn));
        conns.push(conn);
        let before = *first < self.opened.get(&conn).copied().unwrap_or_default();
        if !again {
            return (here || before).then_some("came before, and does not say so");
        }
        let placed = self.placed.get(&(conn, message.1)).copied().unwrap_or_default();
        let attempted = uid.and_then(|uid| self.attempted.get(&uid)).copied().unwrap_or_default();
        let retried = known || self.acking.contains(&message.0);
        (attempted > placed && !retried)
            .then_some("says that it may have come before, and was published since")
    }
}
