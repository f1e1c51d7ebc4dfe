//! One stream's memory: the messages kept so that a client that comes back gets exactly what it missed, or
//! is told exactly what it will not get.

use std::collections::{VecDeque, vec_deque};
use std::sync::Arc;
use std::time::Duration;

use weir_ring::time::Instant;

use crate::limits;
use crate::stream::{Epoch, Position, Sequence};

/// Room for this many entries is kept when an outbox empties.
const CAPACITY_KEPT: usize = 16;

/// The retained messages of one stream in one epoch: a contiguous run that ends at the newest.
#[derive(Debug)]
pub struct Outbox {
    epoch: Epoch,
    head: Sequence,
    durable: Sequence,
    acknowledged: Sequence,
    bytes: usize,
    /// The last has the number `head`.
    entries: VecDeque<Entry>,
}

/// One retained message. Its number follows from its place.
#[derive(Clone, Debug)]
pub struct Entry {
    /// When it was appended.
    pub at: Instant,
    /// The encoded envelope, shared with whoever is still sending it.
    pub body: Arc<[u8]>,
    /// What the stream's owner wants to know of it.
    pub class: u8,
    /// How long it is worth sending, milliseconds; 0: as long as it is kept.
    pub ttl_ms: u32,
}

impl Entry {
    /// Whether it is no longer worth sending.
    pub fn is_expired(&self, now: Instant) -> bool {
        self.ttl_ms != 0 && now.since(self.at) > Duration::from_millis(self.ttl_ms.into())
    }
}

/// What an append did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Appended {
    /// The message's number.
    pub sequence: Sequence,
    /// Bytes of older messages that had to go.
    pub evicted_bytes: usize,
}

/// Why an acknowledgement says nothing. It is the client's fault, and nothing has changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AckError {
    /// It speaks of another life of the stream.
    ForeignEpoch,
    /// It names a message that was never sent.
    Ahead,
}

/// What a client that comes back gets: the gap, if there is one, then the entries, then what is appended
/// from now on. Without a gap it has recovered.
#[derive(Debug)]
pub struct Replay<'a> {
    /// To be told before any entry.
    pub gap: Option<Gap>,
    /// Contiguous up to the last durable message: from the cursor on, or from the end of the gap.
    pub entries: Entries<'a>,
}

/// Messages of the outbox's epoch that a client will not get.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Gap {
    /// The first of them.
    pub from: Sequence,
    /// The last of them. `from - 1` if no message of this epoch was missed, only the old cursor is void.
    pub to: Sequence,
    /// Why.
    pub reason: GapReason,
}

/// Why a cursor could not be served.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum GapReason {
    /// The cursor is of another life of the stream, which is gone. The gap spans this life so far.
    EpochChanged,
    /// What follows the cursor was dropped for a bound. The gap ends where the retained messages begin.
    Evicted,
    /// What follows the cursor was dropped because the client had acknowledged it, in whole.
    Acknowledged,
    /// The cursor names a message that was never sent. The gap spans this life so far.
    Ahead,
    /// The server stops before it could send them, and this stream ends with it.
    Draining,
    /// Their time to live was over before they could be sent.
    Expired,
    /// The client did not acknowledge them, however often they were sent: they are dead letters.
    Dead,
}

impl GapReason {
    /// All there are.
    pub const ALL: [GapReason; 7] = [
        GapReason::EpochChanged,
        GapReason::Evicted,
        GapReason::Acknowledged,
        GapReason::Ahead,
        GapReason::Draining,
        GapReason::Expired,
        GapReason::Dead,
    ];

    /// The name on the wire.
    pub const fn name(self) -> &'static str {
        match self {
            GapReason::EpochChanged => "epoch_changed",
            GapReason::Evicted => "evicted",
            GapReason::Acknowledged => "acknowledged",
            GapReason::Ahead => "ahead",
            GapReason::Draining => "draining",
            GapReason::Expired => "expired",
            GapReason::Dead => "dead",
        }
    }
}

/// Retained messages with their numbers, contiguous and rising.
#[derive(Clone, Debug)]
pub struct Entries<'a> {
    next: Sequence,
    rest: vec_deque::Iter<'a, Entry>,
}

impl<'a> Iterator for Entries<'a> {
    type Item = (Sequence, &'a Entry);

    fn next(&mut self) -> Option<Self::Item> {
        let entry = self.rest.next()?;
        let sequence = self.next;
        self.next += 1;
        Some((sequence, entry))
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        self.rest.size_hint()
    }
}

impl ExactSizeIterator for Entries<'_> {}

impl Outbox {
    /// The empty outbox of a new life.
    pub const fn new(epoch: Epoch) -> Outbox {
        Outbox { epoch, head: 0, durable: 0, acknowledged: 0, bytes: 0, entries: VecDeque::new() }
    }

    /// An outbox as it was: `entries` are durable, the last of them is `head`.
    pub fn restored(
        epoch: Epoch,
        head: Sequence,
        acknowledged: Sequence,
        entries: VecDeque<Entry>,
    ) -> Outbox {
        let bytes = entries.iter().map(|entry| entry.body.len()).sum();
        Outbox { epoch, head, durable: head, acknowledged, bytes, entries }
    }

    /// The stream's life.
    pub const fn epoch(&self) -> Epoch {
        self.epoch
    }

    /// The number of the last message appended; 0: none yet. The next one gets the number after it.
    pub const fn head(&self) -> Sequence {
        self.head
    }

    /// The number of the last message that is where it must be before anybody may hear of it; 0: none yet.
    pub const fn durable(&self) -> Sequence {
        self.durable
    }

