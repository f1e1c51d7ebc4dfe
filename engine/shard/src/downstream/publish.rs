//! Publishes: to the receiver's home, into its stream, and the receipt back.

use weir_ring::time::Instant;
use weir_ring::token::{Member, Token};

use crate::acks::{Job, Waiting};
use crate::error::Error;
use crate::idempotency::{Key, Reply};
use crate::lane::Lane;
use crate::mail::{Mail, ReplyTo};
use crate::mailbox::Mailbox;
use crate::message::{ClientPublish, Publish, Receipt, State, TopicPublish, write_envelope};
use crate::outbox::Entry;
use crate::policy::Verdict;
use crate::route;
use crate::stream::{Epoch, Position, Sequence};
use crate::turn::{Cx, Shard};

impl Shard {
    /// Sends a publish to its receiver's home; the receipt comes to `reply_to`.
    ///
    /// # Errors
    /// `InsufficientResources` when the home cannot take another letter: nothing was accepted.
    pub(crate) fn send_publish(
        &mut self,
        publish: Publish,
        reply_to: ReplyTo,
        cx: &mut Cx<'_>,
    ) -> Result<(), Error> {
        let from = self.me;
        let (home, letter) = match publish {
            Publish::Client(publish) => {
                (route::home(&self.ring, &publish.client), Mail::Publish { from, reply_to, publish })
            }
            Publish::Topic(publish) => {
                (route::home(&self.ring, &publish.topic), Mail::PublishTopic { from, reply_to, publish })
            }
        };
        if !self.has_room(home, cx) {
            return Err(Error::insufficient_resources());
        }
        self.send(home, letter, cx);
        Ok(())
    }

    /// At the client's home: appends and delivers.
    pub(crate) fn publish_client(
        &mut self,
        from: Member,
        reply_to: ReplyTo,
        publish: &ClientPublish,
        cx: &mut Cx<'_>,
    ) {
        let outcome = match self.answered_before(publish.key.as_deref(), cx) {
            Some(known) => known,
            None => self.append_client(publish, cx),
        };
        self.note_key(publish.key.as_deref(), &outcome, cx);
        match (outcome, publish.wait) {
            (Ok(receipt), Some(wait)) => {
                let until = cx.now.mono.plus(wait);
                self.answer_by(&publish.client, receipt, (from, reply_to, until), cx);
            }
            (outcome, _) => self.receipt(from, reply_to, outcome, cx),
        }
    }

    /// Answers a publisher once its message has come to an end, or the time has.
    fn answer_by(
        &mut self,
        client: &str,
        receipt: Receipt,
        (from, reply_to, until): (Member, ReplyTo, Instant),
        cx: &mut Cx<'_>,
    ) {
        let Receipt { lane, position, duplicate, .. } = receipt;
        match (self.sessions.find(client), self.end(client, &receipt)) {
            (Some(id), None) => {
                let sequence = position.sequence;
                let waiting = Waiting { lane, sequence, from, reply_to, until, duplicate };
                self.wait_for_ack(id, waiting, cx);
            }
            (_, end) => {
                let state = end.unwrap_or(receipt.state);
                self.receipt(from, reply_to, Ok(Receipt { state, ..receipt }), cx);
            }
        }
    }

    /// What became of a message of which nothing more is to be expected.
    fn end(&self, client: &str, receipt: &Receipt) -> Option<State> {
        let Receipt { lane, position, state, .. } = *receipt;
        let session = self.sessions.find(client).and_then(|id| self.sessions.get(id));
        // Its stream may have been forgotten since, if it was published a while ago.
        let Some(session) = session.filter(|session| session.epoch == position.epoch) else {
            return Some(state);
        };
        let ledger = session.mailbox.as_ref().and_then(|mailbox| mailbox.ledger.as_deref());
        match ledger.and_then(|ledger| ledger.job(lane, position.sequence)) {
            Some(Job::Acknowledged) => Some(State::Acknowledged),
            Some(Job::Dead) => Some(State::Dead),
            Some(Job::Expired) => Some(State::Expired),
            Some(Job::Waiting | Job::Flight(_)) | None => (state == State::Expired).then_some(state),
        }
    }

    /// What a publish is answered without being done: it has been done under its key, or may not be.
    fn answered_before(&mut self, key: Option<&Key>, cx: &Cx<'_>) -> Option<Result<Receipt, Error>> {
        match self.keys.find(key?, cx.now.mono) {
            Ok(Some(Reply::Published(receipt))) => {
                self.stats.duplicates += 1;
                Some(Ok(Receipt { duplicate: true, ..receipt }))
            }
            Ok(_) => None,
            Err(refusal) => Some(Err(refusal.into())),
        }
    }

