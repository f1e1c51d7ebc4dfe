//! Where connections and requests are from, and what their addresses may do. Who has no address that counts (it is
//! exempt, or nobody asked) costs a comparison.

use std::net::IpAddr;

use weir_ring::time::{Instant, Now};
use weir_ring::token::{Member, Token};
use weir_transports::http1::{Head, forwarded};

use crate::error::Error;
use crate::mail::Mail;
use crate::metrics::Feature;
use crate::policy::suspicion::{Offence, Who};
use crate::policy::{Peer, Provenance, Refusal, Source, Verdict, client_behind};
use crate::turn::{Cx, Shard};

impl Refusal {
    /// What is said about it; `None`: nothing.
    pub(crate) fn error(self) -> Option<Error> {
        match self {
            Refusal::TooFast { retry_after } => Some(Error::AddressLimited { retry_after }),
            Refusal::TooMany { retry_after } => Some(Error::TooManyConnections { retry_after }),
            Refusal::Silent => None,
        }
    }
}

impl Shard {
    /// Whether a new connection from `address` may stay, and where it is from.
    ///
    /// # Errors
    /// It may not, and what is to be said about it; `None`: nothing, it was told so too often.
    pub(crate) fn admit_peer(&mut self, address: Option<IpAddr>, now: Now) -> Result<Peer, Option<Error>> {
        let Some(address) = address else { return Ok(Peer::FREE) };
        self.let_in(Who::Address(address), now)?;
        let limits = &self.config.network;
        if limits.trusts(address) {
            return Ok(Peer::PROXY);
        }
        if limits.exempts(address) {
            return Ok(Peer::FREE);
        }
        let began = self.meter.begin();
        let entered = self.addresses.enter(Some(address.into()), limits, now.mono);
        self.meter.end(Feature::NetworkLimits, began);
        let refusal = match entered {
            Ok(peer) => return Ok(peer),
            Err(refusal) => refusal,
        };
        self.stats.turned_away += 1;
        self.offends(Who::Address(address), Offence::Hoarding, now);
        Err(refusal.error())
    }

    /// Whether the address that a request is from may ask. Through a trusted proxy, this is where it becomes
    /// known; `opens`: the connection is to be its own from now on.
    ///
    /// # Errors
    /// It may not, or what proxies say of it contradicts itself.
    pub(crate) fn check_peer(
        &mut self,
        token: Token,
        head: &Head<'_>,
        opens: bool,
        cx: &Cx<'_>,
    ) -> Result<(), Error> {
        let Some(conn) = self.conns.get(token) else { return Ok(()) };
        if conn.peer.is_proxied() {
            let client = self.client_of_proxy(head)?;
            if let Some(client) = client {
                self.let_in(Who::Address(client), cx.now)?;
            }
            self.lend_peer(token, client, cx.now.mono)?;
            let peer = self.conns.get(token).map_or(Peer::FREE, |conn| conn.peer);
            if opens
                && let Verdict::Deny { retry_after } =
                    self.addresses.take_handshake(peer, &self.config.network, cx.now.mono)
            {
                return Err(Error::AddressLimited { retry_after });
            }
        }
        self.charge_peer(token, cx)
    }

    /// Takes a token from the bucket of the address that a connection is from.
    ///
    /// # Errors
    /// There is none.
    pub(crate) fn charge_peer(&mut self, token: Token, cx: &Cx<'_>) -> Result<(), Error> {
        let rate = &self.config.network.request_rate;
        if rate.is_off() {
            return Ok(());
        }
        let Some(conn) = self.conns.get(token).filter(|conn| conn.peer.counts()) else { return Ok(()) };
        let began = self.meter.begin();
        let verdict = self.addresses.take_request(conn.peer, rate, cx.now.mono);
        self.meter.end(Feature::NetworkLimits, began);
        match verdict {
            Verdict::Allow { .. } => Ok(()),
            Verdict::Deny { retry_after } => {
                self.peer_offends(token, Offence::Limited, cx.now);
                Err(Error::AddressLimited { retry_after })
            }
        }
    }

    /// What a request says of where it comes from; how it calls the gateway is noted.
    pub(crate) fn provenance<'a>(&mut self, token: Token, head: &'a Head<'a>) -> Provenance<'a> {
        let secure = self.is_secure(token, head);
        self.note_address(head, secure);
        Provenance { secure, ..Provenance::of(head.all_headers()) }
    }

