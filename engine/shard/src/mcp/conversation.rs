//! Conversations with upstreams: whose they are, and what waits for them or is under way in them.

use std::sync::Arc;
use std::time::Duration;

use weir_ring::time::Instant;
use weir_ring::token::Token;
use weir_transports::mcp::Era;
use weir_transports::mcp::about::SERVER_INFO;

use crate::limits::Grant;
use crate::mcp::call::Serves;
use crate::mcp::outlet::Client;
use crate::policy::auth::Principal;
use crate::turn::{Alarm, Cx, Shard};
use crate::upstream::{Opening, UpstreamFault, UpstreamId};

/// A conversation with one upstream.
#[derive(Debug)]
pub(crate) struct Conversation {
    /// The upstream's side of it; `None`: another shard has it.
    pub(crate) backing: Option<Token>,
    /// With whom.
    pub(crate) server: UpstreamId,
    /// On whose behalf.
    pub(crate) whose: Whose,
    /// Requests may be sent.
    pub(crate) ready: bool,
    /// When its last leg ended.
    pub(crate) idle_since: Instant,
    /// Legs that wait for it, or, unless it is shared, are under way in it; oldest first.
    pub(crate) legs: Vec<Token>,
}

/// On whose behalf a conversation is held.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Whose {
    /// A session's.
    Session(Token),
    /// Everyone's whose requests stand for themselves, and the gateway's own.
    Shared,
    /// One stateless request's at a time, with a legacy upstream that was told these capabilities: what it
    /// asks back is asked in the course of that request.
    Lease {
        capabilities: Box<str>,
        /// Whose alone, where the upstream is told who asks.
        owner: Option<Box<str>>,
    },
    /// A lease whose request was given up: its upstream is left a moment to hear so.
    Spent,
}

/// What an upstream said of itself.
#[derive(Clone, Debug)]
pub(crate) struct About {
    /// How it is spoken to.
    pub(crate) era: Era,
    /// Result of `initialize` or `server/discover`, JSON.
    pub(crate) result: Box<str>,
}

/// How long an upstream has to hear that its request was given up, before its lease ends.
const FAREWELL: Duration = Duration::from_secs(1);

/// How often a lease is looked at, at most.
const LOOK_MIN: Duration = Duration::from_millis(100);

impl Shard {
    /// The conversation in which `client`, as what is proved of him, asks `server`; begun if there is none.
    ///
    /// # Errors
    /// None can be had now.
    pub(crate) fn conversation(
        &mut self,
        (client, who): (Client, Option<&Arc<Principal>>),
        capabilities: Option<&str>,
        server: UpstreamId,
        cx: &mut Cx<'_>,
    ) -> Result<Token, UpstreamFault> {
        let share = self.config.upstreams.get(usize::from(server.0)).is_some_and(|upstream| upstream.share);
        match client {
            Client::Session(session) if !share && !self.is_modern(server) => {
                self.session_conversation(session, server, cx)
            }
            Client::Stateless if !share && self.is_legacy(server) => match capabilities.map(str::trim) {
                None | Some("{}") if !self.is_personal(server) => self.shared_conversation(server, who, cx),
                capabilities => self.lease(server, capabilities.unwrap_or("{}"), who, cx),
            },
            _ => self.shared_conversation(server, who, cx),
        }
    }

    /// Whether an upstream is told who asks, so that what it says to one is not for another.
    pub(crate) fn is_personal(&self, server: UpstreamId) -> bool {
        let upstream = self.config.upstreams.get(usize::from(server.0));
        let credential = upstream.and_then(|upstream| upstream.credential.as_ref());
        credential.is_some_and(|credential| credential.grant == Grant::TokenExchange)
    }

    /// Whether the upstream is known to be of the modern era.
    pub(crate) fn is_modern(&self, server: UpstreamId) -> bool {
        self.mcp.abouts.get(&server).is_some_and(|about| about.era == Era::Modern)
    }

    /// Whether the upstream is known to be of the legacy era.
    pub(crate) fn is_legacy(&self, server: UpstreamId) -> bool {
        self.mcp.abouts.get(&server).is_some_and(|about| about.era != Era::Modern)
    }

