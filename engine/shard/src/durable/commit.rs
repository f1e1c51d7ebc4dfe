//! Between the streams and the log: nothing is told to anybody before it is where it must be.
//!
//! With the memory tier that is at once; with a log it is when the batch with the message is on the disk.
//! Both settle in the same way.

use weir_ring::op::Errno;
use weir_ring::time::Wall;

use crate::channels::topics::Topic;
use crate::dead::{DeadLetter, MessageId};
use crate::durable::journal::{Journal, Outcome, StreamRef, Subject, Unsettled};
use crate::durable::record::{Kind, Message, Name, Numbers, Place, Record};
use crate::error::Error;
use crate::idempotency::{Key, Reply};
use crate::lane::Lane;
use crate::mailbox::{LaneStream, Mailbox};
use crate::message::Receipt;
use crate::outbox::Entry;
use crate::random::Random;
use crate::session::Session;
use crate::stream::Epoch;
use crate::turn::{Cx, Shard};
use crate::vsm::{Cause, Feeling};

/// Bytes of one batch that speak of streams only because older segments are to go: others wait for it.
const SWEEP_BYTES: usize = 64 << 10;

impl Shard {
    /// Whether what is to be kept can be taken now.
    ///
    /// # Errors
    /// The log is behind, or its disk refuses, or the streams are handed over.
    pub(crate) fn check_log(&self) -> Result<(), Error> {
        if self.succession.is_some() {
            return Err(Error::draining());
        }
        self.journal.as_ref().map_or(Ok(()), |journal| journal.check())
    }

    /// A message has just been appended: it is settled, or waits until the log has it.
    pub(crate) fn appended(&mut self, unsettled: Unsettled, cx: &mut Cx<'_>) {
        match &mut self.journal {
            Some(journal) => {
                if let Some(key) = &unsettled.key {
                    self.keys.note(key, Reply::Begun, cx.now.mono);
                }
                journal.wait(unsettled);
            }
            None => {
                self.reveal(&unsettled);
                self.tell_settled(unsettled, cx);
            }
        }
    }

    /// The log has a batch, or has not.
    pub(crate) fn log_appended(&mut self, bytes: Vec<u8>, errno: Option<Errno>, cx: &mut Cx<'_>) {
        let Some(journal) = &mut self.journal else { return };
        self.stats.appends.record(journal.taken(cx.now.mono));
        match journal.appended(bytes, errno, cx.now.mono) {
            Outcome::Durable(waiting) => {
                self.feel(Cause::Storage, Feeling::Pleasure, cx);
                waiting.iter().for_each(|one| self.reveal(one));
                for one in waiting {
                    self.tell_settled(one, cx);
                }
            }
            Outcome::Refused(waiting) => {
                self.stats.log.refused += 1;
                self.feel(Cause::Storage, Feeling::Pain, cx);
                for one in &waiting {
                    self.roll_back(&one.stream);
                }
                for Unsettled { from, reply_to, key, .. } in waiting {
                    if let Some(key) = &key {
                        self.keys.forget(key);
                    }
                    self.receipt(from, reply_to, Err(Error::storage()), cx);
                }
            }
        }
    }

    /// Lets a message be seen.
    fn reveal(&mut self, unsettled: &Unsettled) {
        let Receipt { lane, position, .. } = unsettled.receipt;
        match &unsettled.stream {
            StreamRef::Topic(topic) => self.topics.settle(topic, position.sequence),
            StreamRef::Client(id) => {
                let mailbox = self.sessions.get_mut(*id).and_then(|session| session.mailbox.as_mut());
                if let Some(stream) = mailbox.and_then(|mailbox| mailbox.lane_mut(lane)) {
                    stream.outbox.settle(position.sequence);
                }
            }
        }
    }

    /// Delivers a settled message, and tells its publisher, unless that waits for the client.
    fn tell_settled(&mut self, unsettled: Unsettled, cx: &mut Cx<'_>) {
        let Unsettled { stream, from, reply_to, mut receipt, patience, key } = unsettled;
        if let StreamRef::Client(id) = stream {
            self.deliver(id, cx);
            receipt.state = self.state(id, receipt.lane, receipt.position.sequence);
        }
        if let Some(key) = &key {
            self.keys.note(key, Reply::Published(receipt), cx.now.mono);
        }
        match (stream, patience) {
            (StreamRef::Client(id), Some(until)) => {
                self.answer_by(until, (from, reply_to), Some(id), receipt, cx);
            }
            _ => self.receipt(from, reply_to, Ok(receipt), cx),
        }
    }

    /// Takes back what is not settled of a stream.
    fn roll_back(&mut self, stream: &StreamRef) {
        let bytes = match stream {
            StreamRef::Topic(topic) => self.topics.roll_back(topic),
            StreamRef::Client(id) => {
                let mailbox = self.sessions.get_mut(*id).and_then(|session| session.mailbox.as_mut());
                mailbox.map_or(0, |mailbox| mailbox.roll_back())
            }
        };
        self.stats.outbox_bytes -= bytes as u64;
    }

