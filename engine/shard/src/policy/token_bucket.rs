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
        let Some(shape) = Shape::of(rate) else { return Verdict::Allow { remaining: u32::MAX } };
        let missing = self.missing(shape, now);
        let present = shape.capacity - missing;
        let (missing, verdict) = match present.checked_sub(shape.interval) {
            Some(rest) => (missing + shape.interval, Verdict::Allow { remaining: shape.tokens(rest) }),
            None => (missing, Verdict::Deny { retry_after: Duration::from_nanos(shape.interval - present) }),
        };
        self.full_at = now.plus(Duration::from_nanos(missing));
        verdict
    }

    /// How full the bucket is; `None` where there is no limit.
    pub fn standing(&self, rate: &Rate, now: Instant) -> Option<Standing> {
        let shape = Shape::of(rate)?;
        let missing = self.missing(shape, now);
        Some(Standing {
            limit: shape.tokens(shape.capacity),
            remaining: shape.tokens(shape.capacity - missing),
            reset_seconds: missing.div_ceil(1_000_000_000),
        })
    }

    /// Nanoseconds until the bucket is full; no more than the bucket holds, should its shape have been
    /// another when the tokens were taken.
    fn missing(&self, shape: Shape, now: Instant) -> u64 {
        self.full_at.0.saturating_sub(now.0).min(shape.capacity)
    }
}

/// A limit in nanoseconds.
#[derive(Clone, Copy)]
struct Shape {
    /// Time to refill one token.
    interval: u64,
    /// Time to fill the empty bucket: a whole number of tokens.
    capacity: u64,
}

impl Shape {
    /// `None`: no limit. Rounds the interval up, so that a limit is never exceeded; rates above 10^9 per
    /// second count as that.
    fn of(rate: &Rate) -> Option<Shape> {
        if rate.per_second.is_nan() || rate.per_second <= 0.0 {
            return None;
        }
        // At most half of the clock's range, so that the sum of a time and a capacity is a time.
        let burst = u64::from(rate.burst.max(1));
        let interval = ((1e9 / rate.per_second).ceil() as u64).clamp(1, u64::MAX / 2 / burst);
        Some(Shape { interval, capacity: interval * burst })
    }

    /// Whole tokens that `nanos` refill.
    fn tokens(self, nanos: u64) -> u32 {
        u32::try_from(nanos / self.interval).unwrap_or(u32::MAX)
    }
}
