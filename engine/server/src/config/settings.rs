//! The settings of a process, and what a shard is given of them.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use weir_ring::driver::Kind;
use weir_shard::limits::{self, LOOPBACK_HOSTS, Mode, Secret};

use super::alerts::Alerts;
use super::auth::Auth;
use super::dashboard::Dashboard;
use super::encryption::Encryption;
use super::hooks::{Handler, Webhook};
use super::methods::Method;
use super::problem::ConfigError;
use super::rules;
use super::tls::{Files, Tls};
use super::tracing::{Log, Tracing};
use super::upstream::{Command, Upstream};

/// Room for the head, the envelope and a few control frames beside the largest message.
pub(crate) const QUEUE_OVERHEAD_BYTES: usize = 4_096;

/// What time-outs that are switched off are set to.
pub(super) const NEVER: Duration = Duration::from_secs(100 * 365 * 24 * 3_600);

/// Everything that can be set.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Settings {
    pub(crate) server: Server,
    /// Where what must outlive the process is kept. None: nothing is.
    pub(crate) data_dir: Option<PathBuf>,
    /// What data listeners speak.
    pub(super) tls: Tls,
    /// The log of all shards together.
    pub(super) durability: limits::Durability,
    /// The bounds of a shard. What all shards have together (SSE streams) is not yet divided.
    pub(super) shard: limits::Config,
    pub(super) auth: Auth,
    /// Guards what changes something on the admin port. None: one is made at start, if there is authentication.
    pub(crate) admin_token: Option<Secret>,
    /// Where the audit log goes. None: to the log.
    pub(crate) audit_file: Option<PathBuf>,
    /// What may be sent and asked for. None: nothing is said about it.
    pub(crate) rules_file: Option<PathBuf>,
    /// When the operator is told that something is near its limit.
    pub(crate) alerts: Alerts,
    pub(crate) dashboard: Dashboard,
    /// How long `/ready` says no before the gateway begins to stop.
    pub(crate) drain_delay: Duration,
    /// Where the bus is written to. None: nowhere.
    pub(crate) sink: Option<PathBuf>,
    /// Where spans go.
    pub(crate) tracing: Tracing,
    /// How the log is written.
    pub(crate) log: Log,
    /// Who is told over HTTP what is said on the bus.
    pub(crate) webhooks: Vec<Webhook>,
    /// Who answers over HTTP what clients push.
    pub(crate) handlers: Vec<Handler>,
    pub(super) encryption: Encryption,
    pub(super) client_limit: Limit,
    pub(super) backend_limit: Limit,
    /// Of single methods.
    pub(super) methods: Vec<Method>,
    /// While a method's limit is read: what it says.
    pub(super) method: Limit,
    /// Requests of each network address.
    pub(super) ip_limit: Limit,
    /// Connections a network address may open in a second, all shards together. 0: no limit.
    pub(super) handshakes: u32,
    /// Bytes the process may use. None: seven tenths of what there is.
    pub(crate) memory_budget: Option<u64>,
    /// The log is told everything, whatever `shard.debug` says.
    pub(super) debug_all: bool,
    /// Whether the built-in MCP server takes part. None: if there is no upstream.
    pub(super) builtin: Option<bool>,
    /// Hosts that requests may be for. Empty: as the address the gateway listens on says.
    pub(super) hosts: Vec<Box<str>>,
    /// What holds for an upstream that does not say otherwise; while one is read, what it says.
    pub(super) upstream: limits::Upstream,
    pub(super) upstreams: Vec<Upstream>,
}

/// What a running gateway can be given.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Live {
    /// The bounds of one shard, as [`Settings::shard`] has them.
    pub(crate) shard: limits::Config,
    pub(crate) alerts: Alerts,
    pub(crate) tls: Files,
    pub(crate) rules_file: Option<PathBuf>,
    pub(crate) public_key_refresh: Duration,
}

