//! Connections that all pools may have together: who may open another, and whose turn it is when one is free.

use weir_ring::time::Instant;

use super::UpstreamId;
use super::pool::Connections;
use super::server::Server;
use crate::limits::Pool;
use crate::policy::allocation::{Claim, allocate};
use crate::turn::{Cx, Shard};
use crate::vsm::{Cause, Event, Feeling};

impl Server {
    /// Pooled connections: all, those without work, and requests that wait for one.
    pub(super) fn pooled(&self) -> (u32, u32, u32) {
        let sum = |of: fn(&Connections) -> usize| -> u32 {
            self.replicas.iter().map(|replica| of(&replica.connections) as u32).sum()
        };
        (sum(|it| it.open as usize), sum(|it| it.idle.len()), sum(|it| it.queue.len()))
    }

    /// Pooled connections at work.
    fn at_work(&self) -> u32 {
        let (open, idle, _) = self.pooled();
        open.saturating_sub(idle)
    }
}

impl Connections {
    /// How many it could use.
    fn demand(&self, pool: &Pool) -> u32 {
        let at_work = self.open.saturating_sub(self.idle.len() as u32);
        at_work.saturating_add(self.queue.len() as u32).min(pool.most())
    }

    /// Whether somebody waits who could have one if there were a slot.
    pub(super) fn wants(&self, pool: &Pool) -> bool {
        !self.queue.is_empty() && (self.open < pool.most() || !self.idle.is_empty())
    }
}

impl Shard {
    /// Whether pools have a bound together.
    pub(super) fn shares_slots(&self) -> bool {
        self.config.control.pool_total > 0
    }

    /// What each pool is due of what all may have together, in the order of the configuration.
    pub(super) fn allocation(&self, now: Instant) -> Vec<u32> {
        let servers = self.upstream.servers.iter().zip(&self.config.upstreams);
        let claims = servers.zip(0..).map(|((server, config), id)| {
            let pool = self.pool_of(UpstreamId(id), now).unwrap_or(config.pool);
            let demand = server.replicas.iter().map(|replica| replica.connections.demand(&pool)).sum();
            Claim { demand, weight: server.weight.get(now).unwrap_or(config.weight) }
        });
        allocate(self.config.control.pool_total, &claims.collect::<Vec<_>>())
    }

    /// Whether another pooled connection may be opened. An idle one, wherever it leads, makes room.
    pub(super) fn has_slot(&mut self, cx: &mut Cx<'_>) -> bool {
        if !self.shares_slots() || self.free_slots() > 0 {
            return true;
        }
        let pools = self.upstream.servers.iter().flat_map(|server| &server.replicas);
        let most = pools.map(|replica| &replica.connections.idle).max_by_key(|idle| idle.len());
        // The one used least lately.
        let Some(&wire) = most.and_then(|idle| idle.first()) else { return false };
        self.close(wire, cx);
        true
    }

    fn free_slots(&self) -> u32 {
        let open: u32 = self.upstream.servers.iter().map(|server| server.pooled().0).sum();
        self.config.control.pool_total.saturating_sub(open)
    }

    /// Gives idle connections, or room for such, to those who wait and have less than they are due.
    pub(super) fn serve_waiting(&mut self, cx: &mut Cx<'_>) {
        while let Some((upstream, target)) = self.next_served(cx.now.mono) {
            if let Some(errand) = self.next_in_queue(upstream, target, cx) {
                self.dispatch_errand(errand, cx);
            }
        }
    }

    /// Whose turn it is, if there is a slot: somebody waits there, and fewer connections are at work than it is due.
    fn next_served(&self, now: Instant) -> Option<(UpstreamId, u16)> {
        let servers = &self.upstream.servers;
        if self.free_slots() == 0 && servers.iter().all(|server| server.pooled().1 == 0) {
            return None;
        }
        let due = servers.iter().zip(self.allocation(now)).zip(0..);
        let behind = due.filter_map(|((server, due), id)| {
            let pool = self.pool_of(UpstreamId(id), now)?;
            let target = server.replicas.iter().position(|replica| replica.connections.wants(&pool))?;
            let missing = due.saturating_sub(server.at_work());
            (missing > 0).then_some((missing, UpstreamId(id), target as u16))
        });
        behind.max_by_key(|(missing, ..)| *missing).map(|(_, upstream, target)| (upstream, target))
    }

    /// A request was refused for want of a connection, or has waited too long for one.
    pub(super) fn pool_is_exhausted(&mut self, upstream: UpstreamId, cx: &mut Cx<'_>) {
        let Some(server) = self.upstream.servers.get_mut(upstream.index()) else { return };
        if !std::mem::replace(&mut server.exhausted, true) {
            self.stats.control.pool_exhausted += 1;
            let upstream: Box<str> = self.server_name(upstream).into();
            self.herald.say(cx.now.wall, || Event::PoolExhausted { upstream: upstream.clone() });
            self.feel(Cause::Pool(upstream), Feeling::Pain, cx);
        }
    }

    /// A connection has nothing to do, or is gone with nobody waiting for it.
    pub(super) fn pool_has_room(&mut self, upstream: UpstreamId, cx: &mut Cx<'_>) {
        let Some(server) = self.upstream.servers.get_mut(upstream.index()) else { return };
        if server.pooled().2 == 0 && std::mem::replace(&mut server.exhausted, false) {
            let name = self.server_name(upstream).into();
            self.feel(Cause::Pool(name), Feeling::Pleasure, cx);
        }
    }
}
