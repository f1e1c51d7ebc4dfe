//! `subscriptions/listen`: one stream of news out of those of all servers.

use weir_ring::token::Token;
use weir_transports::mcp::{Method, code};

use crate::mcp::answer::Refusal;
use crate::mcp::catalog::Kind;
use crate::mcp::dispatch::Request;
use crate::turn::{Cx, Shard};
use crate::upstream::UpstreamId;

impl Shard {
    pub(crate) fn listen(&mut self, request: &Request<'_>, cx: &mut Cx<'_>) -> Result<(), Refusal> {
        let _ = (request, cx);
        Err(Refusal::new(code::METHOD_NOT_FOUND, "subscriptions/listen is not served here yet"))
    }

    /// What was learnt of a list that has changed is no longer true.
    pub(crate) fn list_changed(&mut self, server: UpstreamId, method: Method) {
        match method {
            Method::NotificationToolsListChanged => self.mcp.catalog.forget(Kind::Tool, server),
            Method::NotificationPromptsListChanged => self.mcp.catalog.forget(Kind::Prompt, server),
            Method::NotificationResourcesListChanged => self.mcp.catalog.forget(Kind::Resource, server),
            _ => {}
        }
    }

    /// Passes news on to those who listen.
    pub(crate) fn tell_listeners(&mut self, server: UpstreamId, method: Method, message: &[u8], cx: &mut Cx<'_>) {
        let _ = (server, method, message, cx);
    }

    /// A call that listened has ended.
    pub(crate) fn listener_gone(&mut self, call: Token, cx: &mut Cx<'_>) {
        let _ = (call, cx);
    }
}
