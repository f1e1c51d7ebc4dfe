//! Delivery: connections pull what they have not been sent.
//!
//! Each connection holds the numbers it has been sent, and takes what follows while its peer keeps up. The
//! outboxes are the only queue, so a slow client costs no copy and loses nothing silently.

use weir_ring::time::Instant;
use weir_ring::token::Token;

use crate::acks::{Job, Waiting};
use crate::downstream::connection::Stage;
use crate::downstream::egress::Overflow;
use crate::downstream::failover::wants;
use crate::downstream::writing::{Pen, Sheet, fits, flagged};
use crate::lane::Lane;
use crate::message::State;
use crate::metrics::Sent;
use crate::outbox::{Entry, Gap, GapReason};
use crate::policy::routing::Carrier;
use crate::session::Session;
use crate::stream::Sequence;
use crate::turn::{Cx, Shard};

/// Bytes of one stream written to one connection in one turn, roughly: others wait too.
const PULL_BYTES: usize = 64 << 10;

impl Shard {
    /// Lets every connection of a session take what it has not been sent.
    pub(crate) fn deliver(&mut self, id: Token, cx: &mut Cx<'_>) {
        let mut at = 0;
        while let Some(link) = self.sessions.get(id).and_then(|s| s.links.as_slice().get(at).copied()) {
            self.pull(link.token, cx);
            at += 1;
        }
    }

    /// Connections with more to take, and topics that are catching up.
    pub(crate) fn feed_hungry(&mut self, cx: &mut Cx<'_>) {
        for token in std::mem::take(&mut self.hungry) {
            self.pull(token, cx);
            self.pull_mcp(token, cx);
            self.catch_up(token, cx);
        }
    }

    /// Lets one connection take what it has not been sent, while its peer keeps up.
    pub(crate) fn pull(&mut self, token: Token, cx: &mut Cx<'_>) {
        let Some((session, carrier)) = self.taker(token) else { return };
        while let Some((lane, gap)) = self.lost(token, session, cx.now.mono) {
            self.tell_gap(token, session, (lane, gap), cx);
            let marks = self.conns.get_mut(token).and_then(|conn| conn.stage.marks_mut());
            // Without marks the connection has ended over it.
            let Some(marks) = marks else { return };
            marks.open(lane).cursor = gap.to;
            if gap.reason == GapReason::Expired {
                self.expired(session, lane, gap, cx);
            }
        }
        let taken = self.take(token, session, carrier, cx);
        self.changed(session);
        self.trace_delivered(session, cx);
        match taken {
            Ok(Rest::Nothing) => {}
            Ok(Rest::More) => self.hungry.push(token),
            Ok(Rest::Later(at)) => self.look_at_acks_by(session, at),
            Err(Overflow) => {
                self.overflowed(token, cx);
            }
        }
    }

    /// The session whose stream a connection takes, if it can take anything now.
    fn taker(&self, token: Token) -> Option<(Token, Carrier)> {
        let conn = self.conns.get(token)?;
        if conn.egress.is_blocked() {
            return None;
        }
        match &conn.stage {
            Stage::Sse(feed) => Some((feed.session, Carrier::Sse)),
            stage => {
                let link = stage.link().filter(|link| link.gateway)?;
                Some((link.session?, Carrier::WebSocket))
            }
        }
    }

    /// What would be next on a connection and is no more, or no longer worth sending.
    fn lost(&self, token: Token, id: Token, now: Instant) -> Option<(Lane, Gap)> {
        let mailbox = self.sessions.get(id)?.mailbox.as_deref()?;
        let marks = self.conns.get(token)?.stage.marks()?;
        mailbox.lanes().find_map(|(lane, stream)| {
            let (outbox, from) = (&stream.outbox, marks.get(lane).cursor + 1);
            let gap = |to, reason| Some((lane, Gap { from, to, reason }));
            match outbox.floor() - 1 {
                to if to >= from && to <= outbox.acknowledged() => gap(to, GapReason::Acknowledged),
                to if to >= from => gap(to, GapReason::Evicted),
                _ => {
                    let end = |(sequence, entry): (Sequence, &Entry)| {
                        Some((sequence, end_of(mailbox.job(lane, sequence), entry, now)?))
                    };
                    let mut ends = outbox.entries_from(from).map_while(end);
                    let (first, reason) = ends.next()?;
                    let same = ends.take_while(|(_, other)| *other == reason);
                    gap(same.last().map_or(first, |(to, _)| to), reason)
                }
            }
        })
    }

