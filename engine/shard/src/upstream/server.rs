//! What one shard knows of one upstream.

use std::time::Duration;

use weir_ring::time::Instant;
use weir_ring::token::Token;

use super::pool::Connections;
use super::replicas::Replica;
use crate::hash_ring::HashRing;
use crate::limits::Upstream;
use crate::metrics::Histogram;
use crate::policy::{CircuitBreaker, Held};

/// The first wait before a child is started again, and the longest.
const BACKOFF: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(30));

/// One upstream.
#[derive(Debug)]
pub(crate) struct Server {
    /// By place in the configuration's `targets`.
    pub(super) replicas: Vec<Replica>,
    /// Chooses among them.
    pub(super) ring: HashRing,
    pub(super) breaker: CircuitBreaker,
    /// What it speaks.
    pub(super) speaks: Speaks,
    /// Conversations that wait for that to be known.
    pub(super) waiting: Vec<Token>,
    /// The child that all conversations share, if it is modern and a child.
    pub(super) shared: Option<Token>,
    /// Children, running or being started.
    pub(super) children: u32,
    pub(super) restarts: Restarts,
    /// What an operator has the pool keep, and be worth beside the others'.
    pub(crate) size: Held<u32>,
    pub(crate) weight: Held<u32>,
    /// A request was refused for want of a connection, and none has been free since.
    pub(super) exhausted: bool,
    /// How long requests have waited for one lately, milliseconds.
    pub(super) checkout: f32,
    /// All of them.
    pub(super) waits: Box<Histogram>,
    /// How long requests took until they were answered, to within a turn.
    pub(super) answers: Box<Histogram>,
    /// Requests that failed.
    pub(super) failures: u64,
}

/// What an upstream speaks.
#[derive(Debug)]
pub(super) enum Speaks {
    /// Nobody has asked, or its answer did not come.
    Unknown,
    /// It was asked.
    Probed,
    /// It wants `initialize`.
    Legacy,
    /// It knows 2026-07-28; the result of `server/discover` if it gave one.
    Modern(Option<Box<str>>),
}

/// When a child may be started again after it has failed.
#[derive(Debug, Default)]
pub(super) struct Restarts {
    /// In a row.
    failures: u32,
    not_before: Instant,
}

impl Server {
    pub(super) fn new(upstream: &Upstream, vnodes: u16) -> Server {
        let nodes: Vec<(u16, u32)> =
            (0..).zip(&upstream.targets).map(|(id, target)| (id, target.weight.max(1))).collect();
        let replicas = nodes.iter().map(|_| Replica::default()).collect();
        // A ring needs a node; an upstream without targets refuses before it is asked.
        let ring =
            if nodes.is_empty() { HashRing::new(&[(0, 1)], 1) } else { HashRing::new(&nodes, vnodes.max(1)) };
        Server {
            replicas,
            ring,
            breaker: CircuitBreaker::default(),
            speaks: Speaks::Unknown,
            waiting: Vec::new(),
            shared: None,
            children: 0,
            restarts: Restarts::default(),
            size: Held::default(),
            weight: Held::default(),
            exhausted: false,
            checkout: 0.0,
            waits: Box::default(),
            answers: Box::default(),
            failures: 0,
        }
    }

    /// The connections to one replica.
    pub(super) fn connections(&mut self, target: u16) -> Option<&mut Connections> {
        self.replicas.get_mut(usize::from(target)).map(|replica| &mut replica.connections)
    }
}

impl Restarts {
    /// It ended before it was of use. `random` spreads what would otherwise be tried at once.
    pub(super) fn failed(&mut self, random: u64, now: Instant) {
        let (first, longest) = BACKOFF;
        let wait = first.saturating_mul(1 << self.failures.min(16)).min(longest);
        self.failures = self.failures.saturating_add(1);
        // Between three quarters and all of it.
        let cut = wait.as_nanos() as u64 / 4;
        let jitter = Duration::from_nanos(random % cut.max(1));
        self.not_before = now.plus(wait.saturating_sub(jitter));
    }

    /// It is of use.
    pub(super) fn succeeded(&mut self) {
        *self = Restarts::default();
    }

    /// When it may be started again.
    pub(super) fn not_before(&self) -> Instant {
        self.not_before
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_wait_doubles_up_to_its_longest_and_success_forgets() {
        let mut restarts = Restarts::default();
        let now = Instant(1_000_000_000);
        let mut wait = |random| {
            restarts.failed(random, now);
            restarts.not_before().since(now).as_millis()
        };
        assert_eq!([wait(0), wait(0), wait(0)], [100, 200, 400]);
        assert!((600..800).contains(&wait(u64::MAX / 2)));
        for _ in 0..100 {
            assert!(wait(0) <= 30_000);
        }
        assert_eq!(wait(0), 30_000);
        restarts.succeeded();
        assert_eq!(restarts.not_before(), Instant(0));
    }
}
