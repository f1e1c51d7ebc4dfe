//! Every bound of a shard, with its unit and default. The server's configuration file fills this in.

mod auth;
mod browser;
mod control;
mod credential;
mod delivery;
mod drain;
mod durability;
mod encryption;
mod keys;
mod mcp;
mod names;
mod network;
mod pattern;
mod permissions;
mod resource;
mod routing;
mod rules;
mod secret;
mod security;
mod switches;
mod tracing;
mod turn;

use std::time::Duration;

pub use self::auth::{ApiKey, Auth, KeyUrl, Mode, Revocation, Role, RoleRules, Signing};
pub use self::browser::{Browser, Cors, LOOPBACK_HOSTS, Origin, Origins, default_port, host_and_port};
pub use self::control::{Control, Thresholds};
pub use self::credential::{Credential, Grant};
pub use self::delivery::{Backpressure, Delivery};
pub use self::drain::Drain;
pub use self::durability::Durability;
pub use self::encryption::{Encryption, PayloadKey};
pub use self::keys::{Algorithm, Key, KeySet, Material};
use self::mcp::BREAKER;
pub use self::mcp::{BUILTIN_NAME, Breaker, Mcp, Pool, Prefix, Target, TargetKind, Upstream};
pub use self::names::Names;
pub use self::network::Network;
pub use self::pattern::Pattern;
pub use self::permissions::Permissions;
pub use self::resource::Resource;
pub use self::routing::Routing;
pub use self::rules::{Effect, Injection, Matchers, Rule, RuleSet, Rules};
pub use self::secret::Secret;
pub use self::security::{Audit, Listing, Subject, Suspicion, Terms};
pub use self::switches::{Debugging, Switches};
pub use self::tracing::Tracing;
pub use self::turn::Turn;

/// Fewer free slots than this, and newcomers are answered 503 while accepting pauses.
pub const SLOTS_RESERVED: u32 = 64;

/// What a shard may do and for how long. Sizes and counts are bounds, not targets.
#[derive(Clone, Debug, PartialEq)]
pub struct Config {
    /// Number of shards in the process, at least 1.
    pub shards: u16,
    /// Number of listeners that each shard accepts on.
    pub listeners: u8,
    /// Connections one shard may hold: the driver's table. At least 128.
    pub connections_max: u32,
    /// Opens `/mcp/ws/echo`.
    pub test_endpoints: bool,
    /// HTTP heads and bodies.
    pub http: Http,
    /// WebSocket connections.
    pub websocket: WebSocket,
    /// Application SSE streams.
    pub sse: Sse,
    /// Phoenix LongPoll sessions.
    pub longpoll: LongPoll,
    /// Messages and streams.
    pub outbox: Outbox,
    /// The log. Default none: everything is kept in memory alone.
    pub durability: Option<Durability>,
    /// Who is seen on topics.
    pub presence: Presence,
    /// What was done under which key.
    pub idempotency: Idempotency,
    /// Largest application message, bytes. Default 1 MiB.
    pub message_bytes_max: usize,
    /// Bytes that may wait for a slow connection. Default 1 MiB.
    pub queue_bytes_max: usize,
    /// Bytes that may wait for all slow connections of one shard together. Default 256 MiB.
    pub queue_bytes_total_max: usize,
    /// Bytes that all outboxes of one shard may hold together. Default 256 MiB.
    pub outbox_bytes_total_max: usize,
    /// Retries and dead letters of clients that acknowledge.
    pub delivery: Delivery,
    /// When such a client is sent less.
    pub backpressure: Backpressure,
    /// Requests of one client. Default 100 per second, burst 100. Rate 0: no limit.
    pub client_rate: Rate,
    /// Publishes of one backend. Default 10,000 per second, burst 10,000. Rate 0: no limit.
    pub backend_rate: Rate,
    /// Requests of one client that name a method, beside `client_rate`: MCP's methods, and what clients call what
    /// they push. Default none.
    pub method_limits: Box<[MethodLimit]>,
    /// What network addresses may do.
    pub network: Network,
    /// How long a client's session outlives its last connection. Default 300 s.
    pub session_idle_timeout: Duration,
    /// How long a recovery token is good. Default 1 h.
    pub recovery_window: Duration,
    /// Which of a client's transports a message takes.
    pub routing: Routing,
    /// Topics one connection may join. Default 100.
    pub topics_per_connection_max: usize,
    /// What one turn does of what may be much.
    pub turn: Turn,
    /// Virtual nodes of one core on the hash ring. Default 150.
    pub vnodes: u16,
    /// How an orderly stop goes.
    pub drain: Drain,
    /// What is done before there is more to do than can be.
    pub control: Control,
    /// Who may come in, and what they may do.
    pub auth: Auth,
    /// MCP servers behind the gateway. Default none.
    pub upstreams: Vec<Upstream>,
    /// What the gateway is as an MCP server.
    pub mcp: Mcp,
    /// What may be sent and asked for.
    pub rules: Rules,
    /// Who may not come in from the start on. Default nobody.
    pub blacklist: Vec<Listing>,
    /// When somebody who behaves oddly is refused.
    pub suspicion: Suspicion,
    /// Bounds of the audit log.
    pub audit: Audit,
    /// Payloads that only a client can read.
    pub encryption: Encryption,
    /// For each endpoint that handles what clients push: the types of messages it takes. Default none.
    pub handlers: Box<[Box<[Pattern]>]>,
    /// The bus is told what happens. Default true.
    pub events: bool,
    /// What the log is told for those who look for a fault. Default nothing.
    pub debug: Debugging,
    /// Which messages spans are recorded of.
    pub tracing: Tracing,
    /// Which web pages may talk to the gateway.
    pub browser: Browser,
    /// What the gateway is to OAuth.
    pub resource: Resource,
    /// Features are timed in one turn of so many. Default 1,021, a prime, so that nothing that repeats itself keeps in
    /// step with it; 0: never.
    pub timed_turns: u32,
    /// What is handed to clients is sealed with this, and MCP session ids are made with it: random, and the
    /// same on all shards. Default zeros.
    pub secret: [u8; 32],
}

