//! From bytes to streams: what a start reads, and what it makes of damage.
//!
//! A torn end was never acknowledged: it is cut, and every stream goes on in its life. Damage with good
//! batches behind it is a hole: something that had been on disk is lost. A stream of which the hole may
//! have said something, and nothing after it does, may be older than its clients know: it is forgotten,
//! so that its next life has another epoch and every client that comes back is told. A stream that is
//! heard of again keeps the run after the hole.

use std::collections::BTreeMap;

use weir_ring::time::Wall;

use crate::durable::batch::{Batches, Found, Writer};
use crate::durable::lives::{DeadLetter, Lives, Stream, Written};
use crate::durable::record::{Record, Records};
use crate::hash_ring::HashRing;
use crate::limits::{self, Config};
use crate::route;

/// A segment as it was found on the disk.
#[derive(Clone, Copy, Debug)]
pub struct Segment<'a> {
    /// The shard that wrote it.
    pub series: u16,
    /// Its place in the series.
    pub number: u32,
    /// All of the file.
    pub bytes: &'a [u8],
}

/// What the log of a process that has ended holds.
#[derive(Debug)]
pub struct Recovered {
    /// Streams that go on.
    pub streams: Vec<Stream>,
    /// Dead letters.
    pub dead: Vec<DeadLetter>,
    /// The run that begins now, from 1.
    pub run: u32,
    /// The segments there are, oldest first.
    pub segments: Vec<Held>,
    /// What was found, for people.
    pub report: Report,
}

/// A segment that is on the disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Held {
    /// The shard that wrote it.
    pub series: u16,
    /// Its place in the series.
    pub segment: u32,
    /// Its size, bytes.
    pub bytes: u64,
    /// When its newest message was taken.
    pub newest: Wall,
    /// Where its last batch ends, or did.
    pub end: u64,
}

/// Counts of one recovery.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Report {
    /// Bytes of all segments.
    pub bytes: u64,
    /// Whole batches.
    pub batches: u64,
    /// Messages in them, dead or alive.
    pub messages: u64,
    /// Bytes cut from torn ends. Nothing in them had been acknowledged.
    pub torn_bytes: u64,
    /// Bytes that had been on disk and cannot be read any more.
    pub damaged_bytes: u64,
    /// Places where something is lost.
    pub holes: u64,
    /// Streams that were forgotten because of them.
    pub streams_lost: u64,
}

/// One shard's part of what was recovered.
#[derive(Debug)]
pub struct Share {
    /// The run that begins now.
    pub run: u32,
    /// Segments that this shard looks after, oldest first: its own, and those of shards that are no more.
    pub segments: Vec<Held>,
    /// Streams whose home it is.
    pub streams: Vec<Stream>,
    /// Dead letters of its clients.
    pub dead: Vec<DeadLetter>,
}

impl Share {
    /// Of a log that holds nothing.
    pub(crate) fn empty() -> Share {
        Share { run: 1, segments: Vec::new(), streams: Vec::new(), dead: Vec::new() }
    }
}

impl Recovered {
    /// Gives each shard its part; their number need not be that of the last run.
    pub fn split(self, config: &Config) -> Vec<Share> {
        let shards = config.shards.max(1);
        let ring = HashRing::of_shards(shards, config.vnodes);
        let share = || Share { run: self.run, ..Share::empty() };
        let mut shares: Vec<Share> = (0..shards).map(|_| share()).collect();
        for segment in self.segments {
            shares[usize::from(segment.series % shards)].segments.push(segment);
        }
        for stream in self.streams {
            shares[usize::from(route::home(&ring, &stream.name).0)].streams.push(stream);
        }
        for letter in self.dead {
            shares[usize::from(route::home(&ring, &letter.client).0)].dead.push(letter);
        }
        shares
    }
}

/// Reads the segments of all series, in any order. Pure: the same bytes give the same streams.
///
/// Messages that `limits` would have dropped by `now` are not among them. Takes one pass over the bytes
/// for their checksums and one over the records; copies only messages that are kept.
pub fn recover(segments: &[Segment<'_>], limits: &limits::Outbox, now: Wall) -> Recovered {
    let mut found = open(segments);
    found.sort_by_key(|opened| (opened.writer.run, opened.series, opened.number));
    let seed = found.last().map_or(0, |opened| opened.writer.salt.into());
    let mut reader = Reader {
        lives: Lives::new(limits, seed),
        report: Report::default(),
        holes: BTreeMap::new(),
        chain: None,
        behind_hole: false,
    };
    let held = found.iter().map(|opened| reader.segment(opened)).collect();
    let Reader { mut lives, mut report, holes, .. } = reader;
    let holes: Vec<Written> =
        holes.into_iter().map(|((run, series), lsn)| Written { run, series, lsn }).collect();
    report.streams_lost = lives.lose(&holes);
    let run = found.last().map_or(0, |opened| opened.writer.run).saturating_add(1);
    let (streams, dead) = lives.finish(now);
    Recovered { streams, dead, run, segments: held, report }
}

/// A segment whose place in time is known.
struct Opened<'a> {
    series: u16,
    number: u32,
    writer: Writer,
    bytes: &'a [u8],
    /// Where a later segment says that this one ends.
    end: Option<u64>,
}

