//! Errands: what an upstream is to answer, from the moment it is wanted until it is answered or has failed.

use std::sync::Arc;
use std::time::Duration;

use weir_ring::time::Instant;
use weir_ring::token::Token;

use super::news::News;
use super::replicas::site_of;
use super::request::Request;
use super::{NEVER, PATIENCE, UpstreamFault, UpstreamId};
use crate::mcp::wire_id;
use crate::policy::auth::Principal;
use crate::turn::{Cx, Shard};

/// One request to an upstream.
#[derive(Debug)]
pub(super) struct Errand {
    pub(super) purpose: Purpose,
    pub(super) upstream: UpstreamId,
    pub(super) target: u16,
    /// In the course of which conversation.
    pub(super) backing: Option<Token>,
    /// For whom: what it proves itself with may depend on that.
    pub(super) who: Option<Arc<Principal>>,
    /// Its request has what it proves itself with.
    pub(super) authorized: bool,
    /// What is sent over HTTP; kept while it may have to be sent again.
    pub(super) request: Request,
    /// May be sent again, and to another replica, while nothing of an answer has come.
    pub(super) repeatable: bool,
    /// Asks for the rest of an answer whose stream broke off.
    pub(super) resumed: bool,
    /// Replicas that failed it.
    pub(super) tried: Vec<u16>,
    pub(super) place: Place,
    /// When it was taken up.
    pub(super) since: Instant,
    /// How long it may take without a sign of progress.
    pub(super) patience: Duration,
    /// When its time is up, as things stand.
    pub(super) due: Instant,
    /// When its time is up, progress or not.
    pub(super) limit: Instant,
}

/// What an errand is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Purpose {
    /// A client's request.
    Ask {
        /// Who is told.
        leg: Token,
        /// Lasts until it is cancelled.
        long: bool,
    },
    /// A notification, or the answer to a request of the upstream.
    Tell,
    /// `initialize` of a conversation.
    Initialize,
    /// The notification that follows it.
    Initialized,
    /// The stream of a conversation's own messages: a GET.
    Listen,
    /// `server/discover`: what does the upstream speak?
    Probe,
    /// Is a replica back?
    Check,
    /// The DELETE of a session that is no longer wanted.
    Farewell,
}

/// Where an errand is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Place {
    /// Waits for what it must prove itself with.
    Unproved,
    /// Waits for a connection.
    Waiting,
    /// Alone on this connection, sent or about to be.
    On(Token),
    /// On the pipe of this child, with others.
    Piped(Token),
    /// Its stream was closed and is asked for again at this time.
    Paused(Instant),
    /// It has failed, and the hub is about to be told.
    Failed(UpstreamFault),
}

impl Errand {
    /// An errand without a request that must be done by `limit`.
    pub(super) fn new(purpose: Purpose, upstream: UpstreamId, target: u16, limit: Instant) -> Errand {
        Errand {
            purpose,
            upstream,
            target,
            backing: None,
            who: None,
            authorized: false,
            request: Request::default(),
            repeatable: false,
            resumed: false,
            tried: Vec::new(),
            place: Place::Waiting,
            since: Instant::default(),
            patience: PATIENCE,
            due: limit,
            limit,
        }
    }

    /// Where it goes, and whether it is a stream that lasts.
    pub(super) fn seat(&self) -> (UpstreamId, u16, bool) {
        let streams = matches!(self.purpose, Purpose::Listen | Purpose::Ask { long: true, .. });
        (self.upstream, self.target, streams)
    }

    /// The id its answer must have.
    pub(super) fn wire_id(&self) -> Option<u64> {
        match self.purpose {
            Purpose::Ask { leg, .. } => Some(wire_id::of(leg)),
            _ => None,
        }
    }
}

impl Shard {
    /// Takes up an errand that goes over HTTP.
    pub(super) fn begin_errand(&mut self, errand: Errand, cx: &mut Cx<'_>) -> Option<Token> {
        let id = self.enrol_errand(errand)?;
        self.dispatch_errand(id, cx);
        Some(id)
    }

    /// Gives an errand its slot and its deadline.
    pub(super) fn enrol_errand(&mut self, errand: Errand) -> Option<Token> {
        let (due, wire_id) = (errand.due, errand.wire_id());
        let id = self.upstream.errands.insert(errand).ok()?;
        if let Some(wire_id) = wire_id {
            self.upstream.legs.insert(wire_id, id);
        }
        self.look_by(due);
        Some(id)
    }

    /// Forgets an errand: it is done, or nobody wants it any more.
    pub(super) fn dismiss_errand(&mut self, id: Token) -> Option<Errand> {
        let errand = self.upstream.errands.remove(id)?;
        if let Some(wire_id) = errand.wire_id() {
            self.upstream.legs.remove(&wire_id);
        }
        Some(errand)
    }

    /// Its time is up at `due`, whatever it was before.
    pub(super) fn put_off(&mut self, id: Token, due: Instant) {
        let Some(errand) = self.upstream.errands.get_mut(id) else { return };
        errand.due = due.min(errand.limit);
        let due = errand.due;
        self.look_by(due);
    }

