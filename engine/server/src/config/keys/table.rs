//! Every key: its name, its bounds, and what it sets. Defaults are those of [`Settings`]; `default.toml`
//! explains them.

use std::time::Duration;

use weir_ring::driver::Kind as Driver;
use weir_shard::limits::{Injection, Listing, Mode, Prefix, Rate};

use super::{Key, Kind};
use crate::config::auth::SECRET_BYTES_MIN;
use crate::config::settings::{NEVER, Settings};
use crate::config::tls::ClientAuth;
use crate::config::tracing::Format;

const fn key(name: &'static str, kind: Kind) -> Key {
    Key { name, alias: None, flag: None, fixed: None, kind }
}

const fn aliased(alias: &'static str, name: &'static str, kind: Kind) -> Key {
    Key { name, alias: Some(alias), flag: None, fixed: None, kind }
}

const fn number(min: u64, max: u64, set: fn(&mut Settings, u64)) -> Kind {
    Kind::Number { min, max, set }
}

/// Bounds in milliseconds.
const fn time(min: u64, max: u64, set: fn(&mut Settings, Duration)) -> Kind {
    Kind::Time { min: Duration::from_millis(min), max: Duration::from_millis(max), off: false, set }
}

/// As `time`; 0 switches it off.
const fn timeout(min: u64, max: u64, set: fn(&mut Settings, Duration)) -> Kind {
    Kind::Time { min: Duration::from_millis(min), max: Duration::from_millis(max), off: true, set }
}

const KIB: u64 = 1 << 10;
const MIB: u64 = 1 << 20;
const GIB: u64 = 1 << 30;
const SECOND: u64 = 1_000;
const MINUTE: u64 = 60 * SECOND;
const HOUR: u64 = 60 * MINUTE;
const DAY: u64 = 24 * HOUR;
const PORT_MAX: u64 = u16::MAX as u64;
/// The kernel's bound of a ring's table (IORING_MAX_FIXED_FILES).
const SOCKETS_MAX: u64 = MIB;
/// One token each nanosecond: the bucket's finest step.
const RATE_MAX: u64 = 1_000_000_000;

/// Why a reload does not apply a key.
const PORTS: &str = "ports are bound at start";
const THREADS: &str = "data threads and their tables are made at start";
const LOG: &str = "the log is opened at start";
const OWN_LOG: &str = "the gateway's own log is opened at start";
const PAGE: &str = "what it shows is gathered from the start";
const COLLECTOR: &str = "the export to it begins at start";
const FILES: &str = "the file is opened at start";
const CATALOG: &str = "clients have been told the names that it makes";

