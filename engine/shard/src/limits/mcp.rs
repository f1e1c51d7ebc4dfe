//! The bounds of MCP: the servers behind the gateway, and what the gateway is to its clients.

use std::time::Duration;

use weir_ring::token::Address;

use super::Credential;

/// One MCP server behind the gateway: its replicas and the bounds of talking to it.
#[derive(Clone, Debug, PartialEq)]
pub struct Upstream {
    /// What it is called in paths, prefixes and logs: `[a-z][a-z0-9-]{0,31}`, unique.
    pub name: Box<str>,
    /// Where it is; several are replicas of one server. At least one.
    pub targets: Vec<Target>,
    /// One conversation serves all clients. It declares no client capabilities, so the server cannot ask a
    /// client anything. Default false.
    pub share: bool,
    /// Connections to it, or children.
    pub pool: Pool,
    /// Its share of the connections that all upstreams may have together, relative to the others', at least 1.
    /// Default 1.
    pub weight: u32,
    /// How long an answer may take; begins again with each sign of progress. Default 60 s.
    pub timeout: Duration,
    /// How long an answer may take, progress or not. Default 600 s.
    pub timeout_max: Duration,
    /// Failures in a row after which a target is passed over for another. Default 3.
    pub failover_threshold: u32,
    /// How often a target that is passed over is tried. Default 10 s.
    pub health_check_interval: Duration,
    /// When requests are refused without being tried.
    pub breaker: Breaker,
    /// Headers of every HTTP request to it, such as a credential that is always the same.
    pub headers: Vec<(Box<str>, Box<str>)>,
    /// Where its tokens come from, if it wants such.
    pub credential: Option<Credential>,
}

/// One replica of an upstream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target {
    /// What to connect to.
    pub address: Address,
    /// What is found there.
    pub kind: TargetKind,
    /// Its share of the conversations, relative to the other targets', at least 1. Default 1.
    pub weight: u32,
}

/// What a connection to a target is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TargetKind {
    /// HTTP/1.1: Streamable HTTP at `path`.
    Http {
        /// The `Host` header: name or address, and the port unless it is 80, or 443 with TLS.
        host: Box<str>,
        /// The request target: path and query.
        path: Box<str>,
        /// TLS is spoken there, and this is the name or address that the certificate must be for.
        tls: Option<Box<str>>,
    },
    /// The standard input and output of a child of its own.
    Child,
}

/// Bounds of one shard's connections to one upstream; the process's are divided already.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pool {
    /// Connections or children that may stay, at least 1. Default 100 over all shards.
    pub size: u32,
    /// Connections beyond `size` that may be opened and are closed after use. Default 50 over all shards.
    pub overflow: u32,
    /// How long a request may wait for a connection. Default 5 s.
    pub checkout_timeout: Duration,
    /// How long a connection may be of no use before it is closed. Default 300 s.
    pub idle_timeout: Duration,
    /// Requests that may wait for a connection. Default 1,000 over all shards.
    pub queue: u32,
}

impl Pool {
    /// Connections there may be at once.
    pub fn most(&self) -> u32 {
        self.size.saturating_add(self.overflow)
    }
}

/// When a circuit breaker opens, and closes again.
#[derive(Clone, Debug, PartialEq)]
pub struct Breaker {
    /// The part of the requests in `window` that must fail, above 0 and at most 1. Default 0.5.
    pub threshold: f64,
    /// How long it stays open before a few requests are let through. Default 30 s.
    pub timeout: Duration,
    /// How many are let through then; all of them must succeed. At least 1. Default 3.
    pub probes: u32,
    /// Requests in `window` below which it stays closed. Default 10.
    pub minimum: u32,
    /// How far back requests count. Default 10 s.
    pub window: Duration,
}

/// What the gateway is as an MCP server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mcp {
    /// When names of tools and prompts begin with their upstream's. Default on a conflict.
    pub prefix: Prefix,
    /// The built-in server takes part. Default true; the server's configuration makes it false where there
    /// is an upstream.
    pub builtin: bool,
    /// Sessions one shard may hold. Default 10,000 over all shards.
    pub sessions_max: u32,
    /// How long a session outlives its last request or connection. Default 300 s.
    pub session_idle_timeout: Duration,
    /// Requests one shard may have under way. Default 16,384.
    pub calls_max: u32,
}

/// When the names of an upstream's tools and prompts begin with the upstream's own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Prefix {
    /// Never: of two of the same name the first upstream's is served.
    Never,
    /// Where two upstreams have one of the same name.
    OnConflict,
    /// Always.
    Always,
}

/// What the built-in server is called beside others; no upstream may be called so.
pub const BUILTIN_NAME: &str = "weir";

/// The defaults.
pub(super) const BREAKER: Breaker = Breaker {
    threshold: 0.5,
    timeout: Duration::from_secs(30),
    probes: 3,
    minimum: 10,
    window: Duration::from_secs(10),
};

impl Default for Upstream {
    /// An upstream that has neither name nor target yet.
    fn default() -> Self {
        Upstream {
            name: "".into(),
            targets: Vec::new(),
            share: false,
            pool: Pool {
                size: 100,
                overflow: 50,
                checkout_timeout: Duration::from_secs(5),
                idle_timeout: Duration::from_secs(300),
                queue: 1_000,
            },
            timeout: Duration::from_secs(60),
            timeout_max: Duration::from_secs(600),
            failover_threshold: 3,
            health_check_interval: Duration::from_secs(10),
            weight: 1,
            breaker: BREAKER,
            headers: Vec::new(),
            credential: None,
        }
    }
}

impl Default for Mcp {
    fn default() -> Self {
        Mcp {
            prefix: Prefix::OnConflict,
            builtin: true,
            sessions_max: 10_000,
            session_idle_timeout: Duration::from_secs(300),
            calls_max: 16_384,
        }
    }
}
