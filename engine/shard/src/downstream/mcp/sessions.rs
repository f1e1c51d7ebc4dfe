//! Sessions as their carriers see them: aged and ended.

use weir_ring::time::Instant;
use weir_ring::token::Token;

use std::time::Duration;

use crate::downstream::mcp::fault::Fault;
use crate::downstream::mcp::pending::{Form, Source};
use crate::downstream::mcp::streams::Stream;
use crate::mcp::session::Carrier;
use crate::turn::{Alarm, Cx, Shard};

/// How often a session's old events are looked at, at least.
const LOOK_INTERVAL: Duration = Duration::from_secs(60);

impl Shard {
    /// A session over Streamable HTTP was opened: from now on its age is looked at.
    pub(crate) fn watch_session(&mut self, session: Token, now: Instant) {
        self.alarm(now.plus(self.look_interval()), Alarm::McpSession(session));
    }

    fn look_interval(&self) -> Duration {
        let idle = self.config.mcp.session_idle_timeout;
        if idle.is_zero() { LOOK_INTERVAL } else { idle.min(LOOK_INTERVAL) }
    }

    /// A look at a session: old events go, and the session itself when its client has long been silent.
    pub(crate) fn examine_mcp_session(&mut self, id: Token, cx: &mut Cx<'_>) {
        let (now, idle) = (cx.now.mono, self.config.mcp.session_idle_timeout);
        let Shard { mcp, config, stats, .. } = self;
        let Some(session) = mcp.sessions.get_mut(id) else { return };
        let Carrier::Streamable(streams) = &mut session.carrier else { return };
        let aged = |stream: &mut Stream| match stream.lags() {
            true => 0,
            false => stream.log.as_mut().map_or(0, |log| log.trim_age(now, &config.outbox)),
        };
        let freed: usize = streams.iter_mut().map(aged).sum();
        stats.outbox_bytes -= freed as u64;
        if streams.is_busy() {
            session.heard = now;
        }
        let end = session.heard.plus(idle);
        if !idle.is_zero() && now >= end {
            return self.end_session(id, cx);
        }
        let next = now.plus(self.look_interval());
        self.alarm(if idle.is_zero() { next } else { next.min(end) }, Alarm::McpSession(id));
    }

    /// Ends a session: its requests are answered so, its own stream is over, and the hub forgets it.
    pub(crate) fn end_session(&mut self, session: Token, cx: &mut Cx<'_>) {
        self.refuse_calls(session, cx);
        let (carriers, bytes) = match self.streams(session) {
            Some(streams) => (streams.carriers().collect::<Vec<_>>(), streams.bytes()),
            None => (Vec::new(), 0),
        };
        self.mcp_close(session, cx);
        self.stats.outbox_bytes -= bytes as u64;
        for (_, connection) in carriers {
            let Some(pending) = self.take_pending(connection) else { continue };
            match pending.source {
                Source::Stream { session: of, .. } if of == session => {}
                _ => {
                    self.put_pending(connection, pending);
                    continue;
                }
            }
            if pending.form == Form::Streaming {
                self.end_stream(connection, &pending, cx);
            } else {
                self.refuse_mcp(connection, &Fault::no_session(), pending.terms, cx);
                self.answered_pending(connection, &pending, cx);
            }
        }
    }

    /// While the server stops: sessions without a request under way end.
    pub(crate) fn end_quiet_sessions(&mut self, cx: &mut Cx<'_>) {
        let quiet = |carrier: &Carrier| match carrier {
            Carrier::Streamable(streams) => !streams.has_requests(),
            // They end with their connections.
            Carrier::HttpSse { .. } | Carrier::WebSocket { .. } | Carrier::Channel { .. } => false,
        };
        let sessions = self.mcp.sessions.iter();
        let over: Vec<Token> = sessions.filter(|(_, s)| quiet(&s.carrier)).map(|(token, _)| token).collect();
        for session in over {
            self.end_session(session, cx);
        }
    }

    /// The server stops: streams without end come to one. What waits for an answer still gets it.
    pub(crate) fn send_away_mcp(&mut self, connection: Token, cx: &mut Cx<'_>) {
        let Some(pending) = self.take_pending(connection) else { return };
        if !pending.is_endless() {
            return self.put_pending(connection, pending);
        }
        self.end_stream(connection, &pending, cx);
        self.forget_pending(connection, pending);
    }
}
