//! Invariant 10: each request gets at most one reply, under its own join, and none after its channel's
//! close.

use std::collections::{BTreeMap, BTreeSet};

use super::Found;
use crate::history::{Fact, History};

pub(super) fn check(history: &History, found: &mut Found) {
    let mut asked: BTreeMap<(usize, u64), (Option<u64>, u32)> = BTreeMap::new();
    let mut closed: BTreeSet<(usize, u64)> = BTreeSet::new();
    for (at, fact) in &history.facts {
        match *fact {
            Fact::Asked { conn, reference, join_ref } => drop(asked.insert((conn, reference), (join_ref, 0))),
            Fact::ChannelClosed { conn, join_ref: Some(join_ref) } => drop(closed.insert((conn, join_ref))),
            Fact::Answered { conn, reference, join_ref } => {
                let Some((own, replies)) = asked.get_mut(&(conn, reference)) else {
                    found.add(10, *at, || format!("a reply to what nobody asked: {fact:?}"));
                    continue;
                };
                *replies += 1;
                if *replies > 1 {
                    found.add(10, *at, || format!("{replies} replies: {fact:?}"));
                }
                if join_ref.is_some_and(|join_ref| join_ref != *own) {
                    found.add(10, *at, || format!("a reply in another name than {own:?}: {fact:?}"));
                }
                if own.is_some_and(|own| closed.contains(&(conn, own))) {
                    found.add(10, *at, || format!("a reply after the channel's close: {fact:?}"));
                }
            }
            _ => {}
        }
    }
}