/// Addresses, threads and sizes of the process.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Server {
    pub(crate) bind: IpAddr,
    pub(crate) admin_port: u16,
    /// Where health, readiness and metrics are for everybody. None: nowhere.
    pub(crate) probe_bind: Option<SocketAddr>,
    pub(crate) sse_port: u16,
    pub(crate) ws_port: u16,
    /// 0: one for each of `cores`.
    pub(crate) shards: u16,
    /// Empty: all the process may run on.
    pub(crate) cores: Vec<usize>,
    pub(crate) connections_per_shard: u32,
    /// None: io_uring, or epoll where that is forbidden.
    pub(crate) driver: Option<Kind>,
    /// After how long without an acknowledgement of the peer's kernel a connection is given up.
    pub(crate) user_timeout: Duration,
    /// Where a successor is waited for. None: in the data folder, or where the environment has a place.
    pub(crate) takeover: Option<PathBuf>,
}

/// Requests in a span of time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Limit {
    /// 0: no limit.
    pub(super) limit: u32,
    pub(super) per: Duration,
    /// 0: as many as `limit`.
    pub(super) burst: u32,
}

impl Default for Settings {
    fn default() -> Settings {
        let shard = limits::Config::default();
        Settings {
            server: Server {
                bind: IpAddr::V4(Ipv4Addr::LOCALHOST),
                admin_port: 4000,
                probe_bind: None,
                sse_port: 4001,
                ws_port: 4002,
                shards: 0,
                cores: Vec::new(),
                connections_per_shard: 131_072,
                driver: None,
                user_timeout: Duration::from_secs(30),
                takeover: None,
            },
            data_dir: None,
            tls: Tls::default(),
            durability: limits::Durability::default(),
            audit_file: None,
            rules_file: None,
            alerts: Alerts::default(),
            dashboard: Dashboard::default(),
            drain_delay: Duration::ZERO,
            sink: None,
            tracing: Tracing { batch_size: 100, ..Tracing::default() },
            log: Log::default(),
            webhooks: Vec::new(),
            handlers: Vec::new(),
            encryption: Encryption::default(),
            client_limit: Limit { limit: 100, per: Duration::from_secs(1), burst: 0 },
            backend_limit: Limit { limit: 10_000, per: Duration::from_secs(1), burst: 0 },
            methods: Vec::new(),
            method: Limit::default(),
            ip_limit: Limit { limit: 10_000, per: Duration::from_secs(1), burst: 0 },
            handshakes: 100,
            memory_budget: None,
            auth: Auth::default(),
            admin_token: None,
            debug_all: false,
            builtin: None,
            hosts: Vec::new(),
            upstream: limits::Upstream::default(),
            upstreams: Vec::new(),
            shard: limits::Config {
                queue_bytes_max: shard.message_bytes_max + QUEUE_OVERHEAD_BYTES,
                ..shard
            },
        }
    }
}

