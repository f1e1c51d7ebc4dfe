//! What the hub sends over a conversation.

use std::sync::Arc;

use weir_ring::token::Token;
use weir_transports::mcp::Era;

use super::backing::{Backing, Life, Way};
use super::errand::{Errand, Place, Purpose};
use super::request::{self, Headers, Request};
use super::{NEVER, PATIENCE, UpstreamFault};
use crate::mcp::wire_id;
use crate::policy::auth::Principal;
use crate::turn::{Cx, Shard};

/// One request to an upstream.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Ask<'a> {
    /// The JSON-RPC message; its id is the leg's wire id.
    pub(crate) message: &'a [u8],
    /// Its method, for `Mcp-Method`.
    pub(crate) method: &'a str,
    /// For `Mcp-Name`, where the method has one.
    pub(crate) name: Option<&'a str>,
    /// `Mcp-Param-*` and trace headers.
    pub(crate) headers: &'a [(Box<str>, Box<str>)],
    /// May be asked again at another replica.
    pub(crate) idempotent: bool,
    /// Lasts until it is cancelled: no time-out.
    pub(crate) long: bool,
    /// For whom.
    pub(crate) who: Option<&'a Arc<Principal>>,
}

impl Shard {
    /// Sends a request over a conversation that is ready. What comes of it is told at the end of the turn or later.
    /// False: it was not passed on, and has failed.
    pub(crate) fn ask(&mut self, backing: Token, leg: Token, ask: Ask<'_>, cx: &mut Cx<'_>) -> bool {
        self.stats.upstream.asks += 1;
        let Some(conversation) = self.upstream.backings.get_mut(backing) else { return false };
        if let Some(who) = ask.who {
            // What the conversation says of its own is said for who asked last: his token is the newest.
            conversation.opening.who = Some(who.clone());
        }
        let Some(conversation) = self.upstream.backings.get(backing) else { return false };
        let (upstream, ready) = (conversation.upstream, conversation.life == Life::Ready);
        let Some(config) = self.config.upstreams.get(upstream.index()) else { return false };
        let now = cx.now.mono;
        let (patience, limit) = (config.timeout, if ask.long { NEVER } else { now.plus(config.timeout_max) });
        let purpose = Purpose::Ask { leg, long: ask.long };
        let mut errand = Errand::new(purpose, upstream, conversation.target, limit);
        errand.backing = Some(backing);
        errand.who = ask.who.cloned();
        (errand.since, errand.patience) = (now, patience);
        errand.due = if ask.long { NEVER } else { now.plus(patience).min(limit) };
        let mut line = None;
        match conversation.way {
            Way::Http { .. } => {
                errand.repeatable = ask.idempotent;
                if conversation.is_stateless() {
                    let target = self.choose_replica(upstream, conversation.affinity(), &[]);
                    errand.target = target.unwrap_or(errand.target);
                }
                let Some(site) = self.site(upstream, errand.target) else { return false };
                errand.request = Request::post(&site, &headers(conversation, Some(&ask)), ask.message);
            }
            Way::Pipe(wire) => {
                errand.place = Place::Piped(wire);
                line = Some(wire);
            }
            Way::NoChild => {}
        }
        let admitted = self.admits(upstream, cx);
        let Some(id) = self.enrol_errand(errand) else { return false };
        let fault = match line {
            _ if !ready => UpstreamFault::SessionLost,
            _ if !admitted => UpstreamFault::BreakerOpen,
            Some(wire) if self.put_line(wire, ask.message, cx) => return true,
            Some(_) => UpstreamFault::Overloaded,
            None => {
                self.dispatch_errand(id, cx);
                return true;
            }
        };
        self.fail_errand(id, fault, cx);
        false
    }

    /// Sends a notification, or the response to a request of the upstream.
    pub(crate) fn tell_upstream(&mut self, backing: Token, message: &[u8], cx: &mut Cx<'_>) {
        let Some(conversation) = self.upstream.backings.get(backing) else { return };
        if conversation.life != Life::Ready {
            return;
        }
        match conversation.way {
            Way::Http { .. } => {
                let (upstream, target) = (conversation.upstream, conversation.target);
                let request = self.post_of(backing, message);
                let errand = Errand::new(Purpose::Tell, upstream, target, cx.now.mono.plus(PATIENCE));
                self.begin_errand(Errand { backing: Some(backing), repeatable: true, request, ..errand }, cx);
            }
            // A pipe that takes no more has a child that does not read: its legs time out.
            Way::Pipe(wire) => drop(self.put_line(wire, message, cx)),
            Way::NoChild => {}
        }
    }

    /// The POST of a message that is no request.
    pub(super) fn post_of(&self, backing: Token, message: &[u8]) -> Request {
        let backing = self.upstream.backings.get(backing);
        let post = backing.and_then(|backing| {
            let site = self.site(backing.upstream, backing.target)?;
            Some(Request::post(&site, &headers(backing, None), message))
        });
        post.unwrap_or_default()
    }

    /// Nobody waits for the leg any more: nothing of it is told after this.
    pub(crate) fn cancel_leg(&mut self, backing: Token, leg: Token, cx: &mut Cx<'_>) {
        let Some(&id) = self.upstream.legs.get(&wire_id::of(leg)) else { return };
        let Some(errand) = self.upstream.errands.get(id).filter(|errand| errand.backing == Some(backing))
        else {
            return;
        };
        let modern = self.backing(backing).is_some_and(|backing| backing.era == Some(Era::Modern));
        if modern && matches!(errand.place, Place::Piped(_)) {
            self.tell_upstream(backing, &request::cancelled_message(wire_id::of(leg)), cx);
        }
        self.drop_errand(id, cx);
    }

    /// Tells an upstream that a leg's time is up. A modern one over HTTP sees its stream closed.
    pub(super) fn tell_cancelled(&mut self, id: Token, cx: &mut Cx<'_>) {
        let Some(errand) = self.upstream.errands.get(id) else { return };
        let (Some(wire_id), Some(backing)) = (errand.wire_id(), errand.backing) else { return };
        let modern = self.backing(backing).is_some_and(|backing| backing.era == Some(Era::Modern));
        if !modern || matches!(errand.place, Place::Piped(_)) {
            self.tell_upstream(backing, &request::cancelled_message(wire_id), cx);
        }
    }
}

/// What the headers of a conversation's next POST say.
pub(super) fn headers<'a>(backing: &'a Backing, ask: Option<&Ask<'a>>) -> Headers<'a> {
    let headers = Headers {
        version: backing.era.map(Era::version),
        session: backing.session(),
        extra: ask.map_or(&[], |ask| ask.headers),
        ..Headers::default()
    };
    match ask {
        Some(ask) if backing.era == Some(Era::Modern) => {
            Headers { method: Some(ask.method), name: ask.name, ..headers }
        }
        _ => headers,
    }
}
