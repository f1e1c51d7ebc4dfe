//! What does an upstream speak? One `server/discover` for each upstream tells, and is not repeated until the
//! upstream was out of reach (2026-07-28, basic/versioning and transports/stdio: probing).

use std::sync::Arc;
use std::time::Duration;

use weir_ring::token::Token;
use weir_transports::jsonrpc::{Body, Message, decode};
use weir_transports::mcp::{Era, object};

use super::backing::Way;
use super::errand::{Errand, Place, Purpose};
use super::request::{self, Request};
use super::server::Speaks;
use super::{PATIENCE, UpstreamFault, UpstreamId};
use crate::limits::TargetKind;
use crate::policy::auth::Principal;
use crate::turn::{Cx, Shard};

/// How long a child may be silent before it is taken for a legacy one.
const PROBE_PATIENCE: Duration = Duration::from_secs(3);

/// The codes that only servers of 2026-07-28 and later use (basic/index, Error Codes).
const MODERN_CODES: std::ops::RangeInclusive<i32> = -32_099..=-32_020;

impl Shard {
    /// Asks one replica.
    pub(super) fn probe_http(
        &mut self,
        upstream: UpstreamId,
        target: u16,
        who: Option<Arc<Principal>>,
        cx: &mut Cx<'_>,
    ) {
        let Some(request) = self.site(upstream, target).map(|site| request::discover(&site)) else { return };
        let errand = Errand::new(Purpose::Probe, upstream, target, cx.now.mono.plus(PATIENCE));
        let errand = Errand { request, who, repeatable: true, ..errand };
        self.begin_errand(errand, cx);
    }

    /// Asks a child, for the conversation that it was started for.
    pub(super) fn probe_pipe(&mut self, token: Token, wire: Token, cx: &mut Cx<'_>) {
        let Some(backing) = self.upstream.backings.get(token) else { return };
        let limit = cx.now.mono.plus(PATIENCE);
        let mut errand = Errand::new(Purpose::Probe, backing.upstream, backing.target, limit);
        errand.backing = Some(token);
        errand.place = Place::Piped(wire);
        errand.patience = PROBE_PATIENCE;
        errand.request = Request::line(&request::discover_message());
        if let Some(id) = self.enrol_errand(errand) {
            self.shake_hands(wire, id, cx);
        }
    }

    /// An answer to the probe, or what came in place of one.
    pub(super) fn probe_answered(&mut self, id: Token, text: &str, cx: &mut Cx<'_>) {
        let Some(errand) = self.dismiss_errand(id) else { return };
        self.judge_upstream(errand.upstream, Ok(()), cx);
        let speaks = understood(text);
        let Some(server) = self.upstream.servers.get_mut(errand.upstream.index()) else { return };
        let waiting = std::mem::take(&mut server.waiting);
        server.speaks = speaks;
        if let (Place::Piped(wire), Some(backing)) = (errand.place, errand.backing) {
            self.child_probed(backing, wire, cx);
        }
        for backing in waiting {
            self.start_backing(backing, cx);
        }
    }

    /// A child says nothing to the probe: it is a legacy one that waits for `initialize`.
    pub(super) fn probe_was_ignored(&mut self, id: Token, cx: &mut Cx<'_>) {
        self.probe_answered(id, "", cx);
    }

    /// What was known of an upstream over HTTP may be so no longer: the next conversation asks again.
    pub(super) fn doubt(&mut self, upstream: UpstreamId) {
        let child = matches!(self.target_kind(upstream, 0), Some(TargetKind::Child));
        let Some(server) = self.upstream.servers.get_mut(upstream.index()) else { return };
        if !child && !matches!(server.speaks, Speaks::Probed) {
            server.speaks = Speaks::Unknown;
        }
    }

    /// The conversation whose child was asked is closed: the next one asks another.
    pub(super) fn probe_dropped(&mut self, upstream: UpstreamId, cx: &mut Cx<'_>) {
        let Some(server) = self.upstream.servers.get_mut(upstream.index()) else { return };
        server.speaks = Speaks::Unknown;
        for token in std::mem::take(&mut server.waiting) {
            self.start_backing(token, cx);
        }
    }

    /// The upstream could not be asked.
    pub(super) fn probe_failed(
        &mut self,
        upstream: UpstreamId,
        backing: Option<Token>,
        fault: UpstreamFault,
        cx: &mut Cx<'_>,
    ) {
        let Some(server) = self.upstream.servers.get_mut(upstream.index()) else { return };
        let waiting = std::mem::take(&mut server.waiting);
        // The probe itself may have killed the child: a legacy one need not know what to say.
        let died_of_it = fault == UpstreamFault::Exited;
        server.speaks = if died_of_it { Speaks::Legacy } else { Speaks::Unknown };
        if !died_of_it {
            self.judge_upstream(upstream, Err(&fault), cx);
        }
        for token in backing.into_iter().chain(waiting) {
            if died_of_it {
                self.start_again(token, cx);
            } else {
                self.lose_backing(Some(token), fault.clone(), cx);
            }
        }
    }

    /// The child of a conversation is gone: it may have another.
    fn start_again(&mut self, token: Token, cx: &mut Cx<'_>) {
        if let Some(backing) = self.upstream.backings.get_mut(token) {
            backing.way = Way::NoChild;
        }
        self.start_backing(token, cx);
    }

    /// A child has answered the probe, or has not: it serves all conversations, or the one it was
    /// started for.
    fn child_probed(&mut self, token: Token, wire: Token, cx: &mut Cx<'_>) {
        let Some(upstream) = self.upstream.backings.get(token).map(|backing| backing.upstream) else {
            return;
        };
        let Some(server) = self.upstream.servers.get_mut(upstream.index()) else { return };
        let Speaks::Modern(about) = &server.speaks else { return self.initialize_pipe(token, wire, cx) };
        let about = about.clone();
        server.shared = Some(wire);
        server.restarts.succeeded();
        self.make_ready(token, Era::Modern, about);
    }
}

/// What an upstream speaks that answers the probe so.
fn understood(text: &str) -> Speaks {
    match decode(text) {
        Ok(Message::Response { body: Body::Result(result), .. }) => {
            match object::find(result, ["supportedVersions"]) {
                Ok([Some(_)]) => Speaks::Modern(Some(result.into())),
                _ => Speaks::Legacy,
            }
        }
        Ok(Message::Response { body: Body::Error(error), .. }) => {
            let code = object::find(error, ["code"]).ok().and_then(|[code]| code?.parse::<i32>().ok());
            if code.is_some_and(|code| MODERN_CODES.contains(&code)) {
                Speaks::Modern(None)
            } else {
                Speaks::Legacy
            }
        }
        _ => Speaks::Legacy,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_discovery_or_a_modern_error_is_modern() {
        let modern = |text: &str| matches!(understood(text), Speaks::Modern(_));
        assert!(modern(r#"{"jsonrpc":"2.0","id":"p","result":{"supportedVersions":["2026-07-28"]}}"#));
        for code in [-32_020, -32_021, -32_022, -32_099] {
            assert!(modern(&format!(
                r#"{{"jsonrpc":"2.0","id":"p","error":{{"code":{code},"message":""}}}}"#
            )));
        }
        for code in [-32_601, -32_602, -32_600, -32_000, -32_002] {
            assert!(!modern(&format!(
                r#"{{"jsonrpc":"2.0","id":null,"error":{{"code":{code},"message":""}}}}"#
            )));
        }
        assert!(
            !modern("<html>404</html>") && !modern("") && !modern(r#"{"jsonrpc":"2.0","id":1,"result":{}}"#)
        );
    }
}
