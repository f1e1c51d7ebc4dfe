//! Levels with hysteresis. A load that reaches a level's mark takes the ladder there at once; it goes back one level
//! at a time, each after the load has stayed below the level's lower mark for a while. So a load near a mark does
//! not swing.

use std::time::Duration;

use weir_ring::time::Instant;

use crate::limits::Thresholds;

/// How long the load must stay low before the ladder goes back one level.
pub(crate) const DWELL: Duration = Duration::from_secs(1);

/// The highest level.
pub(crate) const LEVEL_MAX: u8 = 3;

/// A level from 0, at which nothing is restricted, to 3. Loads are shares: 1 is as much as there may be.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Ladder {
    level: u8,
    /// Since when the load is below the level's lower mark.
    low_since: Option<Instant>,
}

impl Ladder {
    pub(crate) fn level(&self) -> u8 {
        self.level
    }

    /// When it goes back a level if the load stays as low as it is; none: it does not, as things stand.
    pub(crate) fn due(&self) -> Option<Instant> {
        self.low_since.map(|since| since.plus(DWELL))
    }

    /// Takes note of the load at `now`.
    pub(crate) fn judge(&mut self, load: f64, thresholds: &Thresholds, now: Instant) {
        let reached = (1..=LEVEL_MAX).rev().find(|level| load >= thresholds.up(*level)).unwrap_or(0);
        if reached > self.level {
            *self = Ladder { level: reached, low_since: None };
        }
        while self.level > 0 {
            if load >= thresholds.down(self.level) {
                self.low_since = None;
                return;
            }
            let over = self.low_since.get_or_insert(now).plus(DWELL);
            if now < over {
                return;
            }
            *self = Ladder { level: self.level - 1, low_since: Some(over) };
        }
        self.low_since = None;
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const THRESHOLDS: Thresholds = Thresholds { soft: 0.8, hard: 1.0, resume: 0.7 };
    const SECOND: u64 = 1_000_000_000;

    /// Loads, each with the milliseconds since the one before.
    fn loads() -> impl Strategy<Value = Vec<(f64, u64)>> {
        prop::collection::vec((0.0..1.3_f64, 0_u64..1_500), 1..200)
    }

    proptest! {
        /// The level is never below what the load asks for, rises only to what it asks for, and falls only where it
        /// was below the lower mark.
        #[test]
        fn it_rises_with_the_load_and_falls_only_below_the_lower_mark(loads in loads()) {
            let (mut ladder, mut now) = (Ladder::default(), 0);
            for (load, millis) in loads {
                now += millis * 1_000_000;
                let before = ladder.level();
                ladder.judge(load, &THRESHOLDS, Instant(now));
                let (after, asked) = (ladder.level(), (1..=3).filter(|level| load >= THRESHOLDS.up(*level)).count() as u8);
                prop_assert!(after >= asked);
                prop_assert!(after <= before || after == asked);
                for left in after + 1..=before {
                    prop_assert!(load < THRESHOLDS.down(left));
                }
            }
        }

        /// Wherever it is, a load that stays low takes it back to 0, and no later than it says.
        #[test]
        fn it_always_comes_back(loads in loads(), low in 0.0..0.69_f64) {
            let (mut ladder, mut now) = (Ladder::default(), 0);
            for (load, millis) in loads {
                now += millis * 1_000_000;
                ladder.judge(load, &THRESHOLDS, Instant(now));
            }
            ladder.judge(low, &THRESHOLDS, Instant(now));
            let mut steps = 0;
            while let Some(due) = ladder.due() {
                ladder.judge(low, &THRESHOLDS, due);
                steps += 1;
                prop_assert!(steps <= 3 && due.0 <= now + 3 * SECOND);
            }
            prop_assert_eq!(ladder.level(), 0);
        }
    }

    #[test]
    fn a_load_between_the_marks_of_a_level_changes_nothing() {
        let mut ladder = Ladder::default();
        for second in 0..10 {
            ladder.judge(0.75, &THRESHOLDS, Instant(second * SECOND));
            assert_eq!(ladder.level(), 0);
        }
        for second in 10..100 {
            ladder.judge(if second % 2 == 0 { 0.81 } else { 0.71 }, &THRESHOLDS, Instant(second * SECOND));
            assert_eq!((ladder.level(), ladder.due()), (1, None));
        }
    }

    #[test]
    fn a_long_silence_counts_for_every_level_it_could_have_left() {
        let mut ladder = Ladder::default();
        ladder.judge(1.0, &THRESHOLDS, Instant(0));
        assert_eq!(ladder.level(), 3);
        ladder.judge(0.0, &THRESHOLDS, Instant(SECOND));
        assert_eq!((ladder.level(), ladder.due()), (3, Some(Instant(2 * SECOND))));
        ladder.judge(0.0, &THRESHOLDS, Instant(3 * SECOND));
        assert_eq!(ladder.level(), 1);
        ladder.judge(0.0, &THRESHOLDS, Instant(9 * SECOND));
        assert_eq!((ladder.level(), ladder.due()), (0, None));
    }
}
