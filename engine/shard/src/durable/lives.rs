//! The streams of a log while it is read, oldest record first. What is read is only pointed to; nothing is
//! copied but what is kept in the end.

use std::collections::{BTreeMap, VecDeque};
use std::hash::BuildHasher;
use std::sync::Arc;

use foldhash::fast::FixedState;
use hashbrown::HashTable;
use weir_ring::time::Wall;

use crate::dead::MessageId;
use crate::durable::record::{Kind, LANES, Message, Name, Place, Record};
use crate::lane::Lane;
use crate::limits;
use crate::stream::{Epoch, Sequence};

/// A stream that comes back, with what it kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stream {
    /// Whose it is.
    pub kind: Kind,
    /// The client's name, or the topic's.
    pub name: Box<str>,
    /// The life that goes on.
    pub epoch: Epoch,
    /// Its lanes, in the order of [`Lane::ALL`].
    pub lanes: [Run; LANES],
}

/// One lane of a stream: a contiguous run that ends at the newest message.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Run {
    /// The number of the newest message; 0: none yet.
    pub head: Sequence,
    /// Everything up to here has been acknowledged.
    pub acknowledged: Sequence,
    /// The last has the number `head`.
    pub entries: Vec<Entry>,
}

/// A message that is kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// When it was taken.
    pub wall: Wall,
    /// How long it is worth sending, milliseconds; 0: as long as it is kept.
    pub ttl_ms: u32,
    /// The outbox's class.
    pub class: u8,
    /// Its idempotency key, as the table of keys wrote it; empty: none.
    pub key: Box<[u8]>,
    /// The encoded envelope.
    pub body: Arc<[u8]>,
}

/// A job that ran out of attempts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeadLetter {
    /// The client it was for.
    pub client: Box<str>,
    /// Its name for ever.
    pub id: MessageId,
    /// Times it was sent.
    pub attempts: u32,
    /// The message.
    pub entry: Entry,
}

/// Where something was written: later ones are larger within a series.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Written {
    pub run: u32,
    pub series: u16,
    pub lsn: u64,
}

impl Written {
    /// Whether `hole`, which begins behind the batch it names, may have followed. Within a run a stream
    /// stays in one series.
    fn may_be_behind(self, hole: Written) -> bool {
        self.run < hole.run || self.run == hole.run && self.series == hole.series && self.lsn <= hole.lsn
    }
}

/// All streams of a log.
pub(crate) struct Lives<'a> {
    limits: &'a limits::Outbox,
    by_name: HashTable<u32>,
    hasher: FixedState,
    lives: Vec<Life<'a>>,
    /// The one the last record was about; often the next is about it, too.
    last: u32,
    dead: BTreeMap<DeadKey, (u32, Message<'a>)>,
}

/// The index of a dead letter's stream, its epoch, lane and number.
type DeadKey = (u32, u64, u8, Sequence);

struct Life<'a> {
    name: Name<'a>,
    /// `None`: forgotten, or never opened.
    epoch: Option<Epoch>,
    /// The last record that said which lanes are in use.
    written: Written,
    /// A bit for each of them.
    used: u8,
    lanes: [LaneLife<'a>; LANES],
}

#[derive(Default)]
struct LaneLife<'a> {
    /// The last record that said what the head is.
    written: Written,
    head: Sequence,
    acknowledged: Sequence,
    bytes: usize,
    kept: VecDeque<Message<'a>>,
}

