//! The replicas of an upstream: which one a conversation goes to, and which are passed over.

use super::errand::{Errand, Purpose};
use super::look::Look;
use super::pool::Connections;
use super::request::{self, Site};
use super::{PATIENCE, UpstreamId};
use crate::limits::{Config, TargetKind};
use crate::metrics::ReplicaView;
use crate::turn::{Alarm, Cx, Shard};

/// One target of an upstream.
#[derive(Debug, Default)]
pub(super) struct Replica {
    pub(super) connections: Connections,
    /// In a row.
    failures: u32,
    /// Passed over until a check succeeds.
    down: bool,
}

impl Shard {
    /// The replica for `affinity`: its home on the ring, or the next that is neither down nor in `tried`.
    /// With all down, the first that was not tried.
    pub(super) fn choose_replica(&self, upstream: UpstreamId, affinity: u64, tried: &[u16]) -> Option<u16> {
        let server = self.upstream.servers.get(upstream.index())?;
        let left = |target: &u16| !tried.contains(target);
        if server.replicas.len() <= 1 {
            return Some(0).filter(|target| left(target) && !server.replicas.is_empty());
        }
        let key = affinity.to_le_bytes();
        let in_turn = || server.ring.replicas(&key, server.replicas.len()).filter(left);
        let up =
            |target: &u16| server.replicas.get(usize::from(*target)).is_some_and(|replica| !replica.down);
        in_turn().find(up).or_else(|| in_turn().next())
    }

    /// The replica answers.
    pub(super) fn replica_answered(&mut self, upstream: UpstreamId, target: u16) {
        if let Some(replica) = self.replica_mut(upstream, target) {
            replica.failures = 0;
            replica.down = false;
        }
    }

    /// The replica cannot be reached, or broke a connection off before it answered.
    pub(super) fn replica_failed(&mut self, upstream: UpstreamId, target: u16, cx: &Cx<'_>) {
        let Some(upstream_config) = self.config.upstreams.get(upstream.index()) else { return };
        let (threshold, interval) =
            (upstream_config.failover_threshold, upstream_config.health_check_interval);
        let Some(replica) = self.replica_mut(upstream, target) else { return };
        replica.failures = replica.failures.saturating_add(1);
        if replica.failures >= threshold && !std::mem::replace(&mut replica.down, true) {
            self.alarm(cx.now.mono.plus(interval), Alarm::Upstream(Look::Replica(upstream, target)));
            self.doubt(upstream);
        }
    }

    /// A look at a replica that is passed over: asks it something harmless.
    pub(super) fn examine_replica(&mut self, upstream: UpstreamId, target: u16, cx: &mut Cx<'_>) {
        if self.draining.is_some() || !self.replica_mut(upstream, target).is_some_and(|replica| replica.down)
        {
            return;
        }
        let Some(request) = self.site(upstream, target).map(|site| request::discover(&site)) else { return };
        let errand = Errand::new(Purpose::Check, upstream, target, cx.now.mono.plus(PATIENCE));
        self.begin_errand(Errand { request, ..errand }, cx);
    }

    /// A check has ended without an answer.
    pub(super) fn check_failed(&mut self, upstream: UpstreamId, target: u16, cx: &Cx<'_>) {
        let Some(upstream_config) = self.config.upstreams.get(upstream.index()) else { return };
        let at = cx.now.mono.plus(upstream_config.health_check_interval);
        self.alarm(at, Alarm::Upstream(Look::Replica(upstream, target)));
    }

    /// What an operator sees of an upstream's replicas.
    pub(super) fn replica_views(&self, upstream: UpstreamId) -> Vec<ReplicaView> {
        let replicas = self.upstream.servers.get(upstream.index()).map(|server| &server.replicas);
        let views = replicas.into_iter().flatten().zip(0..).map(|(replica, target)| {
            let site = self.site(upstream, target);
            let target =
                site.map_or_else(|| "child".into(), |site| format!("{}{}", site.host, site.path).into());
            ReplicaView { target, down_on: u32::from(replica.down) }
        });
        views.collect()
    }

    /// As [`site_of`].
    pub(super) fn site(&self, upstream: UpstreamId, target: u16) -> Option<Site<'_>> {
        site_of(&self.config, upstream, target)
    }

    fn replica_mut(&mut self, upstream: UpstreamId, target: u16) -> Option<&mut Replica> {
        self.upstream.servers.get_mut(upstream.index())?.replicas.get_mut(usize::from(target))
    }
}

/// Where requests to a replica go. `None`: it is a child.
pub(super) fn site_of(config: &Config, upstream: UpstreamId, target: u16) -> Option<Site<'_>> {
    let upstream = config.upstreams.get(upstream.index())?;
    match &upstream.targets.get(usize::from(target))?.kind {
        TargetKind::Http { host, path, .. } => Some(Site { host, path, fixed: &upstream.headers }),
        TargetKind::Child => None,
    }
}
