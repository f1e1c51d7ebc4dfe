//! What is under way, in numbers.

use crate::mcp::Mcp;
use crate::mcp::conversation::Whose;
use crate::metrics::McpStats;
use crate::turn::Shard;

impl Mcp {
    /// Requests of clients under way.
    pub(crate) fn calls_under_way(&self) -> u32 {
        self.calls.len()
    }
}

impl Shard {
    /// What the shard holds for MCP clients now.
    pub(crate) fn mcp_stats(&self) -> McpStats {
        let mcp = &self.mcp;
        let leased = mcp
            .conversations
            .iter()
            .filter(|(_, held)| matches!(held.whose, Whose::Lease { .. }) && !held.legs.is_empty());
        McpStats {
            sessions: mcp.sessions.len().into(),
            calls: mcp.calls.len().into(),
            legs: mcp.legs.len().into(),
            holds: mcp.holds.len().into(),
            leases: leased.count() as u64,
            busy: self.upstream.busy(),
            connections: self.upstream.connections(),
        }
    }
}
