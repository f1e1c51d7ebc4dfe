//! MCP clients: the endpoints of every revision, and the streams that carry messages to them.
//!
//! A request's message goes to the hub (`mcp_message`); what comes back, in the same turn or later, goes to
//! the outlet it came from (`mcp_deliver`). What the hub must hear of connections it hears at the end of a
//! turn, never while it delivers.

mod batch;
mod channel;
mod deliver;
mod fault;
mod get;
mod headers;
mod http_sse;
mod link;
mod modern;
mod pending;
mod post;
mod sessions;
mod streams;
#[cfg(test)]
pub(super) mod tests;

use std::collections::BTreeMap;

use weir_ring::token::Token;

pub(crate) use fault::Fault;
pub(crate) use pending::Pending;
pub(crate) use streams::McpStreams;

use crate::downstream::connection::{Stage, Waiting};
use crate::downstream::mcp::link::Replies;
use crate::downstream::mcp::pending::Source;
use crate::mcp::outlet::Outlet;
use crate::policy::Backends;
use crate::turn::{Cx, Shard};

/// What is at hand while clients' messages are served, and what is left for the end of the turn.
#[derive(Debug)]
pub(crate) struct Serving {
    /// The HTTP request whose message is with the hub at this moment: it may be answered at once.
    request: Option<(Token, Pending)>,
    /// The WebSocket whose message is with the hub at this moment.
    link: Option<Token>,
    /// What the hub has said to that WebSocket meanwhile.
    replies: Replies,
    /// Outlets of stateless requests whose clients are gone.
    abandoned: Vec<Outlet>,
    /// Sessions that end with what carried them.
    ended: Vec<Token>,
    /// Connections whose next request is here already.
    resumed: Vec<Token>,
    /// The server's halves of HTTP+SSE, by what `sessionId` calls them.
    http_sse: BTreeMap<Box<str>, Token>,
    /// Buckets of the clients that give themselves a name.
    clients: Backends,
}

impl Serving {
    pub(crate) fn new(seed: u64) -> Serving {
        Serving {
            request: None,
            link: None,
            replies: Replies::default(),
            abandoned: Vec::new(),
            ended: Vec::new(),
            resumed: Vec::new(),
            http_sse: BTreeMap::new(),
            clients: Backends::new(seed),
        }
    }

    /// Whether nothing is left for the end of a turn.
    pub(crate) fn is_done(&self) -> bool {
        self.abandoned.is_empty() && self.ended.is_empty() && self.resumed.is_empty()
    }
}

impl Shard {
    /// The end of a turn: the hub hears who is gone, and connections go on to their next requests.
    pub(crate) fn serve_rest(&mut self, cx: &mut Cx<'_>) {
        while !self.serving.is_done() {
            for outlet in std::mem::take(&mut self.serving.abandoned) {
                self.mcp_abandoned(outlet, cx);
            }
            for session in std::mem::take(&mut self.serving.ended) {
                self.end_session(session, cx);
            }
            for connection in std::mem::take(&mut self.serving.resumed) {
                self.http_received(connection, &[], cx);
            }
        }
        if self.draining.is_some() {
            self.end_quiet_sessions(cx);
        }
    }

    /// Lets a connection that carries a stream take more of it.
    pub(crate) fn pull_mcp(&mut self, connection: Token, cx: &mut Cx<'_>) {
        let Some(conn) = self.conns.get(connection) else { return };
        if let Stage::Http(exchange) = &conn.stage
            && let Some(Waiting::Mcp(pending)) = &exchange.waiting
            && let Source::Stream { session, stream, .. } = pending.source
        {
            self.pull_stream(session, stream, cx);
        }
    }
}
