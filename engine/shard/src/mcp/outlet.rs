//! Where messages to MCP clients go, and where theirs come from.

use std::sync::Arc;

use weir_ring::token::Token;

use crate::policy::Standing;
use crate::policy::auth::Principal;

/// Where a message to a client goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Outlet {
    /// The POST under way on a connection, its `exchange`th; nothing of it can be resumed.
    Post { connection: Token, exchange: u32 },
    /// The numbered stream of one POST of a session: its events are kept for resume once SSE has begun.
    Stream { session: Token, stream: u32 },
    /// Whatever carries a session's own messages: GET stream, WebSocket, channel, HTTP+SSE.
    Session { session: Token },
    /// A WebSocket without session: a message a frame.
    Link { connection: Token },
}

impl Outlet {
    /// The connection of a client without a session.
    pub(crate) fn connection(self) -> Option<Token> {
        match self {
            Outlet::Post { connection, .. } | Outlet::Link { connection } => Some(connection),
            Outlet::Stream { .. } | Outlet::Session { .. } => None,
        }
    }
}

/// What a message is to its outlet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Delivery {
    /// Before the answer: opens an SSE stream where the outlet is a POST.
    Interim,
    /// The answer. `status` is that of the HTTP response, where one is still to be chosen.
    Answer { status: u16 },
    /// There will be no answer, as the client has cancelled the request; the message is empty.
    Nothing,
}

/// Who sends a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Client {
    /// A session of a legacy client.
    Session(Token),
    /// 2026-07-28: who and what it is stands in each request's `_meta`.
    Stateless,
}

/// What is known of whoever sends a message, beside what is proved.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Asker<'a> {
    /// Over HTTP: what it calls itself, and where it stands with its limit.
    Http { name: Option<&'a str>, standing: Option<Standing> },
    /// On a WebSocket: the session of the client that it is.
    Socket(Option<Token>),
}

/// Where a message came from.
#[derive(Clone, Copy, Debug)]
pub(crate) struct From<'a> {
    /// Where its answer goes.
    pub(crate) outlet: Outlet,
    /// Who sends it.
    pub(crate) client: Client,
    /// Who that is, as proved; `None`: nobody is asked.
    pub(crate) who: Option<&'a Arc<Principal>>,
    /// What else is known of it.
    pub(crate) asker: Asker<'a>,
    /// `Mcp-Param-*`, `traceparent`, `tracestate` and `baggage` as they came.
    pub(crate) headers: &'a [(Box<str>, Box<str>)],
}
