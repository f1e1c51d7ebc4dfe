//! How long things take: counts in buckets whose width grows with the time, as HdrHistogram has them.

use std::time::Duration;

/// Buckets of one power of two: a time is known to one part in this many.
const PER_OCTAVE: usize = 16;

/// Nanoseconds that the finest bucket spans, as a power of two: 64 ns.
const UNIT_SHIFT: u32 = 6;

/// Powers of two above the first `PER_OCTAVE` buckets. Longer times than 68 s count as that.
const OCTAVES: usize = 26;

const BUCKETS: usize = PER_OCTAVE * (OCTAVES + 1);

/// Times, counted: an array that never grows. Counters run on for ever and wrap; what is read from them is the
/// difference of two readings, [`Histogram::since`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Histogram {
    counts: [u32; BUCKETS],
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
        *count = count.wrapping_add(times);
        self.sum = self.sum.wrapping_add(nanos.wrapping_mul(u64::from(times)));
    }

    /// What was counted after `earlier`, an older reading, if that were fewer than 2³² in a bucket.
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
        self.counts.iter().map(|count| u64::from(*count)).sum()
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
            seen += u64::from(*count);
            seen >= rank
        })?;
        Some(Duration::from_nanos(end(at)))
    }

    /// Adds what another shard counted.
    pub fn add(&mut self, other: &Histogram) {
        for (count, more) in self.counts.iter_mut().zip(&other.counts) {
            *count = count.wrapping_add(*more);
        }
        self.sum = self.sum.wrapping_add(other.sum);
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
            start in any::<u32>(),
            before in prop::collection::vec(0..u64::MAX, 0..20),
            after in prop::collection::vec(0..60_000_000_000u64, 0..20),
        ) {
            let mut fresh = Histogram::default();
            let mut old = Histogram { counts: [start; BUCKETS], sum: start.into() };
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
