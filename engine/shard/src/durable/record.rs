//! What the log says: one record for each thing that a restart must know. Numbers are little-endian.
//!
//! A record is read from bytes whose checksum holds; reading still trusts none of them.

use weir_ring::time::Wall;

use crate::lane::Lane;
use crate::stream::{Epoch, Sequence};

/// Lanes of a stream, in the order of [`Lane::ALL`].
pub(crate) const LANES: usize = Lane::ALL.len();

/// What a stream belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kind {
    /// A client: its own stream.
    Client,
    /// A topic.
    Topic,
}

/// A stream's name: at most 255 bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Name<'a> {
    /// Whose stream it is.
    pub kind: Kind,
    /// The client's name, or the topic's.
    pub text: &'a str,
}

/// A place in one lane of one life of a stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Place<'a> {
    /// The stream.
    pub stream: Name<'a>,
    /// Its life.
    pub epoch: Epoch,
    /// The lane.
    pub lane: Lane,
    /// The number in the lane.
    pub sequence: Sequence,
}

/// A message, as its outbox keeps it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Message<'a> {
    /// When it was taken.
    pub wall: Wall,
    /// How long it is worth sending, milliseconds; 0: as long as it is kept.
    pub ttl_ms: u32,
    /// The outbox's class.
    pub class: u8,
    /// What the table of idempotency keys knows it by, at most 255 bytes; empty: it has no key.
    pub key: &'a [u8],
    /// The encoded envelope.
    pub body: &'a [u8],
}

/// A number for each lane of a stream.
pub(crate) type Numbers = [Sequence; LANES];

