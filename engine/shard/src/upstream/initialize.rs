//! How a legacy conversation begins: `initialize`, its answer, and the notification that follows.

use std::time::Duration;

use weir_ring::token::Token;
use weir_transports::jsonrpc::{Body, Message, decode};
use weir_transports::mcp::{Era, Version, object};

use super::backing::{Life, Way};
use super::errand::{Errand, Place, Purpose};
use super::look::Look;
use super::request::{self, Headers, Request};
use super::server::Speaks;
use super::{PATIENCE, UpstreamFault, UpstreamId};
use crate::turn::{Alarm, Cx, Shard};

/// How long a conversation waits for its own stream before it begins without.
const STREAM_PATIENCE: Duration = Duration::from_secs(1);

/// How long a child may take for `initialize`: it may have to be fetched and built first, as `npx` does.
const START_PATIENCE: Duration = Duration::from_secs(30);

impl Shard {
    /// Opens a session over HTTP.
    pub(super) fn initialize_http(&mut self, token: Token, cx: &mut Cx<'_>) {
        let Some(backing) = self.upstream.backings.get(token) else { return };
        let (upstream, target) = (backing.upstream, backing.target);
        let message = request::initialize_message(&backing.opening);
        let Some(site) = self.site(upstream, target) else { return };
        let request = Request::post(&site, &Headers::default(), &message);
        let errand = Errand::new(Purpose::Initialize, upstream, target, cx.now.mono.plus(PATIENCE));
        self.begin_errand(Errand { backing: Some(token), repeatable: true, request, ..errand }, cx);
    }

    /// Opens a session over the pipe of its child.
    pub(super) fn initialize_pipe(&mut self, token: Token, wire: Token, cx: &mut Cx<'_>) {
        let Some(backing) = self.upstream.backings.get(token) else { return };
        let message = request::initialize_message(&backing.opening);
        let limit = cx.now.mono.plus(START_PATIENCE);
        let mut errand = Errand::new(Purpose::Initialize, backing.upstream, backing.target, limit);
        errand.backing = Some(token);
        errand.place = Place::Piped(wire);
        errand.patience = START_PATIENCE;
        errand.request = Request::line(&message);
        if let Some(id) = self.enrol_errand(errand) {
            self.shake_hands(wire, id, cx);
        }
    }

    /// The session's id, from the head of the answer to `initialize`.
    pub(super) fn note_session(&mut self, backing: Option<Token>, id: &str) {
        let backing = backing.and_then(|backing| self.upstream.backings.get_mut(backing));
        if let Some(Way::Http { session, .. }) = backing.map(|backing| &mut backing.way) {
            *session = Some(id.into());
        }
    }

    /// The answer to `initialize`.
    pub(super) fn initialize_answered(&mut self, id: Token, text: &str, cx: &mut Cx<'_>) {
        let Some(errand) = self.upstream.errands.get(id) else { return };
        let (upstream, target, token) = (errand.upstream, errand.target, errand.backing);
        let Some((era, about)) = agreed(text) else {
            self.took_for_legacy(upstream);
            return self.fail_errand(id, UpstreamFault::Garbage, cx);
        };
        self.dismiss_errand(id);
        self.judge_upstream(upstream, Ok(()), cx);
        let Some(token) = token else { return };
        let Some(backing) = self.upstream.backings.get_mut(token) else { return };
        backing.target = target;
        backing.era = Some(era);
        backing.about = Some(about);
        match backing.way {
            Way::Pipe(wire) => {
                if let Some(server) = self.upstream.servers.get_mut(upstream.index()) {
                    server.restarts.succeeded();
                }
                self.put_line(wire, request::INITIALIZED, cx);
                self.backing_opened(token, cx);
            }
            Way::Http { .. } => {
                let request = self.post_of(token, request::INITIALIZED);
                let errand = Errand::new(Purpose::Initialized, upstream, target, cx.now.mono.plus(PATIENCE));
                self.begin_errand(Errand { backing: Some(token), repeatable: true, request, ..errand }, cx);
            }
            Way::NoChild => {}
        }
    }

    /// What was taken for a legacy server does not know `initialize`: the next conversation asks once more
    /// what it speaks.
    fn took_for_legacy(&mut self, upstream: UpstreamId) {
        if let Some(server) = self.upstream.servers.get_mut(upstream.index())
            && matches!(server.speaks, Speaks::Legacy)
        {
            server.speaks = Speaks::Unknown;
        }
    }

    /// The server knows that the session is open. What it says in the course of the first request may come
    /// by the session's own stream, so that is there before.
    pub(super) fn backing_opened(&mut self, token: Token, cx: &mut Cx<'_>) {
        let Some(backing) = self.upstream.backings.get(token) else { return };
        if matches!(backing.way, Way::Http { .. }) {
            self.ask_for_stream(token, cx);
            self.alarm(cx.now.mono.plus(STREAM_PATIENCE), Alarm::Upstream(Look::Backing(token)));
        } else {
            self.stream_settled(Some(token));
        }
    }

    /// The session's own stream is open, or will not be soon.
    pub(super) fn stream_settled(&mut self, token: Option<Token>) {
        let Some(token) = token else { return };
        let Some(backing) = self.upstream.backings.get_mut(token) else { return };
        if backing.life == Life::Beginning
            && let Some(era) = backing.era
        {
            let about = backing.about.take();
            self.make_ready(token, era, about);
        }
    }
}

/// What both sides agree on, and the text of the result. `None`: it is no result of `initialize`, or in a
/// revision that is not spoken.
fn agreed(text: &str) -> Option<(Era, Box<str>)> {
    let Ok(Message::Response { body: Body::Result(result), .. }) = decode(text) else { return None };
    let [version] = object::find(result, ["protocolVersion"]).ok()?;
    let version = Version::parse(&object::string(version?)?)?;
    (!version.is_modern()).then(|| (Era::Legacy(version), result.into()))
}
