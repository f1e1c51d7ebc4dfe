//! What is odd: values far from what the last ten minutes were like, for three seconds.
//!
//! The distance is the robust z-score, from the median in units of the median absolute deviation: a few outliers
//! move neither, and nothing is assumed of the values' shape. Seasons are not known here; a day's rise takes hours,
//! and the median goes with it. A new level is odd until it makes up half of the ten minutes.

/// Seconds that say what is usual.
pub(super) const WINDOW: usize = 600;

/// With fewer values nothing is odd.
const VALUES_MIN: usize = 120;

/// So many deviations are odd.
const ODD: f32 = 6.0;

/// So few are usual again.
const USUAL: f32 = 3.0;

/// Seconds in a row on the same side that make an anomaly.
const SECONDS_UP: u32 = 3;

/// Usual seconds in a row that end it.
const SECONDS_DOWN: u32 = 10;

/// A median absolute deviation as a standard deviation, if the values are normal.
const SIGMA: f32 = 1.4826;

/// Deviations below this part of the median are nobody's business.
const PART: f32 = 0.05;

/// How far a value is from what is usual.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Oddity {
    /// In deviations; below the usual it is negative.
    pub(super) score: f32,
    /// What is usual.
    pub(super) median: f32,
}

/// What has changed.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum News {
    Begins(Oddity),
    Ends,
}

/// Watches one metric.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Detector {
    odd: bool,
    /// Seconds in a row that speak for a change, and on which side they are.
    seconds: u32,
    above: bool,
}

/// How odd `value` is after `past`, where smaller deviations than `floor` are taken for that. Changes the order of
/// `past`, which has no NaN. None: too little is known.
pub(super) fn judge(past: &mut [f32], value: f32, floor: f32) -> Option<Oddity> {
    if past.len() < VALUES_MIN {
        return None;
    }
    let median = median(past);
    past.iter_mut().for_each(|value| *value = (*value - median).abs());
    let deviation = (SIGMA * self::median(past)).max(PART * median.abs()).max(floor);
    Some(Oddity { score: (value - median) / deviation, median })
}

/// The middle value; of an even number the upper one.
fn median(values: &mut [f32]) -> f32 {
    let middle = values.len() / 2;
    *values.select_nth_unstable_by(middle, f32::total_cmp).1
}

impl Detector {
    /// Looks at one more second.
    pub(super) fn look(&mut self, oddity: Oddity) -> Option<News> {
        if self.odd {
            self.seconds = if oddity.score.abs() < USUAL { self.seconds + 1 } else { 0 };
            let ends = self.seconds >= SECONDS_DOWN;
            if ends {
                *self = Detector::default();
            }
            return ends.then_some(News::Ends);
        }
        let (far, above) = (oddity.score.abs() >= ODD, oddity.score > 0.0);
        self.seconds = match (far, above == self.above) {
            (true, true) => self.seconds + 1,
            (true, false) => 1,
            (false, _) => 0,
        };
        self.above = above;
        if self.seconds < SECONDS_UP {
            return None;
        }
        *self = Detector { odd: true, seconds: 0, above };
        Some(News::Begins(oddity))
    }

