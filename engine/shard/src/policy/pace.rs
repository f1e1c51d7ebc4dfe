//! How much a client that acknowledges is sent, by what it has not acknowledged.

use std::time::Duration;

use weir_ring::time::Instant;

use super::{TokenBucket, Verdict};
use crate::lane::Lane;
use crate::limits::{Backpressure, Rate};

/// What a client is told about its pace: the event `connection_status`. The strictest that applies.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Status {
    /// Everything as it comes.
    #[default]
    Normal,
    /// Half of the rate that the client itself may send at.
    SlowDown,
    /// Everything, a bundle at a time.
    Bundled,
    /// Only the lanes urgent and high; what is in the others waits in the outbox.
    CriticalOnly,
}

impl Status {
    /// The name on the wire.
    pub const fn name(self) -> &'static str {
        match self {
            Status::Normal => "normal",
            Status::SlowDown => "slow_down",
            Status::Bundled => "bundled",
            Status::CriticalOnly => "critical_only",
        }
    }
}

/// One client's pace. A threshold is passed above it, and left at half of it, so that a client near one
/// does not swing.
#[derive(Clone, Copy, Debug, Default)]
pub struct Pace {
    /// More pending than `slow_down`, than `critical_only`.
    crowded: Crowd,
    /// Something is pending for longer than `lag`.
    lagging: bool,
    bucket: TokenBucket,
    /// When all there was had been written.
    wrote: Option<Instant>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Crowd {
    #[default]
    Few,
    Many,
    TooMany,
}

impl Pace {
    /// What the client is told.
    pub fn status(&self) -> Status {
        match (self.crowded, self.lagging) {
            (Crowd::TooMany, _) => Status::CriticalOnly,
            (_, true) => Status::Bundled,
            (Crowd::Many, false) => Status::SlowDown,
            (Crowd::Few, false) => Status::Normal,
        }
    }

    /// Looks at what is pending, and for how long the oldest is.
    pub fn judge(&mut self, pending: usize, lag: Duration, limits: &Backpressure) -> Status {
        self.crowded = match self.crowded {
            _ if pending > limits.critical_only => Crowd::TooMany,
            Crowd::TooMany if pending > limits.critical_only / 2 => Crowd::TooMany,
            _ if pending > limits.slow_down => Crowd::Many,
            Crowd::Many | Crowd::TooMany if pending > limits.slow_down / 2 => Crowd::Many,
            _ => Crowd::Few,
        };
        self.lagging = lag > limits.lag || self.lagging && lag > limits.lag / 2;
        self.status()
    }

    /// The least urgent lane whose new messages are written; those of the lanes below wait in the outbox.
    pub fn least(&self) -> Lane {
        if self.status() == Status::CriticalOnly { Lane::High } else { Lane::Low }
    }

    /// The empty bundle, if messages come in bundles.
    pub fn bundle(&self) -> Option<Vec<u8>> {
        (self.status() == Status::Bundled).then(Vec::new)
    }

    /// When the next message may be written, if not now; if now, it takes its token. `rate` is what the client
    /// itself may send at.
    pub fn wait(&mut self, rate: &Rate, now: Instant, limits: &Backpressure) -> Option<Instant> {
        match self.status() {
            Status::Normal | Status::CriticalOnly => None,
            Status::Bundled => {
                // In the turn of a bundle every connection of the client gets its own.
                let last = self.wrote.filter(|last| *last != now)?;
                Some(last.plus(limits.bundle_interval)).filter(|next| *next > now)
            }
            Status::SlowDown => match self.bucket.take(&halved(rate), now) {
                Verdict::Allow { .. } => None,
                Verdict::Deny { retry_after } => Some(now.plus(retry_after)),
            },
        }
    }

    /// All there was has been written.
    pub fn wrote(&mut self, now: Instant) {
        self.wrote = Some(now);
    }
}

/// Half of a rate, a twentieth of a second at once. Half of no limit is none.
fn halved(rate: &Rate) -> Rate {
    Rate::new(rate.per_second / 2.0, ((rate.per_second / 40.0) as u32).max(1))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const RATE: Rate = Rate::new(100.0, 100);

    fn secs(secs: u64) -> Duration {
        Duration::from_secs(secs)
    }

    proptest! {
        /// Above a threshold it holds, at half of it it does not, and in between nothing changes.
        #[test]
        fn thresholds_are_passed_above_and_left_at_half(steps in prop::collection::vec((0_usize..130, 0_u64..8_000), 1..100)) {
            let limits = Backpressure::default();
            let mut pace = Pace::default();
            let (mut many, mut too_many, mut lagging) = (false, false, false);
            for (pending, millis) in steps {
                let status = pace.judge(pending, Duration::from_millis(millis), &limits);
                too_many = pending > 100 || too_many && pending > 50;
                many = pending > 50 || many && pending > 25;
                lagging = millis > 5_000 || lagging && millis > 2_500;
                let expected = match (too_many, lagging, many) {
                    (true, _, _) => Status::CriticalOnly,
                    (_, true, _) => Status::Bundled,
                    (_, _, true) => Status::SlowDown,
                    _ => Status::Normal,
                };
                prop_assert_eq!((status, pace.status()), (expected, expected));
                let again = pace.judge(pending, Duration::from_millis(millis), &limits);
                prop_assert_eq!(again, expected, "the same look says the same");
            }
        }
    }

    #[test]
    fn the_strictest_status_decides_what_is_written() {
        let limits = Backpressure::default();
        let mut pace = Pace::default();
        assert_eq!((pace.wait(&RATE, Instant(0), &limits), pace.least()), (None, Lane::Low));
        assert_eq!(pace.judge(101, secs(9), &limits), Status::CriticalOnly);
        assert_eq!((pace.wait(&RATE, Instant(0), &limits), pace.least()), (None, Lane::High));
        assert_eq!(pace.judge(50, secs(9), &limits), Status::Bundled);
        assert_eq!((pace.wait(&RATE, Instant(5), &limits), pace.bundle()), (None, Some(Vec::new())));
        pace.wrote(Instant(5));
        assert_eq!(pace.wait(&RATE, Instant(5), &limits), None, "another connection of the client");
        let next = Instant(1_000_000_005);
        assert_eq!(pace.wait(&RATE, Instant(6), &limits), Some(next));
        assert_eq!(pace.wait(&RATE, next, &limits), None);
    }

    #[test]
    fn half_the_rate_is_kept() {
        let limits = Backpressure::default();
        let mut pace = Pace::default();
        assert_eq!(pace.judge(51, secs(0), &limits), Status::SlowDown);
        let (mut now, mut written) = (Instant(0), 0);
        while now < Instant(1_000_000_000) {
            match pace.wait(&RATE, now, &limits) {
                None => written += 1,
                Some(next) => now = next,
            }
        }
        assert!((50..=52).contains(&written), "{written}");
        let unlimited = Rate::new(0.0, 1);
        assert_eq!(pace.wait(&unlimited, now, &limits), None);
    }
}
