//! What each network address has and does on one shard: connections, and buckets for how fast it opens them and
//! asks. Connections count over all shards (`census` adds them up); here is what this shard has, and what it was
//! told of the sum.

use std::hash::BuildHasher;
use std::net::IpAddr;
use std::time::Duration;

use foldhash::quality::FixedState;
use hashbrown::HashTable;
use weir_ring::time::Instant;

use super::{Source, TokenBucket, Verdict};
use crate::limits::{Network, Rate};

/// Addresses with a place of their own; those beyond share one.
const PLACES_MAX: usize = 65_536;

/// The place of those beyond, and of clients that their proxies do not name.
const STRANGERS: u32 = 0;

/// Refusals that an address is given in words; beyond, its connections are closed without.
const REFUSALS: Rate = Rate::new(10.0, 20);

/// When an address at its bound of connections may try again.
const RETRY: Duration = Duration::from_secs(1);

/// Where a connection is from, in 4 bytes: a place among the addresses, or nowhere that counts; and whether a
/// trusted proxy says so anew with each request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Peer(u32);

impl Peer {
    const PROXIED: u32 = 1 << 31;
    const NOWHERE: u32 = Peer::PROXIED - 1;

    /// Exempt, or unknown because nobody asked.
    pub const FREE: Peer = Peer(Peer::NOWHERE);

    /// From a trusted proxy that has not said yet whom it speaks for.
    pub const PROXY: Peer = Peer(Peer::NOWHERE | Peer::PROXIED);

    /// Whether a trusted proxy says with each request who it is from.
    pub const fn is_proxied(self) -> bool {
        self.0 & Peer::PROXIED != 0
    }

    /// Whether limits hold for it.
    pub const fn counts(self) -> bool {
        self.0 & !Peer::PROXIED != Peer::NOWHERE
    }

    /// The same through a proxy.
    #[must_use]
    pub const fn proxied(self) -> Peer {
        Peer(self.0 | Peer::PROXIED)
    }

    fn place(self) -> Option<usize> {
        self.counts().then_some((self.0 & !Peer::PROXIED) as usize)
    }
}

/// Where a connection is from, as it is told to another shard.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Whence {
    source: Option<Source>,
    proxied: bool,
    counts: bool,
}

impl Whence {
    /// As another process tells it: the address, whether a trusted proxy says it, and whether limits hold for it.
    pub fn new(address: Option<IpAddr>, proxied: bool, counts: bool) -> Whence {
        Whence { source: address.map(Source::from), proxied, counts }
    }

    /// The same, to be told. Of an IPv6 address it has the first 64 bits, and zeros.
    pub fn parts(self) -> (Option<IpAddr>, bool, bool) {
        (self.source.map(Source::address), self.proxied, self.counts)
    }
}

/// Why an address does not get what it wants.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// It opens connections too fast.
    TooFast {
        /// When one more may be opened.
        retry_after: Duration,
    },
    /// It has as many connections as it may.
    TooMany {
        /// When to try again.
        retry_after: Duration,
    },
    /// It was told so too often: nothing is said any more.
    Silent,
}

/// One address.
#[derive(Debug, Default)]
struct Place {
    /// None: strangers, or nobody.
    source: Option<Source>,
    connections: u32,
    /// How many of them the address's home knows of.
    told: u32,
    /// Its home says that the sum is at the bound.
    full: bool,
    handshakes: TokenBucket,
    requests: TokenBucket,
    refusals: TokenBucket,
}

/// All addresses that this shard has to do with.
#[derive(Debug)]
pub struct Addresses {
    places: Vec<Place>,
    free: Vec<u32>,
    by_source: HashTable<u32>,
    hasher: FixedState,
    /// Places whose number of connections has changed.
    changed: Vec<u32>,
    swept: Instant,
}

impl Addresses {
    /// None yet. `seed` keeps the table's order out of an attacker's reach.
    pub fn new(seed: u64) -> Addresses {
        Addresses {
            places: vec![Place::default()],
            free: Vec::new(),
            by_source: HashTable::new(),
            hasher: FixedState::with_seed(seed),
            changed: Vec::new(),
            swept: Instant(0),
        }
    }

