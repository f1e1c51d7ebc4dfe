//! The turn: everything a shard does, in a fixed order, as one function of its arguments.

mod new;

use std::collections::VecDeque;
use std::sync::Arc;

use crate::audit::Trail;
use crate::channels::presence::Rosters;
use crate::channels::subscribers::Subscribers;
use crate::channels::topics::Topics;
use crate::dead::DeadLetters;
use crate::downstream::{
    Address, Arrivals, Batches, Connection, Control, Drain, Polls, Prolonged, Serving, Succession,
};
use crate::durable::{Kind, Log, Name, Share, log_forgotten};
use crate::encryption::Encryption;
use crate::hash_ring::HashRing;
use crate::idempotency::Keys;
use crate::limits::{Config, Switches};
use crate::mail::Mail;
use crate::mcp::Mcp;
use crate::message::Stamp;
use crate::metrics::{Feature, Meter, Stats};
use crate::policy::auth::{Authenticator, Principal};
use crate::policy::blacklist::Blacklist;
use crate::policy::rules::Rules;
use crate::policy::suspicion::Suspicion;
use crate::policy::{Addresses, Backends, Census, Methods};
use crate::random::Random;
use crate::seal::Seal;
use crate::session::Sessions;
use crate::slots::Slots;
use crate::timers::Timers;
use crate::tls::{Exhausted, Layer};
use crate::upstream::{Look, UpstreamId, Upstreams};
use crate::vsm::{Cause, Herald, Tracer};
use weir_ring::op::{Completion, Completions, Op, Output};
use weir_ring::time::{Instant, Now};
use weir_ring::token::{Listener, Member, Token};
use weir_transports::websocket::{Deflater, Scratch};

/// Slots beyond the driver's sockets, for those whose `Closed` is still under way.
const CLOSING_SLOTS: u32 = 1024;

/// Connections that alarms of one turn may have something sent to. Each send is some 15 us of the kernel's time, and
/// deadlines come in waves: thousands of clients that came together, or were held open by one attacker.
const ALARMED_MAX: usize = 4;

/// How often what is too old is swept out.
const SWEEP_INTERVAL: std::time::Duration = std::time::Duration::from_secs(10);

/// Letters of one turn. The pump fills `inbox` and `room` before the turn and carries `outbox` away
/// after it; what a full queue does not take stays in `outbox`, in order.
#[derive(Debug, Default)]
pub struct Post {
    /// Received since the last turn, in order per sender. The turn takes all of it.
    pub inbox: Vec<Mail>,
    /// To be sent, in order.
    pub outbox: Vec<(Member, Mail)>,
    /// How many letters each member's queue can still take from this shard.
    pub room: Vec<u32>,
}

/// What one turn works with.
pub(crate) struct Cx<'a> {
    pub now: Now,
    pub stamp: Stamp,
    pub out: &'a mut Output,
    pub post: &'a mut Post,
}

/// What an alarm asks to look at. Alarms are never cancelled: the look decides.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Alarm {
    Connection(Token),
    Session(Token),
    Routing(Token),
    Acks(Token),
    McpSession(Token),
    Sweep,
    Control,
    Accept(Listener),
    Mcp(Token),
    Hold(Token),
    Lease(Token),
    Absent(UpstreamId),
    Upstream(Look),
}

