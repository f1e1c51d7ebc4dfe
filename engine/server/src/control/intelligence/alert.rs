//! Alerts: raised when a value has been at its threshold, cleared when it has been well below for a while. In between
//! it may come and go as often as it likes.

/// Seconds in a row that a value must be at the threshold.
const SECONDS_UP: u32 = 2;

/// Seconds in a row that it must be well below.
const SECONDS_DOWN: u32 = 10;

/// A threshold, and how the value stands to it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Alert {
    /// Raised from here on.
    threshold: f32,
    /// Cleared below this.
    clear: f32,
    raised: bool,
    /// Seconds in a row that speak for a change.
    seconds: u32,
}

/// What has changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum News {
    Raised,
    Cleared,
}

impl Alert {
    /// An alert at `threshold` that is cleared below `clear`, which is not more.
    pub(super) const fn new(threshold: f32, clear: f32) -> Alert {
        Alert { threshold, clear, raised: false, seconds: 0 }
    }

    /// Goes on where `other` is.
    pub(super) fn follow(&mut self, other: &Alert) {
        self.raised = other.raised;
    }

    pub(super) const fn threshold(&self) -> f32 {
        self.threshold
    }

    /// Looks at the value of one more second. One that could not be measured changes nothing.
    pub(super) fn look(&mut self, value: Option<f32>) -> Option<News> {
        let value = value?;
        let (speaks, needed, news) = match self.raised {
            false => (value >= self.threshold, SECONDS_UP, News::Raised),
            true => (value < self.clear, SECONDS_DOWN, News::Cleared),
        };
        self.seconds = if speaks { self.seconds + 1 } else { 0 };
        if self.seconds < needed {
            return None;
        }
        (self.raised, self.seconds) = (!self.raised, 0);
        Some(news)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        /// Raised only at the threshold, cleared only below the lower one, in turns, and never for a single second.
        #[test]
        fn it_comes_and_goes_with_reason(values in prop::collection::vec(70.0..90.0_f32, 0..400)) {
            let mut alert = Alert::new(80.0, 75.0);
            let mut raised = false;
            for (at, value) in values.iter().enumerate() {
                let before = |seconds: u32| &values[(at + 1).saturating_sub(seconds as usize)..=at];
                match alert.look(Some(*value)) {
                    Some(News::Raised) => {
                        prop_assert!(!raised && at >= 1);
                        prop_assert!(before(SECONDS_UP).iter().all(|value| *value >= 80.0));
                        raised = true;
                    }
                    Some(News::Cleared) => {
                        prop_assert!(raised);
                        prop_assert!(before(SECONDS_DOWN).iter().all(|value| *value < 75.0));
                        raised = false;
                    }
                    None if raised => {
                        let below = before(SECONDS_DOWN).iter().all(|value| *value < 75.0);
                        prop_assert!(!below || before(SECONDS_DOWN).len() < SECONDS_DOWN as usize);
                    }
                    None => {
                        let above = before(SECONDS_UP).iter().all(|value| *value >= 80.0);
                        prop_assert!(!above || before(SECONDS_UP).len() < SECONDS_UP as usize);
                    }
                }
            }
        }
    }

    #[test]
    fn a_value_at_the_edge_is_told_once() {
        let mut alert = Alert::new(80.0, 75.0);
        let values = (0..1_000).map(|second| if second % 2 == 0 { 80.5 } else { 79.5 });
        assert_eq!(
            values.filter_map(|value| alert.look(Some(value))).count(),
            0,
            "never two seconds in a row"
        );
        assert_eq!([81.0, 82.0].map(|value| alert.look(Some(value))), [None, Some(News::Raised)]);
        let values = (0..1_000).map(|second| if second % 2 == 0 { 70.0 } else { 79.0 });
        assert_eq!(
            values.filter_map(|value| alert.look(Some(value))).count(),
            0,
            "never ten seconds in a row"
        );
        assert_eq!(alert.look(None), None);
        assert_eq!((0..10).filter_map(|_| alert.look(Some(0.0))).collect::<Vec<_>>(), [News::Cleared]);
    }
}