    /// A publish was done: its key stands for it from now on.
    fn note_key(&mut self, key: Option<&Key>, outcome: &Result<Receipt, Error>, cx: &Cx<'_>) {
        if let (Some(key), Ok(receipt)) = (key, outcome)
            && !receipt.duplicate
        {
            self.keys.note(key, Reply::Published(*receipt), cx.now.mono);
        }
    }

    fn append_client(&mut self, publish: &ClientPublish, cx: &mut Cx<'_>) -> Result<Receipt, Error> {
        let id = self.open_session(&publish.client, cx)?;
        let limits = self.config.outbox.clone();
        let held = self.stats.outbox_bytes as usize;
        let lane = publish.lane;
        let Some(session) = self.sessions.get_mut(id) else { return Err(Error::insufficient_resources()) };
        let epoch = session.epoch;
        let outbox = session.mailbox.get_or_insert_with(|| Box::new(Mailbox::new(epoch))).open(lane);
        let position = Position { epoch, sequence: outbox.head() + 1 };
        let mut body = Vec::with_capacity(publish.data.get().len() + 128);
        let (kind, data) = (&publish.kind, publish.data.get());
        write_envelope(&mut body, (lane, position), kind, cx.stamp.get(), data);
        let bytes = body.len();
        if held + bytes > self.config.outbox_bytes_total_max {
            return Err(Error::insufficient_resources());
        }
        let class = publish.target.class();
        let entry = Entry { at: cx.now.mono, body: body.into(), class, ttl_ms: publish.ttl_ms };
        let appended = outbox.append(&limits, entry);
        outbox.settle(appended.sequence);
        self.stats.outbox_bytes += bytes as u64;
        self.stats.outbox_bytes -= appended.evicted_bytes as u64;
        self.stats.appended += 1;
        self.watch_age(id, cx);
        self.forgotten(id, lane, cx);
        self.deliver(id, cx);
        Ok(Receipt { lane, position, state: self.state(id, lane, position.sequence), duplicate: false })
    }

    /// What became of a message so far.
    fn state(&self, id: Token, lane: Lane, sequence: Sequence) -> State {
        let mailbox = self.sessions.get(id).and_then(|session| session.mailbox.as_deref());
        let written = mailbox.and_then(|mailbox| mailbox.lane(lane)).map_or(0, |stream| stream.written);
        if written >= sequence { State::Delivered } else { State::Queued }
    }

    /// At the topic's home: appends; the messages of a turn leave for the subscribers together.
    pub(crate) fn publish_topic(
        &mut self,
        from: Member,
        reply_to: ReplyTo,
        publish: &TopicPublish,
        cx: &mut Cx<'_>,
    ) {
        let outcome = match self.answered_before(publish.key.as_deref(), cx) {
            Some(known) => known,
            None => self.append_topic(publish, cx),
        };
        self.note_key(publish.key.as_deref(), &outcome, cx);
        self.receipt(from, reply_to, outcome, cx);
    }

    fn append_topic(&mut self, publish: &TopicPublish, cx: &mut Cx<'_>) -> Result<Receipt, Error> {
        let room = self.config.outbox_bytes_total_max.saturating_sub(self.stats.outbox_bytes as usize);
        let random = &mut self.random;
        let topic = self.topics.open(&publish.topic, || Epoch::from_random(random.next()), cx.now.mono);
        let full =
            |to: &Member| *to != self.me && cx.post.room.get(usize::from(to.0)).is_none_or(|room| *room == 0);
        if topic.letters_due().iter().any(full) {
            return Err(Error::insufficient_resources());
        }
        let appended =
            topic.append(&publish.content, cx.now.mono, cx.stamp.get(), (&self.config.outbox, room))?;
        self.topics.touch(&publish.topic);
        self.stats.outbox_bytes += appended.bytes_added as u64;
        self.stats.outbox_bytes -= appended.bytes_evicted as u64;
        self.stats.appended += 1;
        let state = State::DeliveredTo(appended.delivered_to);
        Ok(Receipt { lane: Lane::Normal, position: appended.position, state, duplicate: false })
    }

    /// Tells who waits for it what became of a publish or an acknowledgement.
    pub(crate) fn receipt(
        &mut self,
        to: Member,
        reply_to: ReplyTo,
        outcome: Result<Receipt, Error>,
        cx: &mut Cx<'_>,
    ) {
        if !matches!(reply_to, ReplyTo::Nobody) {
            self.send(to, Mail::Published { reply_to, outcome }, cx);
        }
    }

    /// Takes a token for line `at` of a batch. The request itself has paid for the first.
    pub(crate) fn take_for_line(&mut self, at: usize, name: Option<&str>, cx: &Cx<'_>) -> Result<(), Error> {
        if at == 0 {
            return Ok(());
        }
        let rate = self.config.backend_rate;
        match self.backends.take(name, &rate, cx.now.mono).0 {
            Verdict::Deny { retry_after } => Err(Error::RateLimited { retry_after }),
            Verdict::Allow { .. } => Ok(()),
        }
    }
}
