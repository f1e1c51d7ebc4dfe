//! Invariant 16: once faults are over, everyone on a topic who asked for it sees all who are there, and nobody else.

use std::collections::{BTreeMap, BTreeSet};

use super::Found;
use crate::client::body::client_name;
use crate::history::{Fact, History, Stream};

pub(super) fn check(history: &History, found: &mut Found) {
    let mut there: BTreeMap<(usize, Stream), usize> = BTreeMap::new();
    let mut seen: BTreeMap<(usize, Stream), &[String]> = BTreeMap::new();
    for (at, fact) in &history.facts {
        match fact {
            Fact::Appeared { conn, client, stream } => drop(there.insert((*conn, *stream), *client)),
            Fact::Roster { conn, stream, keys } => drop(seen.insert((*conn, *stream), keys)),
            Fact::Detached { conn, stream, .. } => drop(there.remove(&(*conn, *stream))),
            Fact::Ended { conn, .. } => there.retain(|(other, _), _| other != conn),
            Fact::Settled => {
                for (conn, stream) in there.keys() {
                    let of_it = there.iter().filter(|((_, other), _)| other == stream);
                    let present: BTreeSet<String> = of_it.map(|(_, client)| client_name(*client)).collect();
                    let keys = seen.get(&(*conn, *stream)).copied().unwrap_or_default();
                    if !present.iter().eq(keys) {
                        found.add(16, *at, || {
                            format!("conn {conn} sees {keys:?} on {stream:?}, and {present:?} are there")
                        });
                    }
                }
            }
            _ => {}
        }
    }
}
