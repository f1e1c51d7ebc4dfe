//! TLS in the shard: who gets it, whose turn it is, and what is done with what it brings.

use std::sync::Arc;

use weir_ring::token::Token;

use super::session::Opened;
use super::{Credentials, STEPS_PER_TURN, Tls};
use crate::downstream::{Stage, Watch};
use crate::error::Error;
use crate::metrics::Feature;
use crate::turn::{Cx, Shard};
use crate::upstream::UpstreamFault;

impl Shard {
    /// From now on newcomers are met, and upstreams called, with these. Connections that are open keep what they
    /// have.
    pub fn set_credentials(&mut self, credentials: Arc<Credentials>) {
        self.tls.credentials = credentials;
    }

    /// The TLS of a newcomer; none if listeners are plaintext.
    ///
    /// # Errors
    /// The credentials are of no use: who is owed TLS is not served without.
    pub(crate) fn greet(&self) -> Result<Option<Box<Tls>>, rustls::Error> {
        self.tls.credentials.server.clone().map(Tls::server).transpose()
    }

    /// The TLS of a connection to an upstream, whose certificate must be for `name`.
    ///
    /// # Errors
    /// There are no credentials for it, or they are of no use.
    pub(crate) fn call(&self, upstream: usize, name: &str, cx: &Cx<'_>) -> Result<Box<Tls>, rustls::Error> {
        let Credentials { upstreams, clock, .. } = &*self.tls.credentials;
        clock.set(cx.now.wall);
        let config = upstreams.get(upstream).cloned().flatten();
        let config = config.ok_or_else(|| rustls::Error::General("no roots are configured".into()))?;
        Tls::client(config, name)
    }

    /// Goes on with handshakes for which the turn before had no time.
    pub(crate) fn continue_handshakes(&mut self, cx: &mut Cx<'_>) {
        self.tls.steps_left = STEPS_PER_TURN;
        while self.tls.steps_left > 0
            && let Some(token) = self.tls.waiting.pop_front()
        {
            if let Some(tls) = self.conns.get_mut(token).and_then(|conn| conn.tls.as_mut()) {
                tls.waits = false;
                self.tls_received(token, &mut [], cx);
            }
        }
    }

    /// Input of a connection that speaks TLS, or nothing, to go on with what it has kept.
    pub(crate) fn tls_received(&mut self, token: Token, bytes: &mut [u8], cx: &mut Cx<'_>) {
        let Some(conn) = self.conns.get_mut(token) else { return };
        let Some(tls) = &mut conn.tls else { return };
        let handshaking = tls.is_handshaking();
        if handshaking {
            if tls.is_http(bytes) {
                return self.spoke_http(token, cx);
            }
            if tls.waits || self.tls.steps_left == 0 {
                tls.keep(bytes);
                if !std::mem::replace(&mut tls.waits, true) {
                    self.tls.waiting.push_back(token);
                }
                return;
            }
            self.tls.steps_left -= 1;
        }
        self.tls.credentials.clock.set(cx.now.wall);
        let mut plain = std::mem::take(&mut self.tls.plain);
        let began = self.meter.begin();
        let opened = tls.receive(bytes, &mut plain);
        self.meter.end(Feature::Tls, began);
        if tls.has_outgoing() {
            self.dirty.push(token);
        }
        if handshaking && !tls.is_handshaking() {
            self.handshake_done(token, cx);
        }
        self.hand_up(token, opened, &mut plain, cx);
        plain.clear();
        self.tls.plain = plain;
    }

    /// Gives what was decrypted to those who wait for it.
    fn hand_up(&mut self, token: Token, opened: Opened, plain: &mut [u8], cx: &mut Cx<'_>) {
        if !plain.is_empty() {
            self.plain_received(token, plain, cx);
        }
        if let Some(fault) = opened.fault {
            self.tls_failed(token, &fault, cx);
        } else if opened.closed {
            self.ended(token, None, cx);
        } else if plain.is_empty() {
            self.read_on_unless_read(token, cx);
        }
    }

