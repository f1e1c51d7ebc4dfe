//! What a client did not acknowledge in time: written again, and given up in the end.

use weir_ring::time::Instant;
use weir_ring::token::Token;

use crate::acks::{Due, Job, Waiting};
use crate::downstream::failover::wants;
use crate::downstream::writing::{Pen, Sheet, fits, flagged};
use crate::lane::Lane;
use crate::message::State;
use crate::metrics::Sent;
use crate::outbox::{Entry, Gap, GapReason};
use crate::policy::routing::Carrier;
use crate::session::{LinkRef, Session};
use crate::stream::Sequence;
use crate::turn::{Alarm, Cx, Shard};

impl Shard {
    /// Makes sure that a client's ledger is looked at by `at`.
    pub(crate) fn look_at_acks_by(&mut self, id: Token, at: Instant) {
        let Some(ledger) = self.ledger(id) else { return };
        if ledger.wake.is_none_or(|wake| at < wake) {
            ledger.wake = Some(at);
            self.alarm(at, Alarm::Acks(id));
        }
    }

    /// A look at what a client has not acknowledged. Looks that were scheduled and are not the next one any more
    /// do nothing.
    pub(crate) fn examine_acks(&mut self, id: Token, cx: &mut Cx<'_>) {
        let Some(ledger) = self.ledger(id) else { return };
        if ledger.wake.is_none_or(|wake| cx.now.mono < wake) {
            return;
        }
        ledger.wake = None;
        if ledger.clock.is_running() {
            self.overdue(id, cx);
            self.redriven_overdue(id, cx);
        }
        self.answer_late(id, cx.now.mono, cx);
        self.deliver(id, cx);
        self.changed(id);
    }

    /// Everything that is due, each lane in order.
    fn overdue(&mut self, id: Token, cx: &mut Cx<'_>) {
        let delivery = self.config.delivery.clone();
        let Some(ledger) = self.ledger(id) else { return };
        let at = ledger.clock.read(cx.now.mono);
        let Some(due) = ledger.acks.as_ref().map(|acks| acks.due(at, &delivery)) else { return };
        let mut gaps: Vec<(Lane, Gap)> = Vec::new();
        for Due { lane, sequence, exhausted } in due {
            let Some(reason) = self.try_again(id, (lane, sequence), exhausted, cx) else { continue };
            match gaps.last_mut() {
                Some((of, gap)) if *of == lane && gap.reason == reason && gap.to + 1 == sequence => {
                    gap.to = sequence;
                }
                _ => gaps.push((lane, Gap { from: sequence, to: sequence, reason })),
            }
        }
        for (lane, gap) in gaps {
            self.tell_past(id, lane, gap, cx);
        }
    }

    /// One more attempt, or the end. Answers why the client will not get it any more, if it will not.
    fn try_again(
        &mut self,
        id: Token,
        (lane, sequence): (Lane, Sequence),
        exhausted: bool,
        cx: &mut Cx<'_>,
    ) -> Option<GapReason> {
        let mailbox = self.sessions.get(id)?.mailbox.as_ref()?;
        let entry = mailbox.lane(lane)?.outbox.get(sequence).cloned()?;
        let ends = if entry.is_expired(cx.now.mono) {
            Some((Job::Expired, State::Expired, GapReason::Expired))
        } else if exhausted && self.bury(id, (lane, sequence), &entry, cx) {
            Some((Job::Dead, State::Dead, GapReason::Dead))
        } else {
            None
        };
        let Some((job, state, reason)) = ends else {
            let carrier =
                if exhausted { None } else { self.write_again(id, Some((lane, sequence)), &entry, cx) };
            self.waits_again(id, (lane, sequence), carrier, cx);
            return None;
        };
        let end = |waiting: &Waiting| (waiting.lane, waiting.sequence) == (lane, sequence);
        self.answer_waiting(id, |waiting| end(waiting).then_some(state), cx);
        self.settle(id, |acks| {
            acks.settle(lane, sequence, job);
        });
        Some(reason)
    }

    /// It was written once more to a connection of this kind, or could not be: it has its time again.
    fn waits_again(
        &mut self,
        id: Token,
        (lane, sequence): (Lane, Sequence),
        carrier: Option<Carrier>,
        cx: &Cx<'_>,
    ) {
        let Shard { sessions, config, random, stats, .. } = self;
        let mailbox = sessions.get_mut(id).and_then(|session| session.mailbox.as_mut());
        let Some(ledger) = mailbox.and_then(|mailbox| mailbox.ledger.as_mut()) else { return };
        let at = ledger.clock.read(cx.now.mono);
        let flight = ledger.acks.as_mut().and_then(|acks| acks.flight(lane, sequence));
        let Some(flight) = flight else { return };
        match carrier {
            None => flight.wait(None, at, &config.delivery, random.next()),
            Some(carrier) => {
                flight.again(carrier, at, &config.delivery, random.next());
                stats.delivery.retried += 1;
            }
        }
    }

