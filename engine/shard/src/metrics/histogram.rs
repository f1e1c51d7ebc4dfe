//! How long things take: counts in buckets whose width grows with the time, as HdrHistogram has them.

use std::time::Duration;

use serde::ser::SerializeStruct;
use serde::{Serialize, Serializer};

/// Buckets of one power of two: a time is known to one part in this many.
const PER_OCTAVE: usize = 16;

/// Nanoseconds that the finest bucket spans, as a power of two: 64 ns.
const UNIT_SHIFT: u32 = 6;

/// Powers of two above the first `PER_OCTAVE` buckets. Longer times than 68 s count as that.
const OCTAVES: usize = 26;

const BUCKETS: usize = PER_OCTAVE * (OCTAVES + 1);

/// Buckets of one power of two are shown together, from this one on.
const SHOWN_FROM: usize = PER_OCTAVE;

/// Times, counted: an array that never grows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Histogram {
    counts: [u64; BUCKETS],
    /// All of them, nanoseconds.
    sum: u64,
}

impl Default for Histogram {
    fn default() -> Histogram {
        Histogram { counts: [0; BUCKETS], sum: 0 }
    }
}

impl Histogram {
    /// Counts a time.
    pub fn record(&mut self, time: Duration) {
        self.record_many(time, 1);
    }

    /// Counts a time as often.
    pub fn record_many(&mut self, time: Duration, times: u32) {
        let nanos = u64::try_from(time.as_nanos()).unwrap_or(u64::MAX);
        let count = &mut self.counts[bucket(nanos)];
        *count = count.wrapping_add(times.into());
        self.sum = self.sum.wrapping_add(nanos.wrapping_mul(u64::from(times)));
    }

    /// What was counted after `earlier`, an older reading.
    #[must_use]
    pub fn since(&self, earlier: &Histogram) -> Histogram {
        let mut later = self.clone();
        for (count, before) in later.counts.iter_mut().zip(&earlier.counts) {
            *count = count.wrapping_sub(*before);
        }
        later.sum = later.sum.wrapping_sub(earlier.sum);
        later
    }

    /// How many times were counted.
    pub fn len(&self) -> u64 {
        self.counts.iter().sum()
    }

    /// Whether none was.
    pub fn is_empty(&self) -> bool {
        self.counts.iter().all(|count| *count == 0)
    }

    /// The mean of all times; exact. None: there is none.
    pub fn mean(&self) -> Option<Duration> {
        self.sum.checked_div(self.len()).map(Duration::from_nanos)
    }

    /// The time that a part of all, 0 to 1, did not exceed; at most a sixteenth too long. None: there is none.
    pub fn quantile(&self, part: f64) -> Option<Duration> {
        let rank = ((self.len() as f64 * part).ceil() as u64).max(1);
        let mut seen = 0;
        let at = self.counts.iter().position(|count| {
            seen += count;
            seen >= rank
        })?;
        Some(Duration::from_nanos(end(at)))
    }

    /// All times together.
    pub fn sum(&self) -> Duration {
        Duration::from_nanos(self.sum)
    }

    /// How many times did not exceed each power of two of a microsecond (1.024 µs), up to 34 s; those that did are only
    /// in [`Histogram::len`].
    pub fn cumulated(&self) -> impl Iterator<Item = (Duration, u64)> {
        let mut seen = self.counts[..SHOWN_FROM].iter().sum();
        (SHOWN_FROM..BUCKETS).step_by(PER_OCTAVE).map(move |at| {
            let below = (Duration::from_nanos(end(at - 1) + 1), seen);
            seen += self.counts[at..at + PER_OCTAVE].iter().sum::<u64>();
            below
        })
    }

    /// Adds what another shard counted.
    pub fn add(&mut self, other: &Histogram) {
        for (count, more) in self.counts.iter_mut().zip(&other.counts) {
            *count = count.wrapping_add(*more);
        }
        self.sum = self.sum.wrapping_add(other.sum);
    }
}

/// As `/mcp/stats` shows it: `buckets` are pairs of a bound in seconds and how many times did not exceed it, those left
/// out that say nothing.
impl Serialize for Histogram {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let millis = |part| self.quantile(part).map(|time| time.as_secs_f64() * 1e3);
        let all = self.len();
        let mut told = 0;
        let buckets = self.cumulated().filter(|(_, count)| std::mem::replace(&mut told, *count) < *count);
        let buckets: Vec<(f64, u64)> = buckets.map(|(bound, count)| (bound.as_secs_f64(), count)).collect();
        let mut shown = serializer.serialize_struct("Histogram", 6)?;
        shown.serialize_field("count", &all)?;
        shown.serialize_field("sum_seconds", &self.sum().as_secs_f64())?;
        shown.serialize_field("p50_ms", &millis(0.5))?;
        shown.serialize_field("p99_ms", &millis(0.99))?;
        shown.serialize_field("max_ms", &millis(1.0))?;
        shown.serialize_field("buckets", &buckets)?;
        shown.end()
    }
}

