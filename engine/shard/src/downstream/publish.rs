//! Publishes: to the receiver's home, into its stream, and the receipt back.

use std::sync::Arc;

use weir_ring::token::{Member, Token};

use crate::downstream::control::Circuit;
use crate::durable::{Kind, Name, Place, StreamRef, Unsettled, begin_topic, client_name, log_message};
use crate::error::Error;
use crate::idempotency::{Key, Reply};
use crate::lane::Lane;
use crate::mail::{Mail, ReplyTo};
use crate::mailbox::Mailbox;
use crate::message::{ClientPublish, Publish, Receipt, State, TopicPublish, write_envelope};
use crate::metrics::Feature;
use crate::outbox::Entry;
use crate::route;
use crate::stream::{Position, Sequence};
use crate::turn::{Cx, Shard};
use crate::vsm::Step;

impl Shard {
    /// Sends a publish to its receiver's home; the receipt comes to `reply_to`.
    ///
    /// # Errors
    /// `InsufficientResources` when the home cannot take another letter, `BreakerOpen` when it could not too often:
    /// nothing was accepted.
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
        if home != self.me {
            self.check_circuit(Circuit::Router, cx)?;
            let room = self.has_room(home, cx);
            self.circuit_ended(Circuit::Router, room, cx);
            if !room {
                return Err(Error::insufficient_resources());
            }
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
        self.trace_resumed(&publish.client, &publish.kind, &publish.trace, cx);
        if let Some(known) = self.begin_key(publish.key.as_deref(), cx) {
            self.tracer.take_up(None);
            return match (known, publish.wait) {
                (Ok(receipt), Some(wait)) => {
                    let id = self.sessions.find(&publish.client);
                    self.answer_by(cx.now.mono.plus(wait), (from, reply_to), id, receipt, cx);
                }
                (known, _) => self.receipt(from, reply_to, known, cx),
            };
        }
        match self.append_client(publish, cx) {
            Ok((id, receipt)) => {
                self.trace_step(Step::Allowed, None, cx);
                self.trace_step(Step::Dispatched, Some(receipt.lane.name()), cx);
                self.trace_placed(id, receipt.lane, receipt.position.sequence, cx);
                self.tracer.take_up(None);
                let stream = StreamRef::Client(id);
                let patience = publish.wait.map(|wait| cx.now.mono.plus(wait));
                let key = publish.key.clone();
                self.appended(Unsettled { stream, from, reply_to, receipt, patience, key }, cx);
            }
            Err(error) => {
                self.trace_denied(Some(&publish.client), &publish.kind, &error, cx);
                self.receipt(from, reply_to, Err(error), cx);
            }
        }
    }

    /// Begins what is published under a key; answers if it is not to be done: it has been, or may not be.
    fn begin_key(&mut self, key: Option<&Key>, cx: &Cx<'_>) -> Option<Result<Receipt, Error>> {
        let began = self.meter.begin();
        let found = self.keys.find(key?, cx.now.mono);
        self.meter.end(Feature::Idempotency, began);
        match found {
            Ok(Some(Reply::Published(receipt))) => {
                self.stats.duplicates += 1;
                Some(Ok(Receipt { duplicate: true, ..receipt }))
            }
            Ok(Some(Reply::Begun)) => Some(Err(Error::key_busy())),
            Ok(_) => None,
            Err(refusal) => Some(Err(refusal.into())),
        }
    }

