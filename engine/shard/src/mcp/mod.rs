//! MCP: what clients ask, which servers answer, and what each is told of the other.
//!
//! A client's request is a *call*; its part at one server is a *leg*, sent in a *conversation* with that
//! server. Messages go straight through: an id, a token and a name are exchanged for those of the other
//! side, and all else is passed on to the byte.

mod absence;
mod answer;
mod builtin;
mod cache;
mod caching;
mod call;
mod catalog;
mod compose;
mod conversation;
mod count;
mod direct;
mod dispatch;
mod examine;
mod hold;
mod input;
mod introduce;
mod listen;
mod local;
mod merge;
pub(crate) mod outlet;
mod remote;
mod reverse;
mod rights;
mod rules;
mod servers;
pub(crate) mod session;
mod sessions;
mod survey;
mod tracing;
mod upward;
pub(crate) mod wire_id;

pub use remote::Letter;

use std::collections::{BTreeMap, BTreeSet};

use foldhash::quality::FixedState;
use hashbrown::HashTable;
use weir_ring::time::Instant;
use weir_ring::token::{Member, Token};
use weir_transports::mcp::Method;

use crate::limits;
use crate::mcp::absence::Absence;
use crate::mcp::cache::Cache;
use crate::mcp::call::{Call, Leg};
use crate::mcp::catalog::Catalog;
use crate::mcp::conversation::{About, Conversation};
use crate::mcp::count::Asked;
use crate::mcp::hold::Hold;
use crate::mcp::session::Session;
use crate::slots::Slots;
use crate::upstream::{UpstreamFault, UpstreamId};

/// Legs of one call, on average, for which there is room.
const LEGS_PER_CALL: u32 = 4;

/// Conversations that one shard may hold.
const CONVERSATIONS_MAX: u32 = 65_536;

/// All that a shard knows of MCP clients and their requests.
#[derive(Debug)]
pub(crate) struct Mcp {
    /// Sessions of legacy clients.
    pub(crate) sessions: Slots<Session>,
    by_id: HashTable<Token>,
    hasher: FixedState,
    /// Requests of clients under way.
    pub(crate) calls: Slots<Call>,
    /// Those of clients without a session, each behind its connection.
    by_connection: BTreeSet<[u32; 4]>,
    /// Their parts at upstreams.
    pub(crate) legs: Slots<Leg>,
    /// Legs whose upstream waits for a stateless client.
    holds: Slots<Hold>,
    conversations: Slots<Conversation>,
    /// The conversations that all share, by upstream.
    shared: BTreeMap<UpstreamId, Token>,
    /// Conversations with legacy upstreams for stateless clients.
    leases: BTreeMap<UpstreamId, Vec<Token>>,
    /// What the upstreams said of themselves, last time.
    abouts: BTreeMap<UpstreamId, About>,
    /// Why a conversation with an upstream last ended.
    faults: BTreeMap<UpstreamId, UpstreamFault>,
    /// Upstreams whose part was missing in a list.
    absent: BTreeMap<UpstreamId, Absence>,
    /// Calls that wait for introductions.
    introducing: Vec<Token>,
    /// Legs that stand for those of other shards.
    proxies: BTreeMap<(Member, u32, u32), Token>,
    /// Leases whose leg has ended while others wait.
    freed: Vec<Token>,
    /// Shards that wait for a server's introduction.
    curious: Vec<(UpstreamId, Member)>,
    /// Which news of modern servers the other shards were told of in the turn of this instant.
    told: (Instant, Vec<(UpstreamId, Method)>),
    /// Calls that listen.
    listeners: Vec<Token>,
    catalog: Catalog,
    /// What upstreams let be kept for everyone.
    cache: Cache,
    /// Requests of clients so far.
    pub(crate) asked: Asked,
    /// Where messages to clients are put together.
    message: Vec<u8>,
    /// Where requests to upstreams are put together.
    upward: Vec<u8>,
}

impl Mcp {
    /// The start: nobody is known. `seed` is of the shard's randomness.
    pub(crate) fn new(limits: &limits::Mcp, seed: u64) -> Mcp {
        Mcp {
            sessions: Slots::with_max(limits.sessions_max),
            by_id: HashTable::new(),
            hasher: FixedState::with_seed(seed),
            calls: Slots::with_max(limits.calls_max),
            by_connection: BTreeSet::new(),
            legs: Slots::with_max(limits.calls_max.saturating_mul(LEGS_PER_CALL)),
            holds: Slots::with_max(limits.calls_max),
            conversations: Slots::with_max(CONVERSATIONS_MAX),
            shared: BTreeMap::new(),
            leases: BTreeMap::new(),
            abouts: BTreeMap::new(),
            faults: BTreeMap::new(),
            absent: BTreeMap::new(),
            introducing: Vec::new(),
            proxies: BTreeMap::new(),
            freed: Vec::new(),
            curious: Vec::new(),
            told: (Instant(0), Vec::new()),
            listeners: Vec::new(),
            catalog: Catalog::default(),
            cache: Cache::default(),
            asked: Asked::default(),
            message: Vec::new(),
            upward: Vec::new(),
        }
    }
}