/// All keys, in the order of `default.toml`. Those without `fixed` are applied by a reload.
#[rustfmt::skip]
pub(in crate::config) const KEYS: &[Key] = &[
    key("server.bind", Kind::Address(|s, address| s.server.bind = address)).flag("--bind").fixed(PORTS),
    key("server.admin_port", number(0, PORT_MAX, |s, n| s.server.admin_port = n as u16)).flag("--admin-port").fixed(PORTS),
    aliased("MCP_SSE_PORT", "server.sse_port", number(0, PORT_MAX, |s, n| s.server.sse_port = n as u16)).flag("--sse-port").fixed(PORTS),
    aliased("MCP_WS_PORT", "server.ws_port", number(0, PORT_MAX, |s, n| s.server.ws_port = n as u16)).flag("--ws-port").fixed(PORTS),
    key("server.shards", number(0, 256, |s, n| s.server.shards = n as u16)).flag("--shards").fixed(THREADS),
    key("server.cores", Kind::Cores(|s, cores| s.server.cores = cores)).flag("--cores").fixed(THREADS),
    key("server.connections_per_shard", number(128, SOCKETS_MAX, |s, n| s.server.connections_per_shard = n as u32)).fixed(THREADS),
    aliased("WEIR_DRIVER", "server.driver", Kind::Choice { words: &["auto", "io_uring", "epoll"], set: |s, word| {
        s.server.driver = match word {
            "io_uring" => Some(Driver::IoUring),
            "epoll" => Some(Driver::Epoll),
            _ => None,
        };
    } }).flag("--driver").fixed(THREADS),
    key("server.test_endpoints", Kind::Switch(|s, on| s.shard.test_endpoints = on)).flag("--test-endpoints"),
    key("server.takeover", Kind::File(|s, path| s.server.takeover = path)).fixed(PORTS),

    key("tls.cert", Kind::File(|s, path| s.tls.cert = path)).flag("--tls-cert"),
    key("tls.key", Kind::File(|s, path| s.tls.key = path)).flag("--tls-key"),
    key("tls.min_version", Kind::Choice { words: &["1.2", "1.3"], set: |s, word| s.tls.tls13_only = word == "1.3" }),
    key("tls.client_auth", Kind::Choice { words: &["off", "optional", "required"], set: |s, word| {
        s.tls.client_auth = match word {
            "optional" => ClientAuth::Optional,
            "required" => ClientAuth::Required,
            _ => ClientAuth::Off,
        };
    } }),
    key("tls.client_ca", Kind::File(|s, path| s.tls.client_ca = path)),

    key("http.max_head_size", number(KIB, MIB, |s, n| s.shard.http.head_bytes_max = n as usize)),
    key("http.max_line_size", number(256, MIB, |s, n| s.shard.http.line_bytes_max = n as usize)),
    key("http.head_deadline", timeout(10, HOUR, |s, t| s.shard.http.head_deadline = t)),
    key("http.keep_alive_timeout", timeout(10, DAY, |s, t| s.shard.http.keep_alive_timeout = t)),
    key("http.min_body_rate", number(0, GIB, |s, n| s.shard.http.body_rate_min = n as u32)),

    aliased("MCP_SSE_MAX_CONNECTIONS", "http_sse.max_connections",
        number(1, 100_000_000, |s, n| s.shard.sse.connections_max = n as u32)),
    key("http_sse.heartbeat_interval", timeout(10, DAY, |s, t| s.shard.sse.heartbeat_interval = t)),
    key("http_sse.retry", time(1, HOUR, |s, t| s.shard.sse.retry = t)),
    key("longpoll.poll_timeout", time(10, HOUR, |s, t| s.shard.longpoll.poll_timeout = t)),
    key("longpoll.idle_timeout", time(10, HOUR, |s, t| s.shard.longpoll.idle_timeout = t)),

    aliased("MCP_WS_MAX_CONNECTIONS", "websocket.max_connections",
        number(1, 100_000_000, |s, n| s.shard.websocket.connections_max = n as u32)),
    key("websocket.compression", Kind::Switch(|s, on| s.shard.websocket.compression = on)),
    key("websocket.compression_min_size", number(1, GIB, |s, n| s.shard.websocket.compression_bytes_min = n as usize)),
    aliased("MCP_WS_MAX_FRAME_SIZE", "websocket.max_frame_size",
        number(125, 64 * MIB, |s, n| s.shard.websocket.frame_bytes_max = n as usize)),
    key("websocket.ping_interval", timeout(10, DAY, |s, t| s.shard.websocket.ping_interval = t)),
    key("websocket.pong_timeout", timeout(10, HOUR, |s, t| s.shard.websocket.pong_timeout = t)),
    key("websocket.park_after", timeout(10, DAY, |s, t| s.shard.websocket.park_after = t)),
    key("websocket.join_deadline", timeout(10, DAY, |s, t| s.shard.websocket.join_deadline = t)),
    key("websocket.max_topics", number(1, 100_000, |s, n| s.shard.topics_per_connection_max = n as usize)),

    key("message.max_size", number(KIB, 64 * MIB, |s, n| s.shard.message_bytes_max = n as usize)),

    key("outbox.max_messages", number(1, 1_000_000, |s, n| s.shard.outbox.messages_max = n as usize)),
    key("outbox.max_bytes", number(KIB, GIB, |s, n| s.shard.outbox.bytes_max = n as usize)),
    key("outbox.max_age", timeout(SECOND, 7 * DAY, |s, t| s.shard.outbox.age_max = t)),
    key("outbox.max_bytes_per_shard", number(MIB, 1024 * GIB, |s, n| s.shard.outbox_bytes_total_max = n as usize)),

    key("durability.dir", Kind::Folder(|s, path| s.data_dir = path)).flag("--data-dir").fixed(LOG),
    key("durability.segment_bytes", number(MIB, GIB, |s, n| s.durability.segment_bytes = n)).fixed(LOG),
    key("durability.max_bytes", number(2 * MIB, 1024 * GIB, |s, n| s.durability.bytes_max = n)).fixed(LOG),

    key("idempotency.window", time(SECOND, DAY, |s, t| s.shard.idempotency.window = t)),
    key("idempotency.max_keys", number(1, 100_000_000, |s, n| s.shard.idempotency.keys_max = n as usize)),

    key("turn.deliveries", number(1, 1_000_000_000, |s, n| s.shard.turn.deliveries_max = n as usize)),
    key("turn.lines", number(1, 1_000_000_000, |s, n| s.shard.turn.lines_max = n as usize)),

    key("presence.max_per_topic", number(1, 1_000_000, |s, n| s.shard.presence.per_topic_max = n as usize)),
    key("presence.max_bytes_per_shard", number(KIB, 1024 * GIB, |s, n| s.shard.presence.bytes_total_max = n as usize)),

    key("connection.queue_bytes", number(KIB, GIB, |s, n| s.shard.queue_bytes_max = n as usize)),
    key("connection.queue_bytes_total", number(MIB, 1024 * GIB, |s, n| s.shard.queue_bytes_total_max = n as usize)),
    key("connection.user_timeout", timeout(100, HOUR, |s, t| s.server.user_timeout = t)).fixed("listening sockets have it from the start"),

    key("delivery.ack_timeout", time(10, HOUR, |s, t| s.shard.delivery.ack_timeout = t)),
    key("delivery.retry_max", time(10, HOUR, |s, t| s.shard.delivery.retry_max = t)),
    key("delivery.attempts_max", number(1, 100, |s, n| s.shard.delivery.attempts_max = n as u8)),

    key("dlq.max_messages", number(1, 100_000_000, |s, n| s.shard.delivery.dead_messages_max = n as usize)),
    key("dlq.max_bytes", number(MIB, 1024 * GIB, |s, n| s.shard.delivery.dead_bytes_max = n as usize)),

    key("backpressure.slow_down", number(1, 1_000_000, |s, n| s.shard.backpressure.slow_down = n as usize)),
    key("backpressure.critical_only", number(1, 1_000_000, |s, n| s.shard.backpressure.critical_only = n as usize)),
    key("backpressure.lag", timeout(10, HOUR, |s, t| s.shard.backpressure.lag = t)),
    key("backpressure.bundle_interval", time(10, HOUR, |s, t| s.shard.backpressure.bundle_interval = t)),

    aliased("MCP_RATE_LIMIT_PER_CLIENT", "rate_limiting.per_client", number(0, RATE_MAX, |s, n| s.auth.per_client = n as u32)),
    aliased("MCP_RATE_LIMIT", "rate_limiting.default.limit", number(0, RATE_MAX, |s, n| s.client_limit.limit = n as u32)).flag("--rate-limit"),
    key("rate_limiting.default.per", time(1, DAY, |s, t| s.client_limit.per = t)),
    key("rate_limiting.default.burst", number(0, RATE_MAX, |s, n| s.client_limit.burst = n as u32)),
    key("rate_limiting.backend.limit", number(0, RATE_MAX, |s, n| s.backend_limit.limit = n as u32)).flag("--backend-rate-limit"),
    key("rate_limiting.backend.per", time(1, DAY, |s, t| s.backend_limit.per = t)),
    key("rate_limiting.backend.burst", number(0, RATE_MAX, |s, n| s.backend_limit.burst = n as u32)),
    key("rate_limiting.ip.limit", number(0, RATE_MAX, |s, n| s.ip_limit.limit = n as u32)),
    key("rate_limiting.ip.per", time(1, DAY, |s, t| s.ip_limit.per = t)),
    key("rate_limiting.ip.burst", number(0, RATE_MAX, |s, n| s.ip_limit.burst = n as u32)),

    key("memory.budget", number(0, 1 << 50, |s, n| s.memory_budget = (n > 0).then_some(n))).fixed("it is measured against from the start"),

    key("auth.mode", Kind::Choice { words: &["auto", "off", "optional", "required"], set: |s, word| {
        s.auth.mode = match word {
            "off" => Some(Mode::Off),
            "optional" => Some(Mode::Optional),
            "required" => Some(Mode::Required),
            _ => None,
        };
    } }),
    key("auth.query_token", Kind::Switch(|s, on| s.auth.query_token = on)),
    key("auth.join_token", Kind::Switch(|s, on| s.auth.join_token = on)),
    key("auth.ticket_ttl", time(SECOND, 30 * SECOND, |s, t| s.auth.ticket_ttl = t)),
    key("auth.resource", Kind::Resource(|s, url| s.auth.resource = url)),
    key("auth.authorization_servers", Kind::Servers(|s, urls| s.auth.authorization_servers = urls)),
    aliased("JWT_SECRET", "auth.jwt.secret", Kind::Secret { min: SECRET_BYTES_MIN, set: |s, secret| s.auth.secret = secret }),
    key("auth.jwt.public_key", Kind::PublicKey(|s, key| s.auth.public_key = key)),
    key("auth.jwt.jwks_url", Kind::KeyUrl(|s, url| s.auth.jwks_url = url)),
    key("auth.jwt.public_key_refresh", time(10 * SECOND, 7 * DAY, |s, t| s.auth.public_key_refresh = t)),
    key("auth.jwt.issuer", Kind::Names(|s, names| s.auth.issuers = names)),
    key("auth.jwt.audience", Kind::Names(|s, names| s.auth.audiences = names)),
    key("auth.jwt.algorithms", Kind::Algorithms(|s, algorithms| s.auth.algorithms = algorithms)),
    key("auth.jwt.leeway", time(0, 10 * MINUTE, |s, t| s.auth.leeway = t)),
    key("auth.jwt.cache_ttl", time(0, DAY, |s, t| s.auth.cache_ttl = t)),

    key("admin.token", Kind::Secret { min: 16, set: |s, token| s.admin_token = token }).fixed("operators would be locked out in the middle"),
    key("admin.probe_bind", Kind::Socket(|s, address| s.server.probe_bind = address)).fixed(PORTS),

    key("session.idle_timeout", timeout(10, 7 * DAY, |s, t| {
        s.shard.session_idle_timeout = t;
        s.shard.mcp.session_idle_timeout = t;
    })),

    key("session.recovery_window", timeout(SECOND, 365 * DAY, |s, t| s.shard.recovery_window = t)),

    key("routing.vnodes", number(1, 10_000, |s, n| s.shard.vnodes = n as u16)).fixed("clients would have another home"),
    key("routing.size_threshold", number(0, GIB, |s, n| s.shard.routing.size_threshold = n as usize)),
    key("routing.failover_threshold", number(1, 1_000, |s, n| {
        s.shard.routing.failover_threshold = n as u32;
        s.upstream.failover_threshold = n as u32;
    })),
    key("routing.min_dwell", time(10, MINUTE, |s, t| s.shard.routing.dwell_min = t)),
    key("routing.probe_interval", timeout(50, MINUTE, |s, t| s.shard.routing.probe_interval = (t < NEVER).then_some(t))),
    key("routing.health_check_interval", HEALTH_CHECK_INTERVAL),

    key("security.hosts", Kind::Hosts(|s, hosts| s.hosts = hosts)),
    key("security.origins", Kind::Origins(|s, origins| s.shard.browser.origins = origins)),
    key(
        "security.blacklist",
        Kind::Subjects(|s, subjects| {
            s.shard.blacklist = subjects.into_iter().map(Listing::configured).collect();
        }),
    ),
    key("security.max_connections_per_ip", number(0, 1 << 30, |s, n| s.shard.network.connections_per_ip_max = n as u32)),
    key("security.handshakes_per_second", number(0, RATE_MAX, |s, n| s.handshakes = n as u32)),
    key("security.exempt_loopback", Kind::Switch(|s, on| s.shard.network.exempt_loopback = on)),
    key("security.trusted_proxies", Kind::Networks(|s, networks| s.shard.network.trusted_proxies = networks.into())),

    key("cors.origins", Kind::Origins(|s, origins| s.shard.browser.cors.origins = origins)),
    key("cors.methods", Kind::Tokens(|s, methods| s.shard.browser.cors.methods = methods)),
    key("cors.headers", Kind::Tokens(|s, headers| s.shard.browser.cors.headers = headers)),
    key("cors.max_age", timeout(SECOND, DAY, |s, t| s.shard.browser.cors.max_age = if t < NEVER { t } else { Duration::ZERO })),

    key("rules.file", Kind::File(|s, path| s.rules_file = path)).flag("--rules"),
    key("rules.injection", Kind::Choice { words: INJECTION, set: |s, word| s.shard.rules.injection = injection(word) }),
    key("rules.backend_injection", Kind::Choice { words: INJECTION, set: |s, word| {
        s.shard.rules.backend_injection = injection(word);
    } }),

    key("suspicion.threshold", number(0, 1_000_000, |s, n| s.shard.suspicion.threshold = n as f32)),
    key("suspicion.refused_for", time(SECOND, DAY, |s, t| s.shard.suspicion.refused_for = t)),

    key("audit.file", Kind::File(|s, path| s.audit_file = path)).fixed(FILES),
    key("audit.limit", number(1, 1_000_000, |s, n| s.shard.audit.rate = Rate::new(n as f64, 10 * n as u32))),

    key("intelligence.enabled", Kind::Switch(|s, on| s.alerts.samples = on)),
    key("intelligence.timed_turns", number(0, 1_000_000_000, |s, n| s.shard.timed_turns = n as u32)),
    key("alerts.enabled", Kind::Switch(|s, on| s.alerts.enabled = on)),
    key("alerts.cpu", number(0, 100, |s, n| s.alerts.cpu = n as u8)),
    key("alerts.memory", number(0, 100, |s, n| s.alerts.memory = n as u8)),
    key("alerts.connections", number(0, 100, |s, n| s.alerts.connections = n as u8)),
    key("alerts.bandwidth", number(0, 100, |s, n| s.alerts.bandwidth = n as u8)),
    key("alerts.link", number(0, 10_000_000, |s, n| s.alerts.link_megabits = n as u32)),

    aliased("GATEWAY_DEBUG", "debug.all", Kind::Switch(|s, on| s.debug_all = on)),
    key("debug.log_connections", Kind::Switch(|s, on| s.shard.debug.connections = on)),
    key("debug.log_messages", Kind::Switch(|s, on| s.shard.debug.messages = on)),
    key("debug.trace_routing", Kind::Switch(|s, on| s.shard.debug.routing = on)),
    aliased("OTEL_EXPORTER_OTLP_ENDPOINT", "tracing.endpoint", Kind::Endpoint(|s, endpoint| s.tracing.endpoint = endpoint)).fixed(COLLECTOR),
    aliased("OTEL_EXPORTER_OTLP_HEADERS", "tracing.headers", Kind::Secret { min: 1, set: |s, text| s.tracing.headers = text }).fixed(COLLECTOR),
    aliased("OTEL_API_KEY", "tracing.api_key", Kind::Secret { min: 1, set: |s, key| s.tracing.api_key = key }).fixed(COLLECTOR),
    key("tracing.sampling_rate", Kind::Probability(|s, rate| s.shard.tracing.rate = rate)).fixed("weir sampling sets it while the gateway runs"),
    key("tracing.max_per_second", number(0, 1_000_000, |s, n| s.shard.tracing.most = n as u32)).fixed(COLLECTOR),
    key("tracing.batch_size", number(1, 10_000, |s, n| s.tracing.batch_size = n as usize)).fixed(COLLECTOR),

    key("log.format", Kind::Choice { words: &["text", "json"], set: |s, word| {
        s.log.format = if word == "json" { Format::Json } else { Format::Text };
    } }).fixed(OWN_LOG),
    key("log.repeat", number(0, 1_000_000, |s, n| s.log.repeat = n as u32)).fixed(OWN_LOG),
    key("dashboard.enabled", Kind::Switch(|s, on| s.dashboard.enabled = on)).fixed(PAGE),
    key("dashboard.refresh_interval", time(100, MINUTE, |s, t| s.dashboard.interval = t)).fixed(PAGE),
    key("dashboard.history", time(10 * SECOND, HOUR, |s, t| s.dashboard.history = t)).fixed(PAGE),

    key("vsm.events", Kind::Switch(|s, on| s.shard.events = on)),
    key("vsm.sink", Kind::File(|s, path| s.sink = path)).fixed(FILES),

    aliased("GATEWAY_ENCRYPTION_KEY", "encryption.key",
        Kind::PayloadKeys { most: 1, set: |s, keys| s.encryption.key = keys.into_iter().next() }),
    key("encryption.keys", Kind::PayloadKeys { most: 16, set: |s, keys| s.encryption.old_keys = keys }),
    key("encryption.required", Kind::Switch(|s, on| s.encryption.required = on)),

    key("mcp.prefix", Kind::Choice { words: &["never", "on_conflict", "always"], set: |s, word| {
        s.shard.mcp.prefix = match word {
            "never" => Prefix::Never,
            "always" => Prefix::Always,
            _ => Prefix::OnConflict,
        };
    } }).fixed(CATALOG),
    key("mcp.builtin", Kind::Choice { words: &["auto", "true", "false"], set: |s, word| s.builtin = word.parse().ok() }).fixed(CATALOG),
    key("mcp.max_sessions", number(1, 100_000_000, |s, n| s.shard.mcp.sessions_max = n as u32)).fixed(THREADS),
    key("mcp.max_calls_per_shard", number(1, 1 << 24, |s, n| s.shard.mcp.calls_max = n as u32)).fixed(THREADS),

    aliased("MCP_POOL_SIZE", "pool.size", number(1, 100_000, |s, n| s.upstream.pool.size = n as u32)),
    aliased("MCP_OVERFLOW", "pool.overflow", number(0, 100_000, |s, n| s.upstream.pool.overflow = n as u32)),
    key("pool.queue", number(0, 1_000_000, |s, n| s.upstream.pool.queue = n as u32)),
    key("pool.checkout_timeout", time(1, HOUR, |s, t| s.upstream.pool.checkout_timeout = t)),
    key("pool.idle_timeout", timeout(10, DAY, |s, t| s.upstream.pool.idle_timeout = t)),

    aliased("MCP_CIRCUIT_BREAKER_THRESHOLD", "circuit_breaker.threshold",
        Kind::Part(|s, part| s.upstream.breaker.threshold = part)),
    aliased("MCP_CIRCUIT_BREAKER_TIMEOUT", "circuit_breaker.timeout",
        time(10, DAY, |s, t| s.upstream.breaker.timeout = t)),
    key("circuit_breaker.probes", number(1, 1_000, |s, n| s.upstream.breaker.probes = n as u32)),
    key("circuit_breaker.minimum", number(1, 1_000_000, |s, n| s.upstream.breaker.minimum = n as u32)),
    key("circuit_breaker.window", time(SECOND, HOUR, |s, t| s.upstream.breaker.window = t)),

    key("control.admission", Kind::Switch(|s, on| s.shard.control.admission = on)),
    key("control.shedding", Kind::Switch(|s, on| s.shard.control.shedding = on)),
    key("control.soft", Kind::Part(|s, part| s.shard.control.thresholds.soft = part)),
    key("control.hard", Kind::Part(|s, part| s.shard.control.thresholds.hard = part)),
    key("control.resume", Kind::Part(|s, part| s.shard.control.thresholds.resume = part)),
    key("control.max_turn", time(1, 10 * SECOND, |s, t| s.shard.control.turn_max = t)),
    key("control.breaker_minimum", number(1, 1_000_000, |s, n| s.shard.control.breaker.minimum = n as u32)),
    key("control.pool_total", number(0, 1_000_000, |s, n| s.shard.control.pool_total = n as u32)),

    key("drain.timeout", timeout(10, DAY, |s, t| s.shard.drain.timeout = t)),
    key("drain.delay", time(0, HOUR, |s, t| s.drain_delay = t)).fixed("the control thread has it from the start"),
    key("drain.notification_interval", time(0, HOUR, |s, t| s.shard.drain.notification_interval = t)),
    key("drain.batch", number(1, 1_000_000, |s, n| s.shard.drain.batch = n as u32)),
    key("drain.batch_interval", time(1, MINUTE, |s, t| s.shard.drain.batch_interval = t)),
];

