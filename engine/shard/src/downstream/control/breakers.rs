//! Breakers of the transports and of the router. A transport whose new connections mostly break before they were of
//! any use takes no new ones for a while: each costs a handshake, and its client a retry, for nothing. Connections
//! that are there stay. Ends of old ones do not count, so that a network which comes back is not kept out.

use crate::downstream::control::{Control, passed};
use crate::error::Error;
use crate::policy::CircuitBreaker;
use crate::turn::{Cx, Shard};

/// What has a breaker beside the upstreams.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Circuit {
    /// New WebSockets.
    WebSocket,
    /// New SSE streams.
    HttpSse,
    /// Publishes for clients and topics of other shards.
    Router,
}

impl Circuit {
    /// All of them.
    pub(crate) const ALL: [Circuit; 3] = [Circuit::WebSocket, Circuit::HttpSse, Circuit::Router];

    /// The name in the API.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Circuit::WebSocket => "websocket",
            Circuit::HttpSse => "http_sse",
            Circuit::Router => "router",
        }
    }
}

impl Control {
    pub(super) fn breaker(&self, circuit: Circuit) -> &CircuitBreaker {
        match circuit {
            Circuit::WebSocket => &self.websocket,
            Circuit::HttpSse => &self.http_sse,
            Circuit::Router => &self.router,
        }
    }

    pub(super) fn breaker_mut(&mut self, circuit: Circuit) -> &mut CircuitBreaker {
        match circuit {
            Circuit::WebSocket => &mut self.websocket,
            Circuit::HttpSse => &mut self.http_sse,
            Circuit::Router => &mut self.router,
        }
    }
}

impl Shard {
    /// Whether something new may pass. How it ends is then told to [`Shard::circuit_ended`].
    ///
    /// # Errors
    /// `BreakerOpen`.
    pub(crate) fn check_circuit(&mut self, circuit: Circuit, cx: &mut Cx<'_>) -> Result<(), Error> {
        let Shard { control, config, .. } = self;
        let verdict = control.breaker_mut(circuit).admit(&config.control.breaker, cx.now.mono);
        let checked = passed(verdict, circuit.name());
        self.stats.control.breaker_refused += u64::from(checked.is_err());
        self.circuit_news(circuit, cx);
        checked
    }

    /// What has passed was of use, or was not.
    pub(crate) fn circuit_ended(&mut self, circuit: Circuit, well: bool, cx: &mut Cx<'_>) {
        let Shard { control, config, .. } = self;
        let opened = control.breaker_mut(circuit).record(well, &config.control.breaker, cx.now.mono);
        self.stats.control.breaker_opened += u64::from(opened);
        self.circuit_news(circuit, cx);
    }

    pub(super) fn circuit_news(&mut self, circuit: Circuit, cx: &mut Cx<'_>) {
        if let Some(phase) = self.control.breaker_mut(circuit).news(cx.now.mono) {
            self.breaker_turned(circuit.name(), phase, cx);
        }
    }
}
