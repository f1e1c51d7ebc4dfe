//! The home side of topics: one number for every message, kept for those who come back.

use std::sync::Arc;

use foldhash::quality::FixedState;
use hashbrown::HashMap;
use weir_ring::time::Instant;
use weir_ring::token::{Member, Token};
use weir_transports::phoenix::{self, Version};

use crate::channels::presence::{Full, Reference};
use crate::error::Error;
use crate::lane::Lane;
use crate::limits;
use crate::message::{TopicContent, write_envelope, write_meta};
use crate::outbox::{Entry, Gap, Outbox};
use crate::stream::{Epoch, Position, Sequence};

/// One message of a topic, encoded once.
#[derive(Clone, Debug)]
pub struct TopicMessage {
    /// Its number in the topic's stream.
    pub sequence: u64,
    /// Phoenix V2 frame: text, or a binary broadcast.
    pub body: Arc<[u8]>,
    /// `body` is a binary frame.
    pub binary: bool,
    /// The connection that published it, which does not get it.
    pub except: Option<(Member, Token)>,
}

/// Where a subscriber stands in a topic.
#[derive(Debug)]
pub struct Past {
    /// Epoch of the topic.
    pub epoch: Epoch,
    /// Number of the last message in `messages`, or where the subscriber goes on without any.
    pub at: u64,
    /// The cursor that was given was continued without loss.
    pub recovered: bool,
    /// What is lost.
    pub gap: Option<Gap>,
    /// Messages after the cursor, in order.
    pub messages: Vec<TopicMessage>,
    /// Nothing is missing any more: the receiving shard is subscribed and the next message follows.
    pub live: bool,
    /// What became of the wish to be seen on the topic, where there was one.
    pub present: Option<Result<Reference, Full>>,
}

/// Outbox classes of a topic's entries.
const TEXT: u8 = 0;
const BINARY: u8 = 1;

/// A topic whose home is this shard.
#[derive(Debug)]
pub(crate) struct Topic {
    name: Arc<str>,
    epoch: Epoch,
    outbox: Outbox,
    /// Subscribed connections by member.
    pub(crate) subscribed: Vec<u32>,
    /// Appended and not yet sent to the subscribers' shards.
    fresh: Vec<TopicMessage>,
    used: Instant,
}

/// The topics whose home is this shard.
#[derive(Debug)]
pub(crate) struct Topics {
    by_name: HashMap<Arc<str>, Topic, FixedState>,
    /// Topics with fresh messages.
    dirty: Vec<Arc<str>>,
    shards: u16,
}

impl Topics {
    pub(crate) fn new(shards: u16, seed: u64) -> Topics {
        Topics { by_name: HashMap::with_hasher(FixedState::with_seed(seed)), dirty: Vec::new(), shards }
    }

    pub(crate) fn len(&self) -> usize {
        self.by_name.len()
    }

    /// The topic of that name; a new one begins at `epoch`.
    pub(crate) fn open(&mut self, name: &str, epoch: impl FnOnce() -> Epoch, now: Instant) -> &mut Topic {
        let shards = self.shards;
        let topic = self.by_name.entry_ref(name).or_insert_with(|| {
            let epoch = epoch();
            Topic {
                name: name.into(),
                epoch,
                outbox: Outbox::new(epoch),
                subscribed: vec![0; usize::from(shards)],
                fresh: Vec::new(),
                used: now,
            }
        });
        topic.used = now;
        topic
    }

    /// The topic of that name, if there is one.
    pub(crate) fn get(&self, name: &str) -> Option<&Topic> {
        self.by_name.get(name)
    }

