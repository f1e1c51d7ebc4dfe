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

    /// The server took a join. Without recovery the view starts anew where the server says.
    pub fn attached(&mut self, attachment: Attachment) {
        let known = self.prefix.is_some_and(|prefix| prefix.epoch == attachment.position.epoch);
        if !(attachment.recovered && known) {
            self.prefix = Some(attachment.position);
            self.ahead.clear();
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
