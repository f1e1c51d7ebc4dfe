//! Invariant 15 at the door: a connection serves nobody who has not proved who he is, nor for longer than the proof
//! holds; and no proof that holds is called over.

use std::collections::BTreeMap;

use super::{Found, Terms};
use crate::access::Proof;
use crate::history::{Fact, History, Uid, uid_in};
use crate::options::MS;

#[derive(Default)]
struct Doors {
    /// What each connection stands on; none: nobody is asked.
    proofs: BTreeMap<usize, Proof>,
    attempted: BTreeMap<Uid, u64>,
    /// How much later than due a shard may look at a proof, ns.
    late: u64,
}

pub(super) fn check(history: &History, terms: &Terms, found: &mut Found) {
    let mut doors = Doors { late: terms.late, ..Doors::default() };
    for (at, fact) in &history.facts {
        if let Some(wrong) = doors.step(*at, fact, history) {
            found.add(15, *at, || format!("{wrong}: {fact:?}"));
        }
    }
}

impl Doors {
    fn step(&mut self, at: u64, fact: &Fact, history: &History) -> Option<&'static str> {
        match *fact {
            Fact::Brought { conn, proof } => drop(self.proofs.insert(conn, proof)),
            Fact::Attempted { uid } => drop(self.attempted.insert(uid, at)),
            Fact::Accepted { uid, .. } if history.bodies[uid].foisted => {
                return Some("a publish is accepted of one who may not");
            }
            Fact::Attached { conn, .. } | Fact::Binary { conn, .. } | Fact::Roster { conn, .. } => {
                return self.unproved(conn);
            }
            // Who has proved to be somebody else may be told that it may not be this one.
            Fact::Answered { conn, .. } if self.proofs.get(&conn) == Some(&Proof::Void) => {
                return self.unproved(conn);
            }
            Fact::Delivered { conn, ref delivery, .. } => {
                let uid = uid_in(&delivery.data)?;
                if history.bodies.get(uid).is_some_and(|body| body.foisted) {
                    return Some("a message is delivered of one who may not publish");
                }
                let attempted = self.attempted.get(&uid);
                return self.unproved(conn).or_else(|| self.outstays(conn, *attempted?));
            }
            Fact::Disproved { conn } => return self.cut_short(conn, at),
            _ => {}
        }
        None
    }

    fn unproved(&self, conn: usize) -> Option<&'static str> {
        let proof = self.proofs.get(&conn)?;
        matches!(proof, Proof::Void | Proof::Foreign).then_some("one is served who has not proved who he is")
    }

    /// Gets what was published long after its proof had run out.
    fn outstays(&self, conn: usize, attempted: u64) -> Option<&'static str> {
        let Proof::Good { until } = self.proofs.get(&conn)? else { return None };
        (attempted > until.saturating_add(self.late)).then_some("one is served whose proof had run out")
    }

    /// Is told that its proof is over before that is so.
    fn cut_short(&self, conn: usize, at: u64) -> Option<&'static str> {
        let Proof::Good { until } = self.proofs.get(&conn)? else { return None };
        // The wall clock counts milliseconds, and where it jumps nobody knows the end.
        let early = *until < u64::MAX && until.saturating_sub(at) > MS;
        early.then_some("a proof that holds is called over")
    }
}
