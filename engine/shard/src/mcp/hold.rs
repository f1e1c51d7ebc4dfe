//! A legacy upstream asks a stateless client: the call is answered with what it asks, and held until the
//! client comes back with the answer.

use weir_ring::token::Token;
use weir_transports::jsonrpc::Id;

use crate::turn::{Cx, Shard};

impl Shard {
    pub(crate) fn hold(
        &mut self,
        conversation: Token,
        call: Option<Token>,
        id: Id<'_>,
        method: &str,
        params: Option<&str>,
        cx: &mut Cx<'_>,
    ) {
        let _ = (call, method, params);
        let Some(backing) = self.mcp.conversations.get(conversation).map(|held| held.backing) else { return };
        self.refuse_upstream(backing, id, "the client cannot be asked", cx);
    }
}
