//! An MCP request under way on an HTTP connection: what it waits for, and how its answer is written.

use weir_ring::time::Instant;
use weir_ring::token::Token;
use weir_transports::http1::response;
use weir_transports::mcp::Version;
use weir_transports::sse;

use std::sync::Arc;
use std::time::Duration;

use crate::downstream::connection::{Stage, Waiting, Watch};
use crate::downstream::identity::Proof;
use crate::downstream::lifecycle::WRITE_STALL;
use crate::downstream::reply::Terms;
use crate::mcp::outlet::Outlet;
use crate::metrics::Sent;
use crate::policy::auth::Principal;
use crate::turn::{Cx, Shard};

/// Something is sent at least this often, so that proxies do not take the stream for dead.
pub(crate) const COMMENT_INTERVAL: Duration = Duration::from_secs(15);

/// Against buffering and rewriting on the way (nginx, caches, transforming proxies).
const SSE_HEADERS: [(&str, &str); 3] = [
    ("Content-Type", "text/event-stream"),
    ("Cache-Control", "no-cache, no-transform"),
    ("X-Accel-Buffering", "no"),
];

/// An MCP request whose answer is not complete.
#[derive(Debug)]
pub(crate) struct Pending {
    /// Which messages are its answer.
    pub(crate) source: Source,
    /// How they are written.
    pub(crate) form: Form,
    /// Headers of the answer.
    pub(crate) terms: Terms,
    /// The client knows chunks (HTTP/1.1): the connection outlives the stream.
    pub(crate) chunked: bool,
    /// Who asks, looked at again while it waits.
    pub(crate) proof: Proof,
    /// An `initialize`: the answer names the session.
    pub(crate) opens: bool,
    /// A `subscriptions/listen`: ends when somebody ends it.
    pub(crate) long: bool,
}

/// Which messages answer a request.
#[derive(Debug)]
pub(crate) enum Source {
    /// Those for its own outlet.
    Stateless {
        /// Its number: tells it from other requests of the connection.
        exchange: u32,
    },
    /// Those of a session's stream.
    Stream {
        /// The session.
        session: Token,
        /// Number of the stream; 0 is the session's own.
        stream: u32,
        /// Number of the last event written here.
        cursor: u64,
    },
    /// All of a session over HTTP+SSE.
    HttpSse(Box<HttpSse>),
}

/// The server's half of HTTP+SSE.
#[derive(Debug)]
pub(crate) struct HttpSse {
    /// What `sessionId` names it.
    pub(crate) id: Box<str>,
    /// Whose it is, as proved.
    pub(crate) who: Option<Arc<Principal>>,
    /// Its session, once there was an `initialize`.
    pub(crate) session: Option<Token>,
}

/// How far an answer is, and what it may become.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Form {
    /// Nothing is written: JSON, or SSE if something comes before the answer.
    Undecided,
    /// Nothing is written, and the client does not take SSE: what comes before the answer is left out.
    Json,
    /// Nothing is written, and it will be SSE.
    Sse,
    /// The head of an SSE stream is written.
    Streaming,
}

/// What an event is called: its stream and its number there.
#[derive(Clone, Copy, Debug)]
pub(crate) struct EventId {
    pub(crate) stream: u32,
    pub(crate) sequence: u64,
}

impl Pending {
    /// Whether it is a stream that comes to no end by itself.
    pub(crate) fn is_endless(&self) -> bool {
        let endless = match self.source {
            Source::Stateless { .. } => self.long,
            Source::Stream { stream, .. } => stream == 0,
            Source::HttpSse(_) => true,
        };
        endless && self.form == Form::Streaming
    }

    /// The session whose every message goes over it, over HTTP+SSE.
    pub(crate) fn carried(&self) -> Option<Token> {
        match &self.source {
            Source::HttpSse(stream) => stream.session,
            Source::Stateless { .. } | Source::Stream { .. } => None,
        }
    }

    /// Whether a peer that has sent its last byte may still read the answer. One that closes a stateless
    /// request or a stream of its own has given it up.
    pub(crate) fn outlives_input(&self) -> bool {
        matches!(self.source, Source::Stream { stream, .. } if stream != 0)
    }
}

impl EventId {
    /// `STREAM-SEQUENCE`; `None`: no id of this server's.
    pub(crate) fn parse(text: &str) -> Option<EventId> {
        let (stream, sequence) = text.split_once('-')?;
        let number = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
        if !number(stream) || !number(sequence) {
            return None;
        }
        Some(EventId { stream: stream.parse().ok()?, sequence: sequence.parse().ok()? })
    }
}

