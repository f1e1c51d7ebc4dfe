//! Bytes to one connection: appended, flushed once a turn, drained when the peer is slow.

use weir_ring::op::{Errno, Op};
use weir_ring::token::Token;

use crate::downstream::connection::{Link, Speaks, Stage, Watch};
use crate::downstream::control::Circuit;
use crate::downstream::egress::{Overflow, Stuck, Wrote};
use crate::tls::Exhausted;
use crate::turn::{Cx, Shard};

/// What the test endpoint may have in its queue: an echo of the largest case of Autobahn's.
const ECHO_QUEUE_BYTES_MAX: usize = 40 << 20;

impl Shard {
    /// Appends a whole message to what leaves on `token`. A connection that cannot keep up is closed:
    /// its client resumes with its cursor.
    pub(crate) fn put(&mut self, token: Token, cx: &mut Cx<'_>, write: impl FnOnce(&mut Vec<u8>)) {
        let left = self.queue_bytes_left();
        let max = self.config.queue_bytes_max;
        let Some(conn) = self.conns.get_mut(token).filter(|conn| conn.speaks()) else { return };
        let wrote = conn.egress.message(cx.out, conn.egress.bound(max, left), write);
        self.wrote(token, wrote, cx);
    }

    /// What the queues of all connections together may still grow by.
    fn queue_bytes_left(&self) -> usize {
        self.config.queue_bytes_total_max.saturating_sub(self.queued)
    }

    /// As `put`, under the test endpoint's bound.
    pub(crate) fn put_echo(&mut self, token: Token, cx: &mut Cx<'_>, write: impl FnOnce(&mut Vec<u8>)) {
        let Some(conn) = self.conns.get_mut(token).filter(|conn| conn.speaks()) else { return };
        let wrote = conn.egress.message(cx.out, ECHO_QUEUE_BYTES_MAX, write);
        self.wrote(token, wrote, cx);
    }

    /// Appends a request to an upstream: its bound is that of what a client may send, and then some.
    pub(crate) fn put_upstream(&mut self, token: Token, cx: &mut Cx<'_>, write: impl FnOnce(&mut Vec<u8>)) {
        let max = self.upstream_queue_bytes_max();
        let Some(conn) = self.conns.get_mut(token).filter(|conn| conn.speaks()) else { return };
        let wrote = conn.egress.message(cx.out, max, write);
        self.wrote(token, wrote, cx);
    }

    fn upstream_queue_bytes_max(&self) -> usize {
        self.config.queue_bytes_max.saturating_add(self.config.message_bytes_max.saturating_mul(2))
    }

    /// Appends a control message: it overtakes queued messages and is exempt from their bound.
    pub(crate) fn put_control(&mut self, token: Token, cx: &mut Cx<'_>, write: impl FnOnce(&mut Vec<u8>)) {
        let Some(conn) = self.conns.get_mut(token).filter(|conn| conn.speaks()) else { return };
        let wrote = conn.egress.control(cx.out, write);
        self.wrote(token, wrote, cx);
    }

    /// Appends the last message of a connection, exempt from the bound. It overtakes nothing: a peer must not
    /// be sent messages after a close (RFC 6455, section 5.5.1).
    pub(crate) fn put_last(&mut self, token: Token, cx: &mut Cx<'_>, write: impl FnOnce(&mut Vec<u8>)) {
        let Some(conn) = self.conns.get_mut(token).filter(|conn| conn.speaks()) else { return };
        let wrote = conn.egress.message(cx.out, usize::MAX, write);
        self.wrote(token, wrote, cx);
    }

    /// Appends frame `index` of this turn.
    pub(crate) fn put_shared(&mut self, token: Token, cx: &mut Cx<'_>, index: u32) {
        let left = self.queue_bytes_left();
        let max = self.config.queue_bytes_max;
        let Some(conn) = self.conns.get_mut(token).filter(|conn| conn.speaks()) else { return };
        let wrote = conn.egress.shared(cx.out, index, conn.egress.bound(max, left));
        self.wrote(token, wrote, cx);
    }

    fn wrote(&mut self, token: Token, wrote: Result<Wrote, Overflow>, cx: &mut Cx<'_>) {
        match wrote {
            Ok(Wrote::First) => self.dirty.push(token),
            Ok(Wrote::More) => self.count_queue(token),
            Err(Overflow) => self.overflowed(token, cx),
        }
    }

    fn count_queue(&mut self, token: Token) {
        if let Some(conn) = self.conns.get_mut(token) {
            conn.egress.count(&mut self.queued);
        }
    }

    /// A send came short: the peer reads slower than we write.
    pub(crate) fn unsent(&mut self, token: Token, tail: &[u8], errno: Option<Errno>, cx: &mut Cx<'_>) {
        if errno.is_some() {
            return self.broken(token, cx);
        }
        let Some(conn) = self.conns.get(token) else { return };
        if matches!(conn.stage, Stage::Closed) {
            return;
        }
        let max = match &conn.stage {
            Stage::WebSocket(link) if link.speaks == Speaks::Echo => ECHO_QUEUE_BYTES_MAX,
            Stage::Upstream(_) => self.upstream_queue_bytes_max(),
            _ => self.config.queue_bytes_max.min(conn.egress.queued() + self.queue_bytes_left()),
        };
        let Some(conn) = self.conns.get_mut(token) else { return };
        let bytes = match conn.egress.unsent(tail, cx.out, max, conn.tls.as_deref_mut()) {
            Ok(bytes) => bytes,
            Err(Stuck::Overflow) => return self.overflowed(token, cx),
            Err(Stuck::Exhausted) => return self.broken(token, cx),
        };
        conn.heard = cx.now.mono;
        conn.egress.count(&mut self.queued);
        self.stats.queue_bytes_peak = self.stats.queue_bytes_peak.max(conn.egress.queued() as u64);
        // The tail was counted when it was sent.
        self.stats.bytes.sent(conn.stage.medium(), bytes.len().saturating_sub(tail.len()));
        cx.out.ops.push(Op::Drain { token, socket: conn.socket, bytes });
        self.hold_input(token, cx);
    }

