//! Bounds of the choice between a client's transports.

use std::time::Duration;

/// Which transport a message takes, and when one is passed over.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Routing {
    /// Envelopes of more bytes than this take SSE where both transports are up. Default 65,536.
    pub size_threshold: usize,
    /// Losses in a row that make a transport unstable. Default 3.
    pub failover_threshold: u32,
    /// How long an unstable transport must be up before it is trusted again, at first; a connection that lives
    /// as long ends a row of losses. Default 5 s.
    pub dwell_min: Duration,
    /// As far as that doubles while the transport goes on failing. Default 60 s.
    pub dwell_max: Duration,
    /// A WebSocket whose client has SSE as well is pinged after this long without input, and lost after three
    /// times as long without an answer. Default `None`: as `websocket.ping_interval` says.
    pub probe_interval: Option<Duration>,
}

impl Default for Routing {
    fn default() -> Self {
        Routing {
            size_threshold: 64 << 10,
            failover_threshold: 3,
            dwell_min: Duration::from_secs(5),
            dwell_max: Duration::from_secs(60),
            probe_interval: None,
        }
    }
}
