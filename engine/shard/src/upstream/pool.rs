//! HTTP connections to one replica: those that wait for work, and work that waits for one.
//!
//! A connection carries one request at a time. Streams that last have one of their own beside the pool.

use std::collections::VecDeque;

use weir_ring::op::Op;
use weir_ring::time::Instant;
use weir_ring::token::Token;

use super::errand::Place;
use super::wire::{CONNECT_PATIENCE, Wire};
use super::{UpstreamFault, UpstreamId, Upstreams};
use crate::downstream::{Connection, Stage};
use crate::limits::Pool;
use crate::turn::{Alarm, Cx, Shard};

/// The pool of one replica.
#[derive(Debug, Default)]
pub(super) struct Connections {
    /// Open and without work, the one used last at the end.
    pub(super) idle: Vec<Token>,
    /// All of the pool, those being opened included.
    pub(super) open: u32,
    /// Errands that wait, with the time at which they began to.
    pub(super) queue: VecDeque<(Token, Instant)>,
}

impl Upstreams {
    /// Connections to upstreams, open or being opened.
    pub(crate) fn connections(&self) -> u64 {
        self.wires.into()
    }

    /// Pooled connections that do not wait for work.
    pub(crate) fn busy(&self) -> u64 {
        let pools = self.servers.iter().flat_map(|server| &server.replicas);
        pools
            .map(|replica| {
                u64::from(replica.connections.open).abs_diff(replica.connections.idle.len() as u64)
            })
            .sum()
    }
}

impl Shard {
    /// Gives an errand a connection: one that waits, a new one, or a place in the queue.
    pub(super) fn dispatch_errand(&mut self, errand: Token, cx: &mut Cx<'_>) {
        if !self.authorize(errand, cx) {
            return;
        }
        let Some((upstream, target, streams)) = self.upstream.errands.get(errand).map(|e| e.seat()) else {
            return;
        };
        if streams {
            return self.dial_wire_for(errand, upstream, target, false, cx);
        }
        let Some(pool) = self.pool_of(upstream, cx.now.mono) else { return };
        let Some(connections) = self.connections_mut(upstream, target) else { return };
        if let Some(wire) = connections.idle.pop() {
            return self.carry_errand(wire, errand, cx);
        }
        if connections.open < pool.most() && self.has_slot(cx) {
            return self.dial_wire_for(errand, upstream, target, true, cx);
        }
        let Some(connections) = self.connections_mut(upstream, target) else { return };
        if connections.queue.len() >= pool.queue as usize {
            self.pool_is_exhausted(upstream, cx);
            return self.fail_errand(errand, UpstreamFault::Overloaded, cx);
        }
        connections.queue.push_back((errand, cx.now.mono));
        self.put_off(errand, cx.now.mono.plus(pool.checkout_timeout));
    }

    /// Opens a connection for one errand.
    fn dial_wire_for(
        &mut self,
        errand: Token,
        upstream: UpstreamId,
        target: u16,
        pooled: bool,
        cx: &mut Cx<'_>,
    ) {
        let Some(wire) = self.dial_wire(Wire::http(upstream, target, pooled), cx) else {
            return self.fail_errand(errand, UpstreamFault::Overloaded, cx);
        };
        self.carry_errand(wire, errand, cx);
    }

    /// Opens a connection. `None`: the table is full.
    pub(super) fn dial_wire(&mut self, wire: Wire, cx: &mut Cx<'_>) -> Option<Token> {
        let (upstream, target, pooled) = (wire.upstream, wire.target, wire.is_pooled());
        let config = self.config.upstreams.get(upstream.index())?;
        let to = config.targets.get(usize::from(target))?.address.clone();
        let wake = cx.now.mono.plus(CONNECT_PATIENCE);
        let conn = Connection::unconnected(Stage::Upstream(Box::new(wire)), cx.now.mono, wake);
        let token = self.conns.insert(conn).ok()?;
        self.stats.connections += 1;
        self.upstream.wires += 1;
        if pooled && let Some(connections) = self.connections_mut(upstream, target) {
            connections.open += 1;
        }
        cx.out.ops.push(Op::Connect { token, to });
        self.alarm(wake, Alarm::Connection(token));
        Some(token)
    }

    /// The errand goes over this connection, at once if it is open.
    pub(super) fn carry_errand(&mut self, wire: Token, errand: Token, cx: &mut Cx<'_>) {
        if let Some(errand) = self.upstream.errands.get_mut(errand) {
            errand.place = Place::On(wire);
        }
        self.resume_clock(errand, cx);
        let Some(conn) = self.conns.get_mut(wire) else { return };
        conn.heard = cx.now.mono;
        let connected = conn.is_connected();
        let Stage::Upstream(of) = &mut conn.stage else { return };
        of.errand = Some(errand);
        if connected {
            self.write_request(wire, errand, cx);
        }
    }

