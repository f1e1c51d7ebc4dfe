//! An orderly stop: nothing new, every client told, every connection closed so that it comes back.

use weir_ring::op::Op;
use weir_ring::token::{Listener, Token};
use weir_transports::websocket::close;

use crate::downstream::connection::{Stage, Waiting};
use crate::lane::Lane;
use crate::outbox::{Gap, GapReason};
use crate::turn::{Cx, Shard};
use crate::vsm::{DrainPhase, Event};

impl Shard {
    /// Begins the stop.
    pub(crate) fn drain(&mut self, cx: &mut Cx<'_>) {
        if self.draining.is_some() {
            return;
        }
        self.draining = Some(cx.now.mono.plus(self.config.drain_timeout));
        self.herald.say(cx.now.wall, || Event::Drain { phase: DrainPhase::Begun });
        for listener in 0..self.config.listeners {
            cx.out.ops.push(Op::StopAccept { listener: Listener(listener) });
        }
        self.deliver_all(cx);
        let tokens: Vec<Token> = self.conns.iter().map(|(token, _)| token).collect();
        for token in tokens {
            self.send_away(token, cx);
        }
        self.end_patience(cx);
    }

    /// Says goodbye to one connection. Never with 1000: a client takes that for good (RFC 6455,
    /// section 7.4.1; phoenix.js stops reconnecting).
    fn send_away(&mut self, token: Token, cx: &mut Cx<'_>) {
        let Some(conn) = self.conns.get(token) else { return };
        match &conn.stage {
            Stage::Preface(_) => self.close(token, cx),
            Stage::Http(exchange) if exchange.waiting.is_none() => self.finish(token, cx),
            Stage::Http(exchange) if matches!(exchange.waiting, Some(Waiting::Mcp(_))) => {
                self.send_away_mcp(token, cx);
            }
            Stage::Sse(feed) => {
                let session = feed.session;
                self.tell_shutdown(token, Some(session), cx);
                self.finish(token, cx);
            }
            stage => {
                let Some(link) = stage.link() else { return };
                let session = link.session.filter(|_| link.gateway);
                self.tell_shutdown(token, session, cx);
                self.close_link(token, close::SERVICE_RESTART, "the server restarts: come back", cx);
            }
        }
    }

    /// Says that the server stops. A stream's memory ends with the process, unless there is a log: what a client
    /// has not been sent is named.
    fn tell_shutdown(&mut self, token: Token, session: Option<Token>, cx: &mut Cx<'_>) {
        let deadline = self.config.drain_timeout.as_millis() as u64 + cx.now.wall.0;
        let shutdown = serde_json::json!({
            "message": "the server restarts",
            "reason": "draining",
            "reconnect_after": self.config.sse.retry.as_millis() as u64,
            "deadline": deadline,
        });
        self.tell(token, "shutdown_pending", shutdown.to_string().as_bytes(), cx);
        let Some(id) = session.filter(|_| self.journal.is_none()) else { return };
        for gap in self.unsent_gaps(token, id) {
            self.tell_gap(token, id, gap, cx);
        }
    }

    /// What a connection has not been sent, by lane.
    fn unsent_gaps(&self, token: Token, id: Token) -> Vec<(Lane, Gap)> {
        let mailbox = self.sessions.get(id).and_then(|session| session.mailbox.as_deref());
        let marks = self.conns.get(token).and_then(|conn| conn.stage.marks());
        let (Some(mailbox), Some(marks)) = (mailbox, marks) else { return Vec::new() };
        let unsent = mailbox.lanes().map(|(lane, stream)| {
            let (from, to) = (marks.get(lane).cursor + 1, stream.outbox.durable());
            (lane, Gap { from, to, reason: GapReason::Draining })
        });
        unsent.filter(|(_, gap)| gap.from <= gap.to).collect()
    }

    /// A drain that takes too long ends by force.
    pub(crate) fn drain_overdue(&mut self, cx: &mut Cx<'_>) {
        if self.draining.is_some_and(|end| cx.now.mono >= end) {
            let tokens: Vec<Token> = self.conns.iter().map(|(token, _)| token).collect();
            let is_open = |token: &Token| {
                self.conns.get(*token).is_some_and(|conn| !matches!(conn.stage, Stage::Closed))
            };
            if tokens.iter().any(is_open) {
                self.herald.say(cx.now.wall, || Event::Drain { phase: DrainPhase::Overdue });
            }
            for token in tokens {
                self.close(token, cx);
            }
        }
    }
}
