//! Which of a client's transports a message takes, and when a transport that keeps failing is passed over.

use std::time::Duration;

use serde::Deserialize;
use weir_ring::time::{Instant, Now, Wall};

use crate::limits;

/// Switches that are remembered.
const HISTORY: usize = 8;

/// How a connection carries a client's stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
pub(crate) enum Carrier {
    /// WebSocket, joined to `mcp:gateway`.
    #[serde(rename = "websocket")]
    WebSocket,
    /// Application SSE.
    #[serde(rename = "http_sse")]
    Sse,
}

impl Carrier {
    /// The name on the wire.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Carrier::WebSocket => "websocket",
            Carrier::Sse => "http_sse",
        }
    }

    /// The one of that name.
    pub(crate) fn named(name: &str) -> Option<Carrier> {
        [Carrier::WebSocket, Carrier::Sse].into_iter().find(|carrier| carrier.name() == name)
    }

    /// The one beside it.
    pub(crate) const fn other(self) -> Carrier {
        match self {
            Carrier::WebSocket => Carrier::Sse,
            Carrier::Sse => Carrier::WebSocket,
        }
    }
}

/// Which transports of a client are up.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Up {
    pub(crate) websocket: bool,
    pub(crate) sse: bool,
}

impl Up {
    /// Whether this one is.
    pub(crate) const fn has(self, carrier: Carrier) -> bool {
        match carrier {
            Carrier::WebSocket => self.websocket,
            Carrier::Sse => self.sse,
        }
    }

    /// Whether there is a choice.
    pub(crate) const fn is_both(self) -> bool {
        self.websocket && self.sse
    }
}

/// What the choice depends on in a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Item {
    /// Bytes of its envelope.
    pub(crate) bytes: usize,
    /// It stands in the urgent lane.
    pub(crate) urgent: bool,
    /// The transport that its publisher named.
    pub(crate) named: Option<Carrier>,
}

/// Why the transport of a client's stream is another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Reason {
    /// The client has opened one that goes before.
    Connected,
    /// The client has closed the one in use.
    Closed,
    /// The one in use broke.
    ConnectionLost,
    /// The one in use has broken too often, although it is up.
    Unstable,
    /// The one that had broken too often has been up for long enough.
    Stable,
    /// The client prefers it.
    Preferred,
}

impl Reason {
    /// The name on the wire.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Reason::Connected => "connected",
            Reason::Closed => "closed",
            Reason::ConnectionLost => "connection_lost",
            Reason::Unstable => "unstable",
            Reason::Stable => "stable",
            Reason::Preferred => "preferred",
        }
    }

    /// Whether the client did it itself and waits for nothing.
    pub(crate) const fn is_the_clients(self) -> bool {
        matches!(self, Reason::Connected | Reason::Preferred)
    }
}

/// A change of the transport that ordinary messages take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Switch {
    pub(crate) at: Wall,
    pub(crate) from: Carrier,
    pub(crate) to: Carrier,
    pub(crate) reason: Reason,
}

/// What is known of one client's transports. Kept from the moment that it has both, or a preference.
#[derive(Debug)]
pub(crate) struct Routing {
    preferred: Carrier,
    /// What ordinary messages took last.
    current: Carrier,
    websocket: Health,
    sse: Health,
    /// The last of them, oldest first.
    switches: Vec<Switch>,
}

/// The choice at one moment.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Course {
    preferred: Carrier,
    /// The one that takes everything: there is no other, or it cannot be relied on.
    only: Option<Carrier>,
    size_threshold: usize,
}

impl Course {
    /// The transport a message takes.
    pub(crate) fn carrier(self, item: Item) -> Carrier {
        self.only.unwrap_or(match item.named {
            Some(carrier) => carrier,
            None if !item.urgent && item.bytes > self.size_threshold => Carrier::Sse,
            None => self.preferred,
        })
    }
}

/// How one transport does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Health {
    /// Since when it is up.
    up_since: Option<Instant>,
    /// Losses in a row.
    losses: u32,
    state: State,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// As good as any.
    Trusted,
    /// Passed over until it has been up for `dwell`.
    Unstable { dwell: Duration },
    /// Trusted again since `since`, after that dwell.
    Returned { since: Instant, dwell: Duration },
}

/// Of a client that has only one transport, or has never had another wish.
pub(crate) static UNROUTED: Routing = Routing::new(Carrier::WebSocket, Instant(0));

impl Routing {
    /// The start, with messages taking `current`, which is up.
    pub(crate) const fn new(current: Carrier, now: Instant) -> Routing {
        let health = Health { up_since: Some(now), losses: 0, state: State::Trusted };
        let (websocket, sse) = match current {
            Carrier::WebSocket => (health, Health { up_since: None, ..health }),
            Carrier::Sse => (Health { up_since: None, ..health }, health),
        };
        Routing { preferred: Carrier::WebSocket, current, websocket, sse, switches: Vec::new() }
    }

