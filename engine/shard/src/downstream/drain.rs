//! An orderly stop: nothing new, every client told, every connection closed so that it comes back.

use weir_ring::op::Op;
use weir_ring::token::{Listener, Token};
use weir_transports::websocket::close;

use crate::downstream::connection::{Stage, Waiting};
use crate::outbox::{Gap, GapReason};
use crate::turn::{Cx, Shard};

impl Shard {
    /// Begins the stop.
    pub(crate) fn drain(&mut self, cx: &mut Cx<'_>) {
        if self.draining.is_some() {
            return;
        }
        self.draining = Some(cx.now.mono.plus(self.config.drain_timeout));
        for listener in 0..self.config.listeners {
            cx.out.ops.push(Op::StopAccept { listener: Listener(listener) });
        }
        let tokens: Vec<Token> = self.conns.iter().map(|(token, _)| token).collect();
        for token in tokens {
            self.send_away(token, cx);
        }
    }

    /// Says goodbye to one connection. Never with 1000: a client takes that for good (RFC 6455,
    /// section 7.4.1; phoenix.js stops reconnecting).
    fn send_away(&mut self, token: Token, cx: &mut Cx<'_>) {
        let Some(conn) = self.conns.get(token) else { return };
        match &conn.stage {
            Stage::Http(exchange) if exchange.waiting.is_none() => self.finish(token, cx),
            Stage::Http(exchange) if matches!(exchange.waiting, Some(Waiting::Mcp(_))) => {
                self.send_away_mcp(token, cx);
            }
            Stage::Sse(feed) => {
                let (session, cursor) = (Some(feed.session), feed.cursor);
                self.tell_shutdown(token, session, cursor, cx);
                self.finish(token, cx);
            }
            stage => {
                let Some(link) = stage.link() else { return };
                let (session, cursor) = (link.session.filter(|_| link.gateway), link.cursor);
                self.tell_shutdown(token, session, cursor, cx);
                self.close_link(token, close::SERVICE_RESTART, "the server restarts: come back", cx);
            }
        }
    }

    /// The stream's memory ends with the process: what a client has not been sent is named.
    fn tell_shutdown(&mut self, token: Token, session: Option<Token>, cursor: u64, cx: &mut Cx<'_>) {
        let deadline = self.config.drain_timeout.as_millis() as u64 + cx.now.wall.0;
        let shutdown = serde_json::json!({
            "message": "the server restarts",
            "reason": "draining",
            "reconnect_after": self.config.sse.retry.as_millis() as u64,
            "deadline": deadline,
        });
        self.tell(token, "shutdown_pending", shutdown.to_string().as_bytes(), cx);
        let Some(id) = session else { return };
        let head = self.sessions.get(id).map_or(0, |session| session.head());
        if cursor < head {
            let gap = Gap { from: cursor + 1, to: head, reason: GapReason::Draining };
            self.tell_gap(token, id, gap, cx);
        }
    }

    /// A drain that takes too long ends by force.
    pub(crate) fn drain_overdue(&mut self, cx: &mut Cx<'_>) {
        if self.draining.is_some_and(|end| cx.now.mono >= end) {
            let tokens: Vec<Token> = self.conns.iter().map(|(token, _)| token).collect();
            for token in tokens {
                self.close(token, cx);
            }
        }
    }
}
