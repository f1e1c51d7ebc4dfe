//! How far one connection has been sent its client's stream.

use crate::lane::{Lane, Lanes, Round};
use crate::mailbox::Mailbox;
use crate::recovery::Lineage;
use crate::stream::{Cursor, Epoch, Sequence};

/// How far a connection is in one lane.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Mark {
    /// Last number written here, or left to another connection.
    pub(crate) cursor: Sequence,
    /// Up to here everything is sent, whatever transport it was for: the client has said that it has not seen it,
    /// or the connection it was written to is lost.
    pub(crate) replay: Sequence,
    /// Up to here what is sent may have reached the client before, and says so.
    pub(crate) again: Sequence,
    /// Last number that the client surely has: it has answered a ping sent after it.
    pub(crate) confirmed: Sequence,
    /// The cursor when the ping under way was sent.
    pub(crate) pinged_at: Sequence,
    /// First number that was left to the other transport; 0: none.
    pub(crate) skipped: Sequence,
}

impl Mark {
    /// Goes back to the first message that was left to the other transport, but not behind `floor`. What follows
    /// up to `written` may have reached the client before. False: there is nothing to go back to.
    pub(crate) fn rewind(&mut self, floor: Sequence, written: Sequence) -> bool {
        let from = floor.max(self.skipped.saturating_sub(1));
        if self.skipped == 0 || self.cursor <= from {
            return false;
        }
        self.again = self.again.max(written);
        self.cursor = from;
        true
    }
}

/// A connection's marks in all lanes.
#[derive(Clone, Debug, Default)]
pub(crate) struct Marks {
    lanes: Lanes<Mark>,
    round: Round,
    /// Whose place it took with a recovery token.
    pub(crate) lineage: Option<Lineage>,
}

impl Marks {
    /// The lane's mark; all zero before the lane is used.
    pub(crate) fn get(&self, lane: Lane) -> Mark {
        self.lanes.get(lane).copied().unwrap_or_default()
    }

    /// The lane's mark, made if need be.
    pub(crate) fn open(&mut self, lane: Lane) -> &mut Mark {
        self.lanes.open(lane, |_| Mark::default())
    }

    /// The marks of the lanes in use.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (Lane, &Mark)> {
        self.lanes.iter()
    }

    /// Where the connection stands in all lanes.
    pub(crate) fn cursor(&self, epoch: Epoch) -> Cursor {
        Cursor { epoch, seen: Lane::ALL.map(|lane| Some(self.get(lane).cursor)) }
    }

    /// The lane whose turn it is to be written here, among those whose next message `may` be.
    pub(crate) fn next(&mut self, mailbox: &Mailbox, may: impl Fn(Lane, Sequence) -> bool) -> Option<Lane> {
        let Marks { lanes, round, .. } = self;
        let cursor = |lane| lanes.get(lane).map_or(0, |mark| mark.cursor);
        let has = |lane| {
            let next = cursor(lane) + 1;
            mailbox.lane(lane).is_some_and(|stream| stream.outbox.durable() >= next) && may(lane, next)
        };
        if mailbox.is_plain() { has(Lane::Normal).then_some(Lane::Normal) } else { round.next(has) }
    }

    /// Message `sequence` of a lane is done with.
    pub(crate) fn advance(&mut self, lane: Lane, sequence: Sequence) {
        self.open(lane).cursor = sequence;
        self.round.served(lane);
    }

    /// A ping leaves: its answer will confirm what was written before it.
    pub(crate) fn pinged(&mut self) {
        for mark in self.lanes.values_mut() {
            mark.pinged_at = mark.cursor;
        }
    }

    /// What was not confirmed is lost.
    pub(crate) fn unwritten(&mut self) {
        for mark in self.lanes.values_mut() {
            mark.cursor = mark.confirmed;
        }
    }

    /// The ping was answered.
    pub(crate) fn answered(&mut self) {
        for mark in self.lanes.values_mut() {
            mark.confirmed = mark.pinged_at;
        }
    }
}