impl Settings {
    /// The bounds of one of `shards` shards that has a table of `connections_max` sockets and accepts on
    /// `listeners`.
    pub(crate) fn shard(&self, shards: u16, connections_max: u32, listeners: u8) -> limits::Config {
        let mut config = self.shard.clone();
        config.shards = shards;
        config.listeners = listeners;
        config.connections_max = connections_max;
        config.idempotency.keys_max = config.idempotency.keys_max.div_ceil(usize::from(shards));
        for most in [&mut config.sse.connections_max, &mut config.websocket.connections_max] {
            *most = most.div_ceil(u32::from(shards));
        }
        let each = |total: usize| total.div_ceil(usize::from(shards));
        config.delivery.dead_messages_max = each(config.delivery.dead_messages_max);
        config.delivery.dead_bytes_max = each(config.delivery.dead_bytes_max);
        if self.debug_all {
            config.debug = limits::Debugging::ALL;
        }
        config.tracing.on = self.tracing.collector().is_some();
        config.durability = self.data_dir.is_some().then(|| self.durability(shards));
        config.auth = self.auth();
        self.encryption.apply(&mut config);
        config.handlers = self.handlers.iter().map(|handler| handler.types.as_slice().into()).collect();
        config.resource = self.auth.resource();
        config.client_rate = self.auth.capped(self.client_limit.rate());
        config.backend_rate = self.backend_limit.rate();
        config.method_limits = self.methods.iter().map(Method::limit).collect();
        config.network.request_rate = self.ip_limit.rate();
        // The kernel spreads connections evenly in the long run, and not in the short.
        let handshakes = Limit { limit: self.handshakes, per: Duration::from_secs(1), burst: 0 }.rate();
        let per_second = handshakes.per_second / f64::from(shards);
        config.network.handshake_rate = limits::Rate::new(per_second, handshakes.burst);
        config.upstreams = self.upstreams.iter().map(|upstream| upstream.divided(shards)).collect();
        config.auth.keeps_tokens = self.upstreams.iter().any(Upstream::exchanges);
        config.mcp.builtin = self.builtin.unwrap_or(self.upstreams.is_empty());
        config.browser.hosts = self.hosts();
        let limits::Control { breaker, pool_total, .. } = &mut config.control;
        *breaker = limits::Breaker { minimum: breaker.minimum, ..self.upstream.breaker.clone() };
        *pool_total = pool_total.div_ceil(u32::from(shards));
        config.mcp.sessions_max = config.mcp.sessions_max.div_ceil(u32::from(shards));
        config
    }

    /// What of it a running gateway can be given; the arguments are those of [`Settings::shard`].
    pub(crate) fn live(&self, shards: u16, connections_max: u32, listeners: u8) -> Live {
        Live {
            shard: self.shard(shards, connections_max, listeners),
            alerts: self.alerts,
            tls: self.tls_files(),
            rules_file: self.rules_file.clone(),
            public_key_refresh: self.public_key_refresh(),
        }
    }

    /// Reads the rule file, if there is one.
    ///
    /// # Errors
    /// It cannot be used.
    pub(super) fn read_rules(&mut self) -> Result<(), ConfigError> {
        if let Some(path) = &self.rules_file {
            let roles: Vec<&str> = self.auth.roles.iter().map(|role| &*role.rules.name).collect();
            self.shard.rules.set = rules::load(path, &roles)?;
        }
        Ok(())
    }

    /// Whether anything depends on who connects.
    pub(crate) fn asks_for_peers(&self) -> bool {
        let limits::Config { network, .. } = self.shard(1, 0, 0);
        network.asks(self.server.bind.to_canonical().is_loopback())
    }

    /// The log of one of `shards` shards.
    fn durability(&self, shards: u16) -> limits::Durability {
        let limits::Durability { segment_bytes, bytes_max } = self.durability;
        limits::Durability {
            segment_bytes,
            bytes_max: (bytes_max / u64::from(shards)).max(2 * segment_bytes),
        }
    }

    /// The files that TLS is made from.
    pub(crate) fn tls_files(&self) -> Files {
        let upstreams = self.upstreams.iter();
        let upstreams = upstreams.map(|upstream| upstream.is_secure().then(|| upstream.tls.clone()));
        Files { listeners: self.tls.clone(), upstreams: upstreams.collect() }
    }

    /// Whether clients must prove who they are.
    pub(crate) fn auth_mode(&self) -> Mode {
        self.auth.mode()
    }

    /// Whom tokens may be meant for, where data is served at these ports.
    pub(crate) fn audiences(&self, ports: &[u16]) -> Box<[Box<str>]> {
        let scheme = if self.tls.cert.is_some() { "https" } else { "http" };
        self.auth.audiences(scheme, self.server.bind, ports)
    }

    /// Keys, roles and what else a shard is given of `[auth]`.
    pub(crate) fn auth(&self) -> limits::Auth {
        self.auth.limits(self.client_limit)
    }

