//! What a shard counts, and what it shows of a client.

mod behaviour;
mod control;
mod drain;
mod flow;
mod histogram;
mod meter;

use std::time::Duration;

use weir_ring::counters::Counters;

pub use self::behaviour::{Ages, Behaviour};
pub use self::control::{BreakerView, ClientView, Control, ControlView, Load, PoolView, ReplicaView};
pub use self::drain::Drain;
pub use self::flow::{Bytes, Gaps, Medium, Messages, Received, Refused, Sent};
pub use self::histogram::Histogram;
pub(crate) use self::meter::Meter;
pub use self::meter::{Cost, Costs, Feature};
use crate::error::Error;

/// Counters of one shard, totals since its start where nothing else is said.
#[derive(Clone, Debug, Default, PartialEq, serde::Serialize)]
pub struct Stats {
    /// Open connections by transport, now.
    pub websocket: Transport,
    /// Open application SSE streams and their traffic.
    pub http_sse: Transport,
    /// Open Phoenix LongPoll sessions and their traffic.
    pub longpoll: Transport,
    /// HTTP requests answered, upgrades and streams not counted.
    pub http_requests: u64,
    /// Open connections of any kind, now.
    pub connections: u64,
    /// Connections accepted.
    pub accepted: u64,
    /// Sessions held, now.
    pub sessions: u64,
    /// Topics owned by this shard, now.
    pub topics: u64,
    /// Joins that are seen on the topics owned by this shard, now.
    pub present: u64,
    /// Connections that count for a network address, now.
    pub addressed: u64,
    /// The same of all shards, for the addresses whose home this shard is; only where there are several shards.
    pub census: u64,
    /// Connections refused for their network address.
    pub turned_away: u64,
    /// Bytes of messages dropped to stay within the memory budget.
    pub squeezed_bytes: u64,
    /// Idempotency keys held, now.
    pub idempotency_keys: u64,
    /// Publishes and pushes that were not done again, because they had been done under their key.
    pub duplicates: u64,
    /// Bytes held in outboxes, now.
    pub outbox_bytes: u64,
    /// Requests refused by a limit.
    pub limited: u64,
    /// Requests and frames refused for who sends them.
    pub denied: u64,
    /// Messages appended to a stream.
    pub appended: u64,
    /// Connections closed because they could not keep up.
    pub overflowed: u64,
    /// Gaps told to clients.
    pub gaps: u64,
    /// Connections ended because their client resumed on another with their recovery token.
    pub fenced: u64,
    /// Largest outbound queue of any connection so far, bytes.
    pub queue_bytes_peak: u64,
    /// Connections handed over to another shard.
    pub handed_over: u64,
    /// Connections handed over to another process.
    pub emigrated: u64,
    /// Connections of another process that go on here.
    pub taken_up: u64,
    /// Messages that came to be dealt with.
    pub operations: u64,
    /// Messages that no span is recorded of only because too many are sampled.
    pub traces_left_out: u64,
    /// Turns taken.
    pub turns: u64,
    /// Turns that left some of a topic's subscribers to the next.
    pub spread: u64,
    /// The log.
    pub log: LogStats,
    /// TLS, of clients and of upstreams.
    pub tls: Tls,
    /// Requests to MCP servers.
    pub upstream: Upstream,
    /// What is under way for MCP clients.
    pub mcp: McpStats,
    /// Acknowledgements and what follows from none.
    pub delivery: Delivery,
    /// Messages that were refused by a rule, injection patterns among them.
    pub forbidden: u64,
    /// Clients and connections that were kept out: on the blacklist, or suspicious.
    pub kept_out: u64,
    /// What the audit log was told.
    pub audit: AuditStats,
    /// Bytes received on all sockets, those of upstreams among them.
    pub bytes_in: u64,
    /// Bytes sent on all sockets, those of upstreams among them.
    pub bytes_out: u64,
    /// How long turns take, from the reading of the clock until their operations are with the driver, as
    /// [`crate::Shard::took`] is told.
    #[serde(rename = "turn_times")]
    pub turn: Histogram,
    /// What was refused so that the rest could be done.
    pub control: Control,
    /// Messages by what they are.
    #[serde(skip)]
    pub messages: Messages,
    /// Bytes by what carries them.
    #[serde(skip)]
    pub bytes: Bytes,
    /// What clients were told they will not get.
    #[serde(skip)]
    pub missed: Gaps,
    /// What somebody was told an error for.
    #[serde(skip)]
    pub refused: Refused,
    /// Requests of MCP clients by their method.
    #[serde(skip)]
    pub methods: Vec<(&'static str, u64)>,
    /// How long the log's disk takes for a batch, to within a turn.
    #[serde(skip)]
    pub appends: Histogram,
    /// Bytes that wait for slow connections, now.
    pub queued_bytes: u64,
    /// Letters read.
    pub letters_in: u64,
    /// Letters to other members, written.
    pub letters_out: u64,
    /// Letters that a full queue did not take in the turn before, now.
    pub letters_waiting: u64,
    /// What the driver has done.
    #[serde(skip)]
    pub driver: Counters,
    /// How far an orderly stop is.
    pub drain: Drain,
}

/// Counters of the audit log.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize)]
pub struct AuditStats {
    /// Records written.
    pub records: u64,
    /// Records left out, because there were too many or nobody took them.
    pub dropped: u64,
}

/// Counters of TLS; all zero without.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize)]
pub struct Tls {
    /// Handshakes that came to an end.
    pub handshakes: u64,
    /// Those among them that were shortened by an earlier one.
    pub resumed: u64,
    /// Connections that failed: handshakes that did not come to an end in time or in agreement, and records that
    /// cannot be read.
    pub failed: u64,
    /// Connections that spoke plain HTTP, and were told so.
    pub plaintext: u64,
}

/// Counters of clients that acknowledge.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize)]
pub struct Delivery {
    /// Messages written and not acknowledged, now.
    pub pending: u64,
    /// Messages written again because they were not acknowledged in time.
    pub retried: u64,
    /// Messages that became dead letters.
    pub dead: u64,
    /// Times a message could not, because there was no room: it stayed pending.
    pub refused: u64,
    /// Dead letters sent again because somebody asked for it.
    pub redriven: u64,
    /// Dead letters held, now.
    pub letters: u64,
    /// Bytes of the dead letters held, now.
    pub letter_bytes: u64,
}

/// Counters of a shard's log; all zero without one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize)]
pub struct LogStats {
    /// Bytes of all segments on the disk, now.
    pub bytes: u64,
    /// Appends asked for.
    pub batches: u64,
    /// Appends that the disk refused.
    pub refused: u64,
}

/// What one shard holds for MCP clients, now.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize)]
pub struct McpStats {
    /// Sessions of legacy clients.
    pub sessions: u64,
    /// Requests of clients under way.
    pub calls: u64,
    /// Their parts at upstreams.
    pub legs: u64,
    /// Legs whose upstream waits for a stateless client to come back.
    pub holds: u64,
    /// Conversations that serve one stateless request at this moment.
    pub leases: u64,
    /// Pooled connections to upstreams that are at work or being opened.
    pub busy: u64,
    /// Connections to upstreams.
    pub connections: u64,
}

/// Counters of the servers' side.
#[derive(Clone, Debug, Default, PartialEq, serde::Serialize)]
pub struct Upstream {
    /// Requests of clients.
    pub asks: u64,
    /// Requests that failed: nobody there, no answer in time, none that is one, or refused.
    pub failures: u64,
    /// Requests sent again, to the same replica or another.
    pub retries: u64,
    /// Times a circuit breaker opened.
    pub breaker_opened: u64,
    /// Messages and responses that cannot be read, or that nobody waits for.
    pub garbage: u64,
}

/// Counters of one transport.
#[derive(Clone, Debug, Default, PartialEq, serde::Serialize)]
pub struct Transport {
    /// Open now.
    pub connections: u64,
    /// Opened so far. One that moves to its home shard counts on both.
    pub opened: u64,
    /// Messages received.
    pub messages_in: u64,
    /// Messages sent.
    pub messages_out: u64,
    /// Closed for an error of the peer or the network.
    pub errors: u64,
    /// How long messages took from their stream to the driver, replays and repetitions left out.
    #[serde(skip)]
    pub delivery: Histogram,
    /// Messages of this turn that went in the turn in which they came: the turn is all they have waited.
    #[serde(skip)]
    pub(crate) at_once: u32,
}

/// What `/mcp/health/{client_id}` shows.
#[derive(Clone, Debug, PartialEq, serde::Serialize)]
pub struct Health {
    /// The client asked for.
    pub client_id: Box<str>,
    /// Has at least one connection.
    pub connected: bool,
    /// `websocket`, `longpoll`, `http_sse` or `none`; with both up, the one a message would take.
    pub transport: &'static str,
    /// Age of the oldest connection, seconds.
    pub connection_age: u64,
    /// Messages sent to the client.
    pub messages_sent: u64,
    /// Messages received from the client.
    pub messages_received: u64,
    /// When the client was last heard, RFC 3339.
    pub last_activity: Box<str>,
    /// Messages in the outbox nobody has acknowledged.
    pub pending_acks: u64,
    /// Bytes waiting for a slow connection.
    pub queue: u64,
    /// The last changes of the transport that its messages take, oldest first.
    pub switches: Vec<Switch>,
}

/// A change of the transport that a client's messages take.
#[derive(Clone, Debug, PartialEq, serde::Serialize)]
pub struct Switch {
    /// RFC 3339.
    pub at: Box<str>,
    /// `websocket` or `http_sse`.
    pub from: &'static str,
    /// `websocket` or `http_sse`.
    pub to: &'static str,
    /// As the event `transport_switched` has it.
    pub reason: &'static str,
}

impl Stats {
    /// Adds another shard's counters; peaks are the larger of the two.
    pub fn add(&mut self, other: &Stats) {
        self.websocket.add(&other.websocket);
        self.http_sse.add(&other.http_sse);
        self.longpoll.add(&other.longpoll);
        self.http_requests += other.http_requests;
        self.connections += other.connections;
        self.accepted += other.accepted;
        self.sessions += other.sessions;
        self.topics += other.topics;
        self.present += other.present;
        self.addressed += other.addressed;
        self.census += other.census;
        self.turned_away += other.turned_away;
        self.squeezed_bytes += other.squeezed_bytes;
        self.idempotency_keys += other.idempotency_keys;
        self.duplicates += other.duplicates;
        self.outbox_bytes += other.outbox_bytes;
        self.limited += other.limited;
        self.denied += other.denied;
        self.appended += other.appended;
        self.overflowed += other.overflowed;
        self.gaps += other.gaps;
        self.fenced += other.fenced;
        self.queue_bytes_peak = self.queue_bytes_peak.max(other.queue_bytes_peak);
        self.handed_over += other.handed_over;
        self.emigrated += other.emigrated;
        self.taken_up += other.taken_up;
        self.operations += other.operations;
        self.traces_left_out += other.traces_left_out;
        self.turns += other.turns;
        self.spread += other.spread;
        self.log.bytes += other.log.bytes;
        self.log.batches += other.log.batches;
        self.log.refused += other.log.refused;
        self.tls.add(&other.tls);
        self.upstream.add(&other.upstream);
        self.mcp.add(&other.mcp);
        self.delivery.add(&other.delivery);
        self.forbidden += other.forbidden;
        self.kept_out += other.kept_out;
        self.audit.records += other.audit.records;
        self.audit.dropped += other.audit.dropped;
        self.bytes_in += other.bytes_in;
        self.bytes_out += other.bytes_out;
        self.turn.add(&other.turn);
        self.control.add(&other.control);
        self.messages.add(&other.messages);
        self.bytes.add(&other.bytes);
        self.missed.add(&other.missed);
        self.refused.add(&other.refused);
        // All shards have the same methods, in the same order; one that was not asked yet has none.
        match self.methods.is_empty() {
            true => self.methods.clone_from(&other.methods),
            false => self.methods.iter_mut().zip(&other.methods).for_each(|(one, (_, more))| one.1 += more),
        }
        self.appends.add(&other.appends);
        self.queued_bytes += other.queued_bytes;
        self.letters_in += other.letters_in;
        self.letters_out += other.letters_out;
        self.letters_waiting += other.letters_waiting;
        self.drain.add(&other.drain);
    }

