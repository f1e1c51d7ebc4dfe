//! The shard's log as it grows. What a turn appends is collected; at its end it leaves as one batch, unless
//! one is under way: then the next turns add to it. So the slower the disk, the larger the batches.
//!
//! After an error nobody can say what of a batch is on the disk. It never happened, nor did what was
//! collected behind it: a new segment begins, and its first batch says where the old one ends.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use weir_ring::op::{Errno, Op};
use weir_ring::time::Instant;
use weir_ring::token::{Member, Token};

use crate::dead::MessageId;
use crate::durable::batch::{HEADER, Writer, seal};
use crate::durable::record::Record;
use crate::error::Error;
use crate::idempotency::Key;
use crate::limits::Durability;
use crate::mail::ReplyTo;
use crate::message::Receipt;

/// Bytes that may be collected while a batch is under way. Beyond, the disk is too slow for what comes.
const COLLECTED_MAX: usize = 16 << 20;

/// Buffers of more bytes are not kept between batches.
const SPARE_MAX: usize = 4 << 20;

/// How long a record that nobody waits for may wait for company.
const LAZY: Duration = Duration::from_secs(1);

/// How often a disk that refuses is tried again.
const RETRY: Duration = Duration::from_secs(1);

/// A message that was appended and is not yet settled.
#[derive(Debug)]
pub(crate) struct Unsettled {
    pub(crate) stream: StreamRef,
    /// Who is told what became of it, and how.
    pub(crate) from: Member,
    pub(crate) reply_to: ReplyTo,
    pub(crate) receipt: Receipt,
    /// Until when it is told nothing unless the client acknowledges.
    pub(crate) patience: Option<Instant>,
    /// It is published once under this key.
    pub(crate) key: Option<Box<Key>>,
}

/// A stream of this shard.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum StreamRef {
    /// A client's, by its session.
    Client(Token),
    /// A topic's.
    Topic(Arc<str>),
}

/// What a segment speaks of so that older ones can go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Subject {
    /// A stream that lives.
    Stream(StreamRef),
    /// A dead letter.
    Dead(MessageId),
}

/// A segment that is not written any more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Closed {
    pub(crate) series: u16,
    pub(crate) segment: u32,
    pub(crate) bytes: u64,
    /// When its newest message was taken.
    pub(crate) newest: Instant,
}

/// Where a segment ends, whatever its file holds behind that.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct End {
    pub(crate) series: u16,
    pub(crate) segment: u32,
    pub(crate) offset: u64,
}

/// What a journal begins with.
#[derive(Debug)]
pub(crate) struct Start {
    pub(crate) series: u16,
    pub(crate) writer: Writer,
    /// Segments there are, oldest first.
    pub(crate) closed: VecDeque<Closed>,
    /// What the first segment says of others.
    pub(crate) ends: Vec<End>,
}

/// What became of a batch and of those who wait for it.
#[derive(Debug)]
pub(crate) enum Outcome {
    /// All of it is on the disk.
    Durable(Vec<Unsettled>),
    /// Nothing of it happened, nor of what was collected behind it.
    Refused(Vec<Unsettled>),
}

/// The log of one shard.
#[derive(Debug)]
pub(crate) struct Journal {
    limits: Durability,
    series: u16,
    writer: Writer,
    /// The number of the next batch.
    lsn: u64,
    stage: Stage,
    segment: u32,
    /// Bytes of the segment that are on the disk.
    bytes: u64,
    /// When its newest message was taken.
    newest: Instant,
    collected: Collected,
    under_way: Option<UnderWay>,
    /// When that was asked for.
    asked: Instant,
    spare: Vec<u8>,
    ends: Vec<End>,
    /// Oldest first.
    closed: VecDeque<Closed>,
    /// So many of them say nothing that a later segment does not say, too, messages aside.
    covered: usize,
    sweep: Sweep,
    /// Nothing is collected any more.
    ended: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    /// The next batch is the first of a segment.
    Begin,
    /// The segment takes batches.
    Open,
    /// Not even a new segment could begin. The next is tried then.
    Failed { until: Instant },
}

#[derive(Debug, Default)]
struct Collected {
    /// Room for a header, then records; empty before the first.
    bytes: Vec<u8>,
    waiting: Vec<Unsettled>,
    newest: Instant,
    /// When a turn first ended with it.
    since: Option<Instant>,
}

#[derive(Debug)]
struct UnderWay {
    length: u64,
    waiting: Vec<Unsettled>,
    newest: Instant,
    begins: bool,
    /// The sweep ends with it.
    sweeps: bool,
}

