//! A connection's life: accepted, looked at from time to time, finished, closed.

use weir_ring::op::{Errno, Op};
use weir_ring::time::Instant;
use weir_ring::token::{Listener, Socket, Token};

use std::net::IpAddr;
use std::time::Duration;

use crate::downstream::connection::{Connection, Stage, Watch};
use crate::downstream::egress::Egress;
use crate::error::Error;
use crate::limits::SLOTS_RESERVED;
use crate::metrics::Medium;
use crate::policy::Peer;
use crate::tls::Tls;
use crate::turn::{Alarm, Cx, Shard};
use crate::upstream::UpstreamFault;
use crate::vsm::{Cause, Feeling};

/// How long a closing connection may take to end.
const LINGER: Duration = Duration::from_secs(2);

/// After a failed accept (no descriptors), until the next try.
const ACCEPT_RETRY: Duration = Duration::from_millis(100);

/// A peer that has taken nothing for this long is gone.
pub(crate) const WRITE_STALL: Duration = Duration::from_secs(60);

/// Of an upstream whose handshake breaks off.
const NO_TLS: &str = "it ended the connection before TLS was agreed on; does it speak plain HTTP there?";

impl Shard {
    /// A new connection: it has until the head deadline to say what it wants.
    pub(crate) fn accepted(&mut self, socket: Socket, address: Option<IpAddr>, cx: &mut Cx<'_>) {
        self.stats.accepted += 1;
        self.feel(Cause::Descriptors, Feeling::Pleasure, cx);
        let (peer, refusal) = match self.admit_peer(address, cx.now) {
            Ok(peer) => (peer, None),
            Err(None) => return shut(socket, cx),
            Err(refusal) => (Peer::FREE, refusal),
        };
        let Ok(tls) = self.greet() else {
            self.addresses.leave(peer);
            return shut(socket, cx);
        };
        let http = || Stage::Http(Box::default());
        let stage = if peer.is_proxied() { Stage::Preface(Box::default()) } else { http() };
        let Some(token) = self.open(socket, peer, stage, tls, cx) else { return };
        if let Some(error) = refusal {
            self.refuse_and_finish(token, &error, cx);
        } else if self.slots_left() < SLOTS_RESERVED || self.draining.is_some() {
            self.pause_accepting(cx);
            let error =
                if self.draining.is_some() { Error::draining() } else { Error::insufficient_resources() };
            self.refuse_and_finish(token, &error, cx);
        } else if self.squeezed.is_some() || self.is_shut() {
            self.stats.control.newcomers_refused += 1;
            self.refuse_and_finish(token, &Error::insufficient_resources(), cx);
        }
    }

    /// Gives a socket its slot and its first recv.
    pub(crate) fn open(
        &mut self,
        socket: Socket,
        peer: Peer,
        stage: Stage,
        tls: Option<Box<Tls>>,
        cx: &mut Cx<'_>,
    ) -> Option<Token> {
        let wake = cx.now.mono.plus(self.config.http.head_deadline);
        let (egress, heard) = (Egress::default(), cx.now.mono);
        let mut conn = Connection { socket, peer, egress, tls, stage, heard, wake };
        if conn.is_handshaking() {
            conn.egress.hold(Vec::new());
        }
        let said = conn.is_said();
        let Ok(token) = self.conns.insert(conn) else {
            self.addresses.leave(peer);
            shut(socket, cx);
            return None;
        };
        if !said {
            self.dirty.push(token);
        }
        self.stats.connections += 1;
        cx.out.ops.push(Watch::Once.op(token, socket));
        self.alarm(wake, Alarm::Connection(token));
        Some(token)
    }

    pub(crate) fn slots_left(&self) -> u32 {
        self.config.connections_max.saturating_sub(self.conns.len())
    }

    fn pause_accepting(&mut self, cx: &mut Cx<'_>) {
        if std::mem::replace(&mut self.accepting, false) {
            for listener in 0..self.config.listeners {
                cx.out.ops.push(Op::StopAccept { listener: Listener(listener) });
            }
            let feeling = if self.draining.is_none() { Feeling::Pain } else { Feeling::Pleasure };
            self.feel(Cause::Connections, feeling, cx);
        }
    }

    /// Accepting stopped: on request, or because something ran out.
    pub(crate) fn accept_failed(&mut self, listener: Listener, errno: Errno, cx: &mut Cx<'_>) {
        self.accept_trouble(errno, cx);
        self.alarm(cx.now.mono.plus(ACCEPT_RETRY), Alarm::Accept(listener));
    }