    /// The number of the first message retained; `head + 1`: none is.
    pub fn floor(&self) -> Sequence {
        self.head + 1 - self.entries.len() as u64
    }

    /// Number of messages retained, none of them acknowledged.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether nothing is retained.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Bytes of the bodies retained.
    pub const fn bytes(&self) -> usize {
        self.bytes
    }

    /// The number up to which the client has acknowledged everything.
    pub const fn acknowledged(&self) -> Sequence {
        self.acknowledged
    }

    /// Appends the message `head + 1` and drops the oldest durable ones until the limits hold. The newest message
    /// stays even if it alone exceeds them. Nobody gets it before it is [settled](Outbox::settle).
    pub fn append(&mut self, limits: &limits::Outbox, entry: Entry) -> Appended {
        let mut evicted_bytes = self.trim_age(entry.at, limits);
        self.head += 1;
        self.bytes += entry.body.len();
        self.entries.push_back(entry);
        while self.entries.len() > 1
            && self.floor() <= self.durable
            && (self.entries.len() > limits.messages_max || self.bytes > limits.bytes_max)
        {
            evicted_bytes += self.evict_oldest();
        }
        Appended { sequence: self.head, evicted_bytes }
    }

    /// Everything up to `sequence` is durable.
    pub fn settle(&mut self, sequence: Sequence) {
        self.durable = self.durable.max(sequence.min(self.head));
    }

    /// Takes back what is not durable, and says how many bytes that were. Nobody has heard of it; its numbers are
    /// given again.
    pub fn roll_back(&mut self) -> usize {
        let mut bytes = 0;
        while self.head > self.durable {
            self.head -= 1;
            bytes += self.entries.pop_back().map_or(0, |entry| entry.body.len());
        }
        self.bytes -= bytes;
        bytes
    }

    /// Drops what is older than the limits allow, and says how many bytes that were. An `age_max` of 0
    /// is no limit.
    pub fn trim_age(&mut self, now: Instant, limits: &limits::Outbox) -> usize {
        let mut evicted_bytes = 0;
        let expired = |entry: &Entry| !limits.age_max.is_zero() && now.since(entry.at) > limits.age_max;
        while self.floor() <= self.durable && self.entries.front().is_some_and(expired) {
            evicted_bytes += self.evict_oldest();
        }
        evicted_bytes
    }

    /// Drops the oldest durable message, and says how many bytes that were. For the bound over all outboxes.
    pub fn evict_oldest(&mut self) -> usize {
        if self.floor() > self.durable {
            return 0;
        }
        let Some(oldest) = self.entries.pop_front() else { return 0 };
        self.bytes -= oldest.body.len();
        // Clients that were busy once are many, and most are idle now.
        if self.entries.capacity() > CAPACITY_KEPT && self.entries.len() < self.entries.capacity() / 4 {
            self.entries.shrink_to(CAPACITY_KEPT.max(self.entries.len() * 2));
        }
        oldest.body.len()
    }

    /// Drops everything up to `position`, which the client has seen, and says how many bytes that were.
    /// An old acknowledgement changes nothing.
    ///
    /// # Errors
    /// The position is none of this outbox.
    pub fn acknowledge(&mut self, position: Position) -> Result<usize, AckError> {
        if position.epoch != self.epoch {
            return Err(AckError::ForeignEpoch);
        }
        if position.sequence > self.durable {
            return Err(AckError::Ahead);
        }
        self.acknowledged = self.acknowledged.max(position.sequence);
        let mut freed_bytes = 0;
        while self.floor() <= self.acknowledged {
            freed_bytes += self.evict_oldest();
        }
        Ok(freed_bytes)
    }

    /// What a client gets that has seen everything up to `cursor`. Changes nothing: a cursor is not an
    /// acknowledgement.
    pub fn replay(&self, cursor: Position) -> Replay<'_> {
        if cursor.epoch != self.epoch {
            return self.lost(GapReason::EpochChanged);
        }
        if cursor.sequence > self.durable {
            return self.lost(GapReason::Ahead);
        }
        let floor = self.floor();
        let from = cursor.sequence + 1;
        if from >= floor {
            return Replay { gap: None, entries: self.entries_from(from) };
        }
        let to = floor - 1;
        let reason = if to <= self.acknowledged { GapReason::Acknowledged } else { GapReason::Evicted };
        Replay { gap: Some(Gap { from, to, reason }), entries: self.entries_from(floor) }
    }

    /// The answer to a cursor that says nothing about this life: go on from the head.
    fn lost(&self, reason: GapReason) -> Replay<'_> {
        let gap = Gap { from: 1, to: self.durable, reason };
        Replay { gap: Some(gap), entries: self.entries_from(self.durable + 1) }
    }

    /// The durable messages from `sequence` on, which lies between `floor` and `durable + 1`.
    pub fn entries_from(&self, sequence: Sequence) -> Entries<'_> {
        let (from, to) = (sequence - self.floor(), self.durable + 1 - self.floor());
        Entries { next: sequence, rest: self.entries.range(from as usize..to as usize) }
    }

    /// The newest message, durable or not.
    pub fn newest(&self) -> Option<&Entry> {
        self.entries.back()
    }

    /// The durable message of that number, if it is retained.
    pub fn get(&self, sequence: Sequence) -> Option<&Entry> {
        if sequence > self.durable {
            return None;
        }
        self.entries.get(sequence.checked_sub(self.floor())? as usize)
    }
}

#[cfg(test)]
mod tests;