/// One core's state.
#[derive(Debug)]
pub struct Shard {
    pub(crate) config: Arc<Config>,
    pub(crate) me: Member,
    pub(crate) ring: HashRing,
    pub(crate) random: Random,
    /// The name that all gateway channels share.
    pub(crate) gateway: Arc<str>,
    pub(crate) conns: Slots<Connection>,
    /// LongPoll sessions.
    pub(crate) polls: Polls,
    pub(crate) sessions: Sessions,
    pub(crate) topics: Topics,
    /// The log, from the first turn on; none: the memory tier.
    pub(crate) journal: Log,
    /// What the log of the last run held, until the first turn.
    pub(crate) restored: Option<Box<Share>>,
    pub(crate) subscribers: Subscribers,
    pub(crate) keys: Keys,
    pub(crate) rosters: Rosters,
    /// Who takes the changes of topics' rosters.
    pub(crate) watchers: Subscribers,
    /// Who asks.
    pub(crate) auth: Authenticator,
    /// Who proves nothing, where that is allowed.
    pub(crate) guest: Arc<Principal>,
    /// Newer tokens of clients that are connected with older ones.
    pub(crate) prolonged: Prolonged,
    /// Requests that wait for keys.
    pub(crate) parked: Vec<Token>,
    /// Tokens were revoked since connections were last looked at for it.
    pub(crate) revoked: bool,
    pub(crate) backends: Backends,
    /// Buckets of single methods.
    pub(crate) methods: Methods,
    /// Where connections are from.
    pub(crate) addresses: Addresses,
    /// What the addresses have on all shards, of those whose home this one is.
    pub(crate) census: Census,
    /// The process uses more memory than it may: meanwhile all outboxes together get no larger than this.
    pub(crate) squeezed: Option<usize>,
    /// What the control thread was told to hurt.
    pub(crate) pains: Vec<Cause>,
    /// What its bus is to be told.
    pub(crate) herald: Herald,
    /// What is refused for want of room.
    pub(crate) control: Control,
    /// Messages that are followed or sampled.
    pub(crate) tracer: Tracer,
    /// What is on.
    pub(crate) switches: Switches,
    /// What may be sent and asked for.
    pub(crate) rules: Rules,
    /// Who may not come in.
    pub(crate) blacklist: Blacklist,
    /// Who behaves oddly.
    pub(crate) suspicion: Suspicion,
    /// Payloads that only a client can read.
    pub(crate) encryption: Encryption,
    /// What the audit log is to be told.
    pub(crate) trail: Trail,
    pub(crate) timers: Option<Timers<Alarm>>,
    pub(crate) arrivals: Arrivals,
    /// Where messages are put together; one for all connections. Lent while one is read.
    pub(crate) scratch: Option<Box<Scratch>>,
    /// Where replies are put together.
    pub(crate) reply: Vec<u8>,
    pub(crate) deflater: Option<Box<Deflater>>,
    /// Letters to itself.
    pub(crate) local: VecDeque<Mail>,
    /// Connections with something to send in this turn.
    pub(crate) dirty: Vec<Token>,
    /// Connections that close once all is sent.
    pub(crate) finishing: Vec<Token>,
    /// Connections that are handed over once all is sent.
    pub(crate) leaving: Vec<Token>,
    /// Bytes in the queues of all connections.
    pub(crate) queued: usize,
    /// Connections with more of their stream to send.
    pub(crate) hungry: Vec<Token>,
    /// What this turn may still deliver of topics.
    pub(crate) deliveries_left: usize,
    /// Batches with more lines to read.
    pub(crate) batches: Batches,
    /// Sessions of clients that acknowledge in which something has changed.
    pub(crate) reviews: Vec<Token>,
    /// What their clients did not acknowledge.
    pub(crate) dead: DeadLetters,
    /// Numbers joins and transfers.
    pub(crate) tickets: u32,
    /// Backends that read pushes, as the feed's home told.
    pub(crate) handlers: u32,
    /// Connections with pushes that a handler is to answer, one entry for each.
    pub(crate) errands: Vec<Token>,
    pub(crate) accepting: bool,
    /// Another process is about to go on with the streams, or does.
    pub(crate) succession: Option<Succession>,
    /// A drain is on.
    pub(crate) draining: Option<Box<Drain>>,
    pub(crate) stats: Stats,
    /// What features cost.
    pub(crate) meter: Meter,
    /// MCP clients and their requests.
    pub(crate) mcp: Mcp,
    /// Of what clients are given to bring back.
    pub(crate) seal: Seal,
    /// Tells the lineages that began in this life of the shard.
    pub(crate) salt: u64,
    /// MCP clients' requests at hand.
    pub(crate) serving: Serving,
    /// How the HTTP request at hand calls the gateway.
    pub(crate) address: Address,
    /// MCP servers.
    pub(crate) upstream: Upstreams,
    /// What connections that speak TLS share.
    pub(crate) tls: Layer,
}

impl Shard {
    /// Takes everything from `completions` and `post.inbox`, writes operations and letters, and says
    /// when the next turn is due even if nothing happens.
    pub fn turn(
        &mut self,
        now: Now,
        completions: &mut impl Completions,
        post: &mut Post,
        out: &mut Output,
    ) -> Instant {
        let mut cx = Cx { now, stamp: Stamp::new(now.wall), out, post };
        self.stats.turns += 1;
        self.meter.turn();
        if self.timers.is_none() {
            self.start(&mut cx);
        }
        self.timed(Feature::LoadControl, &mut cx, Shard::regulate);
        let mut inbox = std::mem::take(&mut cx.post.inbox);
        self.stats.letters_in += inbox.len() as u64;
        self.stats.letters_waiting = cx.post.outbox.len() as u64;
        for letter in inbox.drain(..) {
            self.letter(letter, &mut cx);
        }
        cx.post.inbox = inbox;
        self.continue_handshakes(&mut cx);
        self.continue_batches(&mut cx);
        while let Some(completion) = completions.next() {
            self.completion(completion, &mut cx);
        }
        self.local_letters(&mut cx);
        self.alarms(&mut cx);
        self.plans(&mut cx);
        self.sends(&mut cx);
        self.next_deadline(now.mono)
    }

