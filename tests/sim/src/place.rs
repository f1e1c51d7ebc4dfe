//! Where messages stand, and how that is written: epochs, lanes, positions, cursors.

use crate::history::History;

/// An epoch's place in [`History`]'s list of names.
pub type Epoch = u32;

/// A priority of a client's own stream; topics have the normal one only.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Lane {
    /// First of all.
    Urgent,
    /// Before what is usual.
    High,
    /// What no priority was named for.
    #[default]
    Normal,
    /// After everything else.
    Low,
}

impl Lane {
    /// All of them, the most urgent first.
    pub const ALL: [Lane; 4] = [Lane::Urgent, Lane::High, Lane::Normal, Lane::Low];

    /// The name on the wire.
    pub const fn name(self) -> &'static str {
        ["urgent", "high", "normal", "low"][self as usize]
    }

    /// The letter before its numbers.
    pub const fn letter(self) -> &'static str {
        ["u", "h", "", "l"][self as usize]
    }

    /// The lane of that name; the normal one has none.
    pub fn named(name: Option<&str>) -> Result<Lane, String> {
        let Some(name) = name else { return Ok(Lane::Normal) };
        let others = Lane::ALL.into_iter().filter(|lane| *lane != Lane::Normal);
        others.into_iter().find(|lane| lane.name() == name).ok_or_else(|| format!("lane {name:?}"))
    }
}

/// Place of a message in a stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Position {
    /// Life of the stream.
    pub epoch: Epoch,
    /// Which of its lanes.
    pub lane: Lane,
    /// From 1.
    pub sequence: u64,
}

impl Position {
    /// The `id` of the message there.
    pub fn written(&self, epoch: &str) -> String {
        format!("{epoch}-{}{}", self.lane.letter(), self.sequence)
    }
}

/// A place in all lanes of a stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    /// Life of the stream.
    pub epoch: Epoch,
    /// The last message seen, by lane.
    pub seen: [u64; 4],
}

impl Place {
    /// A place in the normal lane, before all messages of the others.
    pub fn normal(epoch: Epoch, sequence: u64) -> Place {
        Place { epoch, seen: [0, 0, sequence, 0] }
    }

    /// The last message seen of a lane.
    pub fn at(&self, lane: Lane) -> u64 {
        self.seen[lane as usize]
    }

    /// Its written form: the normal lane, then each other that has begun.
    pub fn written(&self, history: &History) -> String {
        let mut text = format!("{}-{}", history.epoch_name(self.epoch), self.at(Lane::Normal));
        for lane in [Lane::Urgent, Lane::High, Lane::Low] {
            if self.at(lane) > 0 {
                text.push_str(&format!(".{}{}", lane.letter(), self.at(lane)));
            }
        }
        text
    }

    /// Reads the written form.
    pub fn read(text: &str, history: &mut History) -> Result<Place, String> {
        let wrong = || format!("cursor {text:?}");
        let (epoch, rest) = text.split_once('-').ok_or_else(wrong)?;
        let mut place = Place::normal(history.epoch(epoch), 0);
        for (number, part) in rest.split('.').enumerate() {
            let named = |lane: &Lane| *lane != Lane::Normal && part.starts_with(lane.letter());
            let lane = Lane::ALL.into_iter().find(named).unwrap_or_default();
            if (number == 0) != (lane == Lane::Normal) {
                return Err(wrong());
            }
            place.seen[lane as usize] = part[lane.letter().len()..].parse().map_err(|_| wrong())?;
        }
        Ok(place)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cursor_is_read_back() {
        let mut history = History::default();
        for text in ["abcdefgh-0", "abcdefgh-12.u3.l1", "zzzzzzzz-1.h9"] {
            let place = Place::read(text, &mut history).unwrap();
            assert_eq!(place.written(&history), text);
        }
        for wrong in ["abc", "abc-u1", "abc-1.2", "abc-1.ux", "abc-"] {
            assert!(Place::read(wrong, &mut history).is_err(), "{wrong:?}");
        }
    }
}