    fn append_client(&mut self, publish: &ClientPublish, cx: &mut Cx<'_>) -> Result<(Token, Receipt), Error> {
        self.check_pressure(publish.lane)?;
        self.check_log()?;
        let id = self.open_session(&publish.client, cx)?;
        let limits = self.config.outbox.clone();
        let (held, most) = (self.stats.outbox_bytes as usize, self.outbox_bytes_max());
        let lane = publish.lane;
        let Some(session) = self.sessions.get_mut(id) else { return Err(Error::insufficient_resources()) };
        let epoch = session.epoch;
        let mailbox = session.mailbox.get_or_insert_with(|| Box::new(Mailbox::new(epoch)));
        let lanes = mailbox.used() | 1 << lane as u8;
        let outbox = mailbox.open(lane);
        let position = Position { epoch, sequence: outbox.head() + 1 };
        let mut body = Vec::with_capacity(publish.data.get().len() + 128);
        let (kind, data) = (&publish.kind, publish.data.get());
        write_envelope(&mut body, (lane, position), kind, cx.stamp.get(), data);
        let bytes = body.len();
        if held + bytes > most {
            return Err(Error::insufficient_resources());
        }
        let class = publish.target.class();
        let entry = Entry { at: cx.now.mono, body: body.into(), class, ttl_ms: publish.ttl_ms };
        let stream = client_name(&session.client);
        let at = Place { stream, epoch, lane, sequence: position.sequence };
        log_message(&mut self.journal, at, lanes, (&entry, publish.key.as_deref()), cx.now.wall);
        let appended = outbox.append(&limits, entry);
        self.stats.outbox_bytes += bytes as u64;
        self.stats.outbox_bytes -= appended.evicted_bytes as u64;
        self.stats.appended += 1;
        self.watch_age(id, cx);
        self.forgotten(id, lane, cx);
        Ok((id, Receipt { lane, position, state: State::Queued, duplicate: false }))
    }

    /// What became of a message so far.
    pub(crate) fn state(&self, id: Token, lane: Lane, sequence: Sequence) -> State {
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
        if let Some(known) = self.begin_key(publish.key.as_deref(), cx) {
            return self.receipt(from, reply_to, known, cx);
        }
        let appended = self.append_topic(publish, cx);
        self.trace_topic(publish, appended.as_ref().err(), cx);
        match appended {
            Ok((topic, receipt)) => {
                let (stream, key) = (StreamRef::Topic(topic), publish.key.clone());
                self.appended(Unsettled { stream, from, reply_to, receipt, patience: None, key }, cx);
            }
            Err(error) => self.receipt(from, reply_to, Err(error), cx),
        }
    }

    fn append_topic(&mut self, publish: &TopicPublish, cx: &Cx<'_>) -> Result<(Arc<str>, Receipt), Error> {
        self.check_pressure(Lane::Normal)?;
        self.check_log()?;
        let room = self.outbox_bytes_max().saturating_sub(self.stats.outbox_bytes as usize);
        let Shard { topics, random, journal, .. } = self;
        let begin = || begin_topic(random, journal, &publish.topic);
        let topic = topics.open(&publish.topic, begin, cx.now.mono);
        let full =
            |to: &Member| *to != self.me && cx.post.room.get(usize::from(to.0)).is_none_or(|room| *room == 0);
        if topic.letters_due().iter().any(full) {
            return Err(Error::insufficient_resources());
        }
        let appended =
            topic.append(&publish.content, cx.now.mono, cx.stamp.get(), (&self.config.outbox, room))?;
        let position = appended.position;
        if let Some(entry) = topic.outbox().newest() {
            let stream = Name { kind: Kind::Topic, text: &publish.topic };
            let Position { epoch, sequence } = position;
            let at = Place { stream, epoch, lane: Lane::Normal, sequence };
            let lanes = 1 << Lane::Normal as u8;
            log_message(journal, at, lanes, (entry, publish.key.as_deref()), cx.now.wall);
        }
        let topic = Arc::clone(topic.name());
        self.stats.outbox_bytes += appended.bytes_added as u64;
        self.stats.outbox_bytes -= appended.bytes_evicted as u64;
        self.stats.appended += 1;
        let state = State::DeliveredTo(appended.delivered_to);
        Ok((topic, Receipt { lane: Lane::Normal, position, state, duplicate: false }))
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
}
