//! What is under way, in numbers.

use weir_transports::mcp::Method;

use crate::mcp::Mcp;
use crate::mcp::conversation::Whose;
use crate::metrics::McpStats;
use crate::turn::Shard;

/// Requests of clients, by their method.
#[derive(Debug)]
pub(crate) struct Asked([u64; Method::ALL.len()]);

impl Default for Asked {
    fn default() -> Asked {
        Asked([0; _])
    }
}

impl Asked {
    /// One more.
    pub(super) fn count(&mut self, method: Method) {
        self.0[method as usize] += 1;
    }

    /// Those that clients may send, by name; all that nobody knows together.
    pub(crate) fn by_name(&self) -> impl Iterator<Item = (&'static str, u64)> {
        let asked =
            Method::ALL.iter().copied().zip(self.0).filter(|(method, _)| method.is_request_of_clients());
        asked.map(|(method, count)| (method.name().unwrap_or("other"), count))
    }
}

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
