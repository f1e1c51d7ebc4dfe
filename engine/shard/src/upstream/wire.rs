//! One connection to an upstream: opened, looked at from time to time, gone.

use std::time::Duration;

use weir_ring::op::{Errno, Op};
use weir_ring::time::Instant;
use weir_ring::token::{Socket, Token};

use super::errand::Place;
use super::http::Http;
use super::pipe::Pipe;
use super::{UpstreamFault, UpstreamId};
use crate::downstream::{Stage, WRITE_STALL, Watch};
use crate::limits::TargetKind;
use crate::turn::{Cx, Shard};

/// How long a connection may take to open, and then its TLS.
pub(super) const CONNECT_PATIENCE: Duration = Duration::from_secs(5);
/// How long a response may go on after the message that was waited for.
pub(super) const LINGER: Duration = Duration::from_secs(5);
/// A connection that works is looked at this often: does its peer still read?
const WORK_INTERVAL: Duration = Duration::from_secs(30);
/// `ETIMEDOUT` of errno(3).
const TIMED_OUT: Errno = Errno(110);

/// One connection to an upstream.
#[derive(Debug)]
pub(crate) struct Wire {
    pub(super) upstream: UpstreamId,
    pub(super) target: u16,
    /// HTTP: what it carries. Pipe: the handshake under way.
    pub(super) errand: Option<Token>,
    pub(super) speech: Speech,
}

/// What is spoken on it.
#[derive(Debug)]
pub(super) enum Speech {
    Http(Http),
    Pipe(Pipe),
}

impl Wire {
    pub(super) fn http(upstream: UpstreamId, target: u16, pooled: bool) -> Wire {
        Wire { upstream, target, errand: None, speech: Speech::Http(Http::new(pooled)) }
    }

    pub(super) fn pipe(upstream: UpstreamId, target: u16, owner: Token) -> Wire {
        Wire { upstream, target, errand: None, speech: Speech::Pipe(Pipe::new(owner)) }
    }

    /// How long its server keeps it without work, as far as it says.
    pub(super) fn idle_max(&self) -> Option<Duration> {
        match &self.speech {
            Speech::Http(http) => http.idle_max,
            Speech::Pipe(_) => None,
        }
    }

    /// Whether it goes back to the pool after each request.
    pub(super) fn is_pooled(&self) -> bool {
        matches!(&self.speech, Speech::Http(http) if http.pooled)
    }
}

impl Shard {
    /// A connection asked for is open.
    pub(crate) fn wire_connected(&mut self, token: Token, socket: Socket, cx: &mut Cx<'_>) {
        let Some(conn) = self.conns.get_mut(token) else { return };
        conn.socket = socket;
        conn.heard = cx.now.mono;
        match &conn.stage {
            Stage::Upstream(wire) => {
                let (errand, upstream, target) = (wire.errand, wire.upstream, wire.target);
                cx.out.ops.push(Watch::Stream.op(token, socket));
                if let Err(error) = self.secure_wire(token, upstream, target, cx) {
                    return self.abandon_wire(token, UpstreamFault::Tls(error.to_string().into()), cx);
                }
                if let Some(errand) = errand {
                    self.write_request(token, errand, cx);
                }
            }
            // It was given up meanwhile.
            _ => cx.out.ops.push(Op::Close { token, socket }),
        }
    }

    /// Begins TLS, where the target's URL asks for it. What is written waits for the end of the handshake.
    fn secure_wire(
        &mut self,
        token: Token,
        upstream: UpstreamId,
        target: u16,
        cx: &Cx<'_>,
    ) -> Result<(), rustls::Error> {
        let Some(TargetKind::Http { tls: Some(name), .. }) = self.target_kind(upstream, target) else {
            return Ok(());
        };
        let tls = self.call(upstream.index(), name, cx)?;
        if let Some(conn) = self.conns.get_mut(token) {
            conn.tls = Some(tls);
            conn.egress.hold(Vec::new());
            self.dirty.push(token);
        }
        Ok(())
    }

    /// A connection asked for is not to be had.
    pub(crate) fn wire_refused(&mut self, token: Token, errno: Errno, cx: &mut Cx<'_>) {
        self.abandon_wire(token, UpstreamFault::Refused(errno), cx);
        self.closed(token);
    }

    /// Closes a connection because of `fault`.
    pub(crate) fn abandon_wire(&mut self, token: Token, fault: UpstreamFault, cx: &mut Cx<'_>) {
        let Some(conn) = self.conns.get_mut(token) else { return };
        match std::mem::replace(&mut conn.stage, Stage::Closed) {
            Stage::Upstream(wire) => {
                conn.egress.uncount(&mut self.queued);
                conn.hang_up(token, cx.out);
                self.wire_left(token, *wire, fault, cx);
            }
            other => conn.stage = other,
        }
    }

