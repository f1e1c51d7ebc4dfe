//! What a shard shows of how it controls itself.

use serde::Serialize;
use weir_ring::time::Instant;

use super::histogram::Histogram;
use crate::limits::Breaker;
use crate::policy::CircuitBreaker;

/// Counters of what was refused so that the rest could be done.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Control {
    /// Newcomers refused for want of room.
    pub newcomers_refused: u64,
    /// Publishes shed, by priority. Urgent ones never are.
    pub shed_high: u64,
    /// As `shed_high`.
    pub shed_normal: u64,
    /// As `shed_high`.
    pub shed_low: u64,
    /// Connections and publishes refused by the breaker of a transport or of the router.
    pub breaker_refused: u64,
    /// Times such a breaker opened.
    pub breaker_opened: u64,
    /// Times a pool began to refuse requests for want of connections.
    pub pool_exhausted: u64,
}

/// How much there is to do; 1 is as much as there may be.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct Load {
    /// Connections.
    pub connections: f64,
    /// How long turns take.
    pub turns: f64,
    /// Bytes that wait for slow connections.
    pub queued: f64,
    /// Bytes in outboxes.
    pub outbox: f64,
    /// Requests to MCP servers under way.
    pub calls: f64,
    /// 1 while the process uses more memory than it may, else 0.
    pub memory: f64,
}

/// A shard's admission, shedding, breakers and pools.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct ControlView {
    /// `open`, `soft` or `hard`.
    pub admission: &'static str,
    /// For how many milliseconds yet an operator holds it so.
    pub admission_held_ms: Option<u64>,
    /// From 0, nothing is shed, to 3.
    pub shedding: u8,
    /// As `admission_held_ms`.
    pub shedding_held_ms: Option<u64>,
    /// How much there is to do.
    pub load: Load,
    /// The mean of what turns take, milliseconds.
    pub turn_ms: f64,
    /// Those of the transports, the router, and each upstream.
    pub breakers: Vec<BreakerView>,
    /// One for each upstream.
    pub pools: Vec<PoolView>,
    /// Pooled connections to all upstreams together, at most; 0: no bound.
    pub pool_total: u32,
    /// Sessions and topics whose home the shard is.
    pub keys: u64,
}

/// A circuit breaker.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct BreakerView {
    /// `websocket`, `http_sse`, `router`, or an upstream's name.
    pub name: Box<str>,
    /// `closed`, `half_open` or `open`.
    pub state: &'static str,
    /// What went well in its window, while it is closed.
    pub succeeded: u64,
    /// What failed.
    pub failed: u64,
    /// Milliseconds until something may pass again; 0 unless it is open.
    pub retry_after_ms: u64,
    /// For how many milliseconds yet an operator holds it so.
    pub held_ms: Option<u64>,
}

/// A pool of connections to one upstream; of an upstream on standard input and output, of its children.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct PoolView {
    /// The upstream's name.
    pub name: Box<str>,
    /// `idle`, `ready`, `overflow` or `exhausted`.
    pub status: &'static str,
    /// Those that may stay.
    pub size: u32,
    /// Those beyond that may be opened.
    pub overflow_max: u32,
    /// Open without work.
    pub available: u32,
    /// At work, or being opened.
    pub in_use: u32,
    /// Open beyond `size`.
    pub overflow: u32,
    /// Requests that wait for one.
    pub queue_length: u32,
    /// How long requests have waited for one lately, on average.
    pub avg_checkout_time_ms: f32,
    /// Its share where pools share a bound.
    pub weight: u32,
    /// What that share comes to now; none where there is no such bound.
    pub allocated: Option<u32>,
    /// How long requests that had to wait for a connection did.
    #[serde(skip)]
    pub waits: Box<Histogram>,
    /// How long requests took until they were answered, to within a turn.
    #[serde(skip)]
    pub answers: Box<Histogram>,
    /// Requests that failed.
    pub failures: u64,
    /// Where it is served, in the order of the configuration.
    pub replicas: Vec<ReplicaView>,
}

/// One of the places where an upstream is served.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ReplicaView {
    /// Host and path, or `child`.
    pub target: Box<str>,
    /// Shards that pass it over until it answers a check.
    pub down_on: u32,
}