/// Where a time is counted.
fn bucket(nanos: u64) -> usize {
    let units = nanos >> UNIT_SHIFT;
    if units < PER_OCTAVE as u64 {
        return units as usize;
    }
    // 0 for the first octave above the linear part.
    let octave = (units / PER_OCTAVE as u64).ilog2();
    let within = (units >> octave) as usize - PER_OCTAVE;
    (PER_OCTAVE * (octave as usize + 1) + within).min(BUCKETS - 1)
}

/// The longest time that is counted there, nanoseconds.
fn end(bucket: usize) -> u64 {
    let next = bucket + 1;
    let units = match (next / PER_OCTAVE).checked_sub(1) {
        None => next as u64,
        Some(octave) => ((PER_OCTAVE + next % PER_OCTAVE) as u64) << octave,
    };
    (units << UNIT_SHIFT) - 1
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn buckets_follow_each_other() {
        assert_eq!((bucket(0), end(0), bucket(64)), (0, 63, 1));
        for at in 0..BUCKETS - 1 {
            assert_eq!((bucket(end(at)), bucket(end(at) + 1)), (at, at + 1));
        }
        assert_eq!(bucket(u64::MAX), BUCKETS - 1);
        assert!(end(BUCKETS - 1) > 68_000_000_000);
        assert_eq!(Histogram::default().quantile(0.5), None);
        assert_eq!(Histogram::default().mean(), None);
    }

    #[test]
    fn powers_of_two_are_shown_together() {
        let mut histogram = Histogram::default();
        for nanos in [0, 1_023, 1_024, 2_047, 1_000_000, u64::MAX] {
            histogram.record(Duration::from_nanos(nanos));
        }
        let shown: Vec<_> = histogram.cumulated().map(|(bound, count)| (bound.as_nanos(), count)).collect();
        assert_eq!((shown[0], shown[1]), ((1_024, 2), (2_048, 4)));
        assert_eq!(shown.iter().find(|(bound, _)| *bound >= 1_000_000), Some(&(1_048_576, 5)));
        assert_eq!(shown.last(), Some(&(1_024 << 25, 5)), "what is longer than that is counted all the same");
        assert_eq!(histogram.len(), 6);
        let json = serde_json::to_value(&histogram).expect("a value");
        assert_eq!(json["count"], 6);
        assert_eq!(json["buckets"].as_array().map(Vec::len), Some(3), "{json}");
    }

    proptest! {
        /// A quantile is the sorted list's, and at most a sixteenth more (and 64 ns).
        #[test]
        fn quantiles_are_those_of_the_sorted_list(
            mut times in prop::collection::vec(0..60_000_000_000u64, 1..200), part in 0.0..=1.0f64,
        ) {
            let mut histogram = Histogram::default();
            times.iter().for_each(|nanos| histogram.record(Duration::from_nanos(*nanos)));
            times.sort_unstable();
            let rank = ((times.len() as f64 * part).ceil() as usize).max(1);
            let (exact, found) = (times[rank - 1], histogram.quantile(part).expect("some").as_nanos() as u64);
            prop_assert!(found >= exact && found <= exact + exact / 16 + 64, "{exact} {found}");
            let mean = times.iter().sum::<u64>() / times.len() as u64;
            prop_assert_eq!(histogram.mean(), Some(Duration::from_nanos(mean)));
        }

        /// What was counted since is what was counted since, however often the counters have wrapped.
        #[test]
        fn differences_forget_what_was_before(
            start in any::<u64>(),
            before in prop::collection::vec(0..u64::MAX, 0..20),
            after in prop::collection::vec(0..60_000_000_000u64, 0..20),
        ) {
            let mut fresh = Histogram::default();
            let mut old = Histogram { counts: [start; BUCKETS], sum: start };
            before.iter().for_each(|nanos| old.record(Duration::from_nanos(*nanos)));
            let earlier = old.clone();
            for nanos in &after {
                old.record(Duration::from_nanos(*nanos));
                fresh.record(Duration::from_nanos(*nanos));
            }
            prop_assert_eq!(old.since(&earlier), fresh);
            prop_assert_eq!(old.since(&earlier).len(), after.len() as u64);
        }
    }
}
