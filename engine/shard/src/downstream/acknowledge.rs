//! Acknowledgements: what a client says that it has, and what follows from it.

use weir_ring::time::Instant;
use weir_ring::token::{Member, Token};

use crate::acks::{Acks, Flight, Job, Ledger, Waiting};
use crate::dead::MessageId;
use crate::durable::{client_name, log_acknowledged};
use crate::error::Error;
use crate::lane::Lane;
use crate::mail::{Ack, ReplyTo};
use crate::mailbox::Mailbox;
use crate::message::{Receipt, State};
use crate::policy::routing::Carrier;
use crate::stream::{Cursor, Position, Sequence};
use crate::turn::{Cx, Shard};

impl Shard {
    /// At the client's home: an acknowledgement that came by letter.
    pub(crate) fn acknowledge(
        &mut self,
        (from, reply_to): (Member, ReplyTo),
        client: &str,
        ack: Ack,
        cx: &mut Cx<'_>,
    ) {
        let outcome = match self.sessions.find(client) {
            None => Err(Error::NotFound { what: "client" }),
            Some(id) => self.acknowledge_session(id, ack, cx),
        };
        self.receipt(from, reply_to, outcome, cx);
    }

    /// The client has what `ack` names. Its first acknowledgement begins the ledger.
    pub(crate) fn acknowledge_session(
        &mut self,
        id: Token,
        ack: Ack,
        cx: &mut Cx<'_>,
    ) -> Result<Receipt, Error> {
        let (lane, position) = match ack {
            Ack::Through { lane, position } => (lane, position),
            Ack::One(MessageId { epoch, lane, sequence }) => (lane, Position { epoch, sequence }),
        };
        let Position { epoch, sequence } = position;
        // A dead letter that came again may be older than its client's epoch, and is acknowledged by its own
        // number only: a later one may have been on its way before the letter was.
        let again = self.redriven_arrived(id, MessageId { epoch, lane, sequence });
        match self.check_ack(id, lane, position) {
            Err(_) if again => {}
            checked => {
                checked?;
                self.opt_in(id, cx);
                let through = matches!(ack, Ack::Through { .. });
                let named = |other: Sequence| other == sequence || through && other < sequence;
                let end = |waiting: &Waiting| waiting.lane == lane && named(waiting.sequence);
                self.trace_acknowledged(id, |other, sequence| other == lane && named(sequence), cx);
                self.answer_waiting(id, |waiting| end(waiting).then_some(State::Acknowledged), cx);
                self.settle(id, |acks| match ack {
                    Ack::Through { .. } => acks.acknowledge(lane, sequence),
                    Ack::One(_) => {
                        acks.settle(lane, sequence, Job::Acknowledged);
                    }
                });
            }
        }
        Ok(Receipt { lane, position, state: State::Acknowledged, duplicate: false })
    }

    /// A client comes back over SSE, or polls again: it has what was written to connections of that kind up to
    /// its cursor. What it has by other ways it must acknowledge itself, and a cursor alone does not begin the
    /// ledger.
    pub(crate) fn acknowledge_seen(&mut self, id: Token, carrier: Carrier, cursor: &Cursor, cx: &mut Cx<'_>) {
        let Some(acks) = self.acks(id) else { return };
        let through = Lane::ALL.map(|lane| {
            let sequence = cursor.seen(lane).unwrap_or(0);
            let position = Position { epoch: cursor.epoch, sequence };
            if self.check_ack(id, lane, position).is_ok() { sequence } else { 0 }
        });
        let sent = acks.sent_on(carrier, &through);
        let has = |waiting: &Waiting| sent.contains(&(waiting.lane, waiting.sequence));
        self.answer_waiting(id, |waiting| has(waiting).then_some(State::Acknowledged), cx);
        self.settle(id, |acks| {
            for (lane, sequence) in &sent {
                acks.settle(*lane, *sequence, Job::Acknowledged);
            }
        });
    }