/// One client, as lists of them show it.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ClientView {
    /// Its name.
    pub client_id: Box<str>,
    /// Connections it has now.
    pub connections: u32,
    /// `websocket`, `http_sse`, `longpoll`, `both` or `none`.
    pub transport: &'static str,
    /// Seconds since its oldest connection was opened; 0 without one.
    pub age_seconds: u64,
    /// Seconds since it was last heard.
    pub idle_seconds: u64,
    /// Messages kept for it.
    pub queue: u64,
    /// Bytes of these and of what waits for its connections.
    pub bytes: u64,
    /// Messages received from it.
    pub received: u64,
}

impl Control {
    pub(super) fn add(&mut self, other: &Control) {
        self.newcomers_refused += other.newcomers_refused;
        self.shed_high += other.shed_high;
        self.shed_normal += other.shed_normal;
        self.shed_low += other.shed_low;
        self.breaker_refused += other.breaker_refused;
        self.breaker_opened += other.breaker_opened;
        self.pool_exhausted += other.pool_exhausted;
    }
}

impl ControlView {
    /// Adds another shard's: of states the stricter counts, loads are the larger, numbers are added.
    pub fn add(&mut self, other: &ControlView) {
        let strictness = |name: &str| ["open", "soft", "hard"].iter().position(|it| *it == name);
        if strictness(other.admission) > strictness(self.admission) {
            self.admission = other.admission;
        }
        self.admission_held_ms = self.admission_held_ms.max(other.admission_held_ms);
        self.shedding = self.shedding.max(other.shedding);
        self.shedding_held_ms = self.shedding_held_ms.max(other.shedding_held_ms);
        self.load = self.load.larger(&other.load);
        self.turn_ms = self.turn_ms.max(other.turn_ms);
        self.pool_total += other.pool_total;
        self.keys += other.keys;
        // All shards have the same, in the same order.
        self.breakers.iter_mut().zip(&other.breakers).for_each(|(one, other)| one.add(other));
        self.pools.iter_mut().zip(&other.pools).for_each(|(one, other)| one.add(other));
    }
}

impl Load {
    fn larger(&self, other: &Load) -> Load {
        Load {
            connections: self.connections.max(other.connections),
            turns: self.turns.max(other.turns),
            queued: self.queued.max(other.queued),
            outbox: self.outbox.max(other.outbox),
            calls: self.calls.max(other.calls),
            memory: self.memory.max(other.memory),
        }
    }
}

impl BreakerView {
    /// What is seen of a breaker.
    pub(crate) fn of(name: &str, breaker: &CircuitBreaker, limits: &Breaker, now: Instant) -> BreakerView {
        let millis = |until: Instant| until.since(now).as_millis() as u64;
        let (succeeded, failed) = breaker.counted(limits, now);
        BreakerView {
            name: name.into(),
            state: breaker.phase(now).name(),
            succeeded,
            failed,
            retry_after_ms: millis(breaker.retry_at(now)),
            held_ms: breaker.held_until(now).map(millis),
        }
    }

    fn add(&mut self, other: &BreakerView) {
        let strictness = |name: &str| ["closed", "half_open", "open"].iter().position(|it| *it == name);
        if strictness(other.state) > strictness(self.state) {
            self.state = other.state;
        }
        self.succeeded += other.succeeded;
        self.failed += other.failed;
        self.retry_after_ms = self.retry_after_ms.max(other.retry_after_ms);
        self.held_ms = self.held_ms.max(other.held_ms);
    }
}

impl PoolView {
    /// What a pool with these numbers is.
    pub fn status_of(in_use: u32, overflow: u32, queue_length: u32) -> &'static str {
        match (in_use, overflow, queue_length) {
            (_, _, 1..) => "exhausted",
            (_, 1.., _) => "overflow",
            (0, ..) => "idle",
            _ => "ready",
        }
    }

    fn add(&mut self, other: &PoolView) {
        self.size += other.size;
        self.overflow_max += other.overflow_max;
        self.available += other.available;
        self.in_use += other.in_use;
        self.overflow += other.overflow;
        self.queue_length += other.queue_length;
        self.avg_checkout_time_ms = self.avg_checkout_time_ms.max(other.avg_checkout_time_ms);
        self.waits.add(&other.waits);
        self.answers.add(&other.answers);
        self.failures += other.failures;
        self.allocated = self.allocated.zip(other.allocated).map(|(one, other)| one + other);
        self.status = PoolView::status_of(self.in_use, self.overflow, self.queue_length);
        self.replicas.iter_mut().zip(&other.replicas).for_each(|(one, other)| one.down_on += other.down_on);
    }
}
