//! The servers' side: connections to MCP servers, and conversations with them.
//!
//! A *backing* is one conversation with one upstream on a client's behalf. The rest of the shard opens
//! one, waits for `backing_ready`, sends requests (*legs*) over it, and hears of each leg until its last
//! message or failure. Pools, sessions, probes, replicas and time-outs are nobody else's business.

use std::fmt;

use weir_ring::op::Errno;
use weir_ring::token::Token;
use weir_transports::mcp::Era;

use crate::slots::Slots;
use crate::turn::{Cx, Shard};

/// All MCP servers, as one shard sees them.
#[derive(Debug)]
pub(crate) struct Upstreams {
    pub(crate) backings: Slots<Backing>,
}

/// A conversation with one upstream on a client's behalf.
#[derive(Debug)]
pub(crate) struct Backing {
    /// With whom.
    pub(crate) upstream: UpstreamId,
    /// On whose behalf.
    pub(crate) owner: Token,
    /// Known once it is ready.
    pub(crate) era: Option<Era>,
    /// The result of `initialize` or `server/discover`, JSON; known once it is ready.
    pub(crate) about: Option<Box<str>>,
}

/// A configured MCP server: its place in `Config::upstreams`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct UpstreamId(pub(crate) u16);

/// What a conversation begins with.
#[derive(Clone, Debug)]
pub(crate) struct Opening {
    /// Whose it is; given back by [`Backing::owner`].
    pub(crate) owner: Token,
    /// Chooses the replica, by consistent hash.
    pub(crate) affinity: u64,
    /// `clientInfo` of a legacy `initialize`, JSON.
    pub(crate) client_info: Box<str>,
    /// `capabilities` of a legacy `initialize`, JSON.
    pub(crate) capabilities: Box<str>,
}

/// One request to an upstream.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Ask<'a> {
    /// The JSON-RPC message; its id is the leg's wire id.
    pub(crate) message: &'a [u8],
    /// Its method, for `Mcp-Method`.
    pub(crate) method: &'a str,
    /// For `Mcp-Name`, where the method has one.
    pub(crate) name: Option<&'a str>,
    /// `Mcp-Param-*` and trace headers.
    pub(crate) headers: &'a [(Box<str>, Box<str>)],
    /// May be asked again at another replica.
    pub(crate) idempotent: bool,
    /// Lasts until it is cancelled: no time-out.
    pub(crate) long: bool,
}

/// Why an upstream did not answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum UpstreamFault {
    /// Nobody listens there.
    Refused(Errno),
    /// No answer in time.
    TimedOut,
    /// The connection broke before the answer was there.
    Broken,
    /// What came is not HTTP, SSE or JSON-RPC.
    Garbage,
    /// Pool and queue are full.
    Overloaded,
    /// It failed too often and is left alone for a while.
    BreakerOpen,
    /// It has forgotten the session.
    SessionLost,
    /// It refused with this HTTP status.
    Http(u16),
    /// Its process ended.
    Exited,
}

impl fmt::Display for UpstreamFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            UpstreamFault::Refused(errno) => return write!(f, "cannot be reached (errno {})", errno.0),
            UpstreamFault::TimedOut => "did not answer in time",
            UpstreamFault::Broken => "closed the connection before it answered",
            UpstreamFault::Garbage => "answered with something that is not MCP",
            UpstreamFault::Overloaded => "has too many calls under way; try again later",
            UpstreamFault::BreakerOpen => "failed too often and is being left alone; try again later",
            UpstreamFault::SessionLost => "has forgotten the session; the next call opens another",
            UpstreamFault::Http(status) => return write!(f, "refused the request with HTTP status {status}"),
            UpstreamFault::Exited => "ended; it is started again with the next call",
        })
    }
}

impl Upstreams {
    pub(crate) fn new() -> Upstreams {
        Upstreams { backings: Slots::with_max(16_384) }
    }
}

impl Shard {
    /// A conversation.
    pub(crate) fn backing(&self, backing: Token) -> Option<&Backing> {
        self.upstream.backings.get(backing)
    }

    /// Begins a conversation; `backing_ready` or `backing_lost` says, in a later turn, what came of it.
    ///
    /// # Errors
    /// It is out of the question now.
    pub(crate) fn open_backing(
        &mut self,
        upstream: UpstreamId,
        opening: Opening,
        cx: &mut Cx<'_>,
    ) -> Result<Token, UpstreamFault> {
        let _ = (upstream, opening, cx);
        Err(UpstreamFault::Overloaded)
    }

    /// Sends a request over a conversation that is ready. What comes of it is told in later turns.
    pub(crate) fn ask(&mut self, backing: Token, leg: Token, ask: Ask<'_>, cx: &mut Cx<'_>) {
        let _ = (backing, leg, ask, cx);
    }

    /// Sends a notification, or the response to a request of the upstream.
    pub(crate) fn tell_upstream(&mut self, backing: Token, message: &[u8], cx: &mut Cx<'_>) {
        let _ = (backing, message, cx);
    }

    /// Nobody waits for the leg any more: nothing of it is told after this.
    pub(crate) fn cancel_leg(&mut self, backing: Token, leg: Token, cx: &mut Cx<'_>) {
        let _ = (backing, leg, cx);
    }

    /// Ends a conversation: nothing of it is told after this.
    pub(crate) fn close_backing(&mut self, backing: Token, cx: &mut Cx<'_>) {
        let _ = (backing, cx);
    }
}
