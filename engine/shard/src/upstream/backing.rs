//! Conversations: how one begins, and how it ends.

use std::sync::Arc;

use weir_ring::time::Instant;
use weir_ring::token::Token;
use weir_transports::mcp::Era;

use super::errand::{Errand, Place, Purpose};
use super::news::News;
use super::request::{Headers, Request};
use super::server::Speaks;
use super::stream::OwnStream;
use super::{PATIENCE, UpstreamFault, UpstreamId};
use crate::limits::{Breaker, TargetKind};
use crate::policy::auth::Principal;
use crate::policy::{CircuitBreaker, Verdict};
use crate::turn::{Cx, Shard};

/// A conversation with one upstream on a client's behalf.
#[derive(Debug)]
pub(crate) struct Backing {
    /// With whom.
    pub(crate) upstream: UpstreamId,
    /// On whose behalf.
    pub(crate) owner: Token,
    /// Known once it is ready.
    pub(crate) era: Option<Era>,
    /// The result of `initialize` or `server/discover`, JSON; known once it is ready, if there was one.
    pub(crate) about: Option<Box<str>>,
    /// What it began with.
    pub(super) opening: Opening,
    /// The replica; a modern conversation may go to others.
    pub(super) target: u16,
    pub(super) way: Way,
    pub(super) life: Life,
}

/// What a conversation begins with.
#[derive(Clone, Debug)]
pub(crate) struct Opening {
    /// Whose it is; given back by [`Backing::owner`].
    pub(crate) owner: Token,
    /// Chooses the replica, by consistent hash.
    pub(crate) affinity: u64,
    /// `clientInfo` of a legacy `initialize`, JSON.
    pub(crate) client_info: Box<str>,
    /// `capabilities` of a legacy `initialize`, JSON.
    pub(crate) capabilities: Box<str>,
    /// Who asked for it, and later who asked last.
    pub(crate) who: Option<Arc<Principal>>,
}

/// Over what a conversation goes.
#[derive(Debug)]
pub(super) enum Way {
    /// Requests of HTTP.
    Http {
        /// What `Mcp-Session-Id` said in the answer to `initialize`.
        session: Option<Box<str>>,
        /// The server's own messages.
        stream: OwnStream,
    },
    /// A child that is not there yet.
    NoChild,
    /// The pipe of a child.
    Pipe(Token),
}

/// How far a conversation is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Life {
    Beginning,
    Ready,
    Lost,
}

impl Backing {
    pub(super) fn affinity(&self) -> u64 {
        self.opening.affinity
    }

    /// The session's id, if the server keeps one.
    pub(super) fn session(&self) -> Option<&str> {
        match &self.way {
            Way::Http { session, .. } => session.as_deref(),
            Way::NoChild | Way::Pipe(_) => None,
        }
    }

    /// Whether the server remembers nothing of it, so that any replica will do.
    pub(super) fn is_stateless(&self) -> bool {
        matches!(self.way, Way::Http { session: None, .. })
    }
}

impl Shard {
    /// A conversation.
    pub(crate) fn backing(&self, backing: Token) -> Option<&Backing> {
        self.upstream.backings.get(backing)
    }

    /// Begins a conversation; `backing_ready` or `backing_lost` says later what came of it.
    ///
    /// # Errors
    /// It is out of the question now.
    pub(crate) fn open_backing(
        &mut self,
        upstream: UpstreamId,
        opening: Opening,
        cx: &mut Cx<'_>,
    ) -> Result<Token, UpstreamFault> {
        let target = self.choose_replica(upstream, opening.affinity, &[]).ok_or(UpstreamFault::Overloaded)?;
        let modern =
            self.upstream_server(upstream).is_some_and(|server| matches!(server.speaks, Speaks::Modern(_)));
        if !modern && !self.admits(upstream, cx) {
            return Err(UpstreamFault::BreakerOpen);
        }
        let way = match self.target_kind(upstream, target) {
            Some(TargetKind::Http { .. }) => Way::Http { session: None, stream: OwnStream::default() },
            Some(TargetKind::Child) | None if self.child_is_far(upstream, cx) => {
                return Err(UpstreamFault::Exited);
            }
            Some(TargetKind::Child) | None => Way::NoChild,
        };
        let backing = Backing {
            upstream,
            owner: opening.owner,
            era: None,
            about: None,
            opening,
            target,
            way,
            life: Life::Beginning,
        };
        let token = self.upstream.backings.insert(backing).map_err(|_| UpstreamFault::Overloaded)?;
        self.start_backing(token, cx);
        Ok(token)
    }

    /// Finds out what the upstream speaks, if need be, and begins the conversation.
    pub(super) fn start_backing(&mut self, token: Token, cx: &mut Cx<'_>) {
        let Some(backing) = self.upstream.backings.get(token) else { return };
        let (upstream, target) = (backing.upstream, backing.target);
        if !matches!(backing.way, Way::Http { .. }) {
            return self.start_child(token, cx);
        }
        let Some(server) = self.upstream.servers.get_mut(upstream.index()) else { return };
        match &server.speaks {
            Speaks::Unknown => {
                server.speaks = Speaks::Probed;
                server.waiting.push(token);
                let who = backing.opening.who.clone();
                self.probe_http(upstream, target, who, cx);
            }
            Speaks::Probed => server.waiting.push(token),
            Speaks::Legacy => self.initialize_http(token, cx),
            Speaks::Modern(about) => {
                let about = about.clone();
                self.make_ready(token, Era::Modern, about);
            }
        }
    }

