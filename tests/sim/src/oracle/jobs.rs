//! Invariant 13: a message is given up after as many attempts as it may have, not before and not later, and only
//! that of a client that acknowledges.

use std::collections::BTreeSet;

use super::{Found, Terms};
use crate::history::{Fact, History};

pub(super) fn check(history: &History, terms: &Terms, found: &mut Found) {
    let mut acking = BTreeSet::new();
    for (at, fact) in &history.facts {
        match *fact {
            Fact::Acked { client, .. } => drop(acking.insert(client)),
            Fact::Gap { client, ref gap, .. } if gap.reason == "dead" && !acking.contains(&client) => {
                found.add(13, *at, || format!("dead, although its client acknowledges nothing: {fact:?}"));
            }
            Fact::Dead { client, .. } if !acking.contains(&client) => {
                found.add(13, *at, || format!("dead, although its client acknowledges nothing: {fact:?}"));
            }
            Fact::Dead { attempts, .. } if attempts != terms.attempts_max => {
                found.add(13, *at, || format!("given up after {attempts} attempts: {fact:?}"));
            }
            _ => {}
        }
    }
}
