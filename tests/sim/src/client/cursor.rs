//! How far a client has come in a stream.

use std::collections::BTreeSet;

use crate::history::{Attachment, Cursor};
use crate::place::{Lane, Place, Position};

/// What a client knows of one stream: by lane, the last number up to which it has seen or been told
/// everything, and what it has seen beyond.
#[derive(Debug, Default)]
pub struct View {
    prefix: Option<Place>,
    ahead: [BTreeSet<u64>; 4],
}

impl View {
    /// The place to resume from.
    pub fn place(&self) -> Option<Place> {
        self.prefix
    }

    /// The server took a join from `cursor`. In another epoch the view starts anew; without recovery, or where
    /// the cursor did not speak of a lane, not before where the server says.
    pub fn attached(&mut self, cursor: Option<Cursor>, attachment: Attachment) {
        let Attachment { place, recovered } = attachment;
        if self.prefix.is_none_or(|prefix| prefix.epoch != place.epoch) {
            self.prefix = Some(place);
            self.ahead.iter_mut().for_each(BTreeSet::clear);
            return;
        }
        for lane in Lane::ALL {
            if !recovered || cursor.is_none_or(|cursor| !cursor.speaks_of(lane)) {
                self.seen(Position { epoch: place.epoch, lane, sequence: 0 }, place.at(lane));
            }
        }
    }

    /// Message `position` came on a stream whose own pushes and binary messages come without a number:
    /// whatever lies before it has come.
    pub fn reached(&mut self, position: Position) {
        if let Some(prefix) = self.prefix.as_mut().filter(|prefix| prefix.epoch == position.epoch) {
            let seen = &mut prefix.seen[position.lane as usize];
            *seen = position.sequence.max(*seen);
        }
    }

    /// Messages from `first` to number `to` of its lane came or were told lost.
    pub fn seen(&mut self, first: Position, to: u64) {
        let Some(prefix) = self.prefix.as_mut().filter(|prefix| prefix.epoch == first.epoch) else { return };
        let (prefix, ahead) = (&mut prefix.seen[first.lane as usize], &mut self.ahead[first.lane as usize]);
        if first.sequence > *prefix + 1 {
            ahead.extend(first.sequence..=to.min(first.sequence + 100_000));
            return;
        }
        *prefix = to.max(*prefix);
        while ahead.first().is_some_and(|first| *first <= *prefix + 1) {
            *prefix = ahead.pop_first().unwrap_or_default().max(*prefix);
        }
    }
}