/// A token bucket's shape: so many a second, and at once. Both are to be read only; what else it holds follows from them.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Rate {
    /// Tokens per second. 0: no limit.
    pub per_second: f64,
    /// Tokens a full bucket holds, at least 1.
    pub burst: u32,
    /// Nanoseconds to refill one token; 0: no limit. Here, as each message is asked for it.
    pub(crate) interval: u64,
    /// Nanoseconds to fill the empty bucket: a whole number of tokens.
    pub(crate) capacity: u64,
}

impl Rate {
    /// At most half of the clock's range, so that the sum of a time and a capacity is a time.
    const CAPACITY_MAX: u64 = u64::MAX / 2;

    /// Rounds the interval up, so that a limit is never exceeded; rates above 10^9 per second count as that.
    pub const fn new(per_second: f64, burst: u32) -> Rate {
        let off = Rate { per_second, burst, interval: 0, capacity: 0 };
        if off.is_off() {
            return off;
        }
        let tokens = if burst == 0 { 1 } else { burst as u64 };
        let exact = (1e9 / per_second).ceil() as u64;
        let most = Rate::CAPACITY_MAX / tokens;
        let interval = if exact == 0 { 1 } else { exact };
        let interval = if interval > most { most } else { interval };
        Rate { interval, capacity: interval * tokens, ..off }
    }

    /// Whether there is no limit.
    pub const fn is_off(&self) -> bool {
        self.per_second.is_nan() || self.per_second <= 0.0
    }
}

/// The limit of one method.
#[derive(Clone, Debug, PartialEq)]
pub struct MethodLimit {
    /// The method of MCP, or the type of a push.
    pub name: Box<str>,
    /// How often each client may use it.
    pub rate: Rate,
}

/// Bounds of HTTP requests.
#[derive(Clone, Debug, PartialEq)]
pub struct Http {
    /// Bytes of a request head. Default 16 KiB.
    pub head_bytes_max: usize,
    /// Bytes of a request line. Default 8 KiB.
    pub line_bytes_max: usize,
    /// From accept or the request's first byte to the end of its head, absolute. Default 5 s. A connection is cut off
    /// up to a quarter later, each at another time.
    pub head_deadline: Duration,
    /// How long a keep-alive connection may wait for its next request. Default 120 s.
    pub keep_alive_timeout: Duration,
    /// Bytes per second at which a body must come, after as long as a head may take. 0: any. Default 1 KiB.
    pub body_rate_min: u32,
}

/// Bounds of WebSocket connections.
#[derive(Clone, Debug, PartialEq)]
pub struct WebSocket {
    /// Connections one shard may hold. Default 10,000 over all shards.
    pub connections_max: u32,
    /// Largest payload of one frame, bytes. Default 65,536.
    pub frame_bytes_max: usize,
    /// Offer permessage-deflate. Default true.
    pub compression: bool,
    /// Smallest payload worth deflating, bytes. Default 1,024.
    pub compression_bytes_min: usize,
    /// A ping after this long without input. Default 30 s.
    pub ping_interval: Duration,
    /// Close after a ping unanswered for this long. Default 10 s.
    pub pong_timeout: Duration,
    /// Without input for this long, the connection is parked. Default 1 s.
    pub park_after: Duration,
    /// From the upgrade to the first join or message, absolute. Default 60 s.
    pub join_deadline: Duration,
}

