//! A shard as it begins.

use super::{CLOSING_SLOTS, Shard};
use crate::audit::Trail;
use crate::channels::presence::Rosters;
use crate::channels::subscribers::Subscribers;
use crate::channels::topics::Topics;
use crate::dead::DeadLetters;
use crate::downstream::{Address, Arrivals, Batches, Control, Polls, Prolonged, Serving};
use crate::encryption::Encryption;
use crate::hash_ring::HashRing;
use crate::idempotency::Keys;
use crate::limits::{Config, Switches};
use crate::mcp::Mcp;
use crate::metrics::{Meter, Stats};
use crate::policy::auth::{Authenticator, Principal};
use crate::policy::blacklist::Blacklist;
use crate::policy::rules::Rules;
use crate::policy::suspicion::Suspicion;
use crate::policy::{Addresses, Backends, Census, Methods};
use crate::random::Random;
use crate::seal::Seal;
use crate::session::Sessions;
use crate::slots::Slots;
use crate::tls::Layer;
use crate::upstream::Upstreams;
use crate::vsm::{Herald, Tracer};
use std::collections::VecDeque;
use std::sync::Arc;
use weir_ring::token::Member;

impl Shard {
    /// A shard that is member `me` of the mesh. All randomness comes from `seed`. Its first turn asks
    /// to accept on every listener.
    pub fn new(config: Arc<Config>, me: Member, seed: u64) -> Shard {
        let mut random = Random::new(seed);
        Shard {
            ring: HashRing::of_shards(config.shards, config.vnodes),
            gateway: crate::route::GATEWAY.into(),
            conns: Slots::with_max(config.connections_max.saturating_add(CLOSING_SLOTS)),
            polls: Polls::new(random.next()),
            sessions: Sessions::new(config.connections_max.saturating_mul(4), random.next()),
            topics: Topics::new(config.shards, random.next()),
            journal: None,
            restored: None,
            subscribers: Subscribers::new(random.next()),
            keys: Keys::new(&config.idempotency, random.next()),
            rosters: Rosters::new(&config.presence, config.queue_bytes_max / 2, random.next()),
            watchers: Subscribers::new(random.next()),
            backends: Backends::new(random.next()),
            methods: Methods::new(&config.method_limits, random.next()),
            addresses: Addresses::new(random.next()),
            census: Census::new(random.next()),
            squeezed: None,
            pains: Vec::new(),
            herald: Herald::new(config.events),
            switches: Switches::of(&config),
            control: Control::default(),
            tracer: Tracer::new(me.0, &config.tracing, seed),
            rules: Rules::new(&config.rules, &config.auth.roles, seed),
            blacklist: Blacklist::with(&config.blacklist, seed),
            suspicion: Suspicion::new(seed),
            encryption: Encryption::new(&config.encryption, seed),
            trail: Trail::default(),
            timers: None,
            arrivals: Arrivals::default(),
            scratch: None,
            reply: Vec::new(),
            deflater: Some(Box::default()),
            local: VecDeque::new(),
            dirty: Vec::new(),
            finishing: Vec::new(),
            leaving: Vec::new(),
            queued: 0,
            hungry: Vec::new(),
            deliveries_left: 0,
            batches: Batches::default(),
            reviews: Vec::new(),
            dead: DeadLetters::default(),
            tickets: 0,
            handlers: 0,
            errands: Vec::new(),
            accepting: false,
            succession: None,
            draining: None,
            stats: Stats::default(),
            meter: Meter::default(),
            mcp: Mcp::new(&config.mcp, random.next()),
            seal: Seal::new(&config.secret, me, random.next()),
            salt: random.next(),
            serving: Serving::new(random.next()),
            address: Address::default(),
            upstream: Upstreams::new(&config, random.next()),
            tls: Layer::default(),
            auth: Authenticator::new(&config.auth, seed),
            guest: Arc::new(Principal::guest(&config.auth)),
            prolonged: Prolonged::new(seed),
            parked: Vec::new(),
            revoked: false,
            random,
            me,
            config,
        }
    }
}
