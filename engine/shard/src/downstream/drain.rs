//! An orderly stop: nothing new, every client told, what is under way finished, and connections closed a batch at a
//! time, so that their clients come back one after the other.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use weir_ring::op::Op;
use weir_ring::time::Instant;
use weir_ring::token::{Listener, Token};
use weir_transports::sse;
use weir_transports::websocket::close;

use crate::downstream::connection::{Connection, Stage, Waiting};
use crate::downstream::hand_over::Arrivals;
use crate::error::Error;
use crate::lane::Lane;
use crate::limits;
use crate::metrics;
use crate::outbox::{Gap, GapReason};
use crate::recovery::Lineage;
use crate::turn::{Cx, Shard};
use crate::vsm::{DrainPhase, Event};

mod emigration;
mod standing;

use self::standing::Standing;

/// Steps between which clients are spread.
const SPREAD_STEPS: u64 = 1 << 16;

/// What an orderly stop is asked for with.
#[derive(Clone, Debug)]
pub struct DrainOrder {
    /// Why, for operators.
    pub reason: Arc<str>,
    /// What clients are told.
    pub message: Arc<str>,
    /// Another process goes on with the streams: nothing of them ends with this one.
    pub succeeded: bool,
    /// It goes on with connections, too: those that are at rest are handed to the control thread.
    pub emigrates: bool,
}

impl Default for DrainOrder {
    fn default() -> Self {
        let (reason, message) = ("restart".into(), "the server restarts".into());
        DrainOrder { reason, message, succeeded: false, emigrates: false }
    }
}

/// An orderly stop that is on.
#[derive(Debug)]
pub(crate) struct Drain {
    order: DrainOrder,
    began: Instant,
    /// Until then clients that are behind may catch up.
    patience: Instant,
    /// From then on nothing under way is waited for.
    last_call: Instant,
    /// By force.
    end: Instant,
    next_batch: Instant,
    next_notice: Option<Instant>,
    /// Connections that may go on in another process, the next to be tried last; all others wait for that.
    emigrants: Vec<Token>,
    next_emigrants: Instant,
    /// Whose logical connections have left.
    departed: BTreeSet<Lineage>,
    /// Connections that are to be told, the next one last.
    untold: Vec<Token>,
    /// How long it takes until the last of those is closed.
    spread: Duration,
    phase: DrainPhase,
}

impl Drain {
    pub(crate) fn new(order: DrainOrder, limits: &limits::Drain, now: Instant) -> Drain {
        let end = now.plus(limits.timeout);
        Drain {
            order,
            began: now,
            patience: now.plus(limits.timeout / 2),
            last_call: now.plus(limits.timeout.saturating_sub(limits.last_call())),
            end,
            next_batch: now,
            next_notice: Some(now),
            emigrants: Vec::new(),
            next_emigrants: now,
            departed: BTreeSet::new(),
            untold: Vec::new(),
            spread: Duration::ZERO,
            phase: DrainPhase::Begun,
        }
    }

    /// When there is something to do even if nothing happens.
    pub(crate) fn due(&self) -> Instant {
        if !self.emigrants.is_empty() {
            return self.next_emigrants.min(self.end);
        }
        if !self.untold.is_empty() {
            return self.began;
        }
        let next = self.next_batch.min(self.end);
        self.next_notice.map_or(next, |notice| notice.min(next))
    }
}

impl Shard {
    /// Begins the stop.
    pub(crate) fn drain(&mut self, order: DrainOrder, cx: &mut Cx<'_>) {
        if self.draining.is_some() {
            return;
        }
        let emigrates = order.emigrates;
        let mut drain = Drain::new(order, &self.config.drain, cx.now.mono);
        if emigrates {
            drain.emigrants = self.conns.iter().map(|(token, _)| token).collect();
        }
        self.draining = Some(Box::new(drain));
        for listener in 0..self.config.listeners {
            cx.out.ops.push(Op::StopAccept { listener: Listener(listener) });
        }
        self.stats.drain.phase = Some(DrainPhase::Begun);
    }

    /// What of the stop is due in this turn.
    pub(crate) fn continue_drain(&mut self, cx: &mut Cx<'_>) {
        let (now, interval) = (cx.now.mono, self.config.drain.notification_interval);
        let Some(drain) = &mut self.draining else { return };
        if now >= drain.end {
            return self.cut_off(cx);
        }
        if !drain.emigrants.is_empty() {
            return self.emigrate(cx);
        }
        let notice = drain.next_notice.is_some_and(|notice| now >= notice);
        if notice {
            drain.next_notice = (!interval.is_zero()).then(|| now.plus(interval));
        }
        if now >= drain.next_batch {
            self.next_batch(cx);
        }
        if notice {
            self.end_patience(false, cx);
            let told = self.conns.iter().filter(|(_, conn)| is_told(conn)).map(|(token, _)| token);
            let untold = told.collect();
            if let Some(drain) = &mut self.draining {
                drain.untold = untold;
            }
        }
        self.tell_untold(cx);
    }

