//! The token bucket, as the generic cell rate algorithm computes it (ITU-T I.371): instead of tokens and
//! the time they were counted at, the time at which the bucket will be full. One number, no drift.

use std::time::Duration;

use weir_ring::time::Instant;

use super::{Standing, Verdict};
use crate::limits::Rate;

/// One requester's bucket; 8 bytes. Its shape is an argument, so it may change between two calls: what is
/// missing is then refilled at the new rate.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TokenBucket {
    /// When the last token that is missing will be back.
    full_at: Instant,
}

impl TokenBucket {
    /// A full bucket.
    pub const fn new() -> Self {
        TokenBucket { full_at: Instant(0) }
    }

    /// Takes one token if there is one. In any span of time `t` at most `burst + per_second * t` calls
    /// are allowed. A denied call costs nothing.
    pub fn take(&mut self, rate: &Rate, now: Instant) -> Verdict {
        if rate.interval == 0 {
            return Verdict::Allow { remaining: u32::MAX };
        }
        let missing = self.missing(rate, now);
        let present = rate.capacity - missing;
        let (missing, verdict) = match present.checked_sub(rate.interval) {
            Some(rest) => (missing + rate.interval, Verdict::Allow { remaining: rate.tokens(rest) }),
            None => (missing, Verdict::Deny { retry_after: Duration::from_nanos(rate.interval - present) }),
        };
        self.full_at = now.plus(Duration::from_nanos(missing));
        verdict
    }

    /// How full the bucket is; `None` where there is no limit.
    pub fn standing(&self, rate: &Rate, now: Instant) -> Option<Standing> {
        let missing = self.missing(rate, now);
        (rate.interval > 0).then(|| Standing {
            limit: rate.tokens(rate.capacity),
            remaining: rate.tokens(rate.capacity - missing),
            reset_seconds: missing.div_ceil(1_000_000_000),
        })
    }

    /// Nanoseconds until the bucket is full; no more than the bucket holds, should its shape have been
    /// another when the tokens were taken.
    fn missing(&self, rate: &Rate, now: Instant) -> u64 {
        self.full_at.0.saturating_sub(now.0).min(rate.capacity)
    }
}

impl Rate {
    /// Whole tokens that `nanos` refill.
    fn tokens(&self, nanos: u64) -> u32 {
        u32::try_from(nanos / self.interval).unwrap_or(u32::MAX)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const SECOND: u64 = 1_000_000_000;

    fn rate() -> impl Strategy<Value = Rate> {
        (prop_oneof![0.001..1.0, 1.0..200.0, 200.0..1e6], 1_u32..300)
            .prop_map(|(per_second, burst)| Rate::new(per_second, burst))
    }

    proptest! {
        /// Between any two allowed calls the bucket has not given more than it held and got back.
        #[test]
        fn no_window_exceeds_burst_and_rate(
            rate in rate(),
            start in 0..u64::MAX / 4,
            steps in prop::collection::vec(prop_oneof![3 => Just(0), 2 => 0..SECOND / 50, 1 => 0..3 * SECOND], 1..600),
        ) {
            let mut bucket = TokenBucket::new();
            let mut now = start;
            let mut allowed: Vec<u64> = Vec::new();
            for step in steps {
                now += step;
                if matches!(bucket.take(&rate, Instant(now)), Verdict::Allow { .. }) {
                    allowed.push(now);
                }
            }
            for (i, first) in allowed.iter().enumerate() {
                for (count, last) in (1..).zip(&allowed[i..]) {
                    let most = f64::from(rate.burst) + rate.per_second * (last - first) as f64 / 1e9;
                    prop_assert!(f64::from(count) <= most * (1.0 + 1e-9), "{count} calls, {most} tokens");
                }
            }
        }

        /// What the verdict promises is true: so many more pass now, and one passes after the wait and
        /// not a nanosecond before.
        #[test]
        fn verdicts_are_exact(rate in rate(), start in 0..u64::MAX / 4, taken in 0_u32..400) {
            let mut bucket = TokenBucket::new();
            let mut now = Instant(start);
            for n in 1..=taken {
                let verdict = bucket.take(&rate, now);
                prop_assert_eq!(matches!(verdict, Verdict::Allow { .. }), n <= rate.burst);
                if let Verdict::Allow { remaining } = verdict {
                    prop_assert_eq!(remaining, rate.burst - n);
                }
            }
            while let Verdict::Allow { .. } = bucket.take(&rate, now) {}
            let Verdict::Deny { retry_after } = bucket.take(&rate, now) else { unreachable!() };
            let wait = retry_after.as_nanos() as u64;
            let denied = matches!(bucket.clone().take(&rate, Instant(now.0 + wait - 1)), Verdict::Deny { .. });
            prop_assert!(denied);
            now = now.plus(retry_after);
            prop_assert_eq!(bucket.take(&rate, now), Verdict::Allow { remaining: 0 });

            let standing = bucket.standing(&rate, now).expect("there is a limit");
            prop_assert_eq!((standing.limit, standing.remaining), (rate.burst, 0));
            now = now.plus(Duration::from_secs(standing.reset_seconds));
            let full = Standing { limit: rate.burst, remaining: rate.burst, reset_seconds: 0 };
            prop_assert_eq!(bucket.standing(&rate, now), Some(full));
        }
    }

    #[test]
    fn an_interval_between_two_nanoseconds_is_rounded_up() {
        let rate = Rate::new(6e8, 1);
        let mut bucket = TokenBucket::new();
        let allowed = |now| matches!(bucket.take(&rate, Instant(now)), Verdict::Allow { .. });
        assert_eq!((0..1_000).map(allowed).filter(|&allowed| allowed).count(), 500);
    }

    #[test]
    fn rate_zero_is_no_limit() {
        for per_second in [0.0, -1.0, f64::NAN] {
            let rate = Rate::new(per_second, 1);
            let mut bucket = TokenBucket::new();
            for _ in 0..1_000 {
                assert_eq!(bucket.take(&rate, Instant(5)), Verdict::Allow { remaining: u32::MAX });
            }
            assert_eq!(bucket.standing(&rate, Instant(5)), None);
        }
    }

    #[test]
    fn a_new_shape_counts_from_its_own_burst() {
        let slow = Rate::new(1.0 / 6.0, 10);
        let fast = Rate::new(100.0, 100);
        let mut bucket = TokenBucket::new();
        while let Verdict::Allow { .. } = bucket.take(&slow, Instant(0)) {}
        let retry_after = Duration::from_millis(10);
        assert_eq!(bucket.take(&fast, Instant(0)), Verdict::Deny { retry_after });
        assert_eq!(bucket.take(&fast, Instant(SECOND)), Verdict::Allow { remaining: 99 });
    }

    #[test]
    fn extreme_shapes_do_not_overflow() {
        for per_second in [f64::MIN_POSITIVE, 1e-9, 1e18, f64::INFINITY] {
            for burst in [0, 1, u32::MAX] {
                let rate = Rate::new(per_second, burst);
                let mut bucket = TokenBucket::new();
                let verdict = bucket.take(&rate, Instant(0));
                assert_eq!(verdict, Verdict::Allow { remaining: burst.max(1) - 1 });
                let standing = bucket.standing(&rate, Instant(u64::MAX)).expect("there is a limit");
                assert_eq!(standing.remaining, burst.max(1));
            }
        }
    }
}
