//! When something runs out: where the trend meets the limit, if there is a trend to speak of.

use std::time::Duration;

use super::trend::Trend;

/// A line that explains less of the values' variance is no forecast.
const FIT_MIN: f64 = 0.8;

/// What is further away than this is not foreseen: an hour of values says nothing of next week.
const HORIZON: Duration = Duration::from_secs(24 * 3_600);

/// How long it takes until `trend` meets `limit`. None: it does not, or not soon, or it is none to trust.
pub(super) fn reaches(trend: Trend, limit: f64) -> Option<Duration> {
    let left = limit - trend.level;
    let trusted = trend.slope > 0.0 && trend.fit >= FIT_MIN && left > 0.0;
    let seconds = left / trend.slope;
    (trusted && seconds <= HORIZON.as_secs_f64()).then(|| Duration::from_secs_f64(seconds))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        /// What grows steadily reaches the limit when it was said to, noise or not; what does not grow never does.
        #[test]
        fn steady_growth_meets_its_limit(
            slope in 0.01..10.0_f32, start in 0.0..100.0_f32,
            noise in prop::collection::vec(-1.0..1.0_f32, 300),
            left in 1.0..3_600.0_f64,
        ) {
            // Little beside what 300 s of growth make.
            let value = |(x, noise): (usize, &f32)| start + slope * (x as f32 + 10.0 * noise);
            let trend = Trend::of(noise.iter().enumerate().map(value)).expect("enough");
            let limit = trend.level + left * f64::from(slope);
            let foreseen = reaches(trend, limit).expect("it grows").as_secs_f64();
            prop_assert!((foreseen - left).abs() <= 1.0 + left * 0.1, "{foreseen} {left}");
            let falls = Trend { slope: -trend.slope, ..trend };
            prop_assert_eq!(reaches(falls, limit), None);
            prop_assert_eq!(reaches(trend, trend.level - 1.0), None, "it is there already");
        }
    }

    #[test]
    fn noise_and_next_week_are_not_foreseen() {
        let steady = Trend { slope: 1.0, level: 0.0, fit: 1.0 };
        assert_eq!(reaches(steady, 840.0), Some(Duration::from_secs(840)));
        assert_eq!(reaches(Trend { fit: 0.7, ..steady }, 840.0), None);
        assert_eq!(reaches(Trend { slope: 0.0, ..steady }, 840.0), None);
        assert_eq!(reaches(steady, 1e6), None);
        assert_eq!(reaches(Trend { slope: 1e-300, ..steady }, 1e300), None);
    }
}
