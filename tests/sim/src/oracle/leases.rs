//! Invariant 21: when everyone has left, nothing of what was done for MCP clients is left over.

use std::collections::BTreeMap;

use super::{Found, LEASES, Terms};
use crate::history::{self, History};
use crate::mcp::Fact;
use weir_shard::metrics::McpStats;

pub(super) fn check(history: &History, terms: &Terms, found: &mut Found) {
    if terms.drains {
        return;
    }
    let mut last = BTreeMap::new();
    for (at, fact) in &history.facts {
        if let history::Fact::Mcp(Fact::Held { shard, held }) = fact {
            last.insert(*shard, (*at, held));
        }
    }
    for (shard, (at, held)) in last {
        // Connections to servers are kept for the next client, and so is what all clients share.
        let idle = McpStats { connections: held.connections, ..McpStats::default() };
        if *held != idle {
            found.add(LEASES, at, || format!("shard {shard} still holds {held:?}"));
        }
    }
}