    /// Writes a message out of its turn, marked as a redelivery, to the connections that take it and have been
    /// sent it, or left it to others. The rest get it in its turn. Answers how it went, if it did.
    pub(crate) fn write_again(
        &mut self,
        id: Token,
        place: Option<(Lane, Sequence)>,
        entry: &Entry,
        cx: &mut Cx<'_>,
    ) -> Option<Carrier> {
        let Shard { conns, sessions, config, stats, dirty, deflater, encryption, meter, .. } = self;
        let session = sessions.get(id)?;
        let course = session.routing().course(session.links.up(), &config.routing);
        let lane = place.map_or(Lane::Normal, |(lane, _)| lane);
        let mut pen = Pen { config, deflater, dirty, encryption, out: cx.out, meter };
        let mut went = None;
        for &LinkRef { token, carrier } in session.links.as_slice() {
            let Some(conn) = conns.get_mut(token) else { continue };
            let Some(marks) = conn.stage.marks() else { continue };
            let sealed_for = conn.stage.is_encrypted().then_some(&*session.client);
            let passed = place.is_none_or(|(lane, sequence)| marks.get(lane).cursor >= sequence);
            let takes = passed && wants(carrier, course, lane, entry);
            if !takes
                || conn.egress.is_blocked()
                || !fits(&conn.egress, None, sealed_for.is_some(), entry, &pen)
            {
                continue;
            }
            let mut sheet = Sheet { token, sealed_for, conn, epoch: None, bundle: None, bytes: 0, sent: 0 };
            if sheet.message(&flagged(&entry.body, true), &mut pen).is_ok() {
                sheet.conn.stage.traffic(stats).messages_out += 1;
                stats.messages.sent(Sent::Redelivery, 1);
                went = Some(carrier);
            }
        }
        went
    }

    /// Tells the connections that have passed it what the client will not get. The others are told when they
    /// come to it.
    fn tell_past(&mut self, id: Token, lane: Lane, gap: Gap, cx: &mut Cx<'_>) {
        for token in self.links_of(id) {
            let marks = self.conns.get(token).and_then(|conn| conn.stage.marks());
            if marks.is_some_and(|marks| marks.get(lane).cursor >= gap.to) {
                self.tell_gap(token, id, (lane, gap), cx);
            }
        }
    }

    /// The outbox of a lane has let messages go for a bound. Those in flight cannot be written again.
    pub(crate) fn forgotten(&mut self, id: Token, lane: Lane, cx: &mut Cx<'_>) {
        let Some(mailbox) = self.sessions.get(id).and_then(|session| session.mailbox.as_ref()) else {
            return;
        };
        let Some(gone) = mailbox.lane(lane).map(|stream| stream.outbox.floor() - 1) else { return };
        let mut lost = None;
        self.settle(id, |acks| lost = acks.forget(lane, gone));
        if let Some((from, to)) = lost {
            self.tell_past(id, lane, Gap { from, to, reason: GapReason::Evicted }, cx);
        }
    }

    /// The server stops: publishers whose message nobody is there to acknowledge wait no longer, or none does (`all`).
    pub(crate) fn end_patience(&mut self, all: bool, cx: &mut Cx<'_>) {
        let waits = |session: &Session| {
            let ledger = session.mailbox.as_ref().and_then(|mailbox| mailbox.ledger.as_ref());
            let absent = all || session.links.as_slice().is_empty();
            absent && ledger.is_some_and(|ledger| !ledger.waiting.is_empty())
        };
        let waited_for = self.sessions.iter().filter(|(_, session)| waits(session));
        let ids: Vec<Token> = waited_for.map(|(id, _)| id).collect();
        for id in ids {
            self.answer_late(id, Instant(u64::MAX), cx);
        }
    }

    /// Publishers that wait until `now` at most learn how their message stands.
    fn answer_late(&mut self, id: Token, now: Instant, cx: &mut Cx<'_>) {
        let Some(mailbox) = self.sessions.get(id).and_then(|session| session.mailbox.as_ref()) else {
            return;
        };
        let written = Lane::ALL.map(|lane| mailbox.lane(lane).map_or(0, |stream| stream.written));
        let state = |waiting: &Waiting| {
            let delivered = written[waiting.lane as usize] >= waiting.sequence;
            if delivered { State::Delivered } else { State::Queued }
        };
        self.answer_waiting(id, |waiting| (now >= waiting.until).then(|| state(waiting)), cx);
    }
}