/// Finds out who wrote each segment, and cuts it where a later one says that it ends.
fn open<'a>(segments: &[Segment<'a>]) -> Vec<Opened<'a>> {
    let mut ends = BTreeMap::new();
    for segment in segments {
        ends_in(segment.bytes, &mut ends);
    }
    let mut segments: Vec<&Segment<'_>> = segments.iter().collect();
    segments.sort_by_key(|segment| (segment.series, segment.number));
    let mut before: Option<(u16, Writer)> = None;
    let opened = segments.into_iter().map(|segment| {
        let Segment { series, number, bytes } = *segment;
        let end = ends.get(&(series, number)).copied();
        let bytes = end.and_then(|end| bytes.get(..usize::try_from(end).ok()?)).unwrap_or(bytes);
        // One in which nothing can be read is of the time of the one before it.
        let inherited = before.filter(|(of, _)| *of == series).map(|(_, writer)| writer);
        let writer = Batches::new(bytes).writer().or(inherited).unwrap_or(Writer { run: 0, salt: 0 });
        before = Some((series, writer));
        Opened { series, number, writer, bytes, end }
    });
    opened.collect()
}

/// Notes the ends of other segments that this one begins with.
fn ends_in(bytes: &[u8], ends: &mut BTreeMap<(u16, u32), u64>) {
    let Some(Found::Batch { payload, .. }) = Batches::new(bytes).next() else { return };
    for record in Records::new(payload) {
        let Ok(Record::Ends { series, segment, offset }) = record else { return };
        ends.insert((series, segment), offset);
    }
}

/// Reads segments in the order of their writing.
struct Reader<'a> {
    lives: Lives<'a>,
    report: Report,
    /// By run and series the last batch that has a hole behind it.
    holes: BTreeMap<(u32, u16), u64>,
    /// The last batch read.
    chain: Option<Written>,
    /// There is a hole behind it.
    behind_hole: bool,
}

impl<'a> Reader<'a> {
    fn segment(&mut self, opened: &Opened<'a>) -> Held {
        let Opened { series, number, writer: Writer { run, .. }, bytes, end: told } = *opened;
        if self.chain.is_none_or(|chain| (chain.run, chain.series) != (run, series)) {
            // What was before its first batch has gone in good order.
            (self.chain, self.behind_hole) = (None, false);
        }
        self.report.bytes += bytes.len() as u64;
        let mut newest = Wall(0);
        let mut batches = Batches::new(bytes);
        for found in batches.by_ref() {
            match found {
                Found::Damaged { bytes } => {
                    self.report.damaged_bytes += bytes as u64;
                    self.hole(run, series);
                }
                Found::Batch { lsn, payload } => {
                    if self.chain.is_some_and(|chain| chain.lsn + 1 < lsn) {
                        self.hole(run, series);
                    }
                    let written = Written { run, series, lsn };
                    (self.chain, self.behind_hole) = (Some(written), false);
                    newest = newest.max(self.batch(payload, written));
                }
            }
        }
        let end = batches.end() as u64;
        match told {
            Some(told) if told > end => {
                self.report.damaged_bytes += told - end;
                self.hole(run, series);
            }
            _ => self.report.torn_bytes += batches.torn() as u64,
        }
        // Where it should end stays what it was: the next start must find the same hole.
        Held { series, segment: number, bytes: bytes.len() as u64, newest, end: told.unwrap_or(end) }
    }

    /// Takes the records of a batch, and says when the newest message was taken.
    fn batch(&mut self, payload: &'a [u8], written: Written) -> Wall {
        self.report.batches += 1;
        let mut newest = Wall(0);
        for record in Records::new(payload) {
            let Ok(record) = record else {
                self.hole(written.run, written.series);
                break;
            };
            if let Record::Message { message, .. } = &record {
                self.report.messages += 1;
                newest = newest.max(message.wall);
            }
            self.lives.apply(&record, written);
        }
        newest
    }

    /// Something is lost behind the last batch read.
    fn hole(&mut self, run: u32, series: u16) {
        if !std::mem::replace(&mut self.behind_hole, true) {
            self.report.holes += 1;
            let lsn = self.chain.map_or(0, |chain| chain.lsn);
            self.holes.insert((run, series), lsn);
        }
    }
}

#[cfg(test)]
mod tests;
