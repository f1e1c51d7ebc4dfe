//! Streams that a server may close and be asked for again by their last event id: a conversation's own
//! stream, and the rest of an answer (SEP-1699).

use std::time::Duration;

use weir_ring::time::Instant;
use weir_ring::token::Token;
use weir_transports::mcp::Era;

use super::ask::headers;
use super::backing::{Life, Way};
use super::errand::{Errand, Place, Purpose};
use super::look::Look;
use super::request::{Headers, Request};
use super::{NEVER, UpstreamFault};
use crate::turn::{Alarm, Cx, Shard};

/// When a stream is asked for again if its server did not say.
const RETRY: Duration = Duration::from_secs(1);
/// The longest time until then, whatever it said.
const RETRY_MAX: Duration = Duration::from_secs(30);

/// Where a conversation is with its own stream.
#[derive(Debug, Default)]
pub(super) struct OwnStream {
    /// Empty: none had an id.
    last_event_id: Box<str>,
    /// Ends in a row without a message.
    failures: u32,
    /// The server has none.
    refused: bool,
    /// It is open, or asked for.
    open: bool,
    /// When it may be asked for.
    not_before: Instant,
}

/// Where a stream broke off.
#[derive(Clone, Debug)]
pub(super) struct Cut {
    /// Empty: none of its events had an id.
    pub(super) last_event_id: Box<str>,
    /// What `retry:` said last, in milliseconds.
    pub(super) retry: Option<u64>,
}

impl Cut {
    fn wait(&self) -> Duration {
        self.retry.map_or(RETRY, Duration::from_millis).min(RETRY_MAX)
    }
}

impl Shard {
    /// Asks for the stream of a legacy conversation's own messages.
    pub(super) fn ask_for_stream(&mut self, token: Token, cx: &mut Cx<'_>) {
        let Some(backing) = self.upstream.backings.get_mut(token) else { return };
        let Way::Http { stream, .. } = &mut backing.way else { return };
        let early = cx.now.mono < stream.not_before;
        if stream.refused || early || std::mem::replace(&mut stream.open, true) {
            return;
        }
        let last_event_id = stream.last_event_id.clone();
        let resumed = Some(&*last_event_id).filter(|id| !id.is_empty());
        let Some(backing) = self.upstream.backings.get(token) else { return };
        let (upstream, target) = (backing.upstream, backing.target);
        let Some(site) = self.site(upstream, target) else { return };
        let request = Request::get(&site, &Headers { last_event_id: resumed, ..headers(backing, None) });
        let errand = Errand::new(Purpose::Listen, upstream, target, NEVER);
        self.begin_errand(Errand { backing: Some(token), request, ..errand }, cx);
    }

    /// The server has no stream of its own messages.
    pub(super) fn stream_refused(&mut self, token: Option<Token>) {
        let backing = token.and_then(|token| self.upstream.backings.get_mut(token));
        if let Some(Way::Http { stream, .. }) = backing.map(|backing| &mut backing.way) {
            stream.refused = true;
        }
        self.stream_settled(token);
    }

    /// A message has come on the stream.
    pub(super) fn stream_progressed(&mut self, token: Token) {
        let backing = self.upstream.backings.get_mut(token);
        if let Some(Way::Http { stream, .. }) = backing.map(|backing| &mut backing.way) {
            stream.failures = 0;
        }
    }

    /// The stream has ended: it is asked for again after a while.
    pub(super) fn stream_ended(&mut self, token: Option<Token>, cut: Option<Cut>, cx: &Cx<'_>) {
        self.stream_settled(token);
        let Some(token) = token else { return };
        let Some(backing) = self.upstream.backings.get_mut(token) else { return };
        let Way::Http { stream, .. } = &mut backing.way else { return };
        stream.open = false;
        if backing.life != Life::Ready || stream.refused {
            return;
        }
        let wait = cut.as_ref().map_or(RETRY, Cut::wait);
        let wait = wait.saturating_mul(1 << stream.failures.min(8)).min(RETRY_MAX);
        stream.failures += 1;
        if let Some(cut) = cut.filter(|cut| !cut.last_event_id.is_empty()) {
            stream.last_event_id = cut.last_event_id;
        }
        stream.not_before = cx.now.mono.plus(wait);
        let at = stream.not_before;
        self.alarm(at, Alarm::Upstream(Look::Backing(token)));
    }

    /// A look at a conversation that waits: for its child, or for its stream.
    pub(super) fn examine_backing(&mut self, token: Token, cx: &mut Cx<'_>) {
        let Some(backing) = self.upstream.backings.get(token) else { return };
        match (&backing.way, backing.life) {
            (Way::NoChild, Life::Beginning) => self.start_backing(token, cx),
            (Way::Http { .. }, Life::Beginning) => self.stream_settled(Some(token)),
            (Way::Http { .. }, Life::Ready) if self.draining.is_none() => self.ask_for_stream(token, cx),
            _ => {}
        }
    }

    /// The stream of an answer has ended without it. A legacy server that gave ids has more when asked for
    /// it (2025-11-25, Streamable HTTP, resumability); what remains lasts no longer than the request may.
    pub(super) fn answer_broke_off(&mut self, id: Token, cut: Cut, cx: &mut Cx<'_>) {
        let Some(errand) = self.upstream.errands.get(id) else { return };
        let backing = errand.backing.and_then(|backing| self.upstream.backings.get(backing));
        let legacy = backing.filter(|backing| matches!(backing.era, Some(Era::Legacy(_))));
        let (Some(backing), false) = (legacy, cut.last_event_id.is_empty()) else {
            return self.fail_errand(id, UpstreamFault::Broken, cx);
        };
        let again = Headers { last_event_id: Some(&cut.last_event_id), ..headers(backing, None) };
        let Some(site) = self.site(errand.upstream, errand.target) else { return };
        let request = Request::get(&site, &again);
        let until = cx.now.mono.plus(cut.wait());
        let Some(errand) = self.upstream.errands.get_mut(id) else { return };
        errand.request = request;
        (errand.resumed, errand.repeatable) = (true, true);
        errand.place = Place::Paused(until);
        self.look_by(until);
    }
}