    fn session_conversation(
        &mut self,
        session: Token,
        server: UpstreamId,
        cx: &mut Cx<'_>,
    ) -> Result<Token, UpstreamFault> {
        let Some(held) = self.mcp.sessions.get(session) else { return Err(UpstreamFault::SessionLost) };
        if let Some(conversation) = held.backings.get(&server) {
            return Ok(*conversation);
        }
        let opening = Opening {
            owner: session,
            affinity: self.mcp.hash(&held.id),
            client_info: held.client_info.clone(),
            capabilities: held.capabilities.clone(),
            who: held.who.clone(),
        };
        let conversation = self.converse(server, Whose::Session(session), opening, cx)?;
        if let Some(held) = self.mcp.sessions.get_mut(session) {
            held.backings.insert(server, conversation);
        }
        Ok(conversation)
    }

    /// The conversation that everyone shares whose requests stand for themselves.
    pub(crate) fn shared_conversation(
        &mut self,
        server: UpstreamId,
        who: Option<&Arc<Principal>>,
        cx: &mut Cx<'_>,
    ) -> Result<Token, UpstreamFault> {
        if let Some(conversation) = self.mcp.shared.get(&server) {
            return Ok(*conversation);
        }
        let conversation = match self.owner_of(server) {
            Some(owner) => self.converse_remotely(owner, server, cx)?,
            None => {
                let opening = Opening { who: who.cloned(), ..Opening::plain(self.random.next()) };
                self.converse(server, Whose::Shared, opening, cx)?
            }
        };
        self.mcp.shared.insert(server, conversation);
        Ok(conversation)
    }

    /// A conversation of a legacy upstream for stateless requests that have these capabilities. Over a pipe
    /// nobody can tell which request the upstream asks about, so it is one request's at a time, and others
    /// wait; more children are started one after the other.
    fn lease(
        &mut self,
        server: UpstreamId,
        capabilities: &str,
        who: Option<&Arc<Principal>>,
        cx: &mut Cx<'_>,
    ) -> Result<Token, UpstreamFault> {
        let owner = who.filter(|_| self.is_personal(server)).map(|who| who.subject.clone());
        let whose = Whose::Lease { capabilities: capabilities.into(), owner };
        let leases = self.mcp.leases.get(&server).map_or(&[][..], Vec::as_slice);
        let fit = leases.iter().filter_map(|lease| {
            let held = self.mcp.conversations.get(*lease)?;
            (held.whose == whose).then_some((held.legs.len(), held.ready, *lease))
        });
        let fit: Vec<(usize, bool, Token)> = fit.collect();
        let most = self.config.upstreams.get(usize::from(server.0)).map_or(0, |upstream| upstream.pool.size);
        let full = leases.len() >= most as usize;
        let starting = fit.iter().any(|(_, ready, _)| !ready);
        if let Some((legs, _, lease)) = fit.into_iter().min_by_key(|(legs, ..)| *legs)
            && (legs == 0 || starting || full || !self.is_child(server))
        {
            return Ok(lease);
        }
        if full && !self.end_idle_lease(server, cx) {
            return Err(UpstreamFault::Overloaded);
        }
        let plain = Opening::plain(self.random.next());
        let opening = Opening { capabilities: capabilities.into(), who: who.cloned(), ..plain };
        let lease = self.converse(server, whose, opening, cx)?;
        self.mcp.leases.entry(server).or_default().push(lease);
        self.examine_lease(lease, cx);
        Ok(lease)
    }

    /// A lease that nobody has used for the pool's idle time ends; else it is looked at again.
    pub(crate) fn examine_lease(&mut self, lease: Token, cx: &mut Cx<'_>) {
        let Some(held) = self.mcp.conversations.get(lease) else { return };
        if held.whose == Whose::Spent {
            return self.end_conversation(lease, cx);
        }
        let pool = self.config.upstreams.get(usize::from(held.server.0)).map(|upstream| &upstream.pool);
        let most = pool.map_or(LOOK_MIN, |pool| pool.idle_timeout.max(LOOK_MIN));
        let now = cx.now.mono;
        let end = if held.legs.is_empty() { held.idle_since.plus(most) } else { now.plus(most) };
        if now >= end {
            return self.end_conversation(lease, cx);
        }
        self.alarm(end, Alarm::Lease(lease));
    }

    /// Whether a leg of this conversation may be sent: not if another is under way where only one may be.
    pub(crate) fn takes_leg(&self, conversation: Token, leg: Token) -> bool {
        let Some(held) = self.mcp.conversations.get(conversation) else { return false };
        let alone = matches!(held.whose, Whose::Lease { .. }) && self.is_child(held.server);
        held.ready && (!alone || held.legs.iter().all(|other| *other == leg || !self.is_sent(*other)))
    }