    /// A sign of progress: its patience begins again.
    pub(super) fn resume_clock(&mut self, id: Token, cx: &Cx<'_>) {
        let Some(errand) = self.upstream.errands.get(id) else { return };
        let due = if errand.limit == NEVER { NEVER } else { cx.now.mono.plus(errand.patience) };
        self.put_off(id, due);
    }

    /// The server has asked something of the client, who may take time to answer: only the absolute limit
    /// holds until the next sign.
    pub(super) fn suspend_clock(&mut self, id: Token) {
        let Some(limit) = self.upstream.errands.get(id).map(|errand| errand.limit) else { return };
        self.put_off(id, limit);
    }

    /// The connection under an errand failed before anything of an answer had come: it is sent again if
    /// that does no harm, to another replica unless a session binds it to this one. `stale`: the connection
    /// had waited in the pool, and tells nothing of its replica.
    pub(super) fn send_errand_again(
        &mut self,
        id: Token,
        fault: UpstreamFault,
        stale: bool,
        cx: &mut Cx<'_>,
    ) {
        let Some(errand) = self.upstream.errands.get_mut(id) else { return };
        let (upstream, target, repeatable) = (errand.upstream, errand.target, errand.repeatable);
        if !stale {
            errand.tried.push(target);
            self.replica_failed(upstream, target, cx);
        }
        let next = if self.is_bound(id) {
            Some(target).filter(|_| stale)
        } else {
            let tried = self.upstream.errands.get(id).map_or(&[][..], |errand| &errand.tried);
            self.choose_replica(upstream, self.affinity_of(id), tried)
        };
        match next {
            Some(next) if repeatable => self.redirect(id, next, cx),
            _ if matches!(fault, UpstreamFault::Refused(_)) && self.is_bound(id) => {
                let backing = self.upstream.errands.get(id).and_then(|errand| errand.backing);
                self.lose_backing(backing, UpstreamFault::SessionLost, cx);
            }
            _ => self.fail_errand(id, fault, cx),
        }
    }

    fn redirect(&mut self, id: Token, next: u16, cx: &mut Cx<'_>) {
        self.stats.upstream.retries += 1;
        let config = std::sync::Arc::clone(&self.config);
        let Some(errand) = self.upstream.errands.get_mut(id) else { return };
        let site = site_of(&config, errand.upstream, next);
        if let Some(site) = site.filter(|_| next != errand.target) {
            errand.request.readdress(&site);
        }
        errand.target = next;
        errand.place = Place::Waiting;
        self.dispatch_errand(id, cx);
    }

    /// Whether an errand makes sense at its replica only: a request or notification of a session.
    fn is_bound(&self, id: Token) -> bool {
        let Some(errand) = self.upstream.errands.get(id) else { return false };
        let backing = errand.backing.and_then(|backing| self.upstream.backings.get(backing));
        let inside = matches!(errand.purpose, Purpose::Ask { .. } | Purpose::Tell | Purpose::Initialized);
        inside && backing.is_some_and(|backing| !backing.is_stateless())
    }

    fn affinity_of(&self, id: Token) -> u64 {
        let backing = self.upstream.errands.get(id).and_then(|errand| errand.backing);
        backing
            .and_then(|backing| self.upstream.backings.get(backing))
            .map_or(0, |backing| backing.affinity())
    }

    /// What the errand was for will not be.
    pub(super) fn fail_errand(&mut self, id: Token, fault: UpstreamFault, cx: &mut Cx<'_>) {
        let Some(errand) = self.upstream.errands.get_mut(id) else { return };
        let (upstream, target, backing) = (errand.upstream, errand.target, errand.backing);
        match errand.purpose {
            Purpose::Ask { .. } => {
                if matches!(errand.place, Place::Failed(_)) {
                    return;
                }
                errand.place = Place::Failed(fault.clone());
                self.judge_upstream(upstream, Err(&fault), cx);
                self.upstream.news.push_back(News::Failed(id));
                return;
            }
            Purpose::Tell | Purpose::Farewell => {}
            Purpose::Check => self.check_failed(upstream, target, cx),
            Purpose::Initialize | Purpose::Initialized => {
                self.judge_upstream(upstream, Err(&fault), cx);
                self.doubt(upstream);
                self.dismiss_errand(id);
                return self.lose_backing(backing, fault, cx);
            }
            Purpose::Listen => {
                self.dismiss_errand(id);
                return self.stream_ended(backing, None, cx);
            }
            Purpose::Probe => {
                self.dismiss_errand(id);
                return self.probe_failed(upstream, backing, fault, cx);
            }
        }
        self.dismiss_errand(id);
    }

    /// Lets an upstream's breaker know how an errand ended.
    pub(super) fn judge_upstream(
        &mut self,
        upstream: UpstreamId,
        end: Result<(), &UpstreamFault>,
        cx: &mut Cx<'_>,
    ) {
        let answered = match end {
            Ok(()) => true,
            Err(fault) => {
                self.stats.upstream.failures += 1;
                if let Some(server) = self.upstream.servers.get_mut(upstream.index()) {
                    server.failures += 1;
                }
                match fault.tells_against() {
                    Some(against) => !against,
                    None => return,
                }
            }
        };
        let opened =
            self.with_breaker(upstream, cx, |breaker, limits, now| breaker.record(answered, limits, now));
        self.stats.upstream.breaker_opened += u64::from(opened == Some(true));
    }
}