    /// The last turn took that long, its operations handed over and all. Whoever has no clock says nothing.
    pub fn took(&mut self, turn: std::time::Duration) {
        let began = self.meter.begin();
        self.stats.took(turn);
        self.meter.end(Feature::Latency, began);
        self.meter.took(turn);
        self.control.took = turn;
    }

    /// In one turn of some, as the configuration says, features are timed by `clock`.
    pub fn set_clock(&mut self, clock: fn() -> Instant) {
        self.meter.set(self.config.timed_turns, clock);
    }

    /// Whether a drain has nothing left to wait for. It may have again: a connection may be on its way from another shard.
    pub fn is_drained(&self) -> bool {
        let told = self.journal.as_ref().is_none_or(|journal| journal.is_idle());
        self.draining.is_some() && self.conns.is_empty() && self.arrivals.is_empty() && told
    }

    fn start(&mut self, cx: &mut Cx<'_>) {
        let tick = std::time::Duration::from_millis(10);
        let mut timers = Timers::new(tick, 4096, cx.now.mono);
        timers.schedule(cx.now.mono.plus(SWEEP_INTERVAL), Alarm::Sweep);
        self.timers = Some(timers);
        self.switch(self.switches);
        self.open_log(cx);
        self.accepting = true;
        for listener in 0..self.config.listeners {
            cx.out.ops.push(Op::Accept { listener: Listener(listener) });
        }
    }

    fn completion(&mut self, completion: Completion<'_>, cx: &mut Cx<'_>) {
        match completion {
            Completion::Accepted { socket, peer, .. } => self.accepted(socket, peer, cx),
            Completion::AcceptFailed { listener, errno } => self.accept_failed(listener, errno, cx),
            Completion::Connected { token, socket } => self.wire_connected(token, socket, cx),
            Completion::ConnectFailed { token, errno } => self.wire_refused(token, errno, cx),
            Completion::Received { token, bytes } => self.received(token, bytes, cx),
            Completion::Readable { token } => self.readable(token, cx),
            Completion::Ended { token, errno } => self.ended(token, errno, cx),
            Completion::Unsent { token, tail, errno } => self.unsent(token, tail, errno, cx),
            Completion::Drained { token, errno } => self.drained(token, errno, cx),
            Completion::Closed { token } => self.closed(token),
            Completion::HandedOver { token, errno } => self.handed_over(token, errno, cx),
            Completion::Arrived { transfer, socket } => self.socket_arrived(transfer, socket, cx),
            Completion::Appended { bytes, errno } => self.log_appended(bytes, errno, cx),
        }
    }

    /// Letters a shard wrote to itself, including those that reading them writes.
    pub(crate) fn local_letters(&mut self, cx: &mut Cx<'_>) {
        while let Some(letter) = self.local.pop_front() {
            self.letter(letter, cx);
        }
    }

    /// What is due, until so many connections have something to say that the rest is left to the next turn.
    fn alarms(&mut self, cx: &mut Cx<'_>) {
        let enough = self.dirty.len() + ALARMED_MAX;
        while self.dirty.len() < enough
            && let Some(alarm) = self.timers.as_mut().and_then(|timers| timers.pop(cx.now.mono))
        {
            match alarm {
                Alarm::Connection(token) => self.examine(token, cx),
                Alarm::Session(id) => self.examine_session(id, cx),
                Alarm::Routing(id) => self.examine_routing(id, cx),
                Alarm::Acks(id) => self.examine_acks(id, cx),
                Alarm::McpSession(id) => self.examine_mcp_session(id, cx),
                Alarm::Sweep => self.sweep(cx),
                // The look is at the beginning of each turn.
                Alarm::Control => {}
                Alarm::Accept(listener) => self.accept_again(listener, cx),
                Alarm::Mcp(call) => self.examine_call(call, cx),
                Alarm::Hold(hold) => self.examine_hold(hold, cx),
                Alarm::Lease(lease) => self.examine_lease(lease, cx),
                Alarm::Absent(server) => self.examine_absent(server, cx),
                Alarm::Upstream(look) => self.examine_upstream(look, cx),
            }
        }
    }