impl<'a> Lives<'a> {
    /// No streams yet; `seed` keeps the table's order out of an attacker's reach.
    pub(crate) fn new(limits: &'a limits::Outbox, seed: u64) -> Lives<'a> {
        Lives {
            limits,
            by_name: HashTable::new(),
            hasher: FixedState::with_seed(seed),
            lives: Vec::new(),
            last: u32::MAX,
            dead: BTreeMap::new(),
        }
    }

    /// Takes one record; segments' ends are no business of streams.
    pub(crate) fn apply(&mut self, record: &Record<'a>, written: Written) {
        match *record {
            Record::Message { at, lanes, message } => {
                let limits = self.limits;
                let life = self.life(at.stream, at.epoch);
                life.uses(lanes, written);
                let lane = &mut life.lanes[at.lane as usize];
                lane.written = written;
                lane.append(at.sequence, message, limits);
            }
            Record::Acknowledged { at } => {
                let life = self.life(at.stream, at.epoch);
                life.lanes[at.lane as usize].acknowledge(at.sequence);
            }
            Record::Opened { stream, epoch } => {
                let life = self.life(stream, epoch);
                (life.written, life.used) = (written, 0);
            }
            Record::Checkpoint { stream, epoch, heads, acknowledged } => {
                let life = self.life(stream, epoch);
                (life.written, life.used) = (written, u8::MAX);
                for (at, lane) in life.lanes.iter_mut().enumerate() {
                    lane.written = written;
                    lane.end_at(heads[at]);
                    lane.acknowledge(acknowledged[at]);
                }
            }
            Record::Forgotten { stream, epoch } => {
                let life = self.life(stream, epoch);
                (life.epoch, life.lanes) = (None, Default::default());
            }
            Record::Dead { at, attempts, message } => {
                let key = self.dead_key(at);
                self.dead.insert(key, (attempts, message));
            }
            Record::Gone { at } => {
                let key = self.dead_key(at);
                self.dead.remove(&key);
            }
            Record::Ends { .. } => {}
        }
    }

    /// Forgets the streams that may have lost what a hole lost, and says how many.
    pub(crate) fn lose(&mut self, holes: &[Written]) -> u64 {
        let mut lost = 0;
        for life in &mut self.lives {
            if life.epoch.is_some() && holes.iter().any(|hole| life.may_be_behind(*hole)) {
                life.epoch = None;
                lost += 1;
            }
        }
        lost
    }

    /// What is kept at `now`, copied.
    pub(crate) fn finish(self, now: Wall) -> (Vec<Stream>, Vec<DeadLetter>) {
        let Lives { limits, lives, dead, .. } = self;
        let dead = dead.into_iter().filter_map(|((index, epoch, lane, sequence), (attempts, message))| {
            let client = lives.get(index as usize)?.name.text.into();
            let (epoch, lane) = (Epoch::from_bits(epoch)?, *Lane::ALL.get(usize::from(lane))?);
            let id = MessageId { epoch, lane, sequence };
            Some(DeadLetter { client, id, attempts, entry: Entry::of(&message) })
        });
        let dead = dead.collect();
        let streams = lives.into_iter().filter_map(|life| {
            let epoch = life.epoch?;
            let lanes = life.lanes.map(|lane| lane.finish(now, limits));
            Some(Stream { kind: life.name.kind, name: life.name.text.into(), epoch, lanes })
        });
        (streams.collect(), dead)
    }

    /// Dead letters outlive their stream.
    fn dead_key(&mut self, at: Place<'a>) -> DeadKey {
        (self.find(at.stream), at.epoch.bits(), at.lane as u8, at.sequence)
    }

    /// The life `epoch` of a stream. Another one has ended if this one is heard of.
    fn life(&mut self, stream: Name<'a>, epoch: Epoch) -> &mut Life<'a> {
        let index = self.find(stream);
        let life = &mut self.lives[index as usize];
        if life.epoch != Some(epoch) {
            *life = Life { epoch: Some(epoch), ..Life::unknown(life.name) };
        }
        life
    }

    /// The index of a stream, made if need be.
    fn find(&mut self, stream: Name<'a>) -> u32 {
        let Lives { by_name, hasher, lives, .. } = self;
        if lives.get(self.last as usize).is_some_and(|life| life.name == stream) {
            return self.last;
        }
        let hash = |name: Name<'_>| hasher.hash_one((name.kind, name.text));
        let named = |index: &u32| lives[*index as usize].name == stream;
        let found = by_name.find(hash(stream), named).copied();
        let index = found.unwrap_or(lives.len() as u32);
        if found.is_none() {
            by_name.insert_unique(hash(stream), index, |index| hash(lives[*index as usize].name));
            lives.push(Life::unknown(stream));
        }
        self.last = index;
        index
    }
}

impl<'a> Life<'a> {
    fn unknown(name: Name<'a>) -> Life<'a> {
        let (written, lanes) = (Written::default(), Default::default());
        Life { name, epoch: None, written, used: u8::MAX, lanes }
    }

    /// These lanes are in use, a bit for each. What was said of others had been refused.
    fn uses(&mut self, lanes: u8, written: Written) {
        if self.used & !lanes != 0 {
            for (at, lane) in self.lanes.iter_mut().enumerate() {
                if lanes >> at & 1 == 0 {
                    *lane = LaneLife::default();
                }
            }
        }
        (self.written, self.used) = (written, lanes);
    }

    /// Whether a lane may have come further than is known: nothing after the hole says where it stands.
    fn may_be_behind(&self, hole: Written) -> bool {
        let unused = |at: usize| self.used >> at & 1 == 0 && !self.written.may_be_behind(hole);
        self.lanes.iter().enumerate().any(|(at, lane)| lane.written.may_be_behind(hole) && !unused(at))
    }
}

impl<'a> LaneLife<'a> {
    /// Takes the message `sequence`. After a hole the run begins anew; what was refused and numbered again
    /// never happened.
    fn append(&mut self, sequence: Sequence, message: Message<'a>, limits: &limits::Outbox) {
        self.end_at(sequence.saturating_sub(1));
        self.head = sequence;
        self.bytes += message.body.len();
        self.kept.push_back(message);
        while self.kept.len() > 1 && (self.kept.len() > limits.messages_max || self.bytes > limits.bytes_max)
        {
            self.drop_oldest();
        }
    }

    /// Makes `head` the newest number: later ones never happened, and earlier ones than were heard of are
    /// lost with all before them.
    fn end_at(&mut self, head: Sequence) {
        if self.head < head {
            self.kept.clear();
            self.bytes = 0;
        }
        while self.head > head {
            self.bytes -= self.kept.pop_back().map_or(0, |message| message.body.len());
            self.head -= 1;
            if self.kept.is_empty() {
                self.head = head;
            }
        }
        self.head = head;
        self.acknowledged = self.acknowledged.min(head);
    }

    fn acknowledge(&mut self, sequence: Sequence) {
        self.acknowledged = self.acknowledged.max(sequence.min(self.head));
        let floor = |lane: &LaneLife<'_>| (lane.head - lane.kept.len() as u64).saturating_add(1);
        while !self.kept.is_empty() && floor(self) <= self.acknowledged {
            self.drop_oldest();
        }
    }

    fn drop_oldest(&mut self) {
        self.bytes -= self.kept.pop_front().map_or(0, |message| message.body.len());
    }

    fn finish(mut self, now: Wall, limits: &limits::Outbox) -> Run {
        let age_max = limits.age_max.as_millis() as u64;
        let expired = |message: &Message<'_>| age_max > 0 && now.0.saturating_sub(message.wall.0) > age_max;
        while self.kept.front().is_some_and(expired) {
            self.drop_oldest();
        }
        let entries = self.kept.iter().map(Entry::of).collect();
        Run { head: self.head, acknowledged: self.acknowledged, entries }
    }
}

impl Entry {
    pub(super) fn of(message: &Message<'_>) -> Entry {
        let Message { wall, ttl_ms, class, key, body } = *message;
        Entry { wall, ttl_ms, class, key: key.into(), body: body.into() }
    }
}
