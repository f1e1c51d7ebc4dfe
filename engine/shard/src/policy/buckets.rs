//! Buckets of many callers for each of a few limits.

use std::hash::BuildHasher;

use foldhash::quality::FixedState;
use hashbrown::HashMap;
use weir_ring::time::Instant;
use weir_ring::token::Token;

use super::{TokenBucket, Verdict};
use crate::limits::Rate;

/// Buckets at once; whoever comes beyond shares one for each limit.
const BUCKETS_MAX: usize = 65_536;

/// Who does something.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Caller<'a> {
    /// A client, by its name.
    Client(&'a str),
    /// An MCP session.
    Session(Token),
    /// A connection of which nothing else is known.
    Connection(Token),
}

/// All buckets of one shard for some limits.
#[derive(Clone, Debug)]
pub struct Buckets {
    rates: Box<[Rate]>,
    /// By a caller's hash, and the limit's place among the rates.
    buckets: HashMap<(u64, u16), TokenBucket, FixedState>,
    shared: Box<[TokenBucket]>,
    hasher: FixedState,
}

impl Buckets {
    /// None yet. `seed` keeps the table's order out of an attacker's reach.
    pub fn new(rates: Box<[Rate]>, seed: u64) -> Buckets {
        Buckets {
            shared: vec![TokenBucket::new(); rates.len()].into(),
            rates,
            buckets: HashMap::with_hasher(FixedState::with_seed(seed)),
            hasher: FixedState::with_seed(!seed),
        }
    }

    /// Takes one token of `caller` for the limit at `at`; there always is one where there is no such limit.
    pub fn take(&mut self, caller: Caller<'_>, at: u16, now: Instant) -> Verdict {
        let Some(rate) = self.rates.get(usize::from(at)).copied() else {
            return Verdict::Allow { remaining: u32::MAX };
        };
        let key = (self.hasher.hash_one(caller), at);
        if self.is_crowded(key) {
            // A full bucket is as good as none.
            let Buckets { rates, buckets, .. } = self;
            buckets.retain(|(_, at), bucket| {
                rates.get(usize::from(*at)).is_some_and(|rate| !is_full(bucket, rate, now))
            });
        }
        let shared = self.is_crowded(key);
        let bucket = match self.shared.get_mut(usize::from(at)) {
            Some(bucket) if shared => bucket,
            _ => self.buckets.entry(key).or_default(),
        };
        bucket.take(&rate, now)
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

    fn buckets() -> Buckets {
        let rate = |burst| Rate::new(1.0, burst);
        Buckets::new([rate(1), rate(2)].into(), 1)
    }

    #[test]
    fn each_caller_has_a_bucket_for_each_limit() {
        let mut buckets = buckets();
        let token = Token { index: 1, generation: 0 };
        let mut take =
            |caller, limit| matches!(buckets.take(caller, limit, Instant(0)), Verdict::Allow { .. });
        let callers =
            [Caller::Client("a"), Caller::Client("b"), Caller::Session(token), Caller::Connection(token)];
        for caller in callers {
            assert_eq!([take(caller, 0), take(caller, 0)], [true, false], "{caller:?}");
            assert_eq!([take(caller, 1), take(caller, 1), take(caller, 1)], [true, true, false]);
            assert!((0..100).all(|_| take(caller, 2)), "there is no such limit");
        }
    }

    #[test]
    fn buckets_are_bounded_and_those_beyond_share() {
        let mut buckets = buckets();
        let mut take = |index: u32, now| {
            let caller = Caller::Session(Token { index, generation: 0 });
            matches!(buckets.take(caller, 0, Instant(now)), Verdict::Allow { .. })
        };
        assert!((0..BUCKETS_MAX as u32).all(|index| take(index, 0)));
        assert!(take(1 << 20, 0) && !take(1 << 21, 0), "one bucket for all others");
        assert!(take(1 << 21, 2_000_000_000), "there is room again");
    }
}