    /// A connection is opened from `source`; `None`: a stranger.
    ///
    /// # Errors
    /// A limit is against it. It is not counted.
    pub fn enter(&mut self, source: Option<Source>, limits: &Network, now: Instant) -> Result<Peer, Refusal> {
        let at = self.place(source, limits, now);
        let place = &mut self.places[at as usize];
        let refusal = match place.handshakes.take(&limits.handshake_rate, now) {
            Verdict::Deny { retry_after } => Some(Refusal::TooFast { retry_after }),
            Verdict::Allow { .. } => place.is_full(limits).then_some(Refusal::TooMany { retry_after: RETRY }),
        };
        match refusal {
            None => Ok(self.count_in(at)),
            Some(refusal) => match place.refusals.take(&REFUSALS, now) {
                Verdict::Allow { .. } => Err(refusal),
                Verdict::Deny { .. } => Err(Refusal::Silent),
            },
        }
    }

    /// A trusted proxy passes on a request from `source` on one of its own connections, which takes its place while
    /// it is served.
    ///
    /// # Errors
    /// The source has as many connections as it may.
    pub fn borrow(
        &mut self,
        source: Option<Source>,
        limits: &Network,
        now: Instant,
    ) -> Result<Peer, Refusal> {
        let at = self.place(source, limits, now);
        if self.places[at as usize].is_full(limits) {
            return Err(Refusal::TooMany { retry_after: RETRY });
        }
        Ok(self.count_in(at).proxied())
    }

    /// A connection comes from another shard, which has let it in.
    pub fn arrive(&mut self, from: Whence, limits: &Network, now: Instant) -> Peer {
        let free = if from.proxied { Peer::PROXY } else { Peer::FREE };
        if !from.counts {
            return free;
        }
        let at = self.place(from.source, limits, now);
        let peer = self.count_in(at);
        if from.proxied { peer.proxied() } else { peer }
    }

    /// A connection, or what a proxy's connection served, is over.
    pub fn leave(&mut self, peer: Peer) {
        let Some(place) = peer.place().and_then(|at| self.places.get_mut(at)) else { return };
        if place.connections == place.told {
            self.changed.push((peer.0) & !Peer::PROXIED);
        }
        place.connections = place.connections.saturating_sub(1);
    }

    /// The same for another shard.
    pub fn whence(&self, peer: Peer) -> Whence {
        let source = peer.place().and_then(|at| self.places.get(at)?.source);
        Whence { source, proxied: peer.is_proxied(), counts: peer.counts() }
    }

    /// The address that `peer` counts for; of IPv6 its first 64 bits, and zeros.
    pub fn address(&self, peer: Peer) -> Option<IpAddr> {
        let source = peer.place().and_then(|at| self.places.get(at)?.source);
        source.map(Source::address)
    }

    /// Whether `peer` stands for `source`.
    pub fn is(&self, peer: Peer, source: Option<Source>) -> bool {
        peer.place().and_then(|at| self.places.get(at)).is_some_and(|place| place.source == source)
    }

    /// Takes one token for a request.
    pub fn take_request(&mut self, peer: Peer, rate: &Rate, now: Instant) -> Verdict {
        match peer.place().and_then(|at| self.places.get_mut(at)) {
            Some(place) => place.requests.take(rate, now),
            None => Verdict::Allow { remaining: u32::MAX },
        }
    }

    /// Takes one token for a stream that a proxy opens on one of its own connections.
    pub fn take_handshake(&mut self, peer: Peer, limits: &Network, now: Instant) -> Verdict {
        match peer.place().and_then(|at| self.places.get_mut(at)) {
            Some(place) => place.handshakes.take(&limits.handshake_rate, now),
            None => Verdict::Allow { remaining: u32::MAX },
        }
    }

