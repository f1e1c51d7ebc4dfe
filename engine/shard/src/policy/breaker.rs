//! A circuit breaker (Nygard, *Release It!*): who fails too often is left alone for a while, then tried with a few
//! requests.

use weir_ring::time::Instant;

use super::{Held, Verdict};
use crate::limits::Breaker;

/// Parts of the window that are counted, and forgotten, as one.
const SLICES: usize = 8;

/// One breaker. Its bounds are arguments, as a bucket's are.
#[derive(Clone, Debug, Default)]
pub struct CircuitBreaker {
    state: State,
    slices: [Slice; SLICES],
    /// What the operator wants it to be for now.
    held: Held<Hold>,
    /// The phase of the last news.
    told: Phase,
}

/// What a breaker is at the moment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Phase {
    /// Everything passes.
    #[default]
    Closed,
    /// A few requests are tried.
    HalfOpen,
    /// Nothing passes.
    Open,
}

/// What an operator may have a breaker be, whatever happens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Hold {
    /// Everything passes.
    Closed,
    /// Nothing passes.
    Open,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum State {
    /// Requests pass and are counted.
    #[default]
    Closed,
    /// None passes before `until`.
    Open { until: Instant },
    /// `left` more may pass, `good` have ended well; should nothing be heard of them, others pass at `again`.
    HalfOpen { left: u32, good: u32, again: Instant },
}

#[derive(Clone, Copy, Debug, Default)]
struct Slice {
    /// Which part of time it counts: the time divided by the length of a slice.
    number: u64,
    answered: u32,
    failed: u32,
}

impl Phase {
    /// The name in the API.
    pub const fn name(self) -> &'static str {
        match self {
            Phase::Closed => "closed",
            Phase::HalfOpen => "half_open",
            Phase::Open => "open",
        }
    }
}

impl CircuitBreaker {
    /// Whether a request may be sent. One that is allowed is to be followed by [`CircuitBreaker::record`],
    /// unless it is given up.
    pub fn admit(&mut self, limits: &Breaker, now: Instant) -> Verdict {
        match self.held.get(now) {
            Some(Hold::Closed) => return Verdict::Allow { remaining: u32::MAX },
            Some(Hold::Open) => return Verdict::Deny { retry_after: self.retry_at(now).since(now) },
            None => {}
        }
        match &mut self.state {
            State::Closed => return Verdict::Allow { remaining: u32::MAX },
            State::HalfOpen { left: left @ 1.., .. } => {
                *left -= 1;
                return Verdict::Allow { remaining: *left };
            }
            State::Open { until } | State::HalfOpen { again: until, .. } if now < *until => {
                return Verdict::Deny { retry_after: until.since(now) };
            }
            State::Open { .. } | State::HalfOpen { .. } => {}
        }
        let left = limits.probes.max(1) - 1;
        self.state = State::HalfOpen { left, good: 0, again: now.plus(limits.timeout) };
        Verdict::Allow { remaining: left }
    }