/// What may follow from an injection pattern.
const INJECTION: &[&str] = &["enforce", "report", "off"];

fn injection(word: &str) -> Injection {
    match word {
        "report" => Injection::Report,
        "off" => Injection::Off,
        _ => Injection::Enforce,
    }
}

const HEALTH_CHECK_INTERVAL: Kind = time(100, HOUR, |s, t| s.upstream.health_check_interval = t);

/// Keys of an `[[upstream]]` that set bounds. Those of [`UPSTREAM_SECTIONS`] are its own, too.
#[rustfmt::skip]
pub(in crate::config) const UPSTREAM_KEYS: &[Key] = &[
    key("share", Kind::Switch(|s, on| s.upstream.share = on)),
    key("weight", number(1, 1_000, |s, n| s.upstream.weight = n as u32)),
    key("timeout", time(10, DAY, |s, t| s.upstream.timeout = t)),
    key("timeout_max", time(10, DAY, |s, t| s.upstream.timeout_max = t)),
    key("failover_threshold", number(1, 1_000, |s, n| s.upstream.failover_threshold = n as u32)),
    key("health_check_interval", HEALTH_CHECK_INTERVAL),
];

/// Keys of one method in `[rate_limiting.methods]`.
#[rustfmt::skip]
pub(in crate::config) const METHOD_KEYS: &[Key] = &[
    key("limit", number(0, RATE_MAX, |s, n| s.method.limit = n as u32)),
    key("per", time(1, DAY, |s, t| s.method.per = t)),
    key("burst", number(0, RATE_MAX, |s, n| s.method.burst = n as u32)),
];

/// Sections that say what holds for all upstreams, and inside an `[[upstream]]` what holds for this one.
pub(in crate::config) const UPSTREAM_SECTIONS: [&str; 2] = ["pool", "circuit_breaker"];