    /// How often keys are fetched anew.
    pub(crate) fn public_key_refresh(&self) -> Duration {
        self.auth.public_key_refresh
    }

    /// The upstreams that are children, by their places among all.
    pub(crate) fn commands(&self) -> impl Iterator<Item = (usize, &Command)> {
        let upstreams = self.upstreams.iter().enumerate();
        upstreams.filter_map(|(place, upstream)| Some((place, upstream.command.as_ref()?)))
    }

    /// Who listens on loopback only is named by loopback names only, which keeps out web pages whose own name
    /// was made to point here (DNS rebinding).
    fn hosts(&self) -> Vec<Box<str>> {
        if self.hosts.is_empty() && !self.server.bind.to_canonical().is_loopback() {
            return Vec::new();
        }
        LOOPBACK_HOSTS.map(Box::from).into_iter().chain(self.hosts.iter().cloned()).collect()
    }

    /// Values that are fine alone and not together, each with its reason and what to do.
    pub(super) fn contradictions(&self) -> Vec<String> {
        let (shard, server) = (&self.shard, &self.server);
        let mut found = Vec::new();
        let queue_needed = shard.message_bytes_max + QUEUE_OVERHEAD_BYTES;
        if shard.queue_bytes_max < queue_needed {
            found.push(format!(
                "connection.queue_bytes = {} is too small for message.max_size = {}: a message of that size could \
                 never be sent to a client that reads slowly. Set connection.queue_bytes to at least {queue_needed}",
                shard.queue_bytes_max, shard.message_bytes_max
            ));
        }
        found.extend(self.auth.contradictions());
        found.extend(self.encryption.contradictions());
        found.extend(self.tracing.contradictions());
        found.extend(self.inverted());
        found.extend(self.crowded());
        found.extend(self.tls.contradictions());
        for upstream in &self.upstreams {
            found.extend(upstream.tls.contradictions(&upstream.bounds.name, upstream.is_secure()));
        }
        let limits::Durability { segment_bytes, bytes_max } = self.durability;
        if bytes_max < 2 * segment_bytes {
            found.push(format!(
                "durability.max_bytes = {bytes_max} is smaller than two segments of durability.segment_bytes = \
                 {segment_bytes}, and the one before the last is needed until the last is full. Raise the first or lower \
                 the second"
            ));
        }
        let authenticates = self.auth.mode() != Mode::Off;
        found.extend(self.upstreams.iter().flat_map(|upstream| upstream.contradictions(authenticates)));
        let ports = [("admin", server.admin_port), ("sse", server.sse_port), ("ws", server.ws_port)];
        for (one, other) in [(0, 1), (0, 2), (1, 2)] {
            if ports[one].1 == ports[other].1 && ports[one].1 != 0 {
                let ((one, port), (other, _)) = (ports[one], ports[other]);
                found.push(format!(
                    "server.{one}_port and server.{other}_port are both {port}: give each its own"
                ));
            }
        }
        found
    }

    /// What upstreams share must be enough for each of them.
    fn crowded(&self) -> Option<String> {
        let (total, upstreams) = (self.shard.control.pool_total, self.upstreams.len());
        (total > 0 && (total as usize) < upstreams).then(|| {
            format!(
                "control.pool_total = {total} is smaller than the number of upstreams, {upstreams}: some could never have a \
                 connection. Raise it"
            )
        })
    }

