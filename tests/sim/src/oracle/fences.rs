//! Invariant 7: whoever comes with a recovery token takes the place of the connection that had its lineage, and from
//! then on nothing reaches that one, and nothing of it takes effect.

use std::collections::BTreeMap;

use super::Found;
use crate::history::{Fact, History, uid_in};

#[derive(Default)]
struct Fences {
    /// When a connection was opened, ns.
    opened: BTreeMap<usize, u64>,
    /// Of each connection the lineage, and since when it is known, ns.
    lineage: BTreeMap<usize, (usize, u64)>,
    /// Since when another has surely taken its place, ns.
    fenced: BTreeMap<usize, u64>,
    attempted: BTreeMap<usize, u64>,
    asked: BTreeMap<(usize, u64), u64>,
}

pub(super) fn check(history: &History, found: &mut Found) {
    let mut fences = Fences::default();
    for (at, fact) in &history.facts {
        if let Some(wrong) = fences.step(*at, fact) {
            found.add(7, *at, || format!("{wrong}: {fact:?}"));
        }
    }
}

impl Fences {
    fn step(&mut self, at: u64, fact: &Fact) -> Option<&'static str> {
        match *fact {
            Fact::Opened { conn, .. } => drop(self.opened.insert(conn, at)),
            Fact::Attempted { uid } => drop(self.attempted.insert(uid, at)),
            Fact::Asked { conn, reference, .. } => drop(self.asked.insert((conn, reference), at)),
            Fact::Lineage { conn, lineage, taken } => {
                if taken {
                    self.took(at, conn, lineage);
                }
                // It may have joined anew before its place was taken; if after, the answer itself is wrong.
                self.fenced.remove(&conn);
                self.lineage.insert(conn, (lineage, at));
            }
            Fact::Delivered { conn, ref delivery, .. } => {
                let attempted = uid_in(&delivery.data).and_then(|uid| self.attempted.get(&uid));
                if self.fenced.get(&conn).is_some_and(|fenced| attempted > Some(fenced)) {
                    return Some("a message for a connection whose place was taken before");
                }
            }
            Fact::Answered { conn, reference, .. } => {
                let asked = self.asked.get(&(conn, reference));
                if self.fenced.get(&conn).is_some_and(|fenced| asked > Some(fenced)) {
                    return Some("an answer to a connection whose place was taken before");
                }
            }
            _ => {}
        }
        None
    }

    /// Who had the lineage before this connection was opened has it no more.
    fn took(&mut self, at: u64, conn: usize, lineage: usize) {
        let opened = self.opened.get(&conn).copied().unwrap_or_default();
        for (other, (of, since)) in &self.lineage {
            if *other != conn && *of == lineage && *since < opened {
                self.fenced.entry(*other).or_insert(at);
            }
        }
    }
}
