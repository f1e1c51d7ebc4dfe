//! The streams of a shard as bytes, for the process that goes on with them: one segment of a log, which
//! [`recover`](super::recover) reads like any other.

use std::collections::BTreeMap;

use weir_ring::time::{Instant, Now, Wall};

use crate::durable::batch::{HEADER, Writer, seal};
use crate::durable::commit::{client_checkpoint, client_name, dead_record, topic_checkpoint};
use crate::durable::record::{Kind, Message, Name, Place, Record};
use crate::idempotency::KEY_IN_LOG;
use crate::lane::Lane;
use crate::message::Receipt;
use crate::outbox::{Entry, Outbox};
use crate::session::Session;
use crate::turn::{Cx, Shard};

/// Bytes of one batch, roughly.
const BATCH_BYTES: usize = 1 << 20;

/// Idempotency keys by the message that was published under them: epoch, lane, number.
type KeysOf = BTreeMap<(u64, u8, u64), [u8; KEY_IN_LOG]>;

impl Shard {
    /// All streams that the shard is home to, with what they keep. Names that the gateway made up are of no use to
    /// anybody else.
    pub(crate) fn export(&mut self, cx: &Cx<'_>) -> Vec<u8> {
        let salt = self.random.next() as u32;
        let keys = self.keys.published().map(|(Receipt { lane, position, .. }, key)| {
            ((position.epoch.bits(), lane as u8, position.sequence), key)
        });
        let mut sheaf = Sheaf::new(Writer { run: 1, salt }, keys.collect(), cx.now);
        for (_, session) in self.sessions.iter().filter(|(_, session)| !session.is_minted()) {
            sheaf.client(session);
        }
        for topic in self.topics.iter() {
            let stream = Name { kind: Kind::Topic, text: topic.name() };
            let used = 1 << Lane::Normal as u8;
            sheaf.record(&Record::Opened { stream, epoch: topic.outbox().epoch() });
            sheaf.messages(stream, (Lane::Normal, used), topic.outbox());
            sheaf.record(&topic_checkpoint(topic));
        }
        for (id, letter) in self.dead.list(None, None) {
            sheaf.record(&dead_record(id, letter));
        }
        sheaf.finish()
    }
}

/// Batches that are written one behind the other.
struct Sheaf {
    bytes: Vec<u8>,
    /// Where the batch under way begins.
    begin: usize,
    lsn: u64,
    writer: Writer,
    keys: KeysOf,
    now: Now,
}

impl Sheaf {
    /// The first batch has no records: from it a reader learns who wrote.
    fn new(writer: Writer, keys: KeysOf, now: Now) -> Sheaf {
        let mut sheaf = Sheaf { bytes: vec![0; HEADER], begin: 0, lsn: 1, writer, keys, now };
        sheaf.end_batch();
        sheaf
    }

    fn client(&mut self, session: &Session) {
        let stream = client_name(&session.client);
        self.record(&Record::Opened { stream, epoch: session.epoch });
        let Some(mailbox) = &session.mailbox else { return };
        for (lane, of_lane) in mailbox.lanes() {
            self.messages(stream, (lane, mailbox.used()), &of_lane.outbox);
        }
        self.record(&client_checkpoint(session));
    }

    fn messages(&mut self, stream: Name<'_>, (lane, lanes): (Lane, u8), outbox: &Outbox) {
        let epoch = outbox.epoch();
        for (sequence, entry) in outbox.entries_from(outbox.floor()) {
            let Entry { body, class, ttl_ms, at } = entry;
            let key = self.keys.get(&(epoch.bits(), lane as u8, sequence)).copied();
            let key = key.as_ref().map_or(&[][..], |key| key);
            let wall = self.wall(*at);
            let message = Message { wall, ttl_ms: *ttl_ms, class: *class, key, body };
            self.record(&Record::Message { at: Place { stream, epoch, lane, sequence }, lanes, message });
        }
    }

    /// When it was `at` on the clock that people read.
    fn wall(&self, at: Instant) -> Wall {
        let age = self.now.mono.since(at).as_millis() as u64;
        Wall(self.now.wall.0.saturating_sub(age))
    }

    fn record(&mut self, record: &Record<'_>) {
        record.write(&mut self.bytes);
        if self.bytes.len() - self.begin > BATCH_BYTES {
            self.end_batch();
        }
    }

    fn end_batch(&mut self) {
        seal(&mut self.bytes[self.begin..], self.writer, self.lsn);
        self.begin = self.bytes.len();
        self.lsn += 1;
        self.bytes.resize(self.begin + HEADER, 0);
    }

    fn finish(mut self) -> Vec<u8> {
        self.end_batch();
        self.bytes.truncate(self.begin);
        self.bytes
    }
}