    pub(super) const fn is_odd(&self) -> bool {
        self.odd
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Numbers that look random, the same each time (splitmix64).
    struct Mixed(u64);

    impl Mixed {
        /// Above 0, up to 1.
        fn part(&mut self) -> f32 {
            self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
            let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
            let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
            (((mixed ^ (mixed >> 31)) >> 40) as f32 + 1.0) / (1_u32 << 24) as f32
        }

        /// Normal, by Box and Muller.
        fn normal(&mut self) -> f32 {
            let (one, other) = (self.part(), self.part());
            (-2.0 * one.ln()).sqrt() * (std::f32::consts::TAU * other).cos()
        }
    }

    proptest! {
        /// Whatever the values, fewer than half of them, however wild, do not change what is usual beyond the others'
        /// range; and a value within that range is never odd.
        #[test]
        fn outliers_do_not_count(
            usual in prop::collection::vec(90.0..110.0_f32, 150),
            wild in prop::collection::vec(-1e9..1e9_f32, 0..149),
            value in 90.0..110.0_f32,
        ) {
            let mut past: Vec<f32> = usual.iter().chain(&wild).copied().collect();
            let oddity = judge(&mut past, value, 0.0).expect("enough");
            prop_assert!((90.0..=110.0).contains(&oddity.median));
            prop_assert!(oddity.score.abs() < ODD, "{oddity:?}");
        }

        /// The score knows no units: it is the same for all values times ten.
        #[test]
        fn units_do_not_count(past in prop::collection::vec(0.0..100.0_f32, 150), value in 0.0..200.0_f32) {
            let ten = |value: f32| value * 10.0;
            let one = judge(&mut past.clone(), value, 1.0).expect("enough").score;
            let other = judge(&mut past.iter().copied().map(ten).collect::<Vec<_>>(), ten(value), 10.0);
            let other = other.expect("enough").score;
            prop_assert!((one - other).abs() <= 0.01 * one.abs().max(1.0), "{one} {other}");
        }

        /// A detector tells of beginnings and ends in turns, and never of a single second.
        #[test]
        fn beginnings_and_ends_take_turns(scores in prop::collection::vec(-12.0..12.0_f32, 0..500)) {
            let mut detector = Detector::default();
            let mut odd = false;
            for (at, score) in scores.iter().enumerate() {
                match detector.look(Oddity { score: *score, median: 0.0 }) {
                    Some(News::Begins(oddity)) => {
                        prop_assert!(!odd && at >= 2);
                        let side = |score: &f32| score.abs() >= ODD && (*score > 0.0) == (oddity.score > 0.0);
                        prop_assert!(scores[at - 2..=at].iter().all(side));
                        odd = true;
                    }
                    Some(News::Ends) => {
                        prop_assert!(odd && scores[at - 9..=at].iter().all(|score| score.abs() < USUAL));
                        odd = false;
                    }
                    None => {}
                }
                prop_assert_eq!(detector.is_odd(), odd);
            }
        }
    }

    #[test]
    fn a_step_is_odd_within_three_seconds_and_usual_after_five_minutes() {
        let mut past: Vec<f32> = (0..600_u16).map(|second| f32::from(100 + second % 7)).collect();
        let mut detector = Detector::default();
        let mut began = None;
        let mut ended = None;
        for second in 0..600 {
            let recent = &past[past.len() - WINDOW..];
            let oddity = judge(&mut recent.to_vec(), 150.0, 1.0).expect("enough");
            match detector.look(oddity) {
                Some(News::Begins(_)) => began = Some(second),
                Some(News::Ends) => ended = Some(second),
                None => {}
            }
            past.push(150.0);
        }
        assert_eq!(began, Some(2));
        assert!(ended.is_some_and(|second| (295..320).contains(&second)), "{ended:?}");
    }

    /// Anomalies in an hour of values that know nothing of each other, and are never really odd.
    fn false_alarms_an_hour(hours: usize, value: impl Fn(&mut Mixed) -> f32) -> f64 {
        let mut random = Mixed(7);
        let mut detector = Detector::default();
        let mut values: Vec<f32> = Vec::new();
        let mut alarms = 0;
        for _ in 0..hours * 3_600 {
            let value = value(&mut random);
            let mut past = values[values.len().saturating_sub(WINDOW)..].to_vec();
            let news = judge(&mut past, value, 0.0).and_then(|oddity| detector.look(oddity));
            alarms += u32::from(matches!(news, Some(News::Begins(_))));
            values.push(value);
        }
        f64::from(alarms) / hours as f64
    }

    #[test]
    fn false_alarms_of_noise_are_as_rare_as_is_said() {
        let normal = false_alarms_an_hour(20, |random| 100.0 + 10.0 * random.normal());
        let tailed = false_alarms_an_hour(20, |random| random.normal().exp());
        println!("normal {normal} an hour, log-normal {tailed} an hour");
        assert!(normal == 0.0 && tailed <= 0.5, "{normal} {tailed}");
    }

    #[test]
    fn little_is_not_odd() {
        let mut past = [0.0; VALUES_MIN];
        assert_eq!(judge(&mut past[1..], 100.0, 1.0), None, "too little is known");
        assert_eq!(judge(&mut past, 3.0, 1.0), Some(Oddity { score: 3.0, median: 0.0 }), "below the floor");
        let mut past = [1_000.0; VALUES_MIN];
        assert_eq!(judge(&mut past, 1_100.0, 1.0).map(|oddity| oddity.score), Some(2.0), "a tenth more");
    }
}