    /// Input.
    pub(crate) fn wire_received(&mut self, token: Token, bytes: &[u8], cx: &mut Cx<'_>) {
        let Some(conn) = self.conns.get_mut(token) else { return };
        conn.heard = cx.now.mono;
        let Some(wire) = self.lend_wire(token) else { return };
        match wire.speech {
            Speech::Http(_) => self.read_response(token, wire, bytes, cx),
            Speech::Pipe(_) => self.pipe_received(token, wire, bytes, cx),
        }
    }

    /// The upstream has nothing more to say.
    pub(crate) fn wire_ended(&mut self, token: Token, orderly: bool, cx: &mut Cx<'_>) {
        let Some(conn) = self.conns.get_mut(token) else { return };
        let fault = match &conn.stage {
            Stage::Upstream(wire) if matches!(wire.speech, Speech::Pipe(_)) => UpstreamFault::Exited,
            Stage::Upstream(_) => {
                self.http_ended(token, orderly, cx);
                UpstreamFault::Broken
            }
            _ => return,
        };
        self.abandon_wire(token, fault, cx);
    }

    /// Lends a wire out, so that what it brings can change the shard.
    pub(super) fn lend_wire(&mut self, token: Token) -> Option<Box<Wire>> {
        let conn = self.conns.get_mut(token)?;
        match std::mem::replace(&mut conn.stage, Stage::Lent) {
            Stage::Upstream(wire) => Some(wire),
            other => {
                conn.stage = other;
                None
            }
        }
    }

    /// Takes a lent wire back. If the connection was closed meanwhile, the wire ends here.
    pub(super) fn return_wire(&mut self, token: Token, wire: Box<Wire>, cx: &mut Cx<'_>) {
        match self.conns.get_mut(token) {
            Some(conn) if matches!(conn.stage, Stage::Lent) => conn.stage = Stage::Upstream(wire),
            _ => self.wire_left(token, *wire, UpstreamFault::Broken, cx),
        }
    }

    /// A connection is no upstream's any more; what it carried goes elsewhere or fails.
    pub(crate) fn wire_left(&mut self, token: Token, wire: Wire, fault: UpstreamFault, cx: &mut Cx<'_>) {
        self.upstream.wires -= 1;
        let Wire { upstream, target, errand, speech } = wire;
        match speech {
            Speech::Pipe(pipe) => self.child_ended(upstream, token, pipe.owner, fault, cx),
            Speech::Http(http) => {
                if http.pooled {
                    self.forget_pooled(token, upstream, target, cx);
                }
                let carried = |errand: &super::Errand| errand.place == Place::On(token);
                let errand = errand.filter(|id| self.upstream.errands.get(*id).is_some_and(carried));
                match errand {
                    None => {}
                    Some(errand) if http.has_begun() => self.fail_errand(errand, fault, cx),
                    Some(errand) => self.send_errand_again(errand, fault, http.reused, cx),
                }
            }
        }
    }

    /// Sends what an errand asks.
    pub(super) fn write_request(&mut self, token: Token, id: Token, cx: &mut Cx<'_>) {
        self.resume_clock(id, cx);
        let Some(errand) = self.upstream.errands.get_mut(id) else { return };
        let repeatable = errand.repeatable;
        let request = std::mem::take(&mut errand.request);
        self.put_upstream(token, cx, |out| out.extend_from_slice(request.bytes()));
        if let Some(errand) = self.upstream.errands.get_mut(id).filter(|_| repeatable) {
            errand.request = request;
        }
    }

    /// A look at a connection; when the next is due.
    pub(crate) fn examine_wire(&mut self, token: Token, cx: &mut Cx<'_>) -> Option<Instant> {
        let now = cx.now.mono;
        let conn = self.conns.get(token)?;
        let Stage::Upstream(wire) = &conn.stage else { return None };
        if !conn.is_connected() {
            self.abandon_wire(token, UpstreamFault::Refused(TIMED_OUT), cx);
            return None;
        }
        let until = match &wire.speech {
            _ if conn.is_handshaking() => conn.heard.plus(CONNECT_PATIENCE),
            _ if conn.egress.is_blocked() => conn.heard.plus(WRITE_STALL),
            Speech::Http(http) if wire.errand.is_none() && http.has_begun() => conn.heard.plus(LINGER),
            Speech::Http(http) if wire.errand.is_none() => {
                let idle = self.pool_of(wire.upstream, now).map_or(LINGER, |pool| pool.idle_timeout);
                conn.heard.plus(http.idle_max.map_or(idle, |most| most.min(idle)))
            }
            _ => return Some(now.plus(WORK_INTERVAL)),
        };
        if now < until {
            return Some(until);
        }
        self.abandon_wire(token, UpstreamFault::TimedOut, cx);
        None
    }

    /// Closes the connections to upstreams once a drain has nobody left whom they could serve.
    pub(crate) fn drain_wires(&mut self, cx: &mut Cx<'_>) {
        if self.draining.is_none() || self.upstream.wires == 0 || self.conns.len() != self.upstream.wires {
            return;
        }
        let tokens: Vec<Token> = self.conns.iter().map(|(token, _)| token).collect();
        for token in tokens {
            self.close(token, cx);
        }
    }
}
