//! Invariant 11: what waits in memory stays within its bound.

use super::{Found, Terms};
use crate::history::{Fact, History};

pub(super) fn check(history: &History, terms: Terms, found: &mut Found) {
    for (at, fact) in &history.facts {
        if let Fact::Counted { queue_bytes_peak, outbox_bytes, .. } = *fact {
            if queue_bytes_peak > terms.queue_bytes_max as u64 {
                found.add(11, *at, || {
                    format!("a queue held more than {} bytes: {fact:?}", terms.queue_bytes_max)
                });
            }
            if outbox_bytes > terms.outbox_bytes_max as u64 {
                found.add(11, *at, || {
                    format!("outboxes hold more than {} bytes: {fact:?}", terms.outbox_bytes_max)
                });
            }
        }
    }
}