    /// Their time to live has passed: a client that acknowledges need not acknowledge them.
    fn expired(&mut self, id: Token, lane: Lane, gap: Gap, cx: &mut Cx<'_>) {
        let expired =
            |waiting: &Waiting| waiting.lane == lane && (gap.from..=gap.to).contains(&waiting.sequence);
        self.answer_waiting(id, |waiting| expired(waiting).then_some(State::Expired), cx);
        self.settle(id, |acks| {
            for sequence in gap.from..=gap.to {
                acks.settle(lane, sequence, Job::Expired);
            }
        });
    }

    /// Writes messages, the most urgent lane first.
    fn take(&mut self, token: Token, id: Token, carrier: Carrier, cx: &mut Cx<'_>) -> Result<Rest, Overflow> {
        let Shard { conns, sessions, config, stats, dirty, deflater, encryption, random, meter, .. } = self;
        let (Some(conn), Some(session)) = (conns.get_mut(token), sessions.get_mut(id)) else {
            return Ok(Rest::Nothing);
        };
        let course = session.routing().course(session.links.up(), &config.routing);
        let Session { mailbox: Some(mailbox), client, epoch, .. } = session else { return Ok(Rest::Nothing) };
        let now = cx.now.mono;
        let mut ledger = mailbox.ledger.take();
        let bundle = ledger.as_ref().and_then(|ledger| ledger.pace.bundle());
        let mut pen = Pen { config, deflater, dirty, encryption, out: cx.out, meter };
        let sealed_for = conn.stage.is_encrypted().then_some(&**client);
        let mut sheet = Sheet { token, sealed_for, conn, epoch: Some(*epoch), bundle, bytes: 0, sent: 0 };
        let rest = loop {
            let Some(marks) = sheet.conn.stage.marks_mut() else { break Ok(Rest::Nothing) };
            let may = |lane, next| ledger.as_ref().is_none_or(|ledger| ledger.may_go(lane, next));
            let Some(lane) = marks.next(mailbox, may) else { break Ok(Rest::Nothing) };
            let Some(stream) = mailbox.lane_mut(lane) else { break Ok(Rest::Nothing) };
            let mark = marks.open(lane);
            let sequence = mark.cursor + 1;
            let job = ledger.as_ref().and_then(|ledger| ledger.job(lane, sequence));
            let entry = stream.outbox.get(sequence).filter(|entry| end_of(job, entry, now).is_none());
            let Some(entry) = entry else { break Ok(Rest::More) };
            let fits = fits(&sheet.conn.egress, sheet.bundle.as_deref(), sealed_for.is_some(), entry, &pen);
            if sheet.bytes > PULL_BYTES || !fits {
                break Ok(Rest::More);
            }
            let taken = sequence <= mark.replay || wants(carrier, course, lane, entry);
            if taken && let Some(at) = ledger.as_mut().and_then(|ledger| ledger.wait(config, now)) {
                break Ok(Rest::Later(at));
            }
            if !taken && mark.skipped == 0 {
                mark.skipped = sequence;
            }
            let (again, replayed) = (sequence <= mark.again, sequence <= mark.replay);
            marks.advance(lane, sequence);
            if !taken {
                continue;
            }
            // What came in the second in which the connection began may have waited for it.
            if !again && !replayed && sheet.conn.since().is_some_and(|since| entry.at.as_secs() > since) {
                sheet.conn.stage.traffic(stats).delivered(now.since(entry.at), 1);
            }
            stream.written = stream.written.max(sequence);
            if let Some(ledger) = &mut ledger {
                let at = (lane, sequence);
                stats.delivery.pending += ledger.written(at, carrier, now, &config.delivery, random.next());
            }
            if let Err(overflow) = sheet.message(&flagged(&entry.body, again), &mut pen) {
                break Err(overflow);
            }
        };
        let ended = sheet.end(&mut pen);
        sheet.conn.stage.traffic(stats).messages_out += sheet.sent;
        stats.messages.sent(Sent::Message, sheet.sent);
        if let (Some(ledger), 1.., Ok(Rest::Nothing)) = (&mut ledger, sheet.sent, &rest) {
            ledger.pace.wrote(now);
        }
        mailbox.ledger = ledger;
        rest.and_then(|rest| ended.map(|()| rest))
    }
}

/// What a connection leaves for later.
enum Rest {
    /// It has all there is, or all it may have for now.
    Nothing,
    /// There is more.
    More,
    /// There is more, not to be written before this instant.
    Later(Instant),
}

/// Why an entry is not written any more, if it is not.
fn end_of(job: Option<Job>, entry: &Entry, now: Instant) -> Option<GapReason> {
    match job {
        Some(Job::Acknowledged) => Some(GapReason::Acknowledged),
        Some(Job::Dead) => Some(GapReason::Dead),
        Some(Job::Expired) => Some(GapReason::Expired),
        _ => entry.is_expired(now).then_some(GapReason::Expired),
    }
}