    /// Takes note of a request's end. True: it has opened the breaker.
    pub fn record(&mut self, answered: bool, limits: &Breaker, now: Instant) -> bool {
        if self.held.get(now).is_some() {
            return false;
        }
        match (&mut self.state, answered) {
            // A request from before it opened tells nothing new.
            (State::Open { .. }, _) => return false,
            (State::HalfOpen { good, .. }, true) => {
                *good += 1;
                if *good >= limits.probes {
                    self.close();
                }
            }
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

    /// Holds the breaker so until then, whatever happens; `None`: what happens decides again. It begins anew after it
    /// was held closed.
    pub fn hold(&mut self, to: Option<(Hold, Instant)>) {
        if matches!(to, Some((Hold::Closed, _))) {
            self.close();
        }
        self.held.set(to);
    }

    /// What it is.
    pub fn phase(&self, now: Instant) -> Phase {
        match (self.held.get(now), self.state) {
            (Some(Hold::Closed), _) | (None, State::Closed) => Phase::Closed,
            (Some(Hold::Open), _) | (None, State::Open { .. }) => Phase::Open,
            (None, State::HalfOpen { .. }) => Phase::HalfOpen,
        }
    }

    /// What it is, if it was something else when it was last asked for.
    pub fn news(&mut self, now: Instant) -> Option<Phase> {
        let phase = self.phase(now);
        (std::mem::replace(&mut self.told, phase) != phase).then_some(phase)
    }

    /// Until when an operator holds it, if one does.
    pub fn held_until(&self, now: Instant) -> Option<Instant> {
        self.held.until(now)
    }

    /// When something may pass again, at the earliest: now, unless it is open.
    pub fn retry_at(&self, now: Instant) -> Instant {
        match (self.held.get(now), self.state) {
            (Some(Hold::Open), _) => self.held.until(now).unwrap_or(now),
            (None, State::Open { until }) => until.max(now),
            _ => now,
        }
    }

    /// Requests that were answered, and that failed, in the window before `now`.
    pub fn counted(&self, limits: &Breaker, now: Instant) -> (u64, u64) {
        let number = slice(limits, now);
        let recent = self.slices.iter().filter(|slice| number - slice.number.min(number) < SLICES as u64);
        recent.fold((0, 0), |(answered, failed), slice| {
            (answered + u64::from(slice.answered), failed + u64::from(slice.failed))
        })
    }

    fn close(&mut self) {
        (self.state, self.slices) = (State::Closed, Default::default());
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
        let (answered, failed) = self.counted(limits, now);
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

    use proptest::prelude::*;

    use super::*;

    const SECOND: u64 = 1_000_000_000;
    const START: u64 = 1_000 * SECOND;

    fn limits() -> Breaker {
        Breaker {
            threshold: 0.5,
            timeout: Duration::from_secs(30),
            probes: 1,
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

    #[test]
    fn what_an_operator_holds_stays_so_until_its_end() {
        let mut breaker = CircuitBreaker::default();
        breaker.hold(Some((Hold::Open, Instant(START + 5))));
        assert_eq!((breaker.news(Instant(START)), breaker.news(Instant(START))), (Some(Phase::Open), None));
        let denied = Verdict::Deny { retry_after: Duration::from_nanos(5) };
        assert_eq!(breaker.admit(&limits(), Instant(START)), denied);
        assert!(allows(&mut breaker, START + 5));
        assert_eq!(breaker.news(Instant(START + 5)), Some(Phase::Closed));
        let mut breaker = opened(START);
        breaker.hold(Some((Hold::Closed, Instant(START + 5))));
        for _ in 0..100 {
            assert!(allows(&mut breaker, START) && !breaker.record(false, &limits(), Instant(START)));
        }
        assert!(allows(&mut breaker, START + 5), "it begins anew");
        breaker.hold(Some((Hold::Open, Instant(u64::MAX))));
        breaker.hold(None);
        assert!(allows(&mut breaker, START + 6));
    }

    proptest! {
        /// A trial lets no more than its probes pass, and another begins only after it has failed or had its time; and
        /// once nothing fails any more the breaker closes, however it got where it is.
        #[test]
        fn probes_are_bounded_and_it_closes_again(
            probes in 1_u32..6,
            steps in prop::collection::vec((0_u64..40, any::<bool>(), any::<bool>()), 0..200),
        ) {
            let limits = Breaker { probes, ..limits() };
            let (mut breaker, mut now) = (CircuitBreaker::default(), START);
            let (mut passed, mut began) = (0, 0);
            for (seconds, asks, answered) in steps {
                now += seconds * SECOND;
                let before = breaker.phase(Instant(now));
                if !asks {
                    breaker.record(answered, &limits, Instant(now));
                    continue;
                }
                let verdict = breaker.admit(&limits, Instant(now));
                match verdict {
                    Verdict::Allow { remaining } if breaker.phase(Instant(now)) == Phase::HalfOpen => {
                        if remaining == probes - 1 {
                            prop_assert!(before == Phase::Open || now >= began + 30 * SECOND);
                            (passed, began) = (0, now);
                        }
                        passed += 1;
                        prop_assert!(passed <= probes);
                    }
                    _ => {}
                }
            }
            for _ in 0..3 {
                now += 30 * SECOND;
                while let Verdict::Allow { .. } = breaker.admit(&limits, Instant(now)) {
                    breaker.record(true, &limits, Instant(now));
                    if breaker.phase(Instant(now)) == Phase::Closed {
                        break;
                    }
                }
            }
            prop_assert_eq!(breaker.phase(Instant(now)), Phase::Closed);
        }
    }
}