    fn sweep(&mut self, cx: &mut Cx<'_>) {
        let (freed, forgotten) = self.topics.sweep(cx.now.mono, &self.config.outbox);
        self.stats.outbox_bytes -= freed as u64;
        self.polls.sweep(cx.now.mono);
        for (topic, epoch) in forgotten {
            log_forgotten(&mut self.journal, Name { kind: Kind::Topic, text: &topic }, epoch);
        }
        self.keys.forget_old(cx.now.mono);
        self.addresses.sweep(&self.config.network, cx.now.mono);
        self.blacklist.sweep(cx.now.wall);
        self.suspicion.sweep(cx.now.mono);
        self.prolonged.sweep(cx.now.wall);
        self.tracer.sweep(cx.now.mono);
        if std::mem::take(&mut self.revoked) {
            self.examine_all_proofs(cx);
        }
        self.alarm(cx.now.mono.plus(SWEEP_INTERVAL), Alarm::Sweep);
    }

    fn plans(&mut self, cx: &mut Cx<'_>) {
        self.continue_drain(cx);
        self.tell_news(cx);
        self.feed_hungry(cx);
        self.local_letters(cx);
        self.begin_deliveries();
        self.fan_out(cx);
        self.review_ledgers(cx);
        self.serve_freed(cx);
        self.serve_rest(cx);
        while self.answer_polls(cx) {
            self.local_letters(cx);
            self.fan_out(cx);
        }
        self.stats.spread += u64::from(self.is_spread());
        self.finish_pending(cx);
        self.leave_pending(cx);
        self.drain_wires(cx);
        self.timed(Feature::NetworkLimits, cx, Shard::tell_addresses);
        self.timed(Feature::Audit, cx, Shard::tell_audit);
        self.timed(Feature::Events, cx, Shard::tell_events);
        self.tell_spans(cx);
        self.timed(Feature::Durability, cx, Shard::commit);
        self.continue_succession(cx);
    }

    /// Does a piece of a feature's work.
    fn timed(&mut self, feature: Feature, cx: &mut Cx<'_>, work: fn(&mut Shard, &mut Cx<'_>)) {
        let began = self.meter.begin();
        work(self, cx);
        self.meter.end(feature, began);
    }

    fn sends(&mut self, cx: &mut Cx<'_>) {
        let mut exhausted = Vec::new();
        for token in self.dirty.drain(..) {
            let Some(conn) = self.conns.get_mut(token) else { continue };
            let began = conn.tls.is_some().then(|| self.meter.begin());
            match conn.flush(token, cx.out) {
                Ok(bytes) => self.stats.bytes.sent(conn.stage.medium(), bytes),
                Err(Exhausted) => exhausted.push(token),
            }
            if let Some(began) = began {
                self.meter.end(Feature::Tls, began);
            }
        }
        for token in exhausted {
            self.tls_exhausted(token, cx);
        }
    }

    fn next_deadline(&self, now: Instant) -> Instant {
        let idle = self.hungry.is_empty() && self.finishing.is_empty() && self.leaving.is_empty();
        let idle = idle && !self.tls.is_waiting() && !self.is_spread() && self.batches.is_done();
        if !idle || !self.serving.is_done() || self.has_news() || self.mcp.has_freed() {
            return now;
        }
        let timer = self.timers.as_ref().and_then(Timers::next_deadline);
        let timer = timer.unwrap_or_else(|| now.plus(SWEEP_INTERVAL));
        let log = self.journal.as_ref().and_then(|journal| journal.due()).map(|due| due.max(now));
        let events = self.herald.due(&self.stats, now);
        let drain =
            self.draining.as_ref().filter(|_| !self.conns.is_empty()).map(|drain| drain.due().max(now));
        let spans = self.tracer.due().map(|due| due.max(now));
        [drain, log, events, spans].into_iter().flatten().fold(timer, Instant::min)
    }

    /// Sends a letter. Letters to itself are read in the same turn.
    pub(crate) fn send(&mut self, to: Member, letter: Mail, cx: &mut Cx<'_>) {
        if to == self.me {
            self.local.push_back(letter);
        } else {
            if let Some(room) = cx.post.room.get_mut(usize::from(to.0)) {
                *room = room.saturating_sub(1);
            }
            self.stats.letters_out += 1;
            cx.post.outbox.push((to, letter));
        }
    }

    /// Whether a letter to `to` is sure to fit: asked before a message is accepted.
    pub(crate) fn has_room(&self, to: Member, cx: &Cx<'_>) -> bool {
        to == self.me || cx.post.room.get(usize::from(to.0)).is_some_and(|room| *room > 0)
    }

    pub(crate) fn next_ticket(&mut self) -> u32 {
        self.tickets = self.tickets.wrapping_add(1);
        self.tickets
    }

    pub(crate) fn alarm(&mut self, at: Instant, alarm: Alarm) {
        if let Some(timers) = &mut self.timers {
            timers.schedule(at, alarm);
        }
    }
}