    /// What a turn has appended leaves for the disk, and segments that are of no use any more go.
    pub(crate) fn commit(&mut self, cx: &mut Cx<'_>) {
        let Shard { journal, sessions, topics, dead, config, stats, .. } = self;
        let Some(journal) = journal else { return };
        journal.sweep(|| {
            let clients = sessions.iter().filter(|(_, session)| !session.is_minted());
            let clients = clients.map(|(id, _)| StreamRef::Client(id));
            let streams = clients.chain(topics.names().map(StreamRef::Topic)).map(Subject::Stream);
            streams.chain(dead.list(None, None).map(|(id, _)| Subject::Dead(id))).collect()
        });
        let mut swept = 0;
        while swept < SWEEP_BYTES
            && let Some(subject) = journal.next_to_sweep()
        {
            let record = match &subject {
                Subject::Stream(StreamRef::Client(id)) => sessions.get(*id).map(client_checkpoint),
                Subject::Stream(StreamRef::Topic(name)) => topics.get(name).map(topic_checkpoint),
                Subject::Dead(id) => dead.get(*id).map(|letter| dead_record(*id, letter)),
            };
            swept += record.map_or(0, |record| journal.collect(&record));
        }
        if let Some(append) = journal.next(cx.now.mono, self.draining.is_some()) {
            stats.log.batches += 1;
            cx.out.ops.push(append);
        }
        cx.out.ops.extend(journal.discard(cx.now.mono, config.outbox.age_max));
        stats.log.bytes = journal.bytes();
    }
}

/// The log, if there is one.
pub(crate) type Log = Option<Box<Journal>>;

/// A client's stream or a topic begins a life.
pub(crate) fn log_opened(log: &mut Log, stream: Name<'_>, epoch: Epoch) {
    if let Some(journal) = log {
        journal.note(&Record::Opened { stream, epoch });
    }
}

/// The epoch of a topic that begins.
pub(crate) fn begin_topic(random: &mut Random, log: &mut Log, topic: &str) -> Epoch {
    let epoch = Epoch::from_random(random.next());
    log_opened(log, Name { kind: Kind::Topic, text: topic }, epoch);
    epoch
}

/// A client's stream or a topic is no more.
pub(crate) fn log_forgotten(log: &mut Log, stream: Name<'_>, epoch: Epoch) {
    if let Some(journal) = log {
        journal.note(&Record::Forgotten { stream, epoch });
    }
}

/// A message was given up, or once more.
pub(crate) fn log_dead(log: &mut Log, id: MessageId, letter: &DeadLetter) {
    if let Some(journal) = log {
        journal.note(&dead_record(id, letter));
    }
}

/// A dead letter was acknowledged after all, or thrown away.
pub(crate) fn log_gone(log: &mut Log, id: MessageId, letter: &DeadLetter) {
    if let Some(journal) = log {
        let MessageId { epoch, lane, sequence } = id;
        let at = Place { stream: client_name(&letter.client), epoch, lane, sequence };
        journal.note(&Record::Gone { at });
    }
}

/// The client has acknowledged more than before.
pub(crate) fn log_acknowledged(log: &mut Log, stream: Name<'_>, mailbox: &Mailbox) {
    let Some(journal) = log else { return };
    for (lane, LaneStream { outbox, .. }) in mailbox.lanes() {
        let (epoch, sequence) = (outbox.epoch(), outbox.acknowledged());
        if sequence > 0 {
            journal.note(&Record::Acknowledged { at: Place { stream, epoch, lane, sequence } });
        }
    }
}

/// A message is about to be appended at `at`; `lanes` is [`crate::mailbox::Mailbox::used`] with it.
pub(crate) fn log_message(
    log: &mut Log,
    at: Place<'_>,
    lanes: u8,
    (entry, key): (&Entry, Option<&Key>),
    wall: Wall,
) {
    if let Some(journal) = log {
        let Entry { body, class, ttl_ms, .. } = entry;
        let key = key.map(|key| key.to_bytes());
        let key = key.as_ref().map_or(&[][..], |key| key);
        let message = Message { wall, ttl_ms: *ttl_ms, class: *class, key, body };
        journal.message(&Record::Message { at, lanes, message }, entry.at);
    }
}

/// The name that a client's stream has in the log.
pub(crate) fn client_name(client: &str) -> Name<'_> {
    Name { kind: Kind::Client, text: client }
}

/// What the log says of a client's stream that newer segments must say again.
pub(super) fn client_checkpoint(session: &Session) -> Record<'_> {
    let (mut heads, mut acknowledged) = (Numbers::default(), Numbers::default());
    for (lane, stream) in session.mailbox.iter().flat_map(|mailbox| mailbox.lanes()) {
        heads[lane as usize] = stream.outbox.head();
        acknowledged[lane as usize] = stream.outbox.acknowledged();
    }
    let stream = client_name(&session.client);
    Record::Checkpoint { stream, epoch: session.epoch, heads, acknowledged }
}

/// A dead letter in whole.
pub(super) fn dead_record(id: MessageId, letter: &DeadLetter) -> Record<'_> {
    let DeadLetter { client, body, class, attempts, died, .. } = letter;
    let MessageId { epoch, lane, sequence } = id;
    let at = Place { stream: client_name(client), epoch, lane, sequence };
    let message = Message { wall: *died, ttl_ms: 0, class: *class, key: b"", body };
    Record::Dead { at, attempts: (*attempts).into(), message }
}

/// What the log says of a topic that newer segments must say again.
pub(super) fn topic_checkpoint(topic: &Topic) -> Record<'_> {
    let (outbox, mut heads) = (topic.outbox(), Numbers::default());
    heads[Lane::Normal as usize] = outbox.head();
    let stream = Name { kind: Kind::Topic, text: topic.name() };
    Record::Checkpoint { stream, epoch: outbox.epoch(), heads, acknowledged: Numbers::default() }
}