    fn is_sent(&self, leg: Token) -> bool {
        self.mcp.legs.get(leg).is_some_and(|leg| leg.unsent.is_none())
    }

    /// Makes room among the leases by ending one that nobody uses.
    fn end_idle_lease(&mut self, server: UpstreamId, cx: &mut Cx<'_>) -> bool {
        let leases = self.mcp.leases.get(&server).map_or(&[][..], Vec::as_slice);
        let idle = |lease: &Token| self.mcp.conversations.get(*lease).is_none_or(|held| held.legs.is_empty());
        let Some(lease) = leases.iter().copied().find(idle) else { return false };
        self.end_conversation(lease, cx);
        true
    }

    fn converse(
        &mut self,
        server: UpstreamId,
        whose: Whose,
        mut opening: Opening,
        cx: &mut Cx<'_>,
    ) -> Result<Token, UpstreamFault> {
        let held = Conversation {
            backing: None,
            server,
            whose,
            ready: false,
            idle_since: cx.now.mono,
            legs: Vec::new(),
        };
        let conversation = self.mcp.conversations.insert(held).map_err(|_| UpstreamFault::Overloaded)?;
        opening.owner = conversation;
        match self.open_backing(server, opening, cx) {
            Ok(backing) => {
                if let Some(held) = self.mcp.conversations.get_mut(conversation) {
                    held.backing = Some(backing);
                }
                Ok(conversation)
            }
            Err(why) => {
                self.mcp.conversations.remove(conversation);
                Err(why)
            }
        }
    }

    /// Ends a conversation that nobody needs any more.
    pub(crate) fn end_conversation(&mut self, conversation: Token, cx: &mut Cx<'_>) {
        let Some(held) = self.forget_conversation(conversation) else { return };
        // What the gateway asked for itself: nothing more will be heard of it.
        for leg in held.legs {
            if self.mcp.legs.get(leg).is_some_and(|leg| leg.serves == Serves::Nobody) {
                self.mcp.legs.remove(leg);
            }
        }
        if let Some(backing) = held.backing {
            self.close_backing(backing, cx);
        }
    }

    /// A request was given up in this conversation. If it is leased and over a pipe, nobody may have it next:
    /// the upstream could still ask something in the course of that request. Those that wait get another.
    pub(crate) fn end_lease(&mut self, conversation: Token, cx: &mut Cx<'_>) {
        let leased =
            |held: &&Conversation| matches!(held.whose, Whose::Lease { .. }) && self.is_child(held.server);
        if self.mcp.conversations.get(conversation).filter(leased).is_none() {
            return;
        }
        let Some(held) = self.mcp.conversations.get_mut(conversation) else { return };
        let (server, waiting) = (held.server, std::mem::take(&mut held.legs));
        held.whose = Whose::Spent;
        if let Some(leases) = self.mcp.leases.get_mut(&server) {
            leases.retain(|lease| *lease != conversation);
        }
        self.alarm(cx.now.mono.plus(FAREWELL), Alarm::Lease(conversation));
        for leg in waiting {
            self.place_leg(leg, cx);
        }
    }

    /// Takes a conversation out of all lists.
    fn forget_conversation(&mut self, conversation: Token) -> Option<Conversation> {
        let held = self.mcp.conversations.remove(conversation)?;
        match &held.whose {
            Whose::Session(session) => {
                if let Some(session) = self.mcp.sessions.get_mut(*session) {
                    session.backings.remove(&held.server);
                }
            }
            Whose::Shared => {
                self.mcp.shared.remove(&held.server);
            }
            Whose::Spent => {}
            Whose::Lease { .. } => {
                if let Some(leases) = self.mcp.leases.get_mut(&held.server) {
                    leases.retain(|lease| *lease != conversation);
                }
            }
        }
        Some(held)
    }

    /// A conversation can begin: what waited for it is sent.
    pub(crate) fn backing_ready(&mut self, backing: Token, cx: &mut Cx<'_>) {
        let Some((owner, server, era, result)) = self.backing(backing).and_then(|backing| {
            let result = backing.about.clone().unwrap_or_else(|| "{}".into());
            Some((backing.owner, backing.upstream, backing.era?, result))
        }) else {
            return;
        };
        if self.mcp.shared.get(&server) == Some(&owner) {
            self.tell_curious(server, &Ok((era, result.clone())), cx);
        }
        self.mcp.abouts.insert(server, About { era, result });
        self.conversation_ready(owner, cx);
    }

