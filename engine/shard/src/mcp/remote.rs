//! Servers that one shard talks to for all: a child that everyone shares is a child of one shard, and the
//! others ask it by mail.
//!
//! A leg at such a server has its like on the owner's side, a *proxy*: what the server says to it is mailed
//! back as it came.

use weir_ring::token::{Member, Token};
use weir_transports::jsonrpc::{Body, Message, decode};
use weir_transports::mcp::splice::splice;
use weir_transports::mcp::{Era, Method, Params};

use crate::limits::TargetKind;
use crate::mail::Mail;
use crate::mcp::cache::made_stale;
use crate::mcp::call::{Leg, Serves};
use crate::mcp::conversation::{About, Conversation, Whose};
use crate::mcp::wire_id;
use crate::route;
use crate::turn::{Cx, Shard};
use crate::upstream::{Ask, UpstreamFault, UpstreamId};

/// What shards write to each other about servers.
#[derive(Debug)]
pub struct Letter(Remote);

#[derive(Debug)]
enum Remote {
    /// Someone wants to talk to the server.
    Open { from: Member, server: UpstreamId },
    /// What the server says of itself, or why it cannot be talked to.
    About { server: UpstreamId, about: Result<(Era, Box<str>), UpstreamFault> },
    /// A request of `leg`, which bears its wire id.
    Ask { from: Member, leg: Token, server: UpstreamId, method: Method, message: Box<str> },
    /// Nobody waits for `leg` any more.
    Cancel { from: Member, leg: Token },
    /// What the server said to `leg`.
    Said { leg: Token, text: Box<str> },
    /// `leg` will not be answered.
    Failed { leg: Token, why: UpstreamFault },
    /// What is kept of the server's answers is no longer true.
    Stale { server: UpstreamId, method: Method },
    /// News for everyone.
    News { server: UpstreamId, method: Method, params: Box<str> },
}

impl Shard {
    /// The shard that has the child which all share; `None`: each shard talks to the server itself.
    pub(crate) fn owner_of(&self, server: UpstreamId) -> Option<Member> {
        let upstream = self.config.upstreams.get(usize::from(server.0))?;
        let owner = route::home(&self.ring, &upstream.name);
        (self.is_child(server) && owner != self.me).then_some(owner)
    }

    /// Whether a server is a child that is spoken to over a pipe.
    pub(crate) fn is_child(&self, server: UpstreamId) -> bool {
        let upstream = self.config.upstreams.get(usize::from(server.0));
        let first = upstream.and_then(|upstream| upstream.targets.first());
        first.is_some_and(|target| matches!(target.kind, TargetKind::Child))
    }

    /// Begins to talk to a server by way of its owner.
    pub(crate) fn converse_remotely(
        &mut self,
        owner: Member,
        server: UpstreamId,
        cx: &mut Cx<'_>,
    ) -> Result<Token, UpstreamFault> {
        if !self.has_room(owner, cx) {
            return Err(UpstreamFault::Overloaded);
        }
        let held = Conversation {
            backing: None,
            server,
            whose: Whose::Shared,
            ready: false,
            idle_since: cx.now.mono,
            legs: Vec::new(),
        };
        let conversation = self.mcp.conversations.insert(held).map_err(|_| UpstreamFault::Overloaded)?;
        self.mail(owner, Remote::Open { from: self.me, server }, cx);
        Ok(conversation)
    }

    /// Asks a server by way of its owner.
    pub(crate) fn ask_remotely(&mut self, leg: Token, method: Method, message: &[u8], cx: &mut Cx<'_>) {
        let Some(server) = self.mcp.legs.get(leg).map(|leg| leg.server) else { return };
        let text = std::str::from_utf8(message).unwrap_or_default();
        match self.owner_of(server).filter(|owner| self.has_room(*owner, cx)) {
            Some(owner) => {
                let ask = Remote::Ask { from: self.me, leg, server, method, message: text.into() };
                self.mail(owner, ask, cx);
            }
            None => self.fail_later(leg, cx),
        }
    }

    /// The leg fails, but not before whoever has begun it knows of it.
    fn fail_later(&mut self, leg: Token, cx: &mut Cx<'_>) {
        self.mail(self.me, Remote::Failed { leg, why: UpstreamFault::Overloaded }, cx);
    }

