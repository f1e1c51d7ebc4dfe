//! How long turns take, lately.

use std::time::Duration;

use weir_ring::time::Instant;

/// How far back turns count, in nanoseconds: a turn that took as long counts for half.
const MEMORY: f64 = 1e9;

/// The mean of what turns have taken, each weighted by the time since the one before.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Lateness {
    /// Nanoseconds.
    mean: f64,
    at: Instant,
}

impl Lateness {
    /// The last turn before `now` has taken so long.
    pub(crate) fn note(&mut self, took: Duration, now: Instant) {
        let since = now.since(self.at).as_nanos() as f64;
        self.mean += (took.as_nanos() as f64 - self.mean) * since / (since + MEMORY);
        self.at = now;
    }

    /// The mean.
    pub(crate) fn mean(&self) -> Duration {
        Duration::from_nanos(self.mean as u64)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const MILLI: u64 = 1_000_000;

    proptest! {
        /// The mean lies among what was noted.
        #[test]
        fn the_mean_lies_between_the_shortest_and_the_longest(
            turns in prop::collection::vec((0_u64..500, 0_u64..2_000), 1..100),
        ) {
            let (mut lateness, mut now) = (Lateness::default(), 0);
            let longest = turns.iter().map(|(took, _)| *took).max().unwrap_or(0);
            for (took, gap) in turns {
                now += gap * MILLI;
                lateness.note(Duration::from_millis(took), Instant(now));
                prop_assert!(lateness.mean() <= Duration::from_millis(longest));
            }
        }
    }

    #[test]
    fn one_long_turn_is_no_overload_and_many_are() {
        let (mut lateness, mut now) = (Lateness::default(), 1_000 * MILLI);
        lateness.note(Duration::ZERO, Instant(now));
        now += 200 * MILLI;
        lateness.note(Duration::from_millis(200), Instant(now));
        assert!(lateness.mean() < Duration::from_millis(50), "{lateness:?}");
        for _ in 0..30 {
            now += 200 * MILLI;
            lateness.note(Duration::from_millis(200), Instant(now));
        }
        assert!(lateness.mean() > Duration::from_millis(180), "{lateness:?}");
        for _ in 0..10 {
            now += 1_000 * MILLI;
            lateness.note(Duration::from_micros(50), Instant(now));
        }
        assert!(lateness.mean() < Duration::from_millis(1), "{lateness:?}");
    }
}
