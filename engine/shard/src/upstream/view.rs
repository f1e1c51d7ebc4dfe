//! What an operator sees of the upstreams' breakers and pools, and sets by hand.

use std::time::Duration;

use weir_ring::time::Instant;

use super::UpstreamId;
use super::server::Server;
use crate::limits::TargetKind;
use crate::metrics::{BreakerView, PoolView};
use crate::policy::{Held, Hold};
use crate::turn::{Cx, Shard};

/// How much the last request counts in what is shown of waiting times.
const CHECKOUT_SHARE: f32 = 0.125;

impl Server {
    /// A request has waited so long for its connection.
    pub(super) fn checked_out(&mut self, waited: Duration) {
        self.waits.record(waited);
        self.checkout += (waited.as_secs_f32() * 1e3 - self.checkout) * CHECKOUT_SHARE;
    }
}

impl Shard {
    pub(crate) fn upstream_breakers(&self, now: Instant) -> impl Iterator<Item = BreakerView> {
        let upstreams = self.upstream.servers.iter().zip(&self.config.upstreams);
        upstreams
            .map(move |(server, config)| BreakerView::of(&config.name, &server.breaker, &config.breaker, now))
    }

    pub(crate) fn pools(&self, now: Instant) -> Vec<PoolView> {
        let allocation = self.shares_slots().then(|| self.allocation(now));
        let of = |id: u16| self.pool_view(UpstreamId(id), allocation.as_deref(), now);
        (0..self.upstream.servers.len() as u16).filter_map(of).collect()
    }

    fn pool_view(&self, id: UpstreamId, allocation: Option<&[u32]>, now: Instant) -> Option<PoolView> {
        let (config, server) = (self.config.upstreams.get(id.index())?, self.upstream_server(id)?);
        let pool = self.pool_of(id, now)?;
        let children = matches!(self.target_kind(id, 0), Some(TargetKind::Child));
        let (open, available, queue_length) =
            if children { (server.children, 0, 0) } else { server.pooled() };
        let (in_use, overflow) = (open.saturating_sub(available), open.saturating_sub(pool.size));
        Some(PoolView {
            name: config.name.clone(),
            status: PoolView::status_of(in_use, overflow, queue_length),
            size: pool.size,
            overflow_max: pool.overflow,
            available,
            in_use,
            overflow,
            queue_length,
            avg_checkout_time_ms: server.checkout,
            waits: server.waits.clone(),
            answers: server.answers.clone(),
            failures: server.failures,
            weight: server.weight.get(now).unwrap_or(config.weight),
            allocated: allocation.and_then(|all| all.get(id.index())).copied(),
            replicas: self.replica_views(id),
        })
    }

    /// An operator holds the breaker of the upstream of that name.
    pub(crate) fn hold_upstream_breaker(&mut self, name: &str, to: Option<(Hold, Instant)>, cx: &mut Cx<'_>) {
        if let Some(upstream) = self.upstream_named(name) {
            self.with_breaker(upstream, cx, |breaker, _, _| breaker.hold(to));
        }
    }

    /// An operator sets a number of the upstream of that name, at least 1.
    pub(crate) fn hold_pool(
        &mut self,
        name: &str,
        number: fn(&mut Server) -> &mut Held<u32>,
        to: Option<u32>,
        until: Instant,
    ) {
        let Some(upstream) = self.upstream_named(name) else { return };
        if let Some(server) = self.upstream.servers.get_mut(upstream.index()) {
            number(server).set(to.map(|to| (to.max(1), until)));
        }
    }

    fn upstream_named(&self, name: &str) -> Option<UpstreamId> {
        let place = self.config.upstreams.iter().position(|upstream| *upstream.name == *name)?;
        u16::try_from(place).ok().map(UpstreamId)
    }
}
