//! Invariant 14: a server that stops says so to each client before it ends its connection, and ends so many of them at
//! once as it is to. (That it ends nothing that is under way is 18, that it loses nothing 4 and `rest`.)

use std::collections::{BTreeSet, VecDeque};
use std::time::Duration;

use super::{Found, Terms};
use crate::history::{Fact, History};

/// Connections of clients that one shard may have at the end, at most.
const CONNECTIONS_MAX: usize = 50;

pub(super) fn check(history: &History, terms: &Terms, found: &mut Found) {
    let mut began = None;
    let mut warned = BTreeSet::new();
    let mut recent = VecDeque::new();
    let drain = &terms.drain;
    // Between two batches of a shard is the whole interval.
    let window = nanos(drain.batch_interval) / 2;
    let most = terms.shards * drain.batch_of(CONNECTIONS_MAX, drain.timeout / 3);
    for (at, fact) in &history.facts {
        match *fact {
            Fact::Stopping => began = Some(*at),
            Fact::Warned { conn } => drop(warned.insert(conn)),
            Fact::Dismissed { conn, prompt } => {
                let Some(elapsed) = began.map(|began| at - began) else { continue };
                if !warned.contains(&conn) {
                    found.add(14, *at, || format!("conn {conn} is closed without a word"));
                }
                if !prompt || elapsed > nanos(drain.timeout / 3) {
                    continue;
                }
                recent.push_back(*at);
                while recent.front().is_some_and(|first| first + window < *at) {
                    recent.pop_front();
                }
                if recent.len() > most {
                    found.add(14, *at, || {
                        format!("{} connections are closed at once, {most} may be", recent.len())
                    });
                }
            }
            _ => {}
        }
    }
}

fn nanos(duration: Duration) -> u64 {
    duration.as_nanos() as u64
}