    /// The conversation can begin.
    pub(super) fn make_ready(&mut self, token: Token, era: Era, about: Option<Box<str>>) {
        let Some(backing) = self.upstream.backings.get_mut(token) else { return };
        backing.era = Some(era);
        backing.about = about;
        backing.life = Life::Ready;
        self.upstream.news.push_back(News::Ready(token));
    }

    /// The conversation is over before it was closed: its legs fail, then the hub is told.
    pub(super) fn lose_backing(&mut self, token: Option<Token>, fault: UpstreamFault, cx: &mut Cx<'_>) {
        let Some(token) = token else { return };
        let Some(backing) = self.upstream.backings.get_mut(token) else { return };
        if std::mem::replace(&mut backing.life, Life::Lost) == Life::Lost {
            return;
        }
        let (upstream, way) = (backing.upstream, std::mem::replace(&mut backing.way, Way::NoChild));
        for errand in self.errands_of(token) {
            let asks = |errand: &Errand| matches!(errand.purpose, Purpose::Ask { .. });
            if self.upstream.errands.get(errand).is_some_and(asks) {
                let place = self.upstream.errands.get(errand).map(|errand| errand.place.clone());
                self.fail_errand(errand, fault.clone(), cx);
                if let Some(Place::On(wire)) = place {
                    self.close(wire, cx);
                }
            } else {
                self.drop_errand(errand, cx);
            }
        }
        self.leave_child(upstream, &way, cx);
        self.upstream.news.push_back(News::Lost(token, fault));
    }

    /// Ends a conversation: nothing of it is told after this.
    pub(crate) fn close_backing(&mut self, token: Token, cx: &mut Cx<'_>) {
        let Some(backing) = self.upstream.backings.remove(token) else { return };
        if let Some(server) = self.upstream.servers.get_mut(backing.upstream.index()) {
            server.waiting.retain(|waiting| *waiting != token);
        }
        for errand in self.errands_of(token) {
            self.drop_errand(errand, cx);
        }
        self.leave_child(backing.upstream, &backing.way, cx);
        if let Some(session) = backing.session() {
            let headers = Headers {
                version: backing.era.map(Era::version),
                session: Some(session),
                ..Headers::default()
            };
            let (upstream, target) = (backing.upstream, backing.target);
            let Some(site) = self.site(upstream, target) else { return };
            let request = Request::delete(&site, &headers);
            let errand = Errand::new(Purpose::Farewell, upstream, target, cx.now.mono.plus(PATIENCE));
            self.begin_errand(Errand { request, who: backing.opening.who, ..errand }, cx);
        }
    }

    /// Closes the pipe of a conversation that has a child of its own.
    fn leave_child(&mut self, upstream: UpstreamId, way: &Way, cx: &mut Cx<'_>) {
        let Way::Pipe(wire) = *way else { return };
        if self.upstream_server(upstream).is_some_and(|server| server.shared != Some(wire)) {
            self.close(wire, cx);
        }
    }

    /// The errands of a conversation.
    fn errands_of(&self, backing: Token) -> Vec<Token> {
        let errands = self.upstream.errands.iter();
        errands.filter(|(_, errand)| errand.backing == Some(backing)).map(|(id, _)| id).collect()
    }

    /// Nobody wants an errand any more. Over HTTP its connection goes with it.
    pub(super) fn drop_errand(&mut self, id: Token, cx: &mut Cx<'_>) {
        let Some(errand) = self.dismiss_errand(id) else { return };
        if errand.purpose == Purpose::Probe {
            self.probe_dropped(errand.upstream, cx);
        }
        if let Place::On(wire) = errand.place {
            self.close(wire, cx);
        }
    }

    /// Whether the upstream's breaker lets a request through.
    pub(super) fn admits(&mut self, upstream: UpstreamId, cx: &mut Cx<'_>) -> bool {
        let verdict = self.with_breaker(upstream, cx, |breaker, limits, now| breaker.admit(limits, now));
        matches!(verdict, Some(Verdict::Allow { .. }))
    }

    /// Does something with an upstream's breaker, and tells what has become of that.
    pub(super) fn with_breaker<T>(
        &mut self,
        upstream: UpstreamId,
        cx: &mut Cx<'_>,
        deed: impl FnOnce(&mut CircuitBreaker, &Breaker, Instant) -> T,
    ) -> Option<T> {
        let Shard { config, upstream: upstreams, .. } = self;
        let bounds = config.upstreams.get(upstream.index())?;
        let breaker = &mut upstreams.servers.get_mut(upstream.index())?.breaker;
        let done = deed(breaker, &bounds.breaker, cx.now.mono);
        if let Some(phase) = breaker.news(cx.now.mono) {
            let name = bounds.name.clone();
            self.breaker_turned(&name, phase, cx);
        }
        Some(done)
    }

    pub(super) fn upstream_server(&self, upstream: UpstreamId) -> Option<&super::Server> {
        self.upstream.servers.get(upstream.index())
    }

    pub(super) fn target_kind(&self, upstream: UpstreamId, target: u16) -> Option<&TargetKind> {
        let targets = &self.config.upstreams.get(upstream.index())?.targets;
        targets.get(usize::from(target)).map(|target| &target.kind)
    }
}
