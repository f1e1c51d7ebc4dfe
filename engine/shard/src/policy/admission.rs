//! Who may still come in while there is less and less room.

use weir_ring::time::Instant;

use super::Held;
use super::ladder::Ladder;
use crate::limits::Thresholds;

/// Whom a shard takes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Admission {
    /// Everybody.
    #[default]
    Open,
    /// Those who come back, and newcomers by their class.
    Soft,
    /// Nobody.
    Hard,
}

/// What a newcomer is. The lowest are refused first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Class {
    /// One who proves nothing, where others do.
    Low,
    /// Anybody.
    Standard,
    /// One whose role has priority, or who was here a short while ago.
    Priority,
}

impl Admission {
    /// The name in the API.
    pub const fn name(self) -> &'static str {
        match self {
            Admission::Open => "open",
            Admission::Soft => "soft",
            Admission::Hard => "hard",
        }
    }

    /// What is called so.
    pub fn named(name: &str) -> Option<Admission> {
        [Admission::Open, Admission::Soft, Admission::Hard].into_iter().find(|it| it.name() == name)
    }
}

/// One shard's door.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Door {
    ladder: Ladder,
    held: Held<Admission>,
    state: Admission,
}

impl Door {
    pub(crate) fn state(&self) -> Admission {
        self.state
    }

    /// Holds the door so until then, whatever the load; `None`: the load decides again.
    pub(crate) fn hold(&mut self, to: Option<(Admission, Instant)>) {
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

    /// Takes note of the load at `now`; says what the door was before if it is another thing now.
    pub(crate) fn judge(&mut self, load: f64, thresholds: &Thresholds, now: Instant) -> Option<Admission> {
        self.ladder.judge(load, thresholds, now);
        let own = match self.ladder.level() {
            0 => Admission::Open,
            1 | 2 => Admission::Soft,
            _ => Admission::Hard,
        };
        let was = std::mem::replace(&mut self.state, self.held.get(now).unwrap_or(own));
        (was != self.state).then_some(was)
    }

    /// Whether a newcomer may come in.
    pub(crate) fn admits(&self, class: Class) -> bool {
        match self.state {
            Admission::Open => true,
            // Held there by hand with no load at all it keeps the lowest out.
            Admission::Soft if self.ladder.level() <= 1 => class > Class::Low,
            Admission::Soft => class > Class::Standard,
            Admission::Hard => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const THRESHOLDS: Thresholds = Thresholds { soft: 0.8, hard: 1.0, resume: 0.7 };
    const CLASSES: [Class; 3] = [Class::Low, Class::Standard, Class::Priority];

    proptest! {
        /// Nobody is refused while somebody of a lower class is let in, nobody at all while the door is open, and
        /// everybody at a full load.
        #[test]
        fn the_lowest_are_refused_first(loads in prop::collection::vec((0.0..1.3_f64, 0_u64..3_000), 1..100)) {
            let (mut door, mut now) = (Door::default(), 0);
            for (load, millis) in loads {
                now += millis * 1_000_000;
                door.judge(load, &THRESHOLDS, Instant(now));
                let admitted = CLASSES.map(|class| door.admits(class));
                prop_assert!(admitted.is_sorted());
                prop_assert_eq!(admitted.iter().all(|it| *it), door.state() == Admission::Open);
                if load >= 1.0 {
                    prop_assert!(!door.admits(Class::Priority));
                }
            }
        }
    }

    #[test]
    fn it_closes_by_class_and_opens_again() {
        let mut door = Door::default();
        assert_eq!(door.judge(0.8, &THRESHOLDS, Instant(0)), Some(Admission::Open));
        assert_eq!(CLASSES.map(|class| door.admits(class)), [false, true, true]);
        assert_eq!(door.judge(0.9, &THRESHOLDS, Instant(0)), None);
        assert_eq!(CLASSES.map(|class| door.admits(class)), [false, false, true]);
        assert_eq!(door.judge(1.0, &THRESHOLDS, Instant(0)), Some(Admission::Soft));
        assert_eq!(CLASSES.map(|class| door.admits(class)), [false; 3]);
        door.judge(0.1, &THRESHOLDS, Instant(0));
        while let Some(due) = door.due(Instant(0)) {
            door.judge(0.1, &THRESHOLDS, due);
        }
        assert_eq!(door.state(), Admission::Open);
    }

    #[test]
    fn what_is_held_ends_by_itself() {
        let mut door = Door::default();
        door.hold(Some((Admission::Hard, Instant(100))));
        assert_eq!(door.judge(0.0, &THRESHOLDS, Instant(0)), Some(Admission::Open));
        assert!(!door.admits(Class::Priority) && door.due(Instant(0)) == Some(Instant(100)));
        assert_eq!(door.judge(0.0, &THRESHOLDS, Instant(100)), Some(Admission::Hard));
        assert!(door.admits(Class::Low));
        door.hold(Some((Admission::Open, Instant(300))));
        assert_eq!(door.judge(2.0, &THRESHOLDS, Instant(200)), None, "open, however full");
        door.hold(None);
        assert_eq!(door.judge(2.0, &THRESHOLDS, Instant(200)), Some(Admission::Open));
    }
}