/// One record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Record<'a> {
    /// A stream begins a life.
    Opened { stream: Name<'a>, epoch: Epoch },
    /// A message was appended. `lanes` has a bit for each lane that the life has used so far: the others
    /// are known to be empty.
    Message { at: Place<'a>, lanes: u8, message: Message<'a> },
    /// Everything up to there has been acknowledged.
    Acknowledged { at: Place<'a> },
    /// A stream's life ended in good order: it kept nothing that anybody was promised.
    Forgotten { stream: Name<'a>, epoch: Epoch },
    /// A job ran out of attempts. It stands here in whole, because its message may be evicted.
    Dead { at: Place<'a>, attempts: u32, message: Message<'a> },
    /// A dead letter was acknowledged after all, or thrown away.
    Gone { at: Place<'a> },
    /// All that older segments say of a stream, but for its messages.
    Checkpoint { stream: Name<'a>, epoch: Epoch, heads: Numbers, acknowledged: Numbers },
    /// Segment `segment` of `series` ends at byte `offset`. What follows there was refused or torn, and
    /// never happened.
    Ends { series: u16, segment: u32, offset: u64 },
}

/// Bytes of a record before what varies: tag and kind, length of the name, lane, class, epoch, sequence.
const FIXED: usize = 20;

/// Bit of the first byte: the stream is a topic's.
const TOPIC: u8 = 0x80;

/// No stream has had more messages.
const SEQUENCE_MAX: Sequence = i64::MAX as Sequence;

const OPENED: u8 = 1;
const MESSAGE: u8 = 2;
const ACKNOWLEDGED: u8 = 3;
const FORGOTTEN: u8 = 4;
const DEAD: u8 = 5;
const GONE: u8 = 6;
const CHECKPOINT: u8 = 7;
const ENDS: u8 = 8;

impl Record<'_> {
    /// Appends the record.
    pub(crate) fn write(&self, out: &mut Vec<u8>) {
        match *self {
            Record::Opened { stream, epoch } => head(out, OPENED, beginning(stream, epoch), 0),
            Record::Message { at, lanes, message } => {
                head(out, MESSAGE, at, message.class);
                out.push(lanes);
                write_message(out, &message);
            }
            Record::Acknowledged { at } => head(out, ACKNOWLEDGED, at, 0),
            Record::Forgotten { stream, epoch } => head(out, FORGOTTEN, beginning(stream, epoch), 0),
            Record::Dead { at, attempts, message } => {
                head(out, DEAD, at, message.class);
                out.extend_from_slice(&attempts.to_le_bytes());
                write_message(out, &message);
            }
            Record::Gone { at } => head(out, GONE, at, 0),
            Record::Checkpoint { stream, epoch, heads, acknowledged } => {
                head(out, CHECKPOINT, beginning(stream, epoch), 0);
                for number in heads.into_iter().chain(acknowledged) {
                    out.extend_from_slice(&number.to_le_bytes());
                }
            }
            Record::Ends { series, segment, offset } => {
                out.push(ENDS);
                out.extend_from_slice(&series.to_le_bytes());
                out.extend_from_slice(&segment.to_le_bytes());
                out.extend_from_slice(&offset.to_le_bytes());
            }
        }
    }
}

/// The place before a stream's first message.
fn beginning(stream: Name<'_>, epoch: Epoch) -> Place<'_> {
    Place { stream, epoch, lane: Lane::Normal, sequence: 0 }
}

fn head(out: &mut Vec<u8>, tag: u8, at: Place<'_>, class: u8) {
    let name = at.stream.text.as_bytes();
    debug_assert!(name.len() <= usize::from(u8::MAX), "names are checked where they come in");
    let kind = if at.stream.kind == Kind::Topic { TOPIC } else { 0 };
    out.extend_from_slice(&[tag | kind, name.len() as u8, at.lane as u8, class]);
    out.extend_from_slice(&at.epoch.bits().to_le_bytes());
    out.extend_from_slice(&at.sequence.to_le_bytes());
    out.extend_from_slice(name);
}

fn write_message(out: &mut Vec<u8>, message: &Message<'_>) {
    debug_assert!(message.key.len() <= usize::from(u8::MAX), "keys are checked where they come in");
    out.extend_from_slice(&message.wall.0.to_le_bytes());
    out.extend_from_slice(&message.ttl_ms.to_le_bytes());
    out.extend_from_slice(&(message.body.len() as u32).to_le_bytes());
    out.push(message.key.len() as u8);
    out.extend_from_slice(message.key);
    out.extend_from_slice(message.body);
}

/// The records of a batch, in order.
#[derive(Clone, Debug)]
pub(crate) struct Records<'a> {
    rest: &'a [u8],
}

/// Bytes that are no record: another version wrote them. Nothing after them can be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Unreadable;

impl<'a> Records<'a> {
    /// The records in `payload`.
    pub(crate) fn new(payload: &'a [u8]) -> Records<'a> {
        Records { rest: payload }
    }

    fn read(&mut self) -> Option<Record<'a>> {
        if self.rest.first() == Some(&ENDS) {
            self.bytes(1)?;
            let (series, segment) = (self.u16()?, self.u32()?);
            return Some(Record::Ends { series, segment, offset: self.u64()? });
        }
        let (fixed, rest) = self.rest.split_first_chunk::<FIXED>()?;
        self.rest = rest;
        let [tag, name_bytes, lane, class, ..] = *fixed;
        let (epoch, sequence) = fixed[4..].split_first_chunk::<8>()?;
        let sequence = u64::from_le_bytes(sequence.try_into().ok()?);
        let epoch = Epoch::from_bits(u64::from_le_bytes(*epoch))?;
        let kind = if tag & TOPIC == 0 { Kind::Client } else { Kind::Topic };
        let text = str::from_utf8(self.bytes(usize::from(name_bytes))?).ok()?;
        let stream = Name { kind, text };
        let lane = *Lane::ALL.get(usize::from(lane))?;
        let at = Place { stream, epoch, lane, sequence };
        if sequence > SEQUENCE_MAX {
            return None;
        }
        Some(match tag & !TOPIC {
            OPENED => Record::Opened { stream, epoch },
            MESSAGE if sequence > 0 => {
                Record::Message { at, lanes: self.u8()?, message: self.message(class)? }
            }
            ACKNOWLEDGED => Record::Acknowledged { at },
            FORGOTTEN => Record::Forgotten { stream, epoch },
            DEAD => Record::Dead { at, attempts: self.u32()?, message: self.message(class)? },
            GONE => Record::Gone { at },
            CHECKPOINT => {
                Record::Checkpoint { stream, epoch, heads: self.numbers()?, acknowledged: self.numbers()? }
            }
            _ => return None,
        })
    }

    fn message(&mut self, class: u8) -> Option<Message<'a>> {
        let (wall, ttl_ms, body_bytes) = (Wall(self.u64()?), self.u32()?, self.u32()?);
        let key_bytes = self.u8()?;
        let key = self.bytes(usize::from(key_bytes))?;
        Some(Message { wall, ttl_ms, class, key, body: self.bytes(body_bytes as usize)? })
    }

    fn numbers(&mut self) -> Option<Numbers> {
        let mut numbers = [0; LANES];
        for of_lane in &mut numbers {
            *of_lane = self.u64().filter(|number| *number <= SEQUENCE_MAX)?;
        }
        Some(numbers)
    }

    fn bytes(&mut self, length: usize) -> Option<&'a [u8]> {
        let (bytes, rest) = self.rest.split_at_checked(length)?;
        self.rest = rest;
        Some(bytes)
    }

    fn number<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (bytes, rest) = self.rest.split_first_chunk::<N>()?;
        self.rest = rest;
        Some(*bytes)
    }

    fn u8(&mut self) -> Option<u8> {
        self.number().map(u8::from_le_bytes)
    }

    fn u16(&mut self) -> Option<u16> {
        self.number().map(u16::from_le_bytes)
    }

    fn u32(&mut self) -> Option<u32> {
        self.number().map(u32::from_le_bytes)
    }

    fn u64(&mut self) -> Option<u64> {
        self.number().map(u64::from_le_bytes)
    }
}

impl<'a> Iterator for Records<'a> {
    type Item = Result<Record<'a>, Unreadable>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.rest.is_empty() {
            return None;
        }
        let record = self.read();
        if record.is_none() {
            self.rest = &[];
        }
        Some(record.ok_or(Unreadable))
    }
}

#[cfg(test)]
mod tests;