    /// Nobody waits for a leg at a server that another shard talks to.
    pub(crate) fn cancel_remotely(&mut self, leg: Token, server: UpstreamId, cx: &mut Cx<'_>) {
        if let Some(owner) = self.owner_of(server) {
            self.mail(owner, Remote::Cancel { from: self.me, leg }, cx);
        }
    }

    /// Tells the other shards what a server has said that they do not talk to themselves. News that find no
    /// room are lost, as if nobody had listened.
    pub(crate) fn spread_news(&mut self, server: UpstreamId, method: Method, params: &str, cx: &mut Cx<'_>) {
        if !self.is_child(server) {
            return;
        }
        for shard in (0..self.config.shards).map(Member) {
            if shard != self.me && self.has_room(shard, cx) {
                self.mail(shard, Remote::News { server, method, params: params.into() }, cx);
            }
        }
    }

    /// Tells the other shards, once a turn, that what they keep of a modern server's answers is not true any
    /// more: it has told those who listen, which may all be here, and often.
    pub(crate) fn spread_stale(&mut self, server: UpstreamId, method: Method, cx: &mut Cx<'_>) {
        if made_stale(method).is_empty() {
            return;
        }
        let told = &mut self.mcp.told;
        if told.0 != cx.now.mono {
            *told = (cx.now.mono, Vec::new());
        }
        if told.1.contains(&(server, method)) {
            return;
        }
        told.1.push((server, method));
        for shard in (0..self.config.shards).map(Member) {
            if shard != self.me {
                self.mail(shard, Remote::Stale { server, method }, cx);
            }
        }
    }

    fn mail(&mut self, to: Member, letter: Remote, cx: &mut Cx<'_>) {
        self.send(to, Mail::Mcp(Box::new(Letter(letter))), cx);
    }

    /// A letter about servers.
    pub(crate) fn mcp_letter(&mut self, letter: Letter, cx: &mut Cx<'_>) {
        match letter.0 {
            Remote::Open { from, server } => self.introduce_to(from, server, cx),
            Remote::About { server, about } => self.introduced(server, about, cx),
            Remote::Ask { from, leg, server, method, message } => {
                self.ask_for(from, leg, (server, method), &message, cx);
            }
            Remote::Cancel { from, leg } => {
                if let Some(proxy) = self.mcp.proxies.remove(&(from, leg.index, leg.generation)) {
                    self.drop_leg(proxy, cx);
                }
            }
            Remote::Said { leg, text } => self.leg_message(leg, &text, cx),
            Remote::Failed { leg, why } => self.leg_failed(leg, why, cx),
            Remote::Stale { server, method } => self.list_changed(server, method),
            Remote::News { server, method, params } => {
                self.list_changed(server, method);
                self.tell_listeners(server, method, &params, cx);
            }
        }
    }

    /// Another shard wants to talk to a server: it is told what the server is, now or once that is known.
    fn introduce_to(&mut self, from: Member, server: UpstreamId, cx: &mut Cx<'_>) {
        let conversation = match self.shared_conversation(server, None, cx) {
            Ok(conversation) => conversation,
            Err(why) => return self.mail(from, Remote::About { server, about: Err(why) }, cx),
        };
        let ready = self.mcp.conversations.get(conversation).is_some_and(|held| held.ready);
        match self.mcp.abouts.get(&server) {
            Some(About { era, result }) if ready => {
                let about = Ok((*era, result.clone()));
                self.mail(from, Remote::About { server, about }, cx);
            }
            _ => self.mcp.curious.push((server, from)),
        }
    }

    /// A server that others are curious about is known by now, or cannot be.
    pub(crate) fn tell_curious(
        &mut self,
        server: UpstreamId,
        about: &Result<(Era, Box<str>), UpstreamFault>,
        cx: &mut Cx<'_>,
    ) {
        let (told, others) =
            std::mem::take(&mut self.mcp.curious).into_iter().partition(|(of, _)| *of == server);
        self.mcp.curious = others;
        let told: Vec<(UpstreamId, Member)> = told;
        for (_, to) in told {
            self.mail(to, Remote::About { server, about: about.clone() }, cx);
        }
    }