    /// Pairs of bounds of which the first is smaller than the second and must not be.
    fn inverted(&self) -> Vec<String> {
        let shard = &self.shard;
        let (delivery, pressure) = (&shard.delivery, &shard.backpressure);
        let kept = "a message of that size could not be kept for replay. Raise the first or lower the second";
        let raise = "raise the first or lower the second";
        [
            smaller(
                "outbox.max_bytes",
                shard.outbox.bytes_max,
                "message.max_size",
                shard.message_bytes_max,
                kept,
            ),
            smaller(
                "outbox.max_bytes_per_shard",
                shard.outbox_bytes_total_max,
                "outbox.max_bytes",
                shard.outbox.bytes_max,
                "one stream could not be kept",
            ),
            smaller(
                "http.max_head_size",
                shard.http.head_bytes_max,
                "http.max_line_size",
                shard.http.line_bytes_max,
                "the line is part of the head",
            ),
            smaller(
                "connection.queue_bytes_total",
                shard.queue_bytes_total_max,
                "connection.queue_bytes",
                shard.queue_bytes_max,
                "one connection could not use what it may",
            ),
            smaller(
                "delivery.retry_max",
                delivery.retry_max,
                "delivery.ack_timeout",
                delivery.ack_timeout,
                raise,
            ),
            smaller(
                "control.hard",
                shard.control.thresholds.hard,
                "control.soft",
                shard.control.thresholds.soft,
                raise,
            ),
            smaller(
                "control.soft",
                shard.control.thresholds.soft,
                "control.resume",
                shard.control.thresholds.resume,
                "what is refused at the first must be let in again below it",
            ),
            smaller(
                "backpressure.critical_only",
                pressure.critical_only,
                "backpressure.slow_down",
                pressure.slow_down,
                raise,
            ),
        ]
        .into_iter()
        .flatten()
        .collect()
    }
}

/// What is wrong with `name`, which must not be smaller than `other`.
fn smaller<T: PartialOrd + fmt::Debug>(
    name: &str,
    value: T,
    other: &str,
    least: T,
    why: &str,
) -> Option<String> {
    (value < least).then(|| format!("{name} = {value:?} is smaller than {other} = {least:?}: {why}"))
}

impl Default for Limit {
    fn default() -> Limit {
        Limit { limit: 0, per: Duration::from_secs(1), burst: 0 }
    }
}

impl Limit {
    pub(super) fn rate(self) -> limits::Rate {
        let burst = if self.burst == 0 { self.limit.max(1) } else { self.burst };
        limits::Rate::new(f64::from(self.limit) / self.per.as_secs_f64(), burst)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn defaults_do_not_contradict_each_other() {
        assert_eq!(Settings::default().contradictions(), Vec::<String>::new());
    }

    #[test]
    fn a_shard_with_the_defaults_has_the_shards_own_defaults() {
        let config = Settings::default().shard(1, 16_384, 1);
        let queue_bytes_max = config.message_bytes_max + QUEUE_OVERHEAD_BYTES;
        assert_eq!(config, limits::Config { queue_bytes_max, ..limits::Config::default() });
    }

    #[test]
    fn shards_share_what_the_process_may_hold() {
        let config = Settings::default().shard(3, 1_000, 2);
        assert_eq!((config.shards, config.connections_max, config.listeners), (3, 1_000, 2));
        assert_eq!((config.sse.connections_max, config.durability), (3_334, None));
        assert_eq!(config.websocket.connections_max, 3_334);
        assert_eq!((config.delivery.dead_messages_max, config.delivery.dead_bytes_max), (3_334, 22_369_622));
        let settings = Settings { data_dir: Some("/srv/weir".into()), ..Settings::default() };
        let divided = |shards| settings.shard(shards, 1_000, 2).durability.map(|log| log.bytes_max);
        assert_eq!((divided(2), divided(200)), (Some(2 << 30), Some(128 << 20)));
    }

    #[test]
    fn a_limit_becomes_a_rate() {
        let limit = Limit { limit: 600, per: Duration::from_secs(60), burst: 0 };
        assert_eq!(limit.rate(), limits::Rate::new(10.0, 600));
        assert_eq!(Limit { burst: 20, ..limit }.rate(), limits::Rate::new(10.0, 20));
        assert_eq!(Limit { limit: 0, ..limit }.rate(), limits::Rate::new(0.0, 1));
    }
}