impl Shard {
    /// Takes the request under way on `connection`; [`Shard::put_pending`] gives it back.
    pub(crate) fn take_pending(&mut self, connection: Token) -> Option<Pending> {
        if let Some((token, _)) = &self.serving.request
            && *token == connection
        {
            return self.serving.request.take().map(|(_, pending)| pending);
        }
        let Stage::Http(exchange) = &mut self.conns.get_mut(connection)?.stage else { return None };
        match exchange.waiting.take() {
            Some(Waiting::Mcp(pending)) => Some(*pending),
            other => {
                exchange.waiting = other;
                None
            }
        }
    }

    /// The request goes on waiting. If its connection was closed meanwhile, it ends here.
    pub(crate) fn put_pending(&mut self, connection: Token, pending: Pending) {
        match self.conns.get_mut(connection).map(|conn| &mut conn.stage) {
            Some(Stage::Http(exchange)) => exchange.waiting = Some(Waiting::Mcp(Box::new(pending))),
            Some(Stage::Lent) => self.serving.request = Some((connection, pending)),
            _ => self.forget_pending(connection, pending),
        }
    }

    /// Who waits for a request that has lost its connection learns of it.
    pub(crate) fn forget_pending(&mut self, connection: Token, pending: Pending) {
        match pending.source {
            Source::Stateless { exchange } => {
                self.serving.abandoned.push(Outlet::Post { connection, exchange });
            }
            Source::Stream { session, stream, .. } => self.detach(session, stream, connection),
            Source::HttpSse(stream) => {
                self.serving.http_sse.remove(&stream.id);
                self.serving.ended.extend(stream.session);
            }
        }
    }

    /// The answer is written: on to the connection's next request.
    pub(crate) fn answered_pending(&mut self, connection: Token, pending: &Pending, cx: &mut Cx<'_>) {
        let draining = self.draining.is_some();
        let Some(conn) = self.conns.get_mut(connection) else { return };
        // In other stages the connection is being served, and its request is found to be done.
        let Stage::Http(exchange) = &mut conn.stage else { return };
        conn.heard = cx.now.mono;
        if !pending.terms.keep_alive || exchange.ended || draining {
            self.finish(connection, cx);
        } else if !exchange.spill.is_empty() || exchange.watch != Watch::Stream {
            self.serving.resumed.push(connection);
        }
    }

    /// Writes a whole answer: JSON.
    pub(crate) fn write_json(
        &mut self,
        connection: Token,
        pending: &Pending,
        status: u16,
        message: &[u8],
        cx: &mut Cx<'_>,
    ) {
        self.stats.http_requests += 1;
        self.stats.messages.sent(Sent::Mcp, 1);
        let session = self.opened(pending);
        let keep_alive = pending.terms.keep_alive;
        let json = ("Content-Type", "application/json");
        let own = match &session {
            Some(id) => &[json, ("Mcp-Session-Id", id)][..],
            None => &[json],
        };
        self.put_head(connection, own, &pending.terms, cx, |out, headers| {
            response::write(out, status, headers, message, keep_alive);
        });
    }

    /// Writes an answer without a body: accepted.
    pub(crate) fn write_accepted(&mut self, connection: Token, terms: Terms, cx: &mut Cx<'_>) {
        self.stats.http_requests += 1;
        self.put_head(connection, &[], &terms, cx, |out, headers| {
            response::write(out, 202, headers, b"", terms.keep_alive);
        });
    }

    /// Begins an SSE stream, unless it has begun.
    pub(crate) fn begin_stream(&mut self, connection: Token, pending: &mut Pending, cx: &mut Cx<'_>) {
        if pending.form == Form::Streaming {
            return;
        }
        pending.form = Form::Streaming;
        pending.terms.keep_alive &= pending.chunked;
        self.stats.http_requests += 1;
        let session = self.opened(pending);
        let Pending { chunked, terms, .. } = *pending;
        let [kind, cache, buffering] = SSE_HEADERS;
        let own = match &session {
            Some(id) => &[kind, cache, buffering, ("Mcp-Session-Id", id)][..],
            None => &SSE_HEADERS,
        };
        self.put_head(connection, own, &terms, cx, |out, headers| {
            if chunked {
                response::write_chunked_head(out, 200, headers, terms.keep_alive);
            } else {
                response::write_stream_head(out, 200, headers);
            }
        });
        self.prime(connection, pending, cx);
        self.wake_by(connection, cx.now.mono.plus(COMMENT_INTERVAL));
    }