    /// What was drained has left.
    pub(crate) fn drained(&mut self, token: Token, errno: Option<Errno>, cx: &mut Cx<'_>) {
        if errno.is_some() {
            return self.broken(token, cx);
        }
        let Some(conn) = self.conns.get_mut(token) else { return };
        if matches!(conn.stage, Stage::Closed) {
            return;
        }
        conn.heard = cx.now.mono;
        self.stats.queue_bytes_peak = self.stats.queue_bytes_peak.max(conn.egress.queued() as u64);
        conn.egress.uncount(&mut self.queued);
        match conn.egress.drained(conn.tls.as_deref_mut()) {
            Ok(None) => {}
            Ok(Some(bytes)) => {
                conn.egress.count(&mut self.queued);
                self.stats.bytes.sent(conn.stage.medium(), bytes.len());
                cx.out.ops.push(Op::Drain { token, socket: conn.socket, bytes });
                return;
            }
            Err(Exhausted) => return self.broken(token, cx),
        }
        match &conn.stage {
            Stage::Closing => self.finishing.push(token),
            Stage::Leaving(_) => self.leaving.push(token),
            _ => {
                self.hungry.push(token);
                self.unhold(token, cx);
            }
        }
    }

    /// Stops reading from a WebSocket peer that does not read: what it asks for would only pile up.
    fn hold_input(&mut self, token: Token, cx: &mut Cx<'_>) {
        let Some(conn) = self.conns.get_mut(token) else { return };
        if let Stage::WebSocket(link) = &mut conn.stage
            && link.watch != Watch::Once
        {
            link.watch = Watch::Held;
            cx.out.ops.push(Watch::Held.op(token, conn.socket));
        }
    }

    fn unhold(&mut self, token: Token, cx: &mut Cx<'_>) {
        let Some(conn) = self.conns.get_mut(token) else { return };
        if let Stage::WebSocket(link) = &mut conn.stage
            && link.watch == Watch::Held
        {
            link.watch = Watch::Stream;
            cx.out.ops.push(Watch::Stream.op(token, conn.socket));
        }
    }

    /// The connection is broken: nothing more can be said on it.
    pub(crate) fn broken(&mut self, token: Token, cx: &mut Cx<'_>) {
        let fresh = match self.conns.get_mut(token).map(|conn| &mut conn.stage) {
            Some(Stage::WebSocket(link)) => {
                self.stats.websocket.errors += 1;
                (!std::mem::replace(&mut link.lasted, true)).then_some(Circuit::WebSocket)
            }
            Some(Stage::Sse(feed)) => {
                self.stats.http_sse.errors += 1;
                (!std::mem::replace(&mut feed.lasted, true)).then_some(Circuit::HttpSse)
            }
            Some(Stage::Poll(_)) => {
                self.stats.longpoll.errors += 1;
                None
            }
            _ => None,
        };
        if let Some(circuit) = fresh {
            self.circuit_ended(circuit, false, cx);
        }
        self.fail(token, cx);
    }

    /// The connection cannot keep up.
    pub(crate) fn overflowed(&mut self, token: Token, cx: &mut Cx<'_>) {
        self.stats.overflowed += 1;
        self.fail(token, cx);
    }

    /// Closes a connection that its client has not asked to close: its transport has failed once more.
    pub(crate) fn fail(&mut self, token: Token, cx: &mut Cx<'_>) {
        self.mark_broken(token);
        self.close(token, cx);
    }

    /// When the connection is closed, its transport will have failed once more.
    pub(crate) fn mark_broken(&mut self, token: Token) {
        match self.conns.get_mut(token).map(|conn| &mut conn.stage) {
            Some(Stage::Sse(feed)) => feed.broke = true,
            Some(stage) => {
                if let Some(link) = stage.link_mut() {
                    link.broke = true;
                }
            }
            None => {}
        }
    }

    /// Lends the link of `token` out, so that its messages can change the shard.
    pub(crate) fn lend_link(&mut self, token: Token) -> Option<Box<Link>> {
        let conn = self.conns.get_mut(token)?;
        if let Stage::Poll(poll) = &mut conn.stage {
            return poll.link.take();
        }
        match std::mem::replace(&mut conn.stage, Stage::Lent) {
            Stage::WebSocket(link) => Some(link),
            other => {
                conn.stage = other;
                None
            }
        }
    }

    /// Takes a lent link back. If the connection was closed meanwhile, the link ends here.
    pub(crate) fn return_link(&mut self, token: Token, link: Box<Link>, cx: &mut Cx<'_>) {
        match self.conns.get_mut(token).map(|conn| &mut conn.stage) {
            Some(Stage::Poll(poll)) => poll.link = Some(link),
            Some(stage @ Stage::Lent) => *stage = Stage::WebSocket(link),
            _ => self.forget_link(token, *link, cx),
        }
    }
}