/// A segment says anew what older ones say of what lives, so that those can go.
#[derive(Debug, PartialEq, Eq)]
enum Sweep {
    /// Nobody has looked yet which these are.
    Due,
    /// They are still to be written.
    Running(Vec<Subject>),
    /// The last of them is being written.
    Written,
    /// The segment stands on its own.
    Done,
}

impl Journal {
    pub(crate) fn new(limits: Durability, start: Start) -> Journal {
        let Start { series, writer, closed, ends } = start;
        let own = closed.iter().filter(|closed| closed.series == series).map(|closed| closed.segment);
        Journal {
            limits,
            series,
            writer,
            lsn: 1,
            stage: Stage::Begin,
            segment: own.max().unwrap_or(0),
            bytes: 0,
            newest: Instant::default(),
            collected: Collected::default(),
            under_way: None,
            asked: Instant::default(),
            spare: Vec::new(),
            ends,
            closed,
            covered: 0,
            sweep: Sweep::Due,
            ended: false,
        }
    }

    /// Whether a message can be taken now.
    ///
    /// # Errors
    /// `Storage` while the disk refuses, `InsufficientResources` while it is too slow.
    pub(crate) fn check(&self) -> Result<(), Error> {
        match self.stage {
            Stage::Failed { .. } => Err(Error::storage()),
            _ if self.collected.bytes.len() > COLLECTED_MAX => Err(Error::insufficient_resources()),
            _ => Ok(()),
        }
    }

    /// Collects the record of a message that was taken `at`.
    pub(crate) fn message(&mut self, record: &Record<'_>, at: Instant) {
        self.collected.newest = self.collected.newest.max(at);
        self.collect(record);
    }

    /// Collects a record that nobody waits for: it leaves in company, or within a second. What does not fit
    /// is left out; it costs something sent again after a restart.
    pub(crate) fn note(&mut self, record: &Record<'_>) {
        if !self.ended && self.check().is_ok() {
            self.collect(record);
        }
    }

    /// Nothing more is collected, and what was leaves without waiting for company.
    pub(crate) fn end(&mut self) {
        (self.ended, self.sweep) = (true, Sweep::Done);
    }

    /// It is collected again.
    pub(crate) fn resume(&mut self) {
        (self.ended, self.sweep) = (false, Sweep::Due);
    }

    /// Notes who waits for the message that was just collected.
    pub(crate) fn wait(&mut self, waiting: Unsettled) {
        self.collected.waiting.push(waiting);
    }

    /// Collects a record, and says how many bytes it has.
    pub(crate) fn collect(&mut self, record: &Record<'_>) -> usize {
        let bytes = &mut self.collected.bytes;
        if bytes.is_empty() {
            bytes.resize(HEADER, 0);
        }
        let before = bytes.len();
        record.write(bytes);
        bytes.len() - before
    }

    /// The append to be asked for at the end of a turn, if it is time for one.
    pub(crate) fn next(&mut self, now: Instant, draining: bool) -> Option<Op> {
        if self.under_way.is_some() || self.is_over() {
            return None;
        }
        self.asked = now;
        let full = self.bytes + self.collected.bytes.len() as u64 > self.limits.segment_bytes;
        match self.stage {
            Stage::Failed { until } if now < until => None,
            Stage::Failed { .. } | Stage::Begin => Some(self.begin()),
            Stage::Open if self.collected.bytes.is_empty() => None,
            Stage::Open if full && self.sweep == Sweep::Done => {
                self.close();
                Some(self.begin())
            }
            Stage::Open => {
                let since = *self.collected.since.get_or_insert(now);
                let lazy = self.collected.waiting.is_empty() && matches!(self.sweep, Sweep::Done);
                let due = !lazy || draining || self.ended || now >= since.plus(LAZY);
                due.then(|| self.append())
            }
        }
    }

    /// How long the append under way has taken.
    pub(crate) fn taken(&self, now: Instant) -> Duration {
        now.since(self.asked)
    }

    /// When the next batch is due without anything happening.
    pub(crate) fn due(&self) -> Option<Instant> {
        if self.under_way.is_some() || self.is_over() {
            return None;
        }
        if self.ended && !self.collected.bytes.is_empty() {
            return Some(Instant::default());
        }
        match self.stage {
            Stage::Failed { until } => Some(until),
            Stage::Begin => Some(Instant::default()),
            Stage::Open if self.collected.bytes.is_empty() => None,
            Stage::Open if !self.collected.waiting.is_empty() => Some(Instant::default()),
            Stage::Open => Some(self.collected.since.map_or(Instant::default(), |since| since.plus(LAZY))),
        }
    }

    fn begin(&mut self) -> Op {
        self.segment += 1;
        (self.bytes, self.newest) = (0, Instant::default());
        let mut bytes = std::mem::take(&mut self.spare);
        bytes.resize(HEADER, 0);
        for End { series, segment, offset } in self.ends.iter().copied() {
            Record::Ends { series, segment, offset }.write(&mut bytes);
        }
        let collected = Collected { bytes, ..Collected::default() };
        self.leave(collected, true)
    }

