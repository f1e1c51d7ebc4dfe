//! One metric's past: a value for each second of the last hour.

use std::collections::VecDeque;

/// Seconds that are remembered.
pub(crate) const SECONDS: usize = 3_600;

/// A ring of values, one a second. A second in which nothing could be measured is NaN.
#[derive(Debug, Default)]
pub(crate) struct Series {
    values: VecDeque<f32>,
    /// The second after the last value.
    next: u64,
}

/// What a series was like.
#[derive(Clone, Copy, Debug, PartialEq, serde::Serialize)]
pub(crate) struct Summary {
    pub(crate) min: f32,
    pub(crate) mean: f32,
    pub(crate) p50: f32,
    pub(crate) p95: f32,
    pub(crate) p99: f32,
    pub(crate) max: f32,
}

impl Series {
    /// Puts the value of a second, counted from any start. Seconds that were left out are NaN; one that is over is not
    /// written again.
    pub(crate) fn put(&mut self, second: u64, value: f32) {
        if self.values.is_empty() {
            self.next = second;
        }
        let Some(missed) = second.checked_sub(self.next) else { return };
        for _ in 0..missed.min(SECONDS as u64) {
            self.push(f32::NAN);
        }
        self.push(value);
        self.next = second + 1;
    }

    fn push(&mut self, value: f32) {
        if self.values.len() == SECONDS {
            self.values.pop_front();
        }
        self.values.push_back(value);
    }

    /// The last second's value; none if nothing was measured.
    pub(crate) fn last(&self) -> Option<f32> {
        self.values.back().copied().filter(|value| !value.is_nan())
    }

    /// The last `seconds`, the oldest first, NaN where nothing was measured.
    pub(crate) fn recent(&self, seconds: usize) -> impl Iterator<Item = f32> {
        self.values.range(self.values.len().saturating_sub(seconds)..).copied()
    }

    /// What the last `seconds` were like; none if nothing was measured.
    pub(crate) fn summary(&self, seconds: usize) -> Option<Summary> {
        let mut values: Vec<f32> = self.recent(seconds).filter(|value| !value.is_nan()).collect();
        values.sort_unstable_by(f32::total_cmp);
        let (min, max) = (*values.first()?, *values.last()?);
        let mean = values.iter().map(|value| f64::from(*value)).sum::<f64>() / values.len() as f64;
        let part = |part: f64| values[((values.len() as f64 * part).ceil() as usize).max(1) - 1];
        Some(Summary { min, mean: mean as f32, p50: part(0.5), p95: part(0.95), p99: part(0.99), max })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        /// A series is the list of all seconds, of which the last hour is left.
        #[test]
        fn a_series_is_the_end_of_a_list(steps in prop::collection::vec((0..40_u64, 0..9_u8), 0..300)) {
            let mut series = Series::default();
            let mut list: Vec<f32> = Vec::new();
            let mut second = 1_000;
            for (step, value) in steps {
                second += step;
                series.put(second, value.into());
                if step > 0 || list.is_empty() {
                    let missed = if list.is_empty() { 0 } else { step as usize - 1 };
                    list.extend(std::iter::repeat_n(f32::NAN, missed));
                    list.push(value.into());
                }
            }
            let left = &list[list.len().saturating_sub(SECONDS)..];
            let same = |one: f32, other: f32| one == other || (one.is_nan() && other.is_nan());
            prop_assert_eq!(series.recent(usize::MAX).count(), left.len());
            prop_assert!(series.recent(usize::MAX).zip(left).all(|(one, other)| same(one, *other)));
            prop_assert_eq!(series.recent(10).count(), left.len().min(10));
        }
    }

    #[test]
    fn an_hour_is_kept_and_a_gap_is_no_value() {
        let mut series = Series::default();
        (0..5_000).for_each(|second| series.put(second, second as f32));
        assert_eq!(
            (series.recent(usize::MAX).count(), series.recent(usize::MAX).next()),
            (SECONDS, Some(1_400.0))
        );
        series.put(1_000_000, 7.0);
        assert_eq!(series.recent(usize::MAX).count(), SECONDS);
        assert_eq!(series.recent(SECONDS).filter(|value| !value.is_nan()).collect::<Vec<_>>(), [7.0]);
        series.put(1_000_001, f32::NAN);
        assert_eq!(series.last(), None);
    }

    #[test]
    fn percentiles_are_values_that_were_there() {
        let mut series = Series::default();
        assert_eq!(series.summary(60), None);
        (0..100_u8).rev().for_each(|value| series.put(100 - u64::from(value), f32::from(value) + 1.0));
        let summary = series.summary(100).expect("values");
        assert_eq!(
            (summary.min, summary.p50, summary.p95, summary.p99, summary.max),
            (1.0, 50.0, 95.0, 99.0, 100.0)
        );
        assert_eq!(summary.mean, 50.5);
        assert_eq!(series.summary(2).expect("two").max, 2.0);
    }
}