    /// What waited for a conversation is sent.
    pub(crate) fn conversation_ready(&mut self, conversation: Token, cx: &mut Cx<'_>) {
        let tracks = self.tracks_legs(conversation);
        let Some(held) = self.mcp.conversations.get_mut(conversation) else { return };
        held.ready = true;
        let server = held.server;
        let legs = if tracks { held.legs.clone() } else { std::mem::take(&mut held.legs) };
        self.mcp.faults.remove(&server);
        self.restore_log_level(conversation, cx);
        for leg in legs {
            self.send_unsent(leg, cx);
        }
        self.hear_ready(conversation, cx);
        self.server_ready(server, cx);
        self.introduce_waiting(cx);
    }

    /// Sees to it that whoever wants news of a server that is ready hears them.
    fn hear_ready(&mut self, conversation: Token, cx: &mut Cx<'_>) {
        let Some(held) = self.mcp.conversations.get(conversation) else { return };
        let server = held.server;
        match held.whose {
            Whose::Shared => self.listen_waiting(server, cx),
            // The server was not known when the client became ready.
            Whose::Session(session) if self.is_modern(server) && self.is_initialized(session) => {
                self.hear_modern(session, server, cx);
            }
            Whose::Session(_) | Whose::Lease { .. } | Whose::Spent => {}
        }
    }

    fn is_initialized(&self, session: Token) -> bool {
        self.mcp.sessions.get(session).is_some_and(|held| held.initialized)
    }

    /// Leases that have become free take the next leg that waits.
    pub(crate) fn serve_freed(&mut self, cx: &mut Cx<'_>) {
        for conversation in std::mem::take(&mut self.mcp.freed) {
            let legs =
                self.mcp.conversations.get(conversation).map_or_else(Vec::new, |held| held.legs.clone());
            for leg in legs {
                self.send_unsent(leg, cx);
            }
        }
    }

    /// Whether a conversation notes its legs: where what the upstream says may have to be told which leg it
    /// is about, which is everywhere but over HTTP in a conversation that many share.
    fn tracks_legs(&self, conversation: Token) -> bool {
        let held = self.mcp.conversations.get(conversation);
        held.is_some_and(|held| held.whose != Whose::Shared || self.is_child(held.server))
    }

    /// Notes a leg in its conversation.
    pub(crate) fn track_leg(&mut self, conversation: Token, leg: Token) {
        if self.tracks_legs(conversation)
            && let Some(held) = self.mcp.conversations.get_mut(conversation)
        {
            held.legs.push(leg);
        }
    }

    /// A conversation has ended by itself; its legs that were sent have failed before.
    pub(crate) fn backing_lost(&mut self, backing: Token, why: UpstreamFault, cx: &mut Cx<'_>) {
        let Some(owner) = self.backing(backing).map(|backing| backing.owner) else { return };
        if let Some(session) = self.session_of(owner) {
            self.forget_asked(session, backing);
        }
        self.conversation_lost(owner, why, cx);
    }

    /// What waited for a conversation will not be sent.
    pub(crate) fn conversation_lost(&mut self, conversation: Token, why: UpstreamFault, cx: &mut Cx<'_>) {
        let Some(held) = self.forget_conversation(conversation) else { return };
        for leg in held.legs {
            // The owner may have taken it up with the server's next life while this letter was on its way.
            if held.backing.is_none() && self.is_sent(leg) {
                self.cancel_remotely(leg, held.server, cx);
            }
            self.leg_failed(leg, why.clone(), cx);
        }
        if held.whose == Whose::Shared {
            self.unsubscribed(held.server, cx);
            self.tell_curious(held.server, &Err(why.clone()), cx);
            self.spread_loss(held.server, &why, cx);
        }
        self.mcp.cache.forget_server(held.server);
        self.mcp.faults.insert(held.server, why);
        self.introduce_waiting(cx);
    }
}

impl crate::mcp::Mcp {
    /// Whether a lease has become free since leases were last served.
    pub(crate) fn has_freed(&self) -> bool {
        !self.freed.is_empty()
    }
}

impl Opening {
    /// What the gateway opens for itself.
    fn plain(affinity: u64) -> Opening {
        Opening {
            owner: Token { index: u32::MAX, generation: 0 },
            affinity,
            client_info: SERVER_INFO.into(),
            capabilities: "{}".into(),
            who: None,
        }
    }
}
