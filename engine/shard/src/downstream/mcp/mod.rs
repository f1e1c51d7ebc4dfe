//! MCP clients: the endpoints of every revision, and the streams that carry messages to them.

use crate::mcp::outlet::{Delivery, Outlet};
use crate::turn::{Cx, Shard};

/// The streams of one session over Streamable HTTP.
#[derive(Debug, Default)]
pub(crate) struct McpStreams {}

impl Shard {
    /// Sends a message to a client.
    pub(crate) fn mcp_deliver(
        &mut self,
        outlet: Outlet,
        delivery: Delivery,
        message: &[u8],
        cx: &mut Cx<'_>,
    ) {
        let _ = (outlet, delivery, message, cx);
    }
}