    /// Accepts again once more than the reserve is free. The pause between two tries is all that keeps a table
    /// that is nearly full from going back and forth: to wait for more room could be to wait for ever.
    pub(crate) fn accept_again(&mut self, listener: Listener, cx: &mut Cx<'_>) {
        if self.draining.is_some() || self.succession.is_some() {
            return;
        }
        if !self.accepting && self.slots_left() <= SLOTS_RESERVED {
            return self.alarm(cx.now.mono.plus(ACCEPT_RETRY), Alarm::Accept(listener));
        }
        self.accepting = true;
        self.feel(Cause::Connections, Feeling::Pleasure, cx);
        cx.out.ops.push(Op::Accept { listener });
    }

    /// Input, as it came.
    pub(crate) fn received(&mut self, token: Token, bytes: &mut [u8], cx: &mut Cx<'_>) {
        let conn = self.conns.get(token);
        self.stats.bytes.received(conn.map_or(Medium::Http, |conn| conn.stage.medium()), bytes.len());
        match conn {
            // What a proxy says of its client stands before the client's own bytes.
            Some(conn) if matches!(conn.stage, Stage::Preface(_)) => self.preface_received(token, bytes, cx),
            Some(conn) if conn.tls.is_some() => self.tls_received(token, bytes, cx),
            _ => self.plain_received(token, bytes, cx),
        }
    }

    /// Input in plaintext.
    pub(crate) fn plain_received(&mut self, token: Token, bytes: &mut [u8], cx: &mut Cx<'_>) {
        let Some(conn) = self.conns.get_mut(token) else { return };
        match &mut conn.stage {
            Stage::Http(_) => self.http_received(token, bytes, cx),
            Stage::WebSocket(_) => self.websocket_received(token, bytes, cx),
            // Came before the driver had ended the recv.
            Stage::Leaving(departure) => departure.parcel.bytes.extend_from_slice(bytes),
            Stage::Upstream(_) => self.wire_received(token, bytes, cx),
            // An SSE client has nothing to say after its request, a closing one nothing that counts.
            Stage::Preface(_) | Stage::Sse(_) | Stage::Closing | Stage::Closed | Stage::Lent => {}
            Stage::Poll(_) => {}
        }
    }

    /// A parked connection has something to say.
    pub(crate) fn readable(&mut self, token: Token, cx: &mut Cx<'_>) {
        let park = self.config.websocket.park_after;
        let Some(conn) = self.conns.get_mut(token) else { return };
        match &mut conn.stage {
            Stage::WebSocket(link) => {
                // An armed multishot recv holds more of the kernel's memory than a poll, and takes it from the same
                // pages as every other socket: only who says one thing after the other gets one. Of TLS one recv may be
                // half a record.
                let goes_on = link.tasted && cx.now.mono < conn.heard.plus(park) || conn.tls.is_some();
                link.watch = if goes_on { Watch::Stream } else { Watch::Taste };
                link.tasted = true;
                conn.heard = cx.now.mono;
                cx.out.ops.push(link.watch.op(token, conn.socket));
                self.wake_by(token, cx.now.mono.plus(park));
            }
            Stage::Sse(_) => cx.out.ops.push(Watch::Stream.op(token, conn.socket)),
            _ => {}
        }
    }

    /// No more input.
    pub(crate) fn ended(&mut self, token: Token, errno: Option<Errno>, cx: &mut Cx<'_>) {
        let Some(conn) = self.conns.get_mut(token) else { return };
        let handshaking = conn.is_handshaking();
        match &mut conn.stage {
            // Half-closed with a request under way: it still gets its answer.
            Stage::Http(exchange) if errno.is_none() && exchange.outlives_input() => exchange.ended = true,
            Stage::Closed | Stage::Leaving(_) => {}
            Stage::Upstream(_) if handshaking => self.close(token, cx),
            Stage::Upstream(_) => {
                // What TLS has not ended, somebody may have cut off (RFC 8446, section 6.1).
                let whole = conn.tls.as_ref().is_none_or(|tls| tls.is_closed());
                self.wire_ended(token, whole && errno.is_none(), cx);
            }
            // Everything was sent before the peer's end was seen, or goes with the close.
            Stage::Closing if errno.is_none() && conn.egress.is_blocked() => {}
            Stage::WebSocket(_) | Stage::Sse(_) if errno.is_some() => self.broken(token, cx),
            // Without a close frame (RFC 6455, section 7.1.5: 1006).
            Stage::WebSocket(_) => self.fail(token, cx),
            _ => self.close(token, cx),
        }
    }

    /// The slot is free again.
    pub(crate) fn closed(&mut self, token: Token) {
        if let Some(conn) = self.conns.remove(token) {
            self.addresses.leave(conn.peer);
            self.stats.connections -= 1;
        }
    }