    /// What decides while these transports are up.
    pub(crate) fn course(&self, up: Up, limits: &limits::Routing) -> Course {
        let only = match up {
            Up { websocket: true, sse: true } => {
                match (self.is_trusted(Carrier::WebSocket), self.is_trusted(Carrier::Sse)) {
                    (true, false) => Some(Carrier::WebSocket),
                    (false, true) => Some(Carrier::Sse),
                    _ => None,
                }
            }
            Up { websocket: true, .. } => Some(Carrier::WebSocket),
            Up { .. } => Some(Carrier::Sse),
        };
        Course { preferred: self.preferred, only, size_threshold: limits.size_threshold }
    }

    /// The transport that ordinary messages take while these are up.
    pub(crate) fn ordinary(&self, up: Up, limits: &limits::Routing) -> Carrier {
        self.course(up, limits).carrier(Item { bytes: 0, urgent: false, named: None })
    }

    /// The last switches, oldest first.
    pub(crate) fn switches(&self) -> &[Switch] {
        &self.switches
    }

    /// What it prefers; unless it has said so, WebSocket.
    pub(crate) const fn preferred(&self) -> Carrier {
        self.preferred
    }

    /// The client has said what it prefers.
    pub(crate) fn prefer(&mut self, carrier: Carrier) {
        self.preferred = carrier;
    }

    /// A connection was opened.
    pub(crate) fn opened(&mut self, carrier: Carrier, now: Instant) {
        self.health_mut(carrier).up_since.get_or_insert(now);
    }

    /// The last connection of this transport is gone, however.
    pub(crate) fn closed(&mut self, carrier: Carrier) {
        self.health_mut(carrier).up_since = None;
    }

    /// A connection broke that was opened at `since`.
    pub(crate) fn broke(&mut self, carrier: Carrier, since: Instant, limits: &limits::Routing, now: Instant) {
        self.health_mut(carrier).broke(now.since(since), limits, now);
    }

    /// Trusts what has been up for long enough, and says when to look again.
    pub(crate) fn look(&mut self, now: Instant) -> Option<Instant> {
        let due = [self.websocket.look(now), self.sse.look(now)];
        due.into_iter().flatten().min()
    }

    /// Notes which transport ordinary messages take from now on; a switch, if it is another.
    pub(crate) fn settle(
        &mut self,
        up: Up,
        reason: Reason,
        limits: &limits::Routing,
        now: Now,
    ) -> Option<Switch> {
        let to = self.ordinary(up, limits);
        if to == self.current || !up.has(to) {
            return None;
        }
        let switch = Switch { at: now.wall, from: self.current, to, reason };
        self.current = to;
        if self.switches.len() == HISTORY {
            self.switches.remove(0);
        }
        self.switches.push(switch);
        Some(switch)
    }

    fn is_trusted(&self, carrier: Carrier) -> bool {
        let health = match carrier {
            Carrier::WebSocket => &self.websocket,
            Carrier::Sse => &self.sse,
        };
        !matches!(health.state, State::Unstable { .. })
    }

    fn health_mut(&mut self, carrier: Carrier) -> &mut Health {
        match carrier {
            Carrier::WebSocket => &mut self.websocket,
            Carrier::Sse => &mut self.sse,
        }
    }
}

impl Health {
    fn broke(&mut self, lived: Duration, limits: &limits::Routing, now: Instant) {
        let in_a_row = if lived < limits.dwell_min { self.losses } else { 0 };
        self.losses = in_a_row.saturating_add(1);
        if self.losses < limits.failover_threshold && !matches!(self.state, State::Unstable { .. }) {
            return;
        }
        let dwell = match self.state {
            State::Unstable { dwell } => dwell.saturating_mul(2),
            State::Returned { since, dwell } if now.since(since) < limits.dwell_max => {
                dwell.saturating_mul(2)
            }
            State::Trusted | State::Returned { .. } => limits.dwell_min,
        };
        self.state = State::Unstable { dwell: dwell.min(limits.dwell_max) };
        // What is left is up since now, as far as this transport is trusted.
        self.up_since = self.up_since.map(|_| now);
    }

    fn look(&mut self, now: Instant) -> Option<Instant> {
        let (State::Unstable { dwell }, Some(up_since)) = (self.state, self.up_since) else { return None };
        let due = up_since.plus(dwell);
        if now < due {
            return Some(due);
        }
        *self = Health { losses: 0, state: State::Returned { since: now, dwell }, ..*self };
        None
    }
}

#[cfg(test)]
mod tests;