    /// All topics.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &Topic> {
        self.by_name.values()
    }

    /// The names of all topics.
    pub(crate) fn names(&self) -> impl Iterator<Item = Arc<str>> {
        self.by_name.keys().cloned()
    }

    /// Puts back a topic as it was before a restart.
    pub(crate) fn restore(&mut self, name: &str, outbox: Outbox, now: Instant) {
        let epoch = outbox.epoch();
        self.open(name, || epoch, now).outbox = outbox;
    }

    /// Everything of `name` up to `sequence` is durable: it may leave for the subscribers.
    pub(crate) fn settle(&mut self, name: &str, sequence: Sequence) {
        let Some(topic) = self.by_name.get_mut(name) else { return };
        let due = topic.ready() > 0;
        topic.outbox.settle(sequence);
        if !due && topic.ready() > 0 {
            self.dirty.push(Arc::clone(&topic.name));
        }
    }

    /// Takes back what of `name` is not durable, and says how many bytes that were.
    pub(crate) fn roll_back(&mut self, name: &str) -> usize {
        let Some(topic) = self.by_name.get_mut(name) else { return 0 };
        topic.fresh.truncate(topic.ready());
        topic.outbox.roll_back()
    }

    /// Drops the oldest message of `name`, and says how many bytes that were.
    pub(crate) fn evict_oldest(&mut self, name: &str) -> usize {
        self.by_name.get_mut(name).map_or(0, |topic| topic.outbox.evict_oldest())
    }

    /// One connection of `from` left.
    pub(crate) fn unsubscribe(&mut self, name: &str, from: Member) {
        if let Some(topic) = self.by_name.get_mut(name)
            && let Some(count) = topic.subscribed.get_mut(usize::from(from.0))
        {
            *count = count.saturating_sub(1);
        }
    }

    /// Whether anybody gets what is published to `name`.
    pub(crate) fn is_subscribed(&self, name: &str) -> bool {
        self.by_name.get(name).is_some_and(|topic| !topic.members().is_empty())
    }

    /// The next topic with fresh messages, and the members they go to.
    pub(crate) fn next_fresh(&mut self) -> Option<Fresh> {
        while let Some(name) = self.dirty.pop() {
            if let Some(fresh) = self.take_fresh(&name) {
                return Some(fresh);
            }
        }
        None
    }

    /// The fresh messages of `name`, and the members they go to.
    pub(crate) fn take_fresh(&mut self, name: &str) -> Option<Fresh> {
        let topic = self.by_name.get_mut(name)?;
        let messages = match topic.ready() {
            0 => return None,
            all if all == topic.fresh.len() => std::mem::take(&mut topic.fresh),
            some => topic.fresh.drain(..some).collect(),
        };
        Some(Fresh { topic: Arc::clone(&topic.name), messages, to: topic.members() })
    }

    /// Forgets what is too old, and topics that nobody uses and that keep nothing. Returns the bytes freed, and
    /// which topics are no more.
    pub(crate) fn sweep(&mut self, now: Instant, limits: &limits::Outbox) -> (usize, Vec<(Arc<str>, Epoch)>) {
        let (mut freed, mut forgotten) = (0, Vec::new());
        self.by_name.retain(|name, topic| {
            freed += topic.outbox.trim_age(now, limits);
            let keep = !topic.outbox.is_empty()
                || topic.subscribed.iter().any(|count| *count > 0)
                || now.since(topic.used) < limits.age_max;
            if !keep {
                forgotten.push((Arc::clone(name), topic.epoch));
            }
            keep
        });
        (freed, forgotten)
    }
}

/// Messages that leave for the subscribers' shards.
#[derive(Debug)]
pub(crate) struct Fresh {
    pub topic: Arc<str>,
    pub messages: Vec<TopicMessage>,
    pub to: Vec<Member>,
}

/// What an append did.
#[derive(Debug)]
pub(crate) struct Appended {
    pub position: Position,
    pub delivered_to: u32,
    pub bytes_added: usize,
    pub bytes_evicted: usize,
}

impl Topic {
    /// Its name.
    pub(crate) fn name(&self) -> &Arc<str> {
        &self.name
    }

    /// Its stream.
    pub(crate) fn outbox(&self) -> &Outbox {
        &self.outbox
    }

    /// Fresh messages that are durable.
    fn ready(&self) -> usize {
        self.fresh.partition_point(|message| message.sequence <= self.outbox.durable())
    }