    /// Whether a position is one that the client may have been sent.
    fn check_ack(&self, id: Token, lane: Lane, position: Position) -> Result<(), Error> {
        let session = self.sessions.get(id).ok_or(Error::NotFound { what: "client" })?;
        if position.epoch != session.epoch {
            return Err(Error::malformed("the epoch is not the stream's; take it from the last message"));
        }
        let stream = session.mailbox.as_ref().and_then(|mailbox| mailbox.lane(lane));
        if position.sequence > stream.map_or(0, |stream| stream.outbox.durable()) {
            return Err(Error::malformed("the sequence was never sent; acknowledge what was received"));
        }
        Ok(())
    }

    /// From now on this client must acknowledge what it is sent. What was written and not acknowledged is
    /// pending.
    pub(crate) fn opt_in(&mut self, id: Token, cx: &Cx<'_>) {
        let Some(ledger) = self.open_ledger(id, cx) else { return };
        if ledger.acks.is_some() {
            return;
        }
        let at = ledger.clock.read(cx.now.mono);
        let Shard { sessions, config, random, stats, .. } = self;
        let Some(mailbox) = sessions.get_mut(id).and_then(|session| session.mailbox.as_mut()) else { return };
        let ends = Lane::ALL.map(|lane| {
            mailbox.lane(lane).map_or((0, 0), |stream| (stream.outbox.floor() - 1, stream.written))
        });
        let flight = || Flight::new(None, at, &config.delivery, random.next());
        let acks = Acks::new(ends.map(|(gone, _)| gone), ends.map(|(_, written)| written), flight);
        stats.delivery.pending += acks.pending() as u64;
        if let Some(ledger) = &mut mailbox.ledger {
            ledger.acks = Some(acks);
        }
        self.changed(id);
    }

    /// What is kept of a client that acknowledges, made if need be.
    pub(crate) fn open_ledger(&mut self, id: Token, cx: &Cx<'_>) -> Option<&mut Ledger> {
        let session = self.sessions.get_mut(id)?;
        let (epoch, connected) = (session.epoch, !session.links.as_slice().is_empty());
        let mailbox = session.mailbox.get_or_insert_with(|| Box::new(Mailbox::new(epoch)));
        Some(mailbox.ledger.get_or_insert_with(|| Box::new(Ledger::new(connected, cx.now.mono))))
    }

    /// The same, if there is any.
    pub(crate) fn ledger(&mut self, id: Token) -> Option<&mut Ledger> {
        self.sessions.get_mut(id)?.mailbox.as_mut()?.ledger.as_deref_mut()
    }

    /// How the messages of a client stand that acknowledges.
    pub(crate) fn acks(&self, id: Token) -> Option<&Acks> {
        self.sessions.get(id)?.mailbox.as_ref()?.ledger.as_ref()?.acks.as_ref()
    }

    /// Changes how messages stand. What is settled at the beginning of a lane is not kept any longer.
    pub(crate) fn settle(&mut self, id: Token, change: impl FnOnce(&mut Acks)) {
        let Shard { sessions, journal, stats, .. } = self;
        let Some(session) = sessions.get_mut(id) else { return };
        let Some(mailbox) = &mut session.mailbox else { return };
        let Some(acks) = mailbox.ledger.as_mut().and_then(|ledger| ledger.acks.as_mut()) else { return };
        stats.delivery.pending -= acks.pending() as u64;
        change(acks);
        stats.delivery.pending += acks.pending() as u64;
        let prefixes = Lane::ALL.map(|lane| acks.prefix(lane));
        let freed_bytes = mailbox.let_go(&prefixes);
        stats.outbox_bytes -= freed_bytes as u64;
        if freed_bytes > 0 {
            log_acknowledged(journal, client_name(&session.client), mailbox);
        }
        self.changed(id);
    }

    /// A client's ledger is looked at before the turn ends, when none of its connections is lent.
    pub(crate) fn changed(&mut self, id: Token) {
        if let Some(ledger) = self.ledger(id)
            && !std::mem::replace(&mut ledger.changed, true)
        {
            self.reviews.push(id);
        }
    }