    fn append(&mut self) -> Op {
        let next = Collected { bytes: std::mem::take(&mut self.spare), ..Collected::default() };
        let collected = std::mem::replace(&mut self.collected, next);
        self.leave(collected, false)
    }

    fn leave(&mut self, collected: Collected, begins: bool) -> Op {
        let Collected { mut bytes, waiting, newest, .. } = collected;
        seal(&mut bytes, self.writer, self.lsn);
        let sweeps = !begins && self.sweep == Sweep::Written;
        self.under_way = Some(UnderWay { length: bytes.len() as u64, waiting, newest, begins, sweeps });
        Op::Append { segment: self.segment, bytes }
    }

    /// The answer to the append under way.
    pub(crate) fn appended(&mut self, mut bytes: Vec<u8>, errno: Option<Errno>, now: Instant) -> Outcome {
        bytes.clear();
        self.spare = if bytes.capacity() > SPARE_MAX { Vec::new() } else { bytes };
        let Some(under_way) = self.under_way.take() else { return Outcome::Durable(Vec::new()) };
        let UnderWay { length, mut waiting, newest, begins, sweeps } = under_way;
        if errno.is_none() {
            self.lsn += 1;
            self.bytes += length;
            self.newest = self.newest.max(newest);
            if begins {
                (self.stage, self.sweep) = (Stage::Open, Sweep::Due);
                self.ends.clear();
            } else if sweeps {
                self.sweep = Sweep::Done;
                self.covered = self.closed.len();
            }
            return Outcome::Durable(waiting);
        }
        waiting.append(&mut std::mem::take(&mut self.collected).waiting);
        self.sweep = Sweep::Due;
        if begins {
            // It holds nothing but what the next one says again.
            self.stage = Stage::Failed { until: now.plus(RETRY) };
            self.close();
        } else {
            self.ends.push(End { series: self.series, segment: self.segment, offset: self.bytes });
            self.stage = Stage::Begin;
            self.close();
        }
        Outcome::Refused(waiting)
    }

    /// The segment gets nothing more.
    fn close(&mut self) {
        let (series, segment, bytes, newest) = (self.series, self.segment, self.bytes, self.newest);
        self.closed.push_back(Closed { series, segment, bytes, newest });
    }

    /// What the segment must speak of, if that is to be found out: `living` names it.
    pub(crate) fn sweep(&mut self, living: impl FnOnce() -> Vec<Subject>) {
        if self.stage == Stage::Open && self.sweep == Sweep::Due && !self.ended {
            self.sweep = Sweep::Running(living());
        }
    }

    /// What the segment must speak of next, in the batch that is about to leave.
    pub(crate) fn next_to_sweep(&mut self) -> Option<Subject> {
        if self.under_way.is_some() {
            return None;
        }
        let Sweep::Running(subjects) = &mut self.sweep else { return None };
        let next = subjects.pop();
        if next.is_none() {
            // A batch that says so must follow, however empty.
            self.sweep = Sweep::Written;
            self.collected.bytes.resize(self.collected.bytes.len().max(HEADER), 0);
        }
        next
    }

    /// Segments that may go: nobody needs their messages, or there are too many bytes. They go while the disk
    /// refuses, too: it may be full of them.
    pub(crate) fn discard(&mut self, now: Instant, age_max: Duration) -> Vec<Op> {
        let mut ops = Vec::new();
        if self.ended {
            return ops;
        }
        let mut total = self.bytes();
        while self.covered > 0
            && let Some(oldest) = self.closed.front()
        {
            let old = !age_max.is_zero() && now.since(oldest.newest) > age_max;
            if !old && total <= self.limits.bytes_max {
                break;
            }
            total -= oldest.bytes;
            ops.push(Op::Discard { series: oldest.series, segment: oldest.segment });
            self.closed.pop_front();
            self.covered -= 1;
        }
        ops
    }

    /// Bytes of all segments.
    pub(crate) fn bytes(&self) -> u64 {
        self.bytes + self.closed.iter().map(|closed| closed.bytes).sum::<u64>()
    }

    /// Whether nothing may be written any more: the folder may be another process's. What the next segment would have
    /// said of the last one is missing, as after a crash.
    fn is_over(&self) -> bool {
        self.ended && self.is_idle()
    }

    /// Whether nothing is under way and nobody waits.
    pub(crate) fn is_idle(&self) -> bool {
        let nothing = self.collected.bytes.is_empty() || self.stage != Stage::Open;
        self.under_way.is_none() && nothing && self.collected.waiting.is_empty()
    }
}
