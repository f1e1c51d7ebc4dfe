//! Why an upstream did not answer.

use std::fmt;
use std::time::Duration;

use weir_ring::op::Errno;

use crate::error::Error;

/// How long who finds a pool full should wait.
const OVERLOADED_RETRY: Duration = Duration::from_secs(1);

/// Why an upstream did not answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum UpstreamFault {
    /// Nobody listens there.
    Refused(Errno),
    /// No TLS came about, or it broke; why.
    Tls(Box<str>),
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
    /// It wants a token, and there is none; why, and what to do.
    NoToken(Box<str>),
}

impl UpstreamFault {
    /// Whether it tells against the upstream (true), for it, as the refusal of one request does, or neither.
    pub(super) fn tells_against(&self) -> Option<bool> {
        match self {
            UpstreamFault::Refused(_)
            | UpstreamFault::Tls(_)
            | UpstreamFault::TimedOut
            | UpstreamFault::Broken
            | UpstreamFault::Garbage
            | UpstreamFault::Exited => Some(true),
            UpstreamFault::Http(status) => Some(*status >= 500),
            UpstreamFault::Overloaded
            | UpstreamFault::BreakerOpen
            | UpstreamFault::SessionLost
            | UpstreamFault::NoToken(_) => None,
        }
    }
}

impl UpstreamFault {
    /// The error of the table that it is, if it is one: the gateway itself has refused the request, to an upstream whose
    /// breaker stays open for `timeout`.
    pub(crate) fn error(&self, timeout: Duration) -> Option<Error> {
        match self {
            UpstreamFault::Overloaded => Some(Error::PoolTimeout { retry_after: OVERLOADED_RETRY }),
            UpstreamFault::BreakerOpen => {
                Some(Error::BreakerOpen { what: "this server", retry_after: timeout })
            }
            _ => None,
        }
    }
}

impl fmt::Display for UpstreamFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            UpstreamFault::Refused(errno) => return write!(f, "cannot be reached (errno {})", errno.0),
            UpstreamFault::Tls(why) => return write!(f, "cannot be spoken to by TLS: {why}"),
            UpstreamFault::TimedOut => "did not answer in time",
            UpstreamFault::Broken => "closed the connection before it answered",
            UpstreamFault::Garbage => "answered with something that is not MCP",
            UpstreamFault::Overloaded => "has too many calls under way; try again later",
            UpstreamFault::BreakerOpen => "failed too often and is being left alone; try again later",
            UpstreamFault::SessionLost => "has forgotten the session; the next call opens another",
            UpstreamFault::Http(status) => return write!(f, "refused the request with HTTP status {status}"),
            UpstreamFault::NoToken(why) => return write!(f, "was not asked, for want of a token: {why}"),
            UpstreamFault::Exited => "ended; it is started again with the next call",
        })
    }
}