    /// Whether the client that a request is from speaks TLS: with the gateway, or, as a trusted proxy says, with that.
    fn is_secure(&self, token: Token, head: &Head<'_>) -> bool {
        let proxied = || self.conns.get(token).is_some_and(|conn| conn.peer.is_proxied());
        self.tls.is_on() || proxied() && forwarded::is_secure(head) == Some(true)
    }

    /// The client that trusted proxies say a request is from. A client may send either header itself, and a proxy
    /// that writes only the other one passes that on: where both are there, they must agree.
    fn client_of_proxy(&self, head: &Head<'_>) -> Result<Option<IpAddr>, Error> {
        let told = [forwarded::forwarded(head), forwarded::x_forwarded_for(head)];
        let clients = told.each_ref().map(|nodes| client_behind(nodes, &self.config.network));
        match (told.each_ref().map(|nodes| nodes.is_empty()), clients) {
            ([true, _], [_, client]) | ([_, true], [client, _]) => Ok(client),
            (_, [one, other]) if one == other => Ok(one),
            _ => Err(Error::malformed("Forwarded and X-Forwarded-For name different clients")),
        }
    }

    /// Gives a proxy's connection the place of the client that it serves now.
    fn lend_peer(&mut self, token: Token, client: Option<IpAddr>, now: Instant) -> Result<(), Error> {
        let Some(conn) = self.conns.get_mut(token) else { return Ok(()) };
        let limits = &self.config.network;
        let source = client.map(Source::from);
        if self.addresses.is(conn.peer, source) {
            return Ok(());
        }
        self.addresses.leave(std::mem::replace(&mut conn.peer, Peer::PROXY));
        if client.is_some_and(|client| limits.exempts(client)) {
            return Ok(());
        }
        match self.addresses.borrow(source, limits, now) {
            Ok(peer) => {
                conn.peer = peer;
                Ok(())
            }
            Err(refusal) => Err(refusal.error().unwrap_or_else(Error::insufficient_resources)),
        }
    }

    /// A proxy's connection has served its request: the client it was for has one less.
    pub(crate) fn release_peer(&mut self, token: Token) {
        if let Some(conn) = self.conns.get_mut(token)
            && conn.peer.is_proxied()
        {
            self.addresses.leave(std::mem::replace(&mut conn.peer, Peer::PROXY));
        }
    }

    /// Tells the homes of addresses how many connections they have here, and everybody which are at their bound.
    pub(crate) fn tell_addresses(&mut self, cx: &mut Cx<'_>) {
        let (shards, max) = (self.config.shards, self.config.network.connections_per_ip_max);
        if self.addresses.has_changed() {
            let changes = self.addresses.changes();
            if shards > 1 && max > 0 {
                self.tell_homes(&changes, cx);
            }
        }
        if self.census.has_changed() {
            let news = self.census.news(max);
            if !news.is_empty() {
                for shard in (0..shards).map(Member) {
                    self.send(shard, Mail::Crowded(news.clone()), cx);
                }
                self.local_letters(cx);
            }
        }
    }

    fn tell_homes(&mut self, changes: &[(Source, i32)], cx: &mut Cx<'_>) {
        let mut letters = vec![Vec::new(); usize::from(self.config.shards)];
        for change in changes {
            letters[usize::from(self.ring.home(&change.0.key()))].push(*change);
        }
        for (shard, changes) in (0..).map(Member).zip(letters) {
            if shard == self.me {
                self.count_connections(&changes);
            } else if !changes.is_empty() {
                self.send(shard, Mail::Connections(changes), cx);
            }
        }
    }

    /// At the home of addresses: what has changed at another shard.
    pub(crate) fn count_connections(&mut self, changes: &[(Source, i32)]) {
        for (source, change) in changes {
            self.census.count(*source, *change);
        }
    }

    /// The home of addresses says which are at their bound, or below it again.
    pub(crate) fn crowded(&mut self, news: &[(Source, bool)], cx: &Cx<'_>) {
        for (source, full) in news {
            self.addresses.set_full(*source, *full, &self.config.network, cx.now.mono);
        }
    }
}
