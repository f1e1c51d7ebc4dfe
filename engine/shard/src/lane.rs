//! Priorities: each is a lane of a client's stream, and each lane a stream with numbers of its own. So order is
//! strict within a lane, and no urgent message can make a cumulative acknowledgement swallow a low one.

use serde::Deserialize;

/// A lane of a client's stream, the most urgent first. Topics have the normal one only.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Lane {
    /// Before everything else.
    Urgent,
    /// Before what is usual.
    High,
    /// What no priority was named for.
    #[default]
    Normal,
    /// After everything else, but not for ever: see [`Round`].
    Low,
}

impl Lane {
    /// All lanes, the most urgent first.
    pub const ALL: [Lane; 4] = [Lane::Urgent, Lane::High, Lane::Normal, Lane::Low];

    /// The name on the wire.
    pub const fn name(self) -> &'static str {
        match self {
            Lane::Urgent => "urgent",
            Lane::High => "high",
            Lane::Normal => "normal",
            Lane::Low => "low",
        }
    }

    /// What stands before a number of this lane in ids and cursors.
    pub const fn letter(self) -> &'static str {
        match self {
            Lane::Urgent => "u",
            Lane::High => "h",
            Lane::Normal => "",
            Lane::Low => "l",
        }
    }

    /// Messages of this lane that may go in one round while other lanes wait.
    pub const fn weight(self) -> u8 {
        match self {
            Lane::Urgent => 8,
            Lane::High => 4,
            Lane::Normal => 2,
            Lane::Low => 1,
        }
    }

    /// The lane whose letter stands at the beginning of `text`, and the rest.
    pub(crate) fn split(text: &[u8]) -> (Lane, &[u8]) {
        match text {
            [b'u', rest @ ..] => (Lane::Urgent, rest),
            [b'h', rest @ ..] => (Lane::High, rest),
            [b'l', rest @ ..] => (Lane::Low, rest),
            _ => (Lane::Normal, text),
        }
    }

    /// Its place among those that are made on first use.
    const fn beside(self) -> Option<usize> {
        match self {
            Lane::Normal => None,
            Lane::Urgent => Some(0),
            Lane::High => Some(1),
            Lane::Low => Some(2),
        }
    }
}

/// One value for each lane: that of the normal lane in place, the others made when the first of them is used,
/// because most clients never get anything but normal messages.
#[derive(Clone, Debug, Default)]
pub(crate) struct Lanes<T> {
    normal: T,
    others: Option<Box<[T; 3]>>,
}

impl<T> Lanes<T> {
    /// Only the normal lane.
    pub(crate) const fn new(normal: T) -> Lanes<T> {
        Lanes { normal, others: None }
    }

    /// The lane's value; `None` if no lane but the normal one was ever used.
    pub(crate) fn get(&self, lane: Lane) -> Option<&T> {
        match lane.beside() {
            None => Some(&self.normal),
            Some(at) => self.others.as_ref().map(|others| &others[at]),
        }
    }

    /// The lane's value; `None` if no lane but the normal one was ever used.
    pub(crate) fn get_mut(&mut self, lane: Lane) -> Option<&mut T> {
        match lane.beside() {
            None => Some(&mut self.normal),
            Some(at) => self.others.as_mut().map(|others| &mut others[at]),
        }
    }

    /// The lane's value; `make` makes those of all lanes that were never used.
    pub(crate) fn open(&mut self, lane: Lane, make: impl FnMut(usize) -> T) -> &mut T {
        match lane.beside() {
            None => &mut self.normal,
            Some(at) => &mut self.others.get_or_insert_with(|| Box::new(std::array::from_fn(make)))[at],
        }
    }

    /// The lanes in use with their values, the most urgent first.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (Lane, &T)> {
        Lane::ALL.into_iter().filter_map(|lane| Some((lane, self.get(lane)?)))
    }

    /// The values of the lanes in use, in no order that matters.
    pub(crate) fn values_mut(&mut self) -> impl Iterator<Item = &mut T> {
        std::iter::once(&mut self.normal).chain(self.others.iter_mut().flat_map(|others| others.iter_mut()))
    }

    /// Whether only the normal lane was ever used.
    pub(crate) fn is_plain(&self) -> bool {
        self.others.is_none()
    }
}

/// Whose turn it is on one connection: the most urgent lane that has something and credit left. When none of
/// those that have something has credit, all get their weight again. So whoever waits is passed by at most
/// 28 messages of other lanes.
#[derive(Clone, Debug)]
pub(crate) struct Round {
    credit: [u8; 4],
}

impl Default for Round {
    fn default() -> Round {
        Round { credit: Lane::ALL.map(Lane::weight) }
    }
}

impl Round {
    /// The lane whose turn it is among those that have something.
    pub(crate) fn next(&mut self, has: impl Fn(Lane) -> bool) -> Option<Lane> {
        let may_go =
            |credit: &[u8; 4]| Lane::ALL.into_iter().find(|lane| credit[*lane as usize] > 0 && has(*lane));
        may_go(&self.credit).or_else(|| {
            *self = Round::default();
            may_go(&self.credit)
        })
    }

    /// One message of the lane whose turn it was has gone.
    pub(crate) fn served(&mut self, lane: Lane) {
        let credit = &mut self.credit[lane as usize];
        *credit = credit.saturating_sub(1);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        /// Lanes have something and have not, as they like: nobody who waits is passed by more often than said.
        #[test]
        fn who_waits_is_served(steps in prop::collection::vec(any::<[bool; 4]>(), 1..400), lane in 0_usize..4) {
            let mut round = Round::default();
            let mut passed = 0;
            for mut has in steps {
                has[lane] = true;
                let next = round.next(|lane| has[lane as usize]).expect("one has something");
                round.served(next);
                prop_assert!(has[next as usize]);
                passed = if next as usize == lane { 0 } else { passed + 1 };
                prop_assert!(passed <= 28);
            }
        }
    }

    #[test]
    fn the_urgent_go_first() {
        let mut round = Round::default();
        let order: Vec<Lane> =
            (0..15).filter_map(|_| round.next(|_| true).inspect(|lane| round.served(*lane))).collect();
        let expected = Lane::ALL.into_iter().flat_map(|lane| vec![lane; lane.weight().into()]);
        assert_eq!(order, expected.collect::<Vec<_>>());
        assert_eq!(round.next(|_| false), None);
        assert_eq!(round.next(|lane| lane == Lane::Low), Some(Lane::Low));
    }

    #[test]
    fn other_lanes_are_made_on_first_use() {
        let mut lanes = Lanes::new(1);
        assert!(lanes.is_plain() && lanes.get(Lane::Low).is_none());
        assert_eq!(*lanes.open(Lane::Normal, |_| 2), 1);
        *lanes.open(Lane::High, |_| 2) = 7;
        let all: Vec<_> = lanes.iter().map(|(lane, value)| (lane, *value)).collect();
        assert_eq!(all, [(Lane::Urgent, 2), (Lane::High, 7), (Lane::Normal, 1), (Lane::Low, 2)]);
    }
}
