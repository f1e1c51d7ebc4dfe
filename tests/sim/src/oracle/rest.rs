//! Invariant 14: when a server with a disk has stopped, whatever it accepted is there. The same holds while it runs.

use std::collections::BTreeMap;

use super::{Found, Terms};
use crate::history::{Fact, History};

pub(super) fn check(history: &History, terms: &Terms, found: &mut Found) {
    let harmed = |(_, fact): &(u64, Fact)| matches!(fact, Fact::Restarted { keeps: false });
    if !terms.disk || !terms.roomy || history.facts.iter().any(harmed) {
        return;
    }
    let mut heads = BTreeMap::new();
    for (_, fact) in &history.facts {
        if let Fact::AtRest { stream, place } = fact {
            heads.insert((*stream, place.epoch), place);
        }
    }
    for (at, fact) in &history.facts {
        let Fact::Accepted { uid, position } = *fact else { continue };
        let stream = history.bodies[uid].stream;
        let there = heads.get(&(stream, position.epoch)).map_or(0, |place| place.at(position.lane));
        if there < position.sequence {
            found.add(14, *at, || format!("not on the disk, which has {there} of {stream:?}: {fact:?}"));
        }
    }
}
