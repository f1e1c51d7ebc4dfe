//! Invariant 11: what waits in memory stays within its bound, and nothing is left when everyone has gone.

use std::collections::{BTreeMap, BTreeSet};

use super::{Found, Terms};
use crate::history::{Fact, History};

pub(super) fn check(history: &History, terms: &Terms, found: &mut Found) {
    let (mut queue_max, mut outbox_max) = (terms.queue_bytes_max as u64, terms.outbox_bytes_max as u64);
    let mut last = BTreeMap::new();
    let mut left = BTreeMap::new();
    let mut restored: BTreeSet<usize> = BTreeSet::new();
    for (at, fact) in &history.facts {
        if let Fact::Restarted { .. } = fact
            && terms.disk
        {
            // What was acknowledged may come back from the disk once more. Nothing is added to it.
            restored.extend(last.keys());
        }
        let Fact::Counted { shard, queue_bytes_peak, outbox_bytes, connections, addressed } = *fact else {
            continue;
        };
        if restored.remove(&shard) {
            outbox_max = outbox_max.max(outbox_bytes);
        }
        // Each new height is told once.
        if queue_bytes_peak > queue_max {
            queue_max = queue_bytes_peak;
            found
                .add(11, *at, || format!("a queue held more than {} bytes: {fact:?}", terms.queue_bytes_max));
        }
        if outbox_bytes > outbox_max {
            outbox_max = outbox_bytes;
            found.add(11, *at, || {
                format!("outboxes hold more than {} bytes: {fact:?}", terms.outbox_bytes_max)
            });
        }
        // A connection to a server counts until its close is done: what is left over is there twice.
        let before = last.insert(shard, (*at, connections, addressed));
        left.insert(shard, before.map_or(connections, |(_, before, _)| connections.min(before)));
    }
    for (shard, (at, _, addressed)) in last {
        let connections = left.get(&shard).copied().unwrap_or_default();
        if connections > 0 && !terms.drains {
            found.add(17, at, || {
                format!("shard {shard} counts {connections} connections after all have left")
            });
        }
        if addressed > 0 && !terms.drains {
            found.add(11, at, || {
                format!(
                    "shard {shard} counts {addressed} connections of network addresses after all have left"
                )
            });
        }
    }
}