    /// Closes a batch of the connections on which nothing is under way, and counts what is left.
    fn next_batch(&mut self, cx: &mut Cx<'_>) {
        let now = cx.now.mono;
        // Who is closed gets first what is there for it.
        self.deliver_all(cx);
        let Some(drain) = &mut self.draining else { return };
        let (last_call, elapsed) = (now >= drain.last_call, now.since(drain.began));
        let limits = &self.config.drain;
        drain.next_batch = now.plus(limits.batch_interval);
        if !last_call {
            drain.next_batch = drain.next_batch.min(drain.last_call);
        }
        let Standing { idle, mut clients, backends, busy } = self.standing(now);
        let open = clients.len() + backends.len() + busy.len();
        let batch = if last_call { open } else { self.config.drain.batch_of(open, elapsed) };
        if clients.is_empty() {
            // What clients push is for them, so they go last.
            clients = backends;
        }
        if last_call {
            self.give_up_calls(cx);
            clients.extend(&busy);
        }
        idle.into_iter().for_each(|token| self.finish(token, cx));
        clients.truncate(batch);
        let left = open - clients.len();
        let rounds = left.div_ceil(batch.max(1)) as u32;
        if let Some(drain) = &mut self.draining {
            drain.spread = self.config.drain.batch_interval.saturating_mul(rounds);
        }
        for token in clients {
            self.send_away(token, cx);
        }
        let phase = if left > busy.len() { DrainPhase::Begun } else { DrainPhase::Finishing };
        let progress = metrics::Drain { phase: None, connections: left as u64, calls: busy.len() as u64 };
        self.enter_phase(phase, progress, cx);
    }

    /// What is under way has had its time: whoever waits for it is told.
    fn give_up_calls(&mut self, cx: &mut Cx<'_>) {
        self.end_patience(true, cx);
        self.refuse_all_calls(cx);
    }

    /// Tells as many of those who are to be told as a turn may.
    fn tell_untold(&mut self, cx: &mut Cx<'_>) {
        let most = self.config.turn.deliveries_max;
        let Some(drain) = &mut self.draining else { return };
        let spread = drain.spread;
        let rest = drain.untold.len().saturating_sub(most);
        for token in drain.untold.split_off(rest) {
            if self.conns.get(token).is_some_and(is_told) {
                let after = self.reconnect_after(token, spread);
                self.tell_shutdown(token, after, cx);
            }
        }
    }

    /// Says goodbye to one connection. Never with 1000: a client takes that for good (RFC 6455, section 7.4.1;
    /// phoenix.js stops reconnecting).
    fn send_away(&mut self, token: Token, cx: &mut Cx<'_>) {
        let after = self.reconnect_after(token, Duration::ZERO);
        let Some(conn) = self.conns.get(token) else { return };
        match &conn.stage {
            Stage::Http(exchange) if matches!(exchange.waiting, Some(Waiting::Mcp(_))) => {
                self.send_away_mcp(token, cx);
            }
            Stage::Sse(feed) => {
                let (session, ndjson) = (feed.session, feed.ndjson);
                self.pull(token, cx);
                self.tell_shutdown(token, after, cx);
                if !ndjson {
                    self.put(token, cx, |out| sse::retry(out, after));
                }
                self.tell_unsent(token, Some(session), cx);
                self.finish(token, cx);
            }
            stage => {
                let Some(link) = stage.link() else { return };
                let session = link.session.filter(|_| link.gateway);
                self.pull(token, cx);
                self.tell_shutdown(token, after, cx);
                self.tell_unsent(token, session, cx);
                self.close_link(token, close::SERVICE_RESTART, "the server restarts: come back", cx);
            }
        }
    }

    /// How long the client of a connection should wait once it is closed, ms: each another while.
    fn reconnect_after(&self, token: Token, spread: Duration) -> u64 {
        let stage = self.conns.get(token).map(|conn| &conn.stage);
        let session = stage.and_then(|stage| match stage {
            Stage::Sse(feed) => Some(feed.session),
            stage => stage.link().and_then(|link| link.session),
        });
        let place = match session.and_then(|id| self.sessions.get(id)) {
            Some(session) => crc32fast::hash(session.client.as_bytes()),
            None => token.index.wrapping_mul(0x9e37_79b9),
        };
        let (step, retry) = (u64::from(place) % SPREAD_STEPS, self.config.sse.retry.as_millis() as u64);
        retry / 2 + (retry + spread.as_millis() as u64) * step / SPREAD_STEPS
    }