    /// A pooled connection has done its work: the next in the queue, or it waits.
    pub(super) fn release_wire(&mut self, wire: Token, upstream: UpstreamId, target: u16, cx: &mut Cx<'_>) {
        let Some(pool) = self.pool_of(upstream, cx.now.mono) else { return };
        let (size, idle_timeout) = (pool.size, pool.idle_timeout);
        if self.shares_slots() {
            // It may be another's turn, who then takes this one's place.
            let Some(connections) = self.connections_mut(upstream, target) else { return };
            connections.idle.push(wire);
            self.serve_waiting(cx);
            let Some(connections) = self.connections_mut(upstream, target) else { return };
            if connections.idle.last() != Some(&wire) {
                return;
            }
            connections.idle.pop();
        } else if let Some(errand) = self.next_in_queue(upstream, target, cx) {
            return self.carry_errand(wire, errand, cx);
        }
        let draining = self.draining.is_some();
        self.pool_has_room(upstream, cx);
        let Some(connections) = self.connections_mut(upstream, target) else { return };
        if connections.open > size || draining {
            return self.close(wire, cx);
        }
        connections.idle.push(wire);
        let Some(conn) = self.conns.get_mut(wire) else { return };
        conn.heard = cx.now.mono;
        let idle_max = match &conn.stage {
            Stage::Upstream(wire) => wire.idle_max(),
            _ => None,
        };
        self.wake_by(wire, cx.now.mono.plus(idle_max.map_or(idle_timeout, |most| most.min(idle_timeout))));
    }

    /// A pooled connection is gone: who waits may have another.
    pub(super) fn forget_pooled(&mut self, wire: Token, upstream: UpstreamId, target: u16, cx: &mut Cx<'_>) {
        let Some(connections) = self.connections_mut(upstream, target) else { return };
        connections.open = connections.open.saturating_sub(1);
        let idle = connections.idle.iter().position(|idle| *idle == wire);
        if let Some(at) = idle {
            connections.idle.remove(at);
        }
        if self.shares_slots() {
            // Nobody waits while one is idle: this one makes room for somebody who has been found already.
            if idle.is_none() {
                self.serve_waiting(cx);
            }
        } else if let Some(errand) = self.next_in_queue(upstream, target, cx) {
            return self.dispatch_errand(errand, cx);
        }
        self.pool_has_room(upstream, cx);
    }

    /// The longest-waiting errand that is still wanted.
    pub(super) fn next_in_queue(&mut self, upstream: UpstreamId, target: u16, cx: &Cx<'_>) -> Option<Token> {
        self.sweep_queue(upstream, target);
        let (errand, since) = self.connections_mut(upstream, target)?.queue.pop_front()?;
        let server = self.upstream.servers.get_mut(upstream.index())?;
        server.checked_out(cx.now.mono.since(since));
        Some(errand)
    }

    /// Those that were given up leave the queue once they are first.
    pub(super) fn sweep_queue(&mut self, upstream: UpstreamId, target: u16) {
        let Upstreams { servers, errands, .. } = &mut self.upstream;
        let Some(server) = servers.get_mut(upstream.index()) else { return };
        let Some(connections) = server.connections(target) else { return };
        let waits = |errand: &super::Errand| matches!(errand.place, Place::Waiting);
        while let Some((errand, _)) = connections.queue.front()
            && !errands.get(*errand).is_some_and(waits)
        {
            connections.queue.pop_front();
        }
    }

    /// Those who wait get connections, where a bound was raised.
    pub(crate) fn serve_queues(&mut self, cx: &mut Cx<'_>) {
        if self.shares_slots() {
            return self.serve_waiting(cx);
        }
        for upstream in (0..self.upstream.servers.len() as u16).map(UpstreamId) {
            let Some(pool) = self.pool_of(upstream, cx.now.mono) else { continue };
            let replicas = self.upstream_server(upstream).map_or(0, |server| server.replicas.len());
            for target in 0..replicas as u16 {
                while self.connections_mut(upstream, target).is_some_and(|it| it.wants(&pool))
                    && let Some(errand) = self.next_in_queue(upstream, target, cx)
                {
                    self.dispatch_errand(errand, cx);
                }
            }
        }
    }

    /// The bounds of an upstream's pool at this moment.
    pub(super) fn pool_of(&self, upstream: UpstreamId, now: Instant) -> Option<Pool> {
        let pool = self.config.upstreams.get(upstream.index())?.pool;
        let held = self.upstream.servers.get(upstream.index())?.size.get(now);
        Some(Pool { size: held.unwrap_or(pool.size), ..pool })
    }

    pub(super) fn connections_mut(&mut self, upstream: UpstreamId, target: u16) -> Option<&mut Connections> {
        self.upstream.servers.get_mut(upstream.index())?.connections(target)
    }
}
