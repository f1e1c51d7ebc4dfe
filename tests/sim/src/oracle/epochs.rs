//! Invariant 5: `recovered` is true exactly when nothing was lost, and an epoch names one life of a
//! stream.

use std::collections::BTreeMap;

use super::Found;
use crate::history::{Cursor, Fact, History, Stream};

pub(super) fn check(history: &History, roomy: bool, found: &mut Found) {
    let mut cursors: BTreeMap<(usize, Stream), Option<Cursor>> = BTreeMap::new();
    for (at, fact) in &history.facts {
        match *fact {
            Fact::Joining { conn, stream, cursor, .. } => drop(cursors.insert((conn, stream), cursor)),
            Fact::Attached { conn, stream, attachment, .. } => {
                let cursor = cursors.get(&(conn, stream)).copied().flatten();
                let wrong = match cursor {
                    Some(cursor) if attachment.recovered && cursor.forged => {
                        Some("a cursor that was made up is said to be recovered")
                    }
                    Some(cursor) if attachment.recovered && cursor.position.epoch != attachment.position.epoch => {
                        Some("recovered, but in another epoch")
                    }
                    Some(cursor) if roomy && !attachment.recovered && !cursor.forged => {
                        Some("not recovered although nothing can have been forgotten")
                    }
                    _ => None,
                };
                if let Some(wrong) = wrong {
                    found.add(5, *at, || format!("{wrong}, cursor {cursor:?}: {fact:?}"));
                }
            }
            Fact::Gap { conn, stream, .. } if roomy => {
                let cursor = cursors.get(&(conn, stream)).copied().flatten();
                if cursor.is_none_or(|cursor| !cursor.forged) {
                    found.add(5, *at, || format!("a gap although nothing can have been forgotten: {fact:?}"));
                }
            }
            _ => {}
        }
    }
}