    /// Says that the server stops.
    fn tell_shutdown(&mut self, token: Token, reconnect_after: u64, cx: &mut Cx<'_>) {
        let Some(drain) = &self.draining else { return };
        let left = drain.end.since(cx.now.mono);
        let shutdown = serde_json::json!({
            "message": &*drain.order.message,
            "reason": "draining",
            "reconnect_after": reconnect_after,
            "deadline": cx.now.wall.0.saturating_add(left.as_millis() as u64),
        });
        self.tell(token, "shutdown_pending", shutdown.to_string().as_bytes(), cx);
    }

    /// Names what a client has not been sent. A stream's memory ends with the process, unless there is a log or
    /// somebody goes on with it.
    fn tell_unsent(&mut self, token: Token, session: Option<Token>, cx: &mut Cx<'_>) {
        let Some(id) = session.filter(|_| !self.streams_go_on()) else { return };
        for gap in self.unsent_gaps(token, id) {
            self.tell_gap(token, id, gap, cx);
        }
    }

    /// Whether requests may be begun on sockets that are still open.
    ///
    /// # Errors
    /// The server stops, and what is under way is all that it still does.
    pub(crate) fn check_drain(&self) -> Result<(), Error> {
        match &self.draining {
            Some(drain) if drain.phase >= DrainPhase::Finishing => Err(Error::draining()),
            _ => Ok(()),
        }
    }

    /// Whether streams outlive the process.
    fn streams_go_on(&self) -> bool {
        self.journal.is_some() || self.draining.as_ref().is_some_and(|drain| drain.order.succeeded)
    }

    /// What a connection has not been sent, by lane.
    fn unsent_gaps(&self, token: Token, id: Token) -> Vec<(Lane, Gap)> {
        let mailbox = self.sessions.get(id).and_then(|session| session.mailbox.as_deref());
        let marks = self.conns.get(token).and_then(|conn| conn.stage.marks());
        let (Some(mailbox), Some(marks)) = (mailbox, marks) else { return Vec::new() };
        let unsent = mailbox.lanes().map(|(lane, stream)| {
            let (from, to) = (marks.get(lane).cursor + 1, stream.outbox.durable());
            (lane, Gap { from, to, reason: GapReason::Draining })
        });
        unsent.filter(|(_, gap)| gap.from <= gap.to).collect()
    }

    /// A stop that takes too long ends by force.
    fn cut_off(&mut self, cx: &mut Cx<'_>) {
        let tokens: Vec<Token> = self.conns.iter().map(|(token, _)| token).collect();
        let is_open =
            |token: &&Token| self.conns.get(**token).is_some_and(|conn| !matches!(conn.stage, Stage::Closed));
        let open = tokens.iter().filter(is_open).count() as u64;
        if open > 0 {
            let progress = metrics::Drain { phase: None, connections: open, calls: 0 };
            self.enter_phase(DrainPhase::Overdue, progress, cx);
        }
        for token in tokens {
            self.close(token, cx);
        }
        // Halves whose other half was closed with its connection.
        self.arrivals = Arrivals::default();
        let again = cx.now.mono.plus(self.config.drain.batch_interval);
        if let Some(drain) = &mut self.draining {
            // For those who were on their way from another shard.
            (drain.end, drain.next_batch, drain.next_notice) = (again, again, None);
            drain.untold.clear();
        }
    }

    /// Notes how far the stop is, and says so when that is another phase. There is no way back.
    fn enter_phase(&mut self, phase: DrainPhase, progress: metrics::Drain, cx: &Cx<'_>) {
        let Some(drain) = &mut self.draining else { return };
        let entered = phase > drain.phase;
        drain.phase = drain.phase.max(phase);
        self.stats.drain = metrics::Drain { phase: Some(drain.phase), ..progress };
        if entered {
            self.say_phase(cx);
        }
    }

    fn say_phase(&mut self, cx: &Cx<'_>) {
        let Some(drain) = &self.draining else { return };
        let (phase, reason) = (drain.phase, &*drain.order.reason);
        let metrics::Drain { connections, calls, .. } = self.stats.drain;
        self.herald.say(cx.now.wall, || Event::Drain { phase, reason: reason.into(), connections, calls });
    }
}

/// Whether a connection's client is told what the server is about to do.
fn is_told(conn: &Connection) -> bool {
    matches!(conn.stage, Stage::Sse(_)) || conn.stage.link().is_some()
}
