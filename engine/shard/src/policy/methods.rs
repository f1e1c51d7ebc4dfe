//! Buckets of single methods: MCP's, and what clients call what they push. Only those that have a limit.

use std::hash::BuildHasher;

use foldhash::quality::FixedState;
use hashbrown::HashMap;
use weir_ring::time::Instant;
use weir_ring::token::Token;

use super::{TokenBucket, Verdict};
use crate::limits::{MethodLimit, Rate};

/// Buckets at once; whoever comes beyond shares one for each method.
const BUCKETS_MAX: usize = 65_536;

/// Who calls a method.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Caller<'a> {
    /// A client, by its name.
    Client(&'a str),
    /// An MCP session.
    Session(Token),
    /// A connection of which nothing else is known.
    Connection(Token),
}

/// All buckets of one shard.
#[derive(Debug)]
pub struct Methods {
    /// By a caller's hash, and the method's place among the limits.
    buckets: HashMap<(u64, u16), TokenBucket, FixedState>,
    shared: Vec<TokenBucket>,
    hasher: FixedState,
}

impl Methods {
    /// None yet. `seed` keeps the table's order out of an attacker's reach.
    pub fn new(limits: &[MethodLimit], seed: u64) -> Methods {
        Methods {
            buckets: HashMap::with_hasher(FixedState::with_seed(seed)),
            shared: vec![TokenBucket::new(); limits.len()],
            hasher: FixedState::with_seed(!seed),
        }
    }

    /// Takes one token of `caller` for `method`, where that has a limit.
    pub fn take(
        &mut self,
        caller: Caller<'_>,
        method: &str,
        limits: &[MethodLimit],
        now: Instant,
    ) -> Verdict {
        let Some(at) = limits.iter().position(|limit| &*limit.name == method) else {
            return Verdict::Allow { remaining: u32::MAX };
        };
        let key = (self.hasher.hash_one(caller), at as u16);
        if self.is_crowded(key) {
            // A full bucket is as good as none.
            self.buckets.retain(|(_, at), bucket| {
                limits.get(usize::from(*at)).is_some_and(|limit| !is_full(bucket, &limit.rate, now))
            });
        }
        let shared = self.is_crowded(key);
        let bucket = match self.shared.get_mut(at) {
            Some(bucket) if shared => bucket,
            _ => self.buckets.entry(key).or_default(),
        };
        bucket.take(&limits[at].rate, now)
    }

    fn is_crowded(&self, key: (u64, u16)) -> bool {
        self.buckets.len() >= BUCKETS_MAX && !self.buckets.contains_key(&key)
    }
}

fn is_full(bucket: &TokenBucket, rate: &Rate, now: Instant) -> bool {
    bucket.standing(rate, now).is_none_or(|standing| standing.remaining == standing.limit)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn limits() -> [MethodLimit; 2] {
        let limit =
            |name: &str, burst| MethodLimit { name: name.into(), rate: Rate { per_second: 1.0, burst } };
        [limit("tools/call", 1), limit("order", 2)]
    }

    #[test]
    fn each_caller_has_a_bucket_for_each_method_that_has_a_limit() {
        let limits = limits();
        let mut methods = Methods::new(&limits, 1);
        let token = Token { index: 1, generation: 0 };
        let mut take = |caller, method| {
            matches!(methods.take(caller, method, &limits, Instant(0)), Verdict::Allow { .. })
        };
        let callers =
            [Caller::Client("a"), Caller::Client("b"), Caller::Session(token), Caller::Connection(token)];
        for caller in callers {
            assert_eq!([take(caller, "tools/call"), take(caller, "tools/call")], [true, false], "{caller:?}");
            assert_eq!(
                [take(caller, "order"), take(caller, "order"), take(caller, "order")],
                [true, true, false]
            );
            assert!((0..100).all(|_| take(caller, "tools/list")));
        }
    }

    #[test]
    fn buckets_are_bounded_and_those_beyond_share() {
        let limits = limits();
        let mut methods = Methods::new(&limits, 1);
        let mut take = |index: u32, now| {
            let caller = Caller::Session(Token { index, generation: 0 });
            matches!(methods.take(caller, "tools/call", &limits, Instant(now)), Verdict::Allow { .. })
        };
        assert!((0..BUCKETS_MAX as u32).all(|index| take(index, 0)));
        assert!(take(1 << 20, 0) && !take(1 << 21, 0), "one bucket for all others");
        assert!(take(1 << 21, 2_000_000_000), "there is room again");
    }
}
