//! How far a client has come in a stream.

use std::collections::BTreeSet;

use crate::history::{Attachment, Position};

/// What a client knows of one stream: the last number up to which it has seen or been told everything,
/// and what it has seen beyond.
#[derive(Debug, Default)]
pub struct View {
    prefix: Option<Position>,
    ahead: BTreeSet<u64>,
}

impl View {
    /// The cursor to resume from.
    pub fn cursor(&self) -> Option<Position> {
        self.prefix
    }

    /// The server took a join. In another epoch the view starts anew; without recovery, not before where
    /// the server says.
    pub fn attached(&mut self, attachment: Attachment) {
        let Attachment { position, recovered } = attachment;
        if self.prefix.is_none_or(|prefix| prefix.epoch != position.epoch) {
            self.prefix = Some(position);
            self.ahead.clear();
        } else if !recovered {
            self.seen(position.epoch, 0, position.sequence);
        }
    }

    /// Message `sequence` came on a stream whose own pushes and binary messages come without a number:
    /// whatever lies before it has come.
    pub fn reached(&mut self, epoch: u32, sequence: u64) {
        if let Some(prefix) = self.prefix.as_mut().filter(|prefix| prefix.epoch == epoch) {
            prefix.sequence = prefix.sequence.max(sequence);
        }
    }

    /// Messages `from..=to` came or were told lost.
    pub fn seen(&mut self, epoch: u32, from: u64, to: u64) {
        let Some(prefix) = &mut self.prefix else { return };
        if prefix.epoch != epoch {
            return;
        }
        if from > prefix.sequence + 1 {
            self.ahead.extend(from..=to.min(from + 100_000));
            return;
        }
        prefix.sequence = prefix.sequence.max(to);
        while self.ahead.first().is_some_and(|first| *first <= prefix.sequence + 1) {
            prefix.sequence = prefix.sequence.max(self.ahead.pop_first().unwrap_or_default());
        }
    }
}
