//! Tokens whose signature was checked, for a while and so many at most.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use foldhash::quality::FixedState;
use hashbrown::HashMap;
use weir_ring::time::{Instant, Wall};

use super::Principal;

/// Most tokens; beyond, the oldest goes. Only tokens that were signed with a known key are in it.
pub(super) const TOKENS_MAX: usize = 4_096;

/// A token whose signature, issuer and audience are right.
#[derive(Clone, Debug)]
pub(super) struct Checked {
    pub(super) principal: Arc<Principal>,
    /// `nbf`.
    pub(super) not_before: Option<Wall>,
}

/// Checked tokens by their SHA-256: the tokens themselves are not kept.
#[derive(Debug)]
pub(super) struct Cache {
    tokens: HashMap<[u8; 32], Checked, FixedState>,
    /// When each was checked, the oldest first.
    order: VecDeque<(Instant, [u8; 32])>,
    ttl: Duration,
}

impl Cache {
    pub(super) fn new(ttl: Duration, seed: u64) -> Cache {
        Cache { tokens: HashMap::with_hasher(FixedState::with_seed(seed)), order: VecDeque::new(), ttl }
    }

    pub(super) fn get(&mut self, name: &[u8; 32], now: Instant) -> Option<Checked> {
        self.forget_old(now);
        self.tokens.get(name).cloned()
    }

    /// Keeps a token that [`Cache::get`] has just not found.
    pub(super) fn insert(&mut self, name: [u8; 32], checked: Checked, now: Instant) {
        if self.order.len() >= TOKENS_MAX {
            self.forget_first();
        }
        self.tokens.insert(name, checked);
        self.order.push_back((now, name));
    }

    /// Forgets all, and from now on each after `ttl`.
    pub(super) fn renew(&mut self, ttl: Duration) {
        self.ttl = ttl;
        self.clear();
    }

    pub(super) fn clear(&mut self) {
        self.tokens.clear();
        self.order.clear();
    }

    fn forget_old(&mut self, now: Instant) {
        while self.order.front().is_some_and(|(at, _)| now.since(*at) >= self.ttl) {
            self.forget_first();
        }
    }

    fn forget_first(&mut self) {
        if let Some((_, name)) = self.order.pop_front() {
            self.tokens.remove(&name);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::limits::{Permissions, Role};

    fn checked() -> Checked {
        let principal = Principal {
            subject: "u1".into(),
            role: Role::GUEST,
            permissions: Permissions::READ,
            scopes: Box::default(),
            expires: None,
            token_id: None,
            issuer: None,
            audience: Box::default(),
            bearer: None,
        };
        Checked { principal: Arc::new(principal), not_before: None }
    }

    fn name(number: usize) -> [u8; 32] {
        let mut name = [0; 32];
        name[..8].copy_from_slice(&number.to_le_bytes());
        name
    }

    #[test]
    fn a_token_is_forgotten_after_its_time() {
        let mut cache = Cache::new(Duration::from_nanos(10), 1);
        cache.insert(name(1), checked(), Instant(5));
        assert!(cache.get(&name(1), Instant(14)).is_some());
        assert!(cache.get(&name(2), Instant(14)).is_none());
        assert!(cache.get(&name(1), Instant(15)).is_none());
        assert!(cache.tokens.is_empty() && cache.order.is_empty());
    }

    #[test]
    fn beyond_the_bound_the_oldest_goes() {
        let mut cache = Cache::new(Duration::from_secs(1), 1);
        for number in 0..=TOKENS_MAX {
            cache.insert(name(number), checked(), Instant(0));
        }
        assert_eq!((cache.tokens.len(), cache.order.len()), (TOKENS_MAX, TOKENS_MAX));
        assert!(cache.get(&name(0), Instant(0)).is_none());
        assert!(cache.get(&name(1), Instant(0)).is_some());
    }

    #[test]
    fn without_a_time_nothing_is_remembered() {
        let mut cache = Cache::new(Duration::ZERO, 1);
        cache.insert(name(1), checked(), Instant(5));
        assert!(cache.get(&name(1), Instant(5)).is_none());
    }
}
