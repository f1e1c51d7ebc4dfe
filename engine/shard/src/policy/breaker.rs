//! A circuit breaker (Nygard, *Release It!*): who fails too often is left alone for a while, then tried with
//! one request at a time.

use weir_ring::time::Instant;

use super::Verdict;
use crate::limits::Breaker;

/// Parts of the window that are counted, and forgotten, as one.
const SLICES: usize = 8;

/// One upstream's breaker. Its bounds are arguments, as a bucket's are.
#[derive(Clone, Debug, Default)]
pub struct CircuitBreaker {
    state: State,
    slices: [Slice; SLICES],
}

/// How a breaker stands, whatever the time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// Requests pass and are counted.
    Closed,
    /// None passes for a while.
    Open,
    /// One is tried.
    HalfOpen,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum State {
    /// Requests pass and are counted.
    #[default]
    Closed,
    /// None passes before `until`.
    Open { until: Instant },
    /// One is under way; should nothing be heard of it, another passes at `again`.
    HalfOpen { again: Instant },
}

#[derive(Clone, Copy, Debug, Default)]
struct Slice {
    /// Which part of time it counts: the time divided by the length of a slice.
    number: u64,
    answered: u32,
    failed: u32,
}

impl CircuitBreaker {
    /// Whether a request may be sent. One that is allowed is to be followed by [`CircuitBreaker::record`],
    /// unless it is given up.
    pub fn admit(&mut self, limits: &Breaker, now: Instant) -> Verdict {
        let (State::Open { until } | State::HalfOpen { again: until }) = self.state else {
            return Verdict::Allow { remaining: u32::MAX };
        };
        if now < until {
            return Verdict::Deny { retry_after: until.since(now) };
        }
        self.state = State::HalfOpen { again: now.plus(limits.timeout) };
        Verdict::Allow { remaining: 0 }
    }

    /// Takes note of a request's end. True: it has opened the breaker.
    pub fn record(&mut self, answered: bool, limits: &Breaker, now: Instant) -> bool {
        match (self.state, answered) {
            // A request from before it opened tells nothing new.
            (State::Open { .. }, _) => return false,
            (State::HalfOpen { .. }, true) => *self = CircuitBreaker::default(),
            (State::HalfOpen { .. }, false) => self.state = State::Open { until: now.plus(limits.timeout) },
            (State::Closed, _) => {
                self.count(answered, limits, now);
                if answered || !self.is_bad(limits, now) {
                    return false;
                }
                self.state = State::Open { until: now.plus(limits.timeout) };
            }
        }
        !answered
    }

    /// How it stands since the last request.
    pub const fn phase(&self) -> Phase {
        match self.state {
            State::Closed => Phase::Closed,
            State::Open { .. } => Phase::Open,
            State::HalfOpen { .. } => Phase::HalfOpen,
        }
    }

    fn count(&mut self, answered: bool, limits: &Breaker, now: Instant) {
        let number = slice(limits, now);
        let slice = &mut self.slices[(number % SLICES as u64) as usize];
        if slice.number != number {
            *slice = Slice { number, ..Slice::default() };
        }
        let counter = if answered { &mut slice.answered } else { &mut slice.failed };
        *counter = counter.saturating_add(1);
    }

    /// Whether the window holds enough requests, and too many failures among them.
    fn is_bad(&self, limits: &Breaker, now: Instant) -> bool {
        let number = slice(limits, now);
        let recent = self.slices.iter().filter(|slice| number - slice.number.min(number) < SLICES as u64);
        let (answered, failed) = recent.fold((0_u64, 0_u64), |(answered, failed), slice| {
            (answered + u64::from(slice.answered), failed + u64::from(slice.failed))
        });
        let all = answered + failed;
        all >= u64::from(limits.minimum.max(1)) && failed as f64 >= limits.threshold * all as f64
    }
}

/// The number of the slice that `now` lies in.
fn slice(limits: &Breaker, now: Instant) -> u64 {
    let nanos = u64::try_from(limits.window.as_nanos()).unwrap_or(u64::MAX);
    now.0 / (nanos / SLICES as u64).max(1)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    const SECOND: u64 = 1_000_000_000;
    const START: u64 = 1_000 * SECOND;

    fn limits() -> Breaker {
        Breaker {
            threshold: 0.5,
            timeout: Duration::from_secs(30),
            minimum: 10,
            window: Duration::from_secs(8),
        }
    }

    fn allows(breaker: &mut CircuitBreaker, now: u64) -> bool {
        matches!(breaker.admit(&limits(), Instant(now)), Verdict::Allow { .. })
    }

    fn opened(now: u64) -> CircuitBreaker {
        let mut breaker = CircuitBreaker::default();
        for n in 1..=10 {
            assert_eq!(breaker.record(false, &limits(), Instant(now)), n == 10, "opens with the tenth");
        }
        breaker
    }

    #[test]
    fn it_opens_at_the_threshold_and_not_below_the_minimum() {
        let mut breaker = CircuitBreaker::default();
        for n in 1..=10 {
            assert_eq!(breaker.record(n % 2 == 1, &limits(), Instant(START)), n == 10, "half of ten");
        }
        assert!(!allows(&mut breaker, START));
        let mut breaker = CircuitBreaker::default();
        for _ in 0..9 {
            assert!(!breaker.record(false, &limits(), Instant(START)));
        }
        assert!(allows(&mut breaker, START));
    }

    #[test]
    fn what_the_window_has_passed_does_not_count() {
        let mut breaker = CircuitBreaker::default();
        for _ in 0..9 {
            breaker.record(false, &limits(), Instant(START));
        }
        assert!(!breaker.record(false, &limits(), Instant(START + 8 * SECOND)), "the nine are forgotten");
        for _ in 0..9 {
            breaker.record(false, &limits(), Instant(START + 15 * SECOND));
        }
        assert!(!allows(&mut breaker, START + 15 * SECOND), "the one is not");
    }

    #[test]
    fn half_open_lets_one_through_and_its_end_decides() {
        let after = START + 30 * SECOND;
        let mut breaker = opened(START);
        assert!(!allows(&mut breaker, after - 1));
        assert!(!breaker.record(true, &limits(), Instant(after - 1)), "late answers do not close it");
        assert!(allows(&mut breaker, after) && !allows(&mut breaker, after));
        assert!(breaker.record(false, &limits(), Instant(after)), "it opens again");
        let after = after + 30 * SECOND;
        assert!(!allows(&mut breaker, after - 1) && allows(&mut breaker, after));
        assert!(!breaker.record(true, &limits(), Instant(after)));
        assert!(allows(&mut breaker, after) && allows(&mut breaker, after), "closed");
        assert!(!breaker.record(false, &limits(), Instant(after)), "and nothing is left of the past");
    }

    #[test]
    fn a_trial_that_is_given_up_does_not_hold_it_open() {
        let mut breaker = opened(START);
        assert!(allows(&mut breaker, START + 30 * SECOND));
        assert!(!allows(&mut breaker, START + 59 * SECOND));
        assert!(allows(&mut breaker, START + 60 * SECOND));
    }
}