    /// Members with subscribers.
    fn members(&self) -> Vec<Member> {
        let with = self.subscribed.iter().enumerate().filter(|(_, count)| **count > 0);
        with.map(|(member, _)| Member(member as u16)).collect()
    }

    /// Members that the next message needs a letter to; none while one is already due to them.
    pub(crate) fn letters_due(&self) -> Vec<Member> {
        if self.fresh.is_empty() { self.members() } else { Vec::new() }
    }

    /// Numbers, encodes and keeps one message.
    ///
    /// # Errors
    /// `Malformed` when an event name does not fit a binary frame, `InsufficientResources` when the
    /// message has more than `room` bytes.
    pub(crate) fn append(
        &mut self,
        content: &TopicContent,
        now: Instant,
        timestamp: &str,
        (limits, room): (&limits::Outbox, usize),
    ) -> Result<Appended, Error> {
        let position = Position { epoch: self.epoch, sequence: self.outbox.head() + 1 };
        let mut body = Vec::with_capacity(256);
        let mut except = None;
        let mut meta = Vec::new();
        match content {
            TopicContent::Message { kind, data } => {
                let mut envelope = Vec::with_capacity(data.get().len() + 128);
                write_envelope(&mut envelope, (Lane::Normal, position), kind, timestamp, data.get());
                phoenix::push(Version::V2, &mut body, None, &self.name, "message", &envelope, None);
            }
            TopicContent::Event { event, payload, publisher } => {
                write_meta(&mut meta, position, timestamp);
                let payload = payload.as_bytes();
                phoenix::push(Version::V2, &mut body, None, &self.name, event, payload, Some(&meta));
                except = Some(*publisher);
            }
            TopicContent::Binary { event, payload, publisher } => {
                phoenix::binary::broadcast(&mut body, &self.name, event, payload)
                    .map_err(|e| Error::malformed(e.to_string()))?;
                except = Some(*publisher);
            }
        }
        let binary = matches!(content, TopicContent::Binary { .. });
        let body: Arc<[u8]> = body.into();
        let class = if binary { BINARY } else { TEXT };
        let bytes_added = body.len();
        if bytes_added > room {
            return Err(Error::insufficient_resources());
        }
        let entry = Entry { at: now, body: Arc::clone(&body), class, ttl_ms: 0 };
        let appended = self.outbox.append(limits, entry);
        self.fresh.push(TopicMessage { sequence: position.sequence, body, binary, except });
        let own = u32::from(except.is_some());
        let delivered_to = self.subscribed.iter().sum::<u32>().saturating_sub(own);
        Ok(Appended { position, delivered_to, bytes_added, bytes_evicted: appended.evicted_bytes })
    }

    /// What `from`'s subscriber is to be sent next, at most about `bytes_max`. When nothing is left
    /// after that, `from` is subscribed: the next message follows without a seam, because letters
    /// between two members keep their order.
    pub(crate) fn subscribe(&mut self, from: Member, resume: Option<Position>, bytes_max: usize) -> Past {
        let head = self.outbox.durable();
        let mut past = Past {
            epoch: self.epoch,
            at: head,
            recovered: false,
            gap: None,
            messages: Vec::new(),
            live: true,
            present: None,
        };
        if let Some(cursor) = resume {
            let replay = self.outbox.replay(cursor);
            past.recovered = replay.gap.is_none();
            past.gap = replay.gap;
            let mut bytes = 0;
            for (sequence, entry) in replay.entries {
                if bytes > bytes_max {
                    past.live = false;
                    break;
                }
                bytes += entry.body.len();
                past.at = sequence;
                let (body, binary) = (Arc::clone(&entry.body), entry.class == BINARY);
                past.messages.push(TopicMessage { sequence, body, binary, except: None });
            }
        }
        if past.live
            && let Some(count) = self.subscribed.get_mut(usize::from(from.0))
        {
            *count += 1;
        }
        past
    }
}
