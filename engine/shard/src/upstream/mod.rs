//! The servers' side: connections to MCP servers, and conversations with them.
//!
//! A *backing* is one conversation with one upstream on a client's behalf. The rest of the shard opens
//! one, waits for `backing_ready`, sends requests (*legs*) over it, and hears of each leg until its last
//! message or failure. Pools, sessions, probes, replicas and time-outs are nobody else's business.
//!
//! Inside, whatever is to be answered is an *errand*: a request of a client, a notification, `initialize`, a
//! probe. A *wire* is one connection: HTTP carries one errand at a time, the pipe of a child any number.

mod answer;
mod ask;
mod backing;
mod budget;
mod child;
mod credential;
mod errand;
mod fault;
mod http;
mod hub;
mod initialize;
mod lines;
mod look;
mod news;
mod pipe;
mod pool;
mod probe;
mod purse;
mod replicas;
mod request;
mod server;
mod stream;
#[cfg(test)]
mod tests;
mod view;
mod wire;

use std::collections::VecDeque;
use std::time::Duration;

use foldhash::quality::FixedState;
use hashbrown::HashMap;
use weir_ring::time::Instant;
use weir_ring::token::Token;

pub(crate) use ask::Ask;
pub(crate) use backing::{Backing, Opening};
pub use credential::{TokenCame, TokenWanted};
pub(crate) use fault::UpstreamFault;
pub(crate) use look::Look;
pub use purse::Fetched;
pub(crate) use server::Server;
pub(crate) use wire::Wire;

use self::errand::Errand;
use self::news::News;
use self::purse::Purse;
use crate::limits::Config;
use crate::slots::Slots;

/// How long an upstream may take for what no client waits for by its own time-out: `initialize`, probes,
/// notifications.
const PATIENCE: Duration = Duration::from_secs(10);

/// No time at all.
const NEVER: Instant = Instant(u64::MAX);

/// A configured MCP server: its place in `Config::upstreams`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct UpstreamId(pub(crate) u16);

impl UpstreamId {
    fn index(self) -> usize {
        usize::from(self.0)
    }
}

/// All MCP servers, as one shard sees them.
#[derive(Debug)]
pub(crate) struct Upstreams {
    pub(crate) backings: Slots<Backing>,
    /// By `UpstreamId`.
    servers: Vec<Server>,
    errands: Slots<Errand>,
    /// The errand of each leg, by the id it has on the wire.
    legs: HashMap<u64, Token, FixedState>,
    /// What the hub is told at the end of the turn.
    news: VecDeque<News>,
    /// What errands prove themselves with.
    purse: Purse,
    /// Connections to upstreams, open or being opened.
    wires: u32,
    /// When errands are looked at next; earlier entries of the wheel are stale.
    look_at: Instant,
    /// What tests hear in place of the hub.
    #[cfg(test)]
    heard: Option<Vec<tests::Heard>>,
}

impl Upstreams {
    /// The servers of `config`, of which nothing is known yet.
    pub(crate) fn new(config: &Config, seed: u64) -> Upstreams {
        // A session talks to each upstream at most once, stateless clients share a conversation.
        let servers: Vec<Server> =
            config.upstreams.iter().map(|upstream| Server::new(upstream, config.vnodes)).collect();
        let backings = config.mcp.sessions_max.saturating_add(config.mcp.calls_max);
        let backings = backings.saturating_mul(servers.len().max(1) as u32);
        Upstreams {
            backings: Slots::with_max(backings),
            servers,
            errands: Slots::with_max(u32::MAX),
            legs: HashMap::with_hasher(FixedState::with_seed(seed)),
            news: VecDeque::new(),
            purse: Purse::new(seed),
            wires: 0,
            look_at: NEVER,
            #[cfg(test)]
            heard: None,
        }
    }
}