    /// Nothing of use has come: who is read once is read once more.
    fn read_on_unless_read(&mut self, token: Token, cx: &mut Cx<'_>) {
        let Some(conn) = self.conns.get(token) else { return };
        let once = match &conn.stage {
            Stage::Http(exchange) => exchange.watch == Watch::Once && exchange.waiting.is_none(),
            Stage::WebSocket(link) => link.watch == Watch::Once,
            _ => false,
        };
        if once {
            cx.out.ops.push(Watch::Once.op(token, conn.socket));
        }
    }

    /// What was held until the handshake was over may leave.
    fn handshake_done(&mut self, token: Token, cx: &mut Cx<'_>) {
        let Some(conn) = self.conns.get_mut(token) else { return };
        self.stats.tls.handshakes += 1;
        self.stats.tls.resumed += u64::from(conn.tls.as_ref().is_some_and(|tls| tls.is_resumed()));
        if matches!(conn.stage, Stage::Upstream(_)) {
            conn.heard = cx.now.mono;
        }
        self.let_go(token, cx);
    }

    /// Ends the hold of a connection.
    fn let_go(&mut self, token: Token, cx: &mut Cx<'_>) {
        let Some(conn) = self.conns.get_mut(token) else { return };
        // Else its end goes on with what was held.
        if conn.egress.is_draining() {
            return;
        }
        conn.egress.uncount(&mut self.queued);
        let held = conn.egress.release();
        if !held.is_empty() {
            self.dirty.push(token);
            if conn.egress.message(cx.out, usize::MAX, |out| out.extend_from_slice(&held)).is_err() {
                return self.overflowed(token, cx);
            }
        }
        if matches!(conn.stage, Stage::Closing) {
            self.finishing.push(token);
        }
    }

    /// Somebody asks in plain HTTP where TLS is spoken.
    fn spoke_http(&mut self, token: Token, cx: &mut Cx<'_>) {
        let Some(conn) = self.conns.get_mut(token) else { return };
        // What is held is for whoever proves to be the upstream, and never leaves in plaintext.
        if matches!(conn.stage, Stage::Upstream(_)) {
            return self.abandon_wire(token, UpstreamFault::Tls("it answers in plain HTTP".into()), cx);
        }
        self.stats.tls.plaintext += 1;
        conn.tls = None;
        let undecided = matches!(conn.stage, Stage::Http(_));
        self.let_go(token, cx);
        if undecided {
            let error = Error::malformed(
                "the request came in plain HTTP and this port speaks TLS: use https:// or wss://",
            );
            self.refuse_and_finish(token, &error, cx);
        }
    }

    /// The keys of a connection may encrypt nothing more: it ends, in order, and its client comes again.
    pub(crate) fn tls_exhausted(&mut self, token: Token, cx: &mut Cx<'_>) {
        self.mark_broken(token);
        self.dirty.push(token);
        self.finish(token, cx);
    }

    /// The peer's TLS cannot be followed, or it does not follow ours. It is told by an alert.
    pub(crate) fn tls_failed(&mut self, token: Token, fault: &rustls::Error, cx: &mut Cx<'_>) {
        let Some(conn) = self.conns.get_mut(token) else { return };
        self.stats.tls.failed += 1;
        match &conn.stage {
            // Where it goes the same fault comes again.
            Stage::Leaving(_) => {}
            Stage::Upstream(_) => self.abandon_wire(token, UpstreamFault::Tls(fault.to_string().into()), cx),
            Stage::Closing => self.close(token, cx),
            _ if conn.egress.is_draining() => self.broken(token, cx),
            _ => {
                conn.egress.uncount(&mut self.queued);
                conn.egress.discard();
                self.dirty.push(token);
                self.mark_broken(token);
                self.finish(token, cx);
            }
        }
    }
}