    /// Those of this turn: their pace is judged and told, the next look scheduled.
    pub(crate) fn review_ledgers(&mut self, cx: &mut Cx<'_>) {
        for id in std::mem::take(&mut self.reviews) {
            let pressure = self.config.backpressure.clone();
            let Some(ledger) = self.ledger(id) else { continue };
            ledger.changed = false;
            let (news, pending) = (ledger.news(cx.now.mono, &pressure), ledger.pending());
            let next = ledger.next_look(&pressure);
            if let Some(next) = next {
                self.look_at_acks_by(id, next);
            }
            let Some(status) = news else { continue };
            let told = format!(r#"{{"status":"{}","pending":{pending}}}"#, status.name());
            for token in self.links_of(id) {
                self.tell(token, "connection_status", told.as_bytes(), cx);
                self.hungry.push(token);
            }
        }
    }

    /// The client's connections.
    pub(crate) fn links_of(&self, id: Token) -> Vec<Token> {
        let links = self.sessions.get(id).map_or(&[][..], |session| session.links.as_slice());
        links.iter().map(|link| link.token).collect()
    }

    /// Answers the publisher of a message of session `id` once that has come to an end, or when it is `until`.
    pub(crate) fn answer_by(
        &mut self,
        until: Instant,
        (from, reply_to): (Member, ReplyTo),
        id: Option<Token>,
        receipt: Receipt,
        cx: &mut Cx<'_>,
    ) {
        let Receipt { lane, position: Position { sequence, .. }, duplicate, .. } = receipt;
        match (id, self.end(id, &receipt)) {
            (Some(id), None) if self.draining.is_none() || !self.links_of(id).is_empty() => {
                let waiting = Waiting { lane, sequence, from, reply_to, until, duplicate };
                if let Some(ledger) = self.open_ledger(id, cx) {
                    ledger.waiting.push(waiting);
                    self.changed(id);
                }
            }
            (_, end) => {
                let state = end.unwrap_or(receipt.state);
                self.receipt(from, reply_to, Ok(Receipt { state, ..receipt }), cx);
            }
        }
    }

    /// What became of a message, if nothing more is to be expected of it.
    fn end(&self, id: Option<Token>, receipt: &Receipt) -> Option<State> {
        let Receipt { lane, position, state, .. } = *receipt;
        let session = id.and_then(|id| self.sessions.get(id));
        // The answer to a duplicate may be older than the stream.
        let Some(session) = session.filter(|session| session.epoch == position.epoch) else {
            return Some(state);
        };
        let ledger = session.mailbox.as_ref().and_then(|mailbox| mailbox.ledger.as_deref());
        match ledger.and_then(|ledger| ledger.job(lane, position.sequence))? {
            Job::Acknowledged => Some(State::Acknowledged),
            Job::Dead => Some(State::Dead),
            Job::Expired => Some(State::Expired),
            Job::Waiting | Job::Flight(_) => None,
        }
    }

    /// Answers the publishers for whose message `end` knows one.
    pub(crate) fn answer_waiting(
        &mut self,
        id: Token,
        end: impl Fn(&Waiting) -> Option<State>,
        cx: &mut Cx<'_>,
    ) {
        let Some(epoch) = self.sessions.get(id).map(|session| session.epoch) else { return };
        let Some(ledger) = self.ledger(id) else { return };
        for (Waiting { lane, sequence, from, reply_to, duplicate, .. }, state) in ledger.answer(end) {
            let receipt = Receipt { lane, position: Position { epoch, sequence }, state, duplicate };
            self.receipt(from, reply_to, Ok(receipt), cx);
        }
    }

    /// The client has a connection again: its time goes on.
    pub(crate) fn ledger_connects(&mut self, id: Token, cx: &Cx<'_>) {
        if let Some(ledger) = self.ledger(id) {
            ledger.connected(cx.now.mono);
            self.changed(id);
        }
    }
}

#[cfg(test)]
mod tests;
