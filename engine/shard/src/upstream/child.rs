//! Children: when one is started, whose it is, and what its end means.

use weir_ring::token::Token;

use super::backing::{Life, Way};
use super::errand::Place;
use super::look::Look;
use super::server::Speaks;
use super::wire::Wire;
use super::{PATIENCE, UpstreamFault, UpstreamId};
use crate::downstream::Stage;
use crate::turn::{Alarm, Cx, Shard};

impl Shard {
    /// Gives a conversation its child: the one that all share, or one of its own, which it waits for after
    /// failures.
    pub(super) fn start_child(&mut self, token: Token, cx: &mut Cx<'_>) {
        let Some(backing) = self.upstream.backings.get_mut(token) else { return };
        let (upstream, target) = (backing.upstream, backing.target);
        let Some(size) = self.pool_of(upstream, cx.now.mono).map(|pool| pool.size) else { return };
        let Some(server) = self.upstream.servers.get_mut(upstream.index()) else { return };
        match (&server.speaks, server.shared) {
            (Speaks::Modern(about), Some(wire)) => {
                let about = about.clone();
                self.join_child(token, wire, about);
                return;
            }
            (Speaks::Probed, _) => return server.waiting.push(token),
            _ => {}
        }
        if cx.now.mono < server.restarts.not_before() {
            let at = server.restarts.not_before();
            return self.alarm(at, Alarm::Upstream(Look::Backing(token)));
        }
        if server.children >= size {
            self.pool_is_exhausted(upstream, cx);
            return self.lose_backing(Some(token), UpstreamFault::Overloaded, cx);
        }
        let Some(wire) = self.dial_wire(Wire::pipe(upstream, target, token), cx) else {
            return self.lose_backing(Some(token), UpstreamFault::Overloaded, cx);
        };
        if let Some(backing) = self.upstream.backings.get_mut(token) {
            backing.way = Way::Pipe(wire);
        }
        let Some(server) = self.upstream.servers.get_mut(upstream.index()) else { return };
        server.children += 1;
        if matches!(server.speaks, Speaks::Legacy) {
            self.initialize_pipe(token, wire, cx);
        } else {
            server.speaks = Speaks::Probed;
            self.probe_pipe(token, wire, cx);
        }
    }

    /// Whether a child may not be started within the time that a request may wait for one.
    pub(super) fn child_is_far(&self, upstream: UpstreamId, cx: &Cx<'_>) -> bool {
        let patience = self.pool_of(upstream, cx.now.mono).map_or(PATIENCE, |pool| pool.checkout_timeout);
        let server = self.upstream_server(upstream);
        server.is_some_and(|server| server.restarts.not_before() > cx.now.mono.plus(patience))
    }

    fn join_child(&mut self, token: Token, wire: Token, about: Option<Box<str>>) {
        if let Some(backing) = self.upstream.backings.get_mut(token) {
            backing.way = Way::Pipe(wire);
        }
        self.make_ready(token, weir_transports::mcp::Era::Modern, about);
    }

    /// A handshake goes into the pipe, at once if it is open.
    pub(super) fn shake_hands(&mut self, wire: Token, errand: Token, cx: &mut Cx<'_>) {
        self.resume_clock(errand, cx);
        let Some(conn) = self.conns.get_mut(wire) else { return };
        let connected = conn.is_connected();
        if let Stage::Upstream(of) = &mut conn.stage {
            of.errand = Some(errand);
        }
        if connected {
            self.write_request(wire, errand, cx);
        }
    }

    /// A child has ended, or was not to be had; `wire` was its pipe and `owner` whom it was started for.
    pub(super) fn child_ended(
        &mut self,
        upstream: UpstreamId,
        wire: Token,
        owner: Token,
        fault: UpstreamFault,
        cx: &mut Cx<'_>,
    ) {
        let random = self.random.next();
        let Some(server) = self.upstream.servers.get_mut(upstream.index()) else { return };
        server.children = server.children.saturating_sub(1);
        let shared = server.shared == Some(wire);
        let failed = self.upstream.backings.get(owner).is_some_and(|owner| owner.life == Life::Beginning);
        if shared {
            server.shared = None;
            server.speaks = Speaks::Unknown;
        }
        // Before the errands of the pipe fail: that of a probe decides what its owner does next.
        if failed {
            server.restarts.failed(random, cx.now.mono);
        }
        self.pool_has_room(upstream, cx);
        for errand in self.errands_in(wire) {
            self.fail_errand(errand, fault.clone(), cx);
        }
        // One that was started again meanwhile has another pipe.
        let backings = self.upstream.backings.iter();
        let lost = backings.filter(|(_, backing)| matches!(backing.way, Way::Pipe(of) if of == wire));
        for token in lost.map(|(token, _)| token).collect::<Vec<_>>() {
            self.lose_backing(Some(token), fault.clone(), cx);
        }
    }

    /// The errands that wait for answers of one child.
    fn errands_in(&self, wire: Token) -> Vec<Token> {
        let errands = self.upstream.errands.iter();
        errands.filter(|(_, errand)| errand.place == Place::Piped(wire)).map(|(id, _)| id).collect()
    }
}