    /// Closes at once. What waits to leave is given up.
    pub(crate) fn close(&mut self, token: Token, cx: &mut Cx<'_>) {
        let Some(conn) = self.conns.get_mut(token) else { return };
        match conn.stage {
            Stage::Closed => return,
            Stage::Upstream(_) if conn.is_handshaking() => {
                return self.abandon_wire(token, UpstreamFault::Tls(NO_TLS.into()), cx);
            }
            _ => {}
        }
        conn.egress.uncount(&mut self.queued);
        conn.hang_up(token, cx.out);
        let was = std::mem::replace(&mut conn.stage, Stage::Closed);
        self.left(token, was, cx);
    }

    /// Closes once everything written so far has left.
    pub(crate) fn finish(&mut self, token: Token, cx: &mut Cx<'_>) {
        let Some(conn) = self.conns.get_mut(token) else { return };
        if matches!(conn.stage, Stage::Closed | Stage::Closing) {
            return;
        }
        let was = std::mem::replace(&mut conn.stage, Stage::Closing);
        conn.heard = cx.now.mono;
        cx.out.ops.push(Watch::Stream.op(token, conn.socket));
        self.finishing.push(token);
        self.wake_by(token, cx.now.mono.plus(LINGER));
        self.left(token, was, cx);
    }

    /// A connection stops being what it was.
    pub(crate) fn left(&mut self, token: Token, was: Stage, cx: &mut Cx<'_>) {
        match was {
            Stage::WebSocket(link) => self.forget_link(token, *link, cx),
            Stage::Sse(feed) => self.forget_feed(token, *feed, cx),
            Stage::Poll(poll) => self.forget_poll(token, *poll, cx),
            Stage::Upstream(wire) => self.wire_left(token, *wire, UpstreamFault::Broken, cx),
            Stage::Http(exchange) => self.forget_exchange(token, *exchange, cx),
            Stage::Preface(_) | Stage::Leaving(_) | Stage::Closing | Stage::Closed | Stage::Lent => {}
        }
    }

    /// Shuts the sending half of finishing connections whose last bytes left in an earlier turn.
    pub(crate) fn finish_pending(&mut self, cx: &mut Cx<'_>) {
        let finishing = std::mem::take(&mut self.finishing);
        for token in finishing {
            let Some(conn) = self.conns.get_mut(token) else { continue };
            if !matches!(conn.stage, Stage::Closing) {
                continue;
            }
            if !conn.is_said() {
                if !conn.egress.is_blocked() {
                    self.finishing.push(token);
                }
            } else if conn.tls.as_mut().is_some_and(|tls| tls.close()) {
                self.dirty.push(token);
                self.finishing.push(token);
            } else {
                cx.out.ops.push(Op::Shutdown { token, socket: conn.socket });
            }
        }
    }

    /// Makes sure the connection is looked at by `at`.
    pub(crate) fn wake_by(&mut self, token: Token, at: Instant) {
        let Some(conn) = self.conns.get_mut(token) else { return };
        if at < conn.wake {
            conn.wake = at;
            self.alarm(at, Alarm::Connection(token));
        }
    }

    /// A look at a connection. The wheel's entries are never cancelled, so early ones are stale.
    pub(crate) fn examine(&mut self, token: Token, cx: &mut Cx<'_>) {
        let Some(conn) = self.conns.get_mut(token) else { return };
        if cx.now.mono < conn.wake {
            return;
        }
        // What the look itself asks for counts, too.
        conn.wake = Instant(u64::MAX);
        let Some(proved) = self.examine_proof(token, cx) else { return };
        let Some(conn) = self.conns.get(token) else { return };
        let next = match &conn.stage {
            Stage::Http(_) => self.examine_exchange(token, cx),
            Stage::WebSocket(_) => self.examine_link(token, cx),
            Stage::Sse(_) => self.examine_feed(token, cx),
            Stage::Poll(_) => self.examine_poll(token, cx),
            Stage::Upstream(_) => self.examine_wire(token, cx),
            Stage::Leaving(_) => Some(cx.now.mono.plus(LINGER)),
            Stage::Closing if cx.now.mono < conn.heard.plus(LINGER) => Some(conn.heard.plus(LINGER)),
            Stage::Preface(_) | Stage::Closing => {
                self.close(token, cx);
                None
            }
            Stage::Closed | Stage::Lent => None,
        };
        if let Some(next) = next {
            self.wake_by(token, next.min(proved));
        }
    }
}

/// Closes a socket that has no slot.
fn shut(socket: Socket, cx: &mut Cx<'_>) {
    let nobody = Token { index: u32::MAX, generation: 0 };
    cx.out.ops.push(Op::Close { token: nobody, socket });
}
