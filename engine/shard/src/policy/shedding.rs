//! Which publishes a shard refuses under pressure, so that what matters most still goes through in time.

use weir_ring::time::Instant;

use super::Held;
use super::ladder::Ladder;
use crate::lane::Lane;
use crate::limits::Thresholds;

/// One shard's shedding: at level 1 publishes of the lane low are refused, at 2 also normal ones, at 3 also high
/// ones. Urgent ones never are.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Shedding {
    ladder: Ladder,
    held: Held<u8>,
    level: u8,
}

impl Shedding {
    /// From 0, nothing is refused, to 3.
    pub(crate) fn level(&self) -> u8 {
        self.level
    }

    /// Holds the level until then, whatever the pressure; `None`: the pressure decides again.
    pub(crate) fn hold(&mut self, to: Option<(u8, Instant)>) {
        self.held.set(to);
    }

    /// Until when it is held.
    pub(crate) fn held_until(&self, now: Instant) -> Option<Instant> {
        self.held.until(now)
    }

    /// When it is to be looked at again even if nothing happens.
    pub(crate) fn due(&self, now: Instant) -> Option<Instant> {
        self.ladder.due().into_iter().chain(self.held_until(now)).min()
    }

    /// Takes note of the pressure at `now`; true: the level is another.
    pub(crate) fn judge(&mut self, pressure: f64, thresholds: &Thresholds, now: Instant) -> bool {
        self.ladder.judge(pressure, thresholds, now);
        let level = self.held.get(now).unwrap_or(self.ladder.level());
        std::mem::replace(&mut self.level, level) != level
    }

    /// Whether publishes of this lane are refused.
    pub(crate) fn sheds(&self, lane: Lane) -> bool {
        let from = match lane {
            Lane::Urgent => return false,
            Lane::High => 3,
            Lane::Normal => 2,
            Lane::Low => 1,
        };
        self.level >= from
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const THRESHOLDS: Thresholds = Thresholds { soft: 0.8, hard: 1.0, resume: 0.7 };

    proptest! {
        /// Urgent is never refused, and nothing is while something less urgent goes through.
        #[test]
        fn the_least_urgent_goes_first(
            loads in prop::collection::vec((0.0..1.3_f64, 0_u64..3_000, prop::option::of(0_u8..=3)), 1..100),
        ) {
            let (mut shedding, mut now) = (Shedding::default(), 0);
            for (pressure, millis, held) in loads {
                now += millis * 1_000_000;
                shedding.hold(held.map(|level| (level, Instant(now + 1))));
                shedding.judge(pressure, &THRESHOLDS, Instant(now));
                let shed = Lane::ALL.map(|lane| shedding.sheds(lane));
                prop_assert!(!shed[0] && shed.is_sorted());
                prop_assert_eq!(shed.iter().filter(|it| **it).count(), usize::from(shedding.level()));
            }
        }
    }

    #[test]
    fn levels_follow_the_pressure_and_what_is_held_ends() {
        let mut shedding = Shedding::default();
        for (pressure, level) in [(0.79, 0), (0.8, 1), (0.89, 1), (0.9, 2), (1.0, 3)] {
            shedding.judge(pressure, &THRESHOLDS, Instant(0));
            assert_eq!(shedding.level(), level, "{pressure}");
        }
        shedding.hold(Some((0, Instant(10))));
        assert!(shedding.judge(1.0, &THRESHOLDS, Instant(0)) && !shedding.sheds(Lane::Low));
        assert_eq!(
            (shedding.held_until(Instant(0)), shedding.due(Instant(0))),
            (Some(Instant(10)), Some(Instant(10)))
        );
        assert!(shedding.judge(1.0, &THRESHOLDS, Instant(10)) && shedding.sheds(Lane::High));
        assert_eq!(shedding.held_until(Instant(10)), None);
    }
}