    /// What a stream that can be resumed begins with since 2025-11-25: an id to resume from, and when.
    fn prime(&mut self, connection: Token, pending: &Pending, cx: &mut Cx<'_>) {
        let Source::Stream { session, stream, cursor: sequence } = pending.source else { return };
        let version = self.mcp.sessions.get(session).map(|session| session.version);
        if version < Some(Version::V2025_11_25) {
            return;
        }
        let retry = self.config.sse.retry.as_millis() as u64;
        let id = format!("{stream}-{sequence}");
        self.write_part(connection, pending, cx, |out| {
            sse::event(out, Some(&id), None, "");
            sse::retry(out, retry);
        });
    }

    /// Writes one message into a stream.
    pub(crate) fn write_event(
        &mut self,
        connection: Token,
        pending: &Pending,
        id: Option<EventId>,
        message: &[u8],
        cx: &mut Cx<'_>,
    ) {
        self.stats.http_sse.messages_out += 1;
        self.stats.messages.sent(Sent::Mcp, 1);
        let id = id.map(|EventId { stream, sequence }| format!("{stream}-{sequence}"));
        let message = String::from_utf8_lossy(message);
        self.write_part(connection, pending, cx, |out| {
            sse::event(out, id.as_deref(), Some("message"), &message);
        });
    }

    /// Writes a part of a stream.
    pub(crate) fn write_part(
        &mut self,
        connection: Token,
        pending: &Pending,
        cx: &mut Cx<'_>,
        write: impl FnOnce(&mut Vec<u8>),
    ) {
        let chunked = pending.chunked;
        self.put(connection, cx, |out| if chunked { response::write_chunk(out, write) } else { write(out) });
    }

    /// Ends a stream that has begun; the connection goes on if it can.
    pub(crate) fn end_stream(&mut self, connection: Token, pending: &Pending, cx: &mut Cx<'_>) {
        if pending.chunked {
            self.put(connection, cx, |out| out.extend_from_slice(response::LAST_CHUNK));
        }
        self.answered_pending(connection, pending, cx);
    }

    /// A look at a request that waits: a comment where a stream is quiet, a stream where an answer takes its
    /// time, and whether the peer still reads.
    pub(crate) fn examine_pending(&mut self, connection: Token, cx: &mut Cx<'_>) -> Option<Instant> {
        let conn = self.conns.get(connection)?;
        let Stage::Http(exchange) = &conn.stage else { return None };
        let Some(Waiting::Mcp(pending)) = &exchange.waiting else { return None };
        let next = Some(cx.now.mono.plus(COMMENT_INTERVAL));
        let (form, chunked) = (pending.form, pending.chunked);
        if conn.egress.is_blocked() {
            if cx.now.mono >= conn.heard.plus(WRITE_STALL) {
                self.broken(connection, cx);
                return None;
            }
            return next;
        }
        match form {
            Form::Json => {}
            Form::Streaming => self.put_control(connection, cx, |out| {
                if chunked {
                    response::write_chunk(out, |out| sse::comment(out, ""));
                } else {
                    sse::comment(out, "");
                }
            }),
            // The first look may be early.
            Form::Undecided | Form::Sse if cx.now.mono < conn.heard.plus(COMMENT_INTERVAL) => {
                return Some(conn.heard.plus(COMMENT_INTERVAL));
            }
            Form::Undecided | Form::Sse => self.begin_waiting(connection, cx),
        }
        next
    }

    /// An answer takes its time: as a stream it shows that it is alive, and a client can come back for it.
    fn begin_waiting(&mut self, connection: Token, cx: &mut Cx<'_>) {
        let Some(mut pending) = self.take_pending(connection) else { return };
        if let Source::Stream { session, stream, .. } = pending.source
            && let Some(stream) = self.stream(session, stream)
        {
            stream.log();
        }
        self.begin_stream(connection, &mut pending, cx);
        self.put_pending(connection, pending);
    }

    /// The id of the session that a request has opened.
    fn opened(&self, pending: &Pending) -> Option<Box<str>> {
        match pending.source {
            Source::Stream { session, .. } if pending.opens => {
                self.mcp.sessions.get(session).map(|session| session.id.clone())
            }
            _ => None,
        }
    }
}
