//! Sessions of legacy clients.

use std::collections::BTreeMap;
use std::sync::Arc;

use weir_ring::time::Instant;
use weir_ring::token::Token;
use weir_transports::mcp::Version;

use crate::policy::TokenBucket;
use crate::policy::auth::Principal;
use crate::upstream::UpstreamId;

/// A legacy client's session: what `initialize` said, and all that is under way for it.
#[derive(Debug)]
pub(crate) struct Session {
    /// Its id. Its home on the hash ring is this shard.
    pub(crate) id: Box<str>,
    /// The revision that was agreed on.
    pub(crate) version: Version,
    /// `clientInfo`, JSON.
    pub(crate) client_info: Box<str>,
    /// `capabilities` of the client, a JSON object.
    pub(crate) capabilities: Box<str>,
    /// Whose it is, as proved: nobody else finds it. `None`: nobody is asked.
    pub(crate) who: Option<Arc<Principal>>,
    /// What it may ask for.
    pub(crate) bucket: TokenBucket,
    /// When it was last heard.
    pub(crate) heard: Instant,
    /// It has said that it is initialized.
    pub(crate) initialized: bool,
    /// `logging/setLevel`, a JSON string.
    pub(crate) log_level: Option<Box<str>>,
    /// Its conversations with upstreams.
    pub(crate) backings: BTreeMap<UpstreamId, Token>,
    /// Calls that listen to modern upstreams for it.
    pub(crate) listens: BTreeMap<UpstreamId, Token>,
    /// Its requests under way.
    pub(crate) calls: Vec<Token>,
    /// Requests of upstreams that it has not answered, by the id it was given.
    pub(crate) asked: BTreeMap<u64, Asked>,
    /// The id of the next one.
    pub(crate) next_ask: u64,
    /// How its messages reach it.
    pub(crate) carrier: Carrier,
}

/// Whether two requests are of one client, as far as that is proved.
pub(crate) fn same_subject(one: &Option<Arc<Principal>>, other: Option<&Arc<Principal>>) -> bool {
    match (one, other) {
        (Some(one), Some(other)) => one.subject == other.subject && one.issuer == other.issuer,
        (one, other) => one.is_none() && other.is_none(),
    }
}

/// What a client is to answer.
#[derive(Debug)]
pub(crate) enum Asked {
    /// A request of a legacy upstream.
    Request {
        /// The upstream's side of the conversation.
        backing: Token,
        /// The upstream's id of it, JSON.
        id: Box<str>,
        /// The call in whose course it is asked, if that is known.
        call: Option<Token>,
    },
    /// Input that a modern upstream needs for a call, and its key there.
    Input { call: Token, key: Box<str> },
}

impl Asked {
    /// The call in whose course it is asked, if that is known.
    pub(crate) fn call(&self) -> Option<Token> {
        match self {
            Asked::Request { call, .. } => *call,
            Asked::Input { call, .. } => Some(*call),
        }
    }
}

/// What carries a session's own messages.
#[derive(Debug)]
pub(crate) enum Carrier {
    /// Streamable HTTP: a GET stream while one is open, and the streams of POSTs.
    Streamable(Box<crate::downstream::McpStreams>),
    /// HTTP+SSE of 2024-11-05: everything goes over one SSE stream.
    HttpSse { connection: Token },
    /// A WebSocket: the session lives as long as it.
    WebSocket { connection: Token },
    /// A Phoenix channel of a WebSocket.
    Channel { connection: Token },
}