    /// Somebody was told an error.
    pub(crate) fn refuse(&mut self, error: &Error) {
        self.refused.count(error);
    }

    /// The turn has taken that long, and so has what went at once.
    pub(crate) fn took(&mut self, turn: Duration) {
        self.turn.record(turn);
        for transport in [&mut self.websocket, &mut self.http_sse, &mut self.longpoll] {
            let at_once = std::mem::take(&mut transport.at_once);
            if at_once > 0 {
                transport.delivery.record_many(turn, at_once);
            }
        }
    }
}

impl Tls {
    fn add(&mut self, other: &Tls) {
        self.handshakes += other.handshakes;
        self.resumed += other.resumed;
        self.failed += other.failed;
        self.plaintext += other.plaintext;
    }
}

impl Upstream {
    fn add(&mut self, other: &Upstream) {
        self.asks += other.asks;
        self.failures += other.failures;
        self.retries += other.retries;
        self.breaker_opened += other.breaker_opened;
        self.garbage += other.garbage;
    }
}

impl Delivery {
    fn add(&mut self, other: &Delivery) {
        self.pending += other.pending;
        self.retried += other.retried;
        self.dead += other.dead;
        self.refused += other.refused;
        self.redriven += other.redriven;
        self.letters += other.letters;
        self.letter_bytes += other.letter_bytes;
    }
}

impl McpStats {
    fn add(&mut self, other: &McpStats) {
        self.sessions += other.sessions;
        self.calls += other.calls;
        self.legs += other.legs;
        self.holds += other.holds;
        self.leases += other.leases;
        self.busy += other.busy;
        self.connections += other.connections;
    }
}

impl Transport {
    /// One more is open.
    pub(crate) fn open(&mut self) {
        self.connections += 1;
        self.opened += 1;
    }

    fn add(&mut self, other: &Transport) {
        self.connections += other.connections;
        self.opened += other.opened;
        self.messages_in += other.messages_in;
        self.messages_out += other.messages_out;
        self.errors += other.errors;
        self.delivery.add(&other.delivery);
    }

    /// So many messages have waited that long.
    pub(crate) fn delivered(&mut self, waited: Duration, messages: u32) {
        match waited {
            Duration::ZERO => self.at_once = self.at_once.saturating_add(messages),
            waited => self.delivery.record_many(waited, messages),
        }
    }
}
