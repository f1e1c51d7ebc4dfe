//! Where a metric is going: the straight line that fits its last minutes best, by least squares.

/// Seconds that the line is fitted to.
pub(super) const WINDOW: usize = 300;

/// Fewer values say nothing.
const VALUES_MIN: usize = 30;

/// A straight line through values.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Trend {
    /// What it rises in a second.
    pub(super) slope: f64,
    /// Where it is at the last value.
    pub(super) level: f64,
    /// How much of the values' variance it explains, 0 to 1; 1 for values that do not vary.
    pub(super) fit: f64,
}

impl Trend {
    /// The line through `values`, one a second, the last at the end; NaN is none. None: there are too few.
    pub(super) fn of(values: impl Iterator<Item = f32>) -> Option<Trend> {
        let points: Vec<(f64, f64)> =
            (0_u32..).zip(values).filter(|(_, y)| !y.is_nan()).map(|(x, y)| (x.into(), y.into())).collect();
        if points.len() < VALUES_MIN {
            return None;
        }
        let n = points.len() as f64;
        let (sum_x, sum_y) = points.iter().fold((0.0, 0.0), |(xs, ys), (x, y)| (xs + x, ys + y));
        let (mean_x, mean_y) = (sum_x / n, sum_y / n);
        let (mut xx, mut xy, mut yy) = (0.0, 0.0, 0.0);
        for (x, y) in &points {
            let (dx, dy) = (x - mean_x, y - mean_y);
            (xx, xy, yy) = (xx + dx * dx, xy + dx * dy, yy + dy * dy);
        }
        let slope = xy / xx;
        let last = points.last().map_or(0.0, |(x, _)| *x);
        let fit = if yy > 0.0 { (xy * xy / (xx * yy)).clamp(0.0, 1.0) } else { 1.0 };
        Some(Trend { slope, level: mean_y + slope * (last - mean_x), fit })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        /// A straight line is found, wherever values are missing.
        #[test]
        fn a_line_is_found(
            slope in -100.0..100.0_f64, start in -1_000.0..1_000.0_f64,
            missing in prop::collection::vec(prop::bool::weighted(0.3), 100..300),
        ) {
            let line = |x: usize| (start + slope * x as f64) as f32;
            let values = missing.iter().enumerate().map(|(x, gone)| if *gone { f32::NAN } else { line(x) });
            let last = missing.iter().rposition(|gone| !gone).expect("some are there");
            let trend = Trend::of(values).expect("enough");
            prop_assert!((trend.slope - slope).abs() < 0.01, "{trend:?}");
            prop_assert!((trend.level - f64::from(line(last))).abs() < 0.1, "{trend:?}");
            prop_assert!(slope.abs() < 0.01 || trend.fit > 0.999, "{trend:?}");
        }

        /// No other line is nearer to the values.
        #[test]
        fn the_line_is_the_nearest(
            values in prop::collection::vec(0.0..100.0_f32, 30..100),
            tilt in -0.5..0.5_f64, shift in -5.0..5.0_f64,
        ) {
            let trend = Trend::of(values.iter().copied()).expect("enough");
            let last = (values.len() - 1) as f64;
            let error = |slope: f64, level: f64| -> f64 {
                let at = |x: usize| level + slope * (x as f64 - last);
                values.iter().enumerate().map(|(x, y)| (f64::from(*y) - at(x)).powi(2)).sum()
            };
            let (best, other) =
                (error(trend.slope, trend.level), error(trend.slope + tilt, trend.level + shift));
            prop_assert!(best <= other * (1.0 + 1e-9) + 1e-6, "{best} {other}");
            prop_assert!((0.0..=1.0).contains(&trend.fit));
        }
    }

    #[test]
    fn few_values_have_no_trend_and_equal_ones_a_level() {
        assert_eq!(Trend::of(std::iter::repeat_n(1.0, VALUES_MIN - 1)), None);
        assert_eq!(Trend::of(std::iter::repeat_n(f32::NAN, 300)), None);
        let flat = Trend::of(std::iter::repeat_n(7.0, VALUES_MIN)).expect("enough");
        assert_eq!(flat, Trend { slope: 0.0, level: 7.0, fit: 1.0 });
    }
}
