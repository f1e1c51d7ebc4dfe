//! Which messages are sampled: those of a sampled trace, and of the others one in so many. What is drawn is how many are
//! passed over, so a message that is not sampled costs a count down. No more than so many in a second: neither a flood nor a
//! sender that records everything is to make the gateway write down more than anybody reads.

use std::time::Duration;

use weir_ring::time::Instant;
use weir_transports::trace_context::{SpanId, TraceId};

use super::{Journey, TraceContext};
use crate::limits::Tracing;
use crate::random::Random;

/// What the bound counts in.
const SECOND: Duration = Duration::from_secs(1);

/// Decides.
#[derive(Debug)]
pub(crate) struct Sampler {
    /// Whether anything is.
    on: bool,
    /// The part of the messages that begin a trace which are.
    rate: f64,
    /// Such messages that are still passed over.
    skip: u64,
    /// How many may be in a second, all in all; 0: no bound.
    most: u32,
    /// When the present second began, and how many were in it.
    second: (Instant, u32),
    /// That would have been, but for that.
    left_out: u64,
    random: Random,
}

impl Sampler {
    /// One that samples as configured. `seed` is of the shard's randomness.
    pub(crate) fn new(&Tracing { on, rate, most }: &Tracing, seed: u64) -> Sampler {
        let (second, random) = ((Instant(0), 0), Random::new(seed));
        let mut sampler = Sampler { on, rate, skip: 0, most, second, left_out: 0, random };
        sampler.skip = sampler.draw();
        sampler
    }

    /// Whether anything is sampled.
    pub(crate) fn is_on(&self) -> bool {
        self.on
    }

    /// Messages that were not sampled only because there were too many.
    pub(crate) fn left_out(&self) -> u64 {
        self.left_out
    }

    /// From now on it is this part, 0 to 1.
    pub(crate) fn set_rate(&mut self, rate: f64) {
        self.rate = rate;
        self.skip = self.draw();
    }

    /// Decides about a message that has come by itself, or by the span that `parent` says. What its sender has decided
    /// holds.
    pub(crate) fn decide(
        &mut self,
        parent: impl FnOnce() -> Option<TraceContext>,
        now: Instant,
    ) -> Option<Box<Journey>> {
        if !self.on {
            return None;
        }
        match parent() {
            Some(parent) if parent.parent.sampled => {
                self.begin(now).map(|journey| Box::new(journey.join(parent)))
            }
            Some(_) => None,
            None if self.skip > 0 => {
                self.skip -= 1;
                None
            }
            None => {
                self.skip = self.draw();
                self.begin(now).map(Box::new)
            }
        }
    }

    /// A journey, unless there are too many.
    fn begin(&mut self, now: Instant) -> Option<Journey> {
        if now >= self.second.0.plus(SECOND) {
            self.second = (now, 0);
        }
        if self.most > 0 && self.second.1 >= self.most {
            self.left_out += 1;
            return None;
        }
        self.second.1 += 1;
        let high = u128::from(self.random.next()) << 64;
        let trace = TraceId::new(high | u128::from(self.random.next()));
        Some(Journey::root(trace, SpanId::new(self.random.next()), now))
    }

    /// How many are passed over before the next: what as many independent decisions would come to, each at the rate
    /// (the geometric distribution, by inversion).
    fn draw(&mut self) -> u64 {
        if self.rate <= 0.0 {
            return u64::MAX;
        }
        // Above 0 and up to 1.
        let uniform = ((self.random.next() >> 11) + 1) as f64 / (1u64 << 53) as f64;
        // At a rate of 1 this is 0 divided by minus infinity. `as` saturates.
        (uniform.ln() / (-self.rate).ln_1p()) as u64
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const NOW: Instant = Instant(1);

    fn sampler(on: bool, rate: f64, seed: u64) -> Sampler {
        Sampler::new(&Tracing { on, rate, most: 0 }, seed)
    }

    fn sampled(sampler: &mut Sampler, of: u32) -> u32 {
        (0..of).filter(|_| sampler.decide(|| None, NOW).is_some()).count() as u32
    }

    fn parent(flags: &str) -> Option<TraceContext> {
        let text = format!("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-{flags}");
        TraceContext::parse(Some(&text), None)
    }

    #[test]
    fn what_is_off_does_not_even_look() {
        let mut sampler = sampler(false, 1.0, 1);
        assert_eq!(sampler.decide(|| unreachable!("nobody asks"), NOW), None);
    }

    #[test]
    fn all_and_nothing_are_exact() {
        assert_eq!(sampled(&mut sampler(true, 1.0, 1), 1_000), 1_000);
        assert_eq!(sampled(&mut sampler(true, 0.0, 1), 1_000), 0);
        let mut sampler = sampler(true, 0.0, 1);
        sampler.set_rate(1.0);
        assert_eq!(sampled(&mut sampler, 10), 10);
        sampler.set_rate(0.0);
        assert_eq!(sampled(&mut sampler, 10), 0);
    }

    #[test]
    fn a_sender_that_has_decided_is_followed() {
        let (mut never, mut always) = (sampler(true, 0.0, 1), sampler(true, 1.0, 1));
        let journey = never.decide(|| parent("01"), NOW).expect("its sender records it");
        assert_eq!(journey.trace().to_string(), "0af7651916cd43dd8448eb211c80319c");
        assert_eq!(always.decide(|| parent("00"), NOW), None);
    }

    #[test]
    fn nobody_makes_it_record_more_than_it_may() {
        let mut crowded = Sampler::new(&Tracing { on: true, rate: 0.5, most: 10 }, 1);
        let recorded = (0..100).filter(|_| crowded.decide(|| parent("01"), NOW).is_some()).count();
        assert_eq!((recorded, crowded.left_out()), (10, 90));
        assert_eq!(sampled(&mut crowded, 100), 0);
        let later = NOW.plus(SECOND);
        assert!(crowded.decide(|| parent("01"), later).is_some());
    }

    #[test]
    fn no_two_traces_are_the_same() {
        let mut sampler = sampler(true, 1.0, 1);
        let mut seen = std::collections::BTreeSet::new();
        assert!((0..1_000).all(|_| {
            let journey = sampler.decide(|| None, NOW).expect("all are");
            seen.insert(journey.trace().to_bytes())
        }));
    }

    proptest! {
        /// Within five standard deviations.
        #[test]
        fn the_rate_is_kept(rate in 0.001..0.999f64, seed: u64) {
            let of = 100_000;
            let found = f64::from(sampled(&mut sampler(true, rate, seed), of));
            let expected = f64::from(of) * rate;
            let deviation = (expected * (1.0 - rate)).sqrt();
            prop_assert!((found - expected).abs() < 5.0 * deviation + 1.0, "{found} instead of {expected}");
        }
    }
}