    /// The home of `source` says whether the sum of its connections is at the bound.
    pub fn set_full(&mut self, source: Source, full: bool, limits: &Network, now: Instant) {
        if full || self.find(source).is_some() {
            let at = self.place(Some(source), limits, now);
            if at != STRANGERS {
                self.places[at as usize].full = full;
            }
        }
    }

    /// The bound has changed: which addresses are at the new one, their homes say anew.
    pub fn empty_all(&mut self) {
        self.places.iter_mut().for_each(|place| place.full = false);
    }

    /// Which addresses have how many connections more, or fewer, since this was asked last. For their homes.
    pub fn changes(&mut self) -> Vec<(Source, i32)> {
        let mut changes = Vec::new();
        for at in self.changed.drain(..) {
            let place = &mut self.places[at as usize];
            let change = place.connections.wrapping_sub(place.told) as i32;
            place.told = place.connections;
            changes.extend(place.source.filter(|_| change != 0).map(|source| (source, change)));
        }
        changes
    }

    /// Whether `changes` has something to tell.
    pub fn has_changed(&self) -> bool {
        !self.changed.is_empty()
    }

    /// Connections counted here.
    pub fn connections(&self) -> u64 {
        self.places.iter().map(|place| u64::from(place.connections)).sum()
    }

    /// Forgets addresses that have no connection and whose buckets are full: they are as good as new.
    pub fn sweep(&mut self, limits: &Network, now: Instant) {
        self.swept = now;
        for at in 1..self.places.len() {
            let place = &self.places[at];
            let Some(source) = place.source else { continue };
            if !place.is_idle(limits, now) {
                continue;
            }
            let hash = self.hasher.hash_one(source);
            if let Ok(entry) = self.by_source.find_entry(hash, |other| *other == at as u32) {
                entry.remove();
            }
            self.places[at] = Place::default();
            self.free.push(at as u32);
        }
    }

    fn find(&self, source: Source) -> Option<u32> {
        let is = |at: &u32| self.places[*at as usize].source == Some(source);
        self.by_source.find(self.hasher.hash_one(source), is).copied()
    }

    /// The place of `source`, made if there is room.
    fn place(&mut self, source: Option<Source>, limits: &Network, now: Instant) -> u32 {
        let Some(source) = source else { return STRANGERS };
        if let Some(at) = self.find(source) {
            return at;
        }
        // A sweep looks at all of them: once a second is often enough.
        let crowded = self.free.is_empty() && self.places.len() > PLACES_MAX;
        if crowded && now.since(self.swept) >= Duration::from_secs(1) {
            self.sweep(limits, now);
        }
        let at = match self.free.pop() {
            Some(at) => at,
            None if self.places.len() > PLACES_MAX => return STRANGERS,
            None => {
                self.places.push(Place::default());
                self.places.len() as u32 - 1
            }
        };
        self.places[at as usize].source = Some(source);
        let (places, hasher) = (&self.places, &self.hasher);
        let rehash = |at: &u32| places[*at as usize].source.map_or(0, |source| hasher.hash_one(source));
        self.by_source.insert_unique(hasher.hash_one(source), at, rehash);
        at
    }

    fn count_in(&mut self, at: u32) -> Peer {
        let place = &mut self.places[at as usize];
        if place.connections == place.told {
            self.changed.push(at);
        }
        place.connections += 1;
        Peer(at)
    }
}

impl Place {
    fn is_full(&self, limits: &Network) -> bool {
        let max = limits.connections_per_ip_max;
        max > 0 && (self.full || self.connections >= max)
    }

    fn is_idle(&self, limits: &Network, now: Instant) -> bool {
        let full = |bucket: &TokenBucket, rate: &Rate| {
            bucket.standing(rate, now).is_none_or(|standing| standing.remaining == standing.limit)
        };
        self.connections == 0
            && self.told == 0
            && !self.full
            && full(&self.handshakes, &limits.handshake_rate)
            && full(&self.requests, &limits.request_rate)
            && full(&self.refusals, &REFUSALS)
    }
}

#[cfg(test)]
mod tests;
