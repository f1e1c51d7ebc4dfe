//! What an operator sees of a shard's control, and of its clients.

use weir_ring::time::Instant;

use crate::downstream::control::breakers::Circuit;
use crate::metrics::{BreakerView, ClientView, ControlView};
use crate::policy::routing::Up;
use crate::session::Session;
use crate::turn::{Cx, Shard};

/// Milliseconds from `now` to `until`.
fn millis(now: Instant, until: Instant) -> u64 {
    until.since(now).as_millis() as u64
}

impl Shard {
    /// The whole of it.
    pub(crate) fn control_view(&self, cx: &Cx<'_>) -> ControlView {
        let now = cx.now.mono;
        let control = &self.control;
        let limits = &self.config.control.breaker;
        let of_circuit =
            |circuit: Circuit| BreakerView::of(circuit.name(), control.breaker(circuit), limits, now);
        ControlView {
            admission: control.door.state().name(),
            admission_held_ms: control.door.held_until(now).map(|until| millis(now, until)),
            shedding: control.shedding.level(),
            shedding_held_ms: control.shedding.held_until(now).map(|until| millis(now, until)),
            load: self.load(),
            turn_ms: control.lateness.mean().as_secs_f64() * 1e3,
            breakers: Circuit::ALL.into_iter().map(of_circuit).chain(self.upstream_breakers(now)).collect(),
            pools: self.pools(now),
            pool_total: self.config.control.pool_total,
            keys: u64::from(self.sessions.len()) + self.topics.len() as u64,
        }
    }

    /// Every client.
    pub(crate) fn clients(&self, cx: &Cx<'_>) -> Vec<ClientView> {
        self.sessions.iter().map(|(_, session)| self.client_view(session, cx)).collect()
    }

    fn client_view(&self, session: &Session, cx: &Cx<'_>) -> ClientView {
        let links = session.links.as_slice();
        let conns = || links.iter().filter_map(|link| self.conns.get(link.token));
        let transport = match session.links.up() {
            Up { websocket: false, sse: false } => "none",
            Up { websocket: true, sse: true } => "both",
            Up { sse: true, .. } => "http_sse",
            _ if links.iter().all(|link| self.is_poll(link.token)) => "longpoll",
            _ => "websocket",
        };
        let now = cx.now.mono;
        let since = conns().filter_map(|conn| conn.since()).min();
        let heard = conns().map(|conn| conn.heard).fold(session.heard, Instant::max);
        let mailbox = session.mailbox.as_deref();
        let queued: usize = conns().map(|conn| conn.egress.queued()).sum();
        ClientView {
            client_id: session.client.clone(),
            connections: links.len() as u32,
            transport,
            age_seconds: since.map_or(0, |since| now.as_secs().saturating_sub(since)).into(),
            idle_seconds: now.since(heard).as_secs(),
            queue: mailbox.map_or(0, |mailbox| mailbox.len() as u64),
            bytes: (mailbox.map_or(0, |mailbox| mailbox.bytes()) + queued) as u64,
            received: session.received.into(),
        }
    }
}