    /// A child that all share is gone: the others begin anew with it.
    pub(crate) fn spread_loss(&mut self, server: UpstreamId, why: &UpstreamFault, cx: &mut Cx<'_>) {
        if !self.is_child(server) || self.owner_of(server).is_some() {
            return;
        }
        for shard in (0..self.config.shards).map(Member) {
            if shard != self.me {
                self.mail(shard, Remote::About { server, about: Err(why.clone()) }, cx);
            }
        }
    }

    /// The owner has said what a server is: what waited for it is sent, or fails.
    fn introduced(
        &mut self,
        server: UpstreamId,
        about: Result<(Era, Box<str>), UpstreamFault>,
        cx: &mut Cx<'_>,
    ) {
        let Some(conversation) = self.mcp.shared.get(&server).copied() else { return };
        match about {
            Ok((era, result)) => {
                self.mcp.abouts.insert(server, About { era, result });
                self.conversation_ready(conversation, cx);
            }
            Err(why) => self.conversation_lost(conversation, why, cx),
        }
    }

    /// Asks a server for another shard.
    fn ask_for(
        &mut self,
        from: Member,
        asker: Token,
        (server, method): (UpstreamId, Method),
        message: &str,
        cx: &mut Cx<'_>,
    ) {
        let begun = self.begin_proxy(from, asker, (server, method), cx);
        let (proxy, backing) = match begun {
            Ok(begun) => begun,
            Err(why) => return self.mail(from, Remote::Failed { leg: asker, why }, cx),
        };
        let Ok(Message::Request { id, params, .. }) = decode(message) else { return };
        let Ok(read) = Params::read(Method::Other, params) else { return };
        let number = wire_id::of(proxy).to_string();
        let mut edits = vec![(id.as_json(), number.as_bytes())];
        edits.extend(read.meta.progress_token.map(|token| (token, number.as_bytes())));
        edits.sort_by_key(|(text, _)| text.as_ptr().addr());
        let mut own = Vec::with_capacity(message.len() + 16);
        splice(&mut own, message, &edits);
        let ask = Ask {
            message: &own,
            method: method.name().unwrap_or_default(),
            name: None,
            headers: &[],
            idempotent: method.is_idempotent(),
            long: method == Method::SubscriptionsListen,
            who: None,
        };
        self.ask(backing, proxy, ask, cx);
    }

    fn begin_proxy(
        &mut self,
        from: Member,
        asker: Token,
        (server, method): (UpstreamId, Method),
        cx: &mut Cx<'_>,
    ) -> Result<(Token, Token), UpstreamFault> {
        let conversation = self.shared_conversation(server, None, cx)?;
        let held = self.mcp.conversations.get(conversation).filter(|held| held.ready);
        let backing = held.and_then(|held| held.backing).ok_or(UpstreamFault::SessionLost)?;
        let serves = Serves::Remote { member: from, leg: asker };
        let leg = Leg { serves, server, conversation, method, unsent: None, wish: None, upward: None };
        let proxy = self.mcp.legs.insert(leg).map_err(|_| UpstreamFault::Overloaded)?;
        self.mcp.proxies.insert((from, asker.index, asker.generation), proxy);
        self.track_leg(conversation, proxy);
        Ok((proxy, backing))
    }

    /// What the server said to a proxy goes to the leg it stands for.
    pub(crate) fn pass_back(&mut self, member: Member, leg: Token, text: &str, cx: &mut Cx<'_>) {
        if matches!(decode(text), Ok(Message::Response { body: Body::Result(_) | Body::Error(_), .. })) {
            self.mcp.proxies.remove(&(member, leg.index, leg.generation));
        }
        self.mail(member, Remote::Said { leg, text: text.into() }, cx);
    }

    /// A proxy has failed.
    pub(crate) fn fail_back(&mut self, member: Member, leg: Token, why: UpstreamFault, cx: &mut Cx<'_>) {
        self.mcp.proxies.remove(&(member, leg.index, leg.generation));
        self.mail(member, Remote::Failed { leg, why }, cx);
    }
}