/// Bounds of SSE streams.
#[derive(Clone, Debug, PartialEq)]
pub struct Sse {
    /// Streams one shard may hold. Default 10,000 over all shards.
    pub connections_max: u32,
    /// A `heartbeat` event this often; a comment at least every 15 s between. Default 30 s.
    pub heartbeat_interval: Duration,
    /// What `retry:` tells the client. Default 1 s.
    pub retry: Duration,
}

/// Bounds of Phoenix LongPoll sessions.
#[derive(Clone, Debug, PartialEq)]
pub struct LongPoll {
    /// How long a poll waits for frames. Default 10 s, as Phoenix has it; phoenix.js gives up after 20 s.
    pub poll_timeout: Duration,
    /// How long a session outlives its last poll. Default 30 s.
    pub idle_timeout: Duration,
}

/// Bounds of one stream's outbox.
#[derive(Clone, Debug, PartialEq)]
pub struct Outbox {
    /// Messages kept for replay. Default 1,000.
    pub messages_max: usize,
    /// Bytes kept for replay. Default 1 MiB.
    pub bytes_max: usize,
    /// How long a message is kept. Default 300 s.
    pub age_max: Duration,
}

/// Bounds of idempotency keys.
#[derive(Clone, Debug, PartialEq)]
pub struct Idempotency {
    /// How long a key stands for what was done under it. Default 120 s.
    pub window: Duration,
    /// Keys one shard may hold. Default 100,000 over all shards.
    pub keys_max: usize,
}

/// Bounds of the rosters: who is seen on topics.
#[derive(Clone, Debug, PartialEq)]
pub struct Presence {
    /// Joins on one topic's roster. Default 10,000.
    pub per_topic_max: usize,
    /// Bytes of all rosters of one shard. One of them has at most half of `queue_bytes_max`, because it
    /// leaves as one frame. Default 64 MiB.
    pub bytes_total_max: usize,
}

impl Default for Http {
    fn default() -> Self {
        Http {
            head_bytes_max: 16 << 10,
            line_bytes_max: 8 << 10,
            head_deadline: Duration::from_secs(5),
            keep_alive_timeout: Duration::from_secs(120),
            body_rate_min: 1 << 10,
        }
    }
}

impl Default for Config {
    fn default() -> Self {
        Config {
            shards: 1,
            listeners: 1,
            connections_max: 16_384,
            test_endpoints: false,
            http: Http::default(),
            websocket: WebSocket {
                connections_max: 10_000,
                frame_bytes_max: 64 << 10,
                compression: true,
                compression_bytes_min: 1 << 10,
                ping_interval: Duration::from_secs(30),
                pong_timeout: Duration::from_secs(10),
                park_after: Duration::from_secs(1),
                join_deadline: Duration::from_secs(60),
            },
            sse: Sse {
                connections_max: 10_000,
                heartbeat_interval: Duration::from_secs(30),
                retry: Duration::from_secs(1),
            },
            longpoll: LongPoll {
                poll_timeout: Duration::from_secs(10),
                idle_timeout: Duration::from_secs(30),
            },
            outbox: Outbox { messages_max: 1_000, bytes_max: 1 << 20, age_max: Duration::from_secs(300) },
            durability: None,
            idempotency: Idempotency { window: Duration::from_secs(120), keys_max: 100_000 },
            presence: Presence { per_topic_max: 10_000, bytes_total_max: 64 << 20 },
            message_bytes_max: 1 << 20,
            queue_bytes_max: 1 << 20,
            queue_bytes_total_max: 256 << 20,
            outbox_bytes_total_max: 256 << 20,
            delivery: Delivery::default(),
            backpressure: Backpressure::default(),
            client_rate: Rate::new(100.0, 100),
            backend_rate: Rate::new(10_000.0, 10_000),
            method_limits: Box::default(),
            network: Network::default(),
            session_idle_timeout: Duration::from_secs(300),
            recovery_window: Duration::from_secs(3_600),
            routing: Routing::default(),
            topics_per_connection_max: 100,
            turn: Turn::default(),
            vnodes: 150,
            drain: Drain::default(),
            control: Control::default(),
            auth: Auth::default(),
            upstreams: Vec::new(),
            mcp: Mcp::default(),
            rules: Rules::default(),
            blacklist: Vec::new(),
            suspicion: Suspicion::default(),
            audit: Audit::default(),
            encryption: Encryption::default(),
            handlers: Box::default(),
            events: true,
            debug: Debugging::default(),
            tracing: Tracing::default(),
            timed_turns: 1_021,
            browser: Browser::default(),
            resource: Resource::default(),
            secret: [0; 32],
        }
    }
}
