//! Application SSE: a client's own stream, and the feed of all clients' pushes for backends.

use weir_ring::time::Instant;
use weir_ring::token::{Member, Token};
use weir_transports::http1::{Head, query, response};
use weir_transports::sse;

use std::time::Duration;

use crate::downstream::connection::{Feed, Filter, Stage, Watch};
use crate::downstream::control::Circuit;
use crate::downstream::exchange::{Outcome, Raw};
use crate::downstream::failover::Parting;
use crate::downstream::identity::{self, Proof};
use crate::downstream::lifecycle::WRITE_STALL;
use crate::downstream::opening::{Opened, Opening};
use crate::downstream::watching::Watching;
use crate::error::Error;
use crate::mail::Mail;
use crate::marks::Marks;
use crate::policy::routing::Carrier;
use crate::route;
use crate::turn::{Cx, Shard};

/// Something is sent at least this often, so that proxies do not take the stream for dead.
pub(crate) const COMMENT_INTERVAL: Duration = Duration::from_secs(15);

/// Against buffering and rewriting on the way (nginx, caches, transforming proxies).
const SSE_HEADERS: [(&str, &str); 3] = [
    ("Content-Type", "text/event-stream; charset=utf-8"),
    ("Cache-Control", "no-cache, no-transform"),
    ("X-Accel-Buffering", "no"),
];

const NDJSON_HEADERS: [(&str, &str); 3] =
    [("Content-Type", "application/x-ndjson"), SSE_HEADERS[1], SSE_HEADERS[2]];

impl Feed {
    /// A client's stream that shows nothing else.
    pub(crate) fn new(session: Token, proof: Proof, marks: Option<Box<Marks>>, since: u32) -> Feed {
        Feed {
            session,
            proof,
            marks,
            since,
            heartbeat: Instant(0),
            filter: None,
            watching: None,
            ndjson: false,
            encrypted: false,
            lasted: false,
            broke: false,
        }
    }
}

impl Shard {
    /// `GET /mcp/sse` and `GET /mcp/events`.
    pub(crate) fn stream_request(
        &mut self,
        token: Token,
        head: &Head<'_>,
        events: bool,
        raw: Raw<'_>,
        cx: &mut Cx<'_>,
    ) -> Outcome {
        let terms = self.terms(head);
        let named = identity::name(head, raw.who());
        let client = match named.as_ref().map(Option::as_deref) {
            _ if events => route::EVENTS,
            Err(error) => return self.refuse(token, error, terms, cx),
            Ok(Some(name)) => match route::check_client_id(name) {
                Ok(name) => name,
                Err(error) => return self.refuse(token, &error, terms, cx),
            },
            Ok(None) => return self.refuse(token, &Error::ClientIdRequired, terms, cx),
        };
        if self.leaves_for(token, client, raw, cx) {
            return Outcome::Gone;
        }
        if self.stats.http_sse.connections >= u64::from(self.config.sse.connections_max) {
            return self.refuse(token, &Error::insufficient_resources(), terms, cx);
        }
        let opened = Opening::of_head(head).and_then(|opening| {
            self.recovery(&opening, client, cx)?;
            let watching = self.watching(head, client, raw.who())?;
            self.spend_ticket(head, cx)?;
            if !events {
                self.let_client_in(client, cx.now)?;
                self.admit_newcomer(client, raw.who())?;
            }
            self.check_circuit(Circuit::HttpSse, cx)?;
            let session = self.open_session(client, cx)?;
            if !events {
                self.claim(token, session, raw.who(), cx)?;
            }
            Ok((session, self.take_stream(token, session, Carrier::Sse, opening, raw.who(), cx)?, watching))
        });
        let proof = Proof::new(raw.who.cloned(), cx.now.wall);
        match opened {
            Ok((session, opened, watching)) => {
                self.open_feed(token, head, (session, proof, watching), opened, cx);
            }
            Err(error) => return self.refuse(token, &error, terms, cx),
        }
        Outcome::Gone
    }

    fn open_feed(
        &mut self,
        token: Token,
        head: &Head<'_>,
        (session, proof, watching): (Token, Proof, Option<Box<Watching>>),
        opened: Opened,
        cx: &mut Cx<'_>,
    ) {
        let Opened { cursor, marks, gaps, encrypted, connected } = opened;
        let events = self.sessions.get(session).is_some_and(|session| &*session.client == route::EVENTS);
        let of = |name| head.query.and_then(|q| query::get(q, name)).map(|value| value.as_ref().into());
        let filter = Filter { client: of("client"), kind: of("type") };
        let filtered = events && (filter.client.is_some() || filter.kind.is_some());
        let ndjson = events && head.header("accept").is_some_and(|a| a.contains("application/x-ndjson"));
        let heartbeat = cx.now.mono.plus(self.config.sse.heartbeat_interval);
        let filter = filtered.then(|| Box::new(filter));
        let feed = Feed::new(session, proof, marks, cx.now.mono.as_secs());
        self.begin_feed(token, Feed { heartbeat, filter, watching, ndjson, encrypted, ..feed }, cx);
        let headers = if ndjson { &NDJSON_HEADERS } else { &SSE_HEADERS };
        let terms = self.terms(head);
        self.put_head(token, headers, &terms, cx, |out, headers| {
            response::write_stream_head(out, 200, headers)
        });
        let retry = self.config.sse.retry.as_millis() as u64;
        if !ndjson {
            self.put(token, cx, |out| sse::retry(out, retry));
        }
        // Who begins at the beginning holds a cursor from here on, even if the first message is lost on its way.
        // Another place would claim that the client has what went to others.
        let id = (gaps.is_empty() && cursor.is_beginning()).then(|| cursor.text());
        self.tell_from(token, id.as_deref(), "connected", &connected, cx);
        for gap in gaps {
            self.tell_gap(token, session, gap, cx);
        }
        if events {
            self.count_handlers(session, cx);
        }
        self.watch_topics(token, cx);
        self.wake_by(token, heartbeat.min(cx.now.mono.plus(COMMENT_INTERVAL)));
        self.hungry.push(token);
    }

    /// Makes the connection a stream.
    pub(crate) fn begin_feed(&mut self, token: Token, feed: Feed, cx: &mut Cx<'_>) {
        let session = feed.session;
        self.watch_proof(token, &feed.proof, cx.now);
        let Some(conn) = self.conns.get_mut(token) else { return };
        conn.stage = Stage::Sse(Box::new(feed));
        conn.heard = cx.now.mono;
        cx.out.ops.push(Watch::Parked.op(token, conn.socket));
        self.stats.http_sse.open();
        self.tell_connection(true, "http_sse", Some(session), cx);
    }

    /// A look at a stream: heartbeats and comments, and whether the peer still reads.
    pub(crate) fn examine_feed(&mut self, token: Token, cx: &mut Cx<'_>) -> Option<Instant> {
        let interval = self.config.sse.heartbeat_interval;
        let conn = self.conns.get_mut(token)?;
        if conn.egress.is_blocked() && cx.now.mono >= conn.heard.plus(WRITE_STALL) {
            self.broken(token, cx);
            return None;
        }
        let Stage::Sse(feed) = &mut conn.stage else { return None };
        let (due, ndjson) = (cx.now.mono >= feed.heartbeat, feed.ndjson);
        if due {
            feed.heartbeat = cx.now.mono.plus(interval);
        }
        let next = feed.heartbeat.min(cx.now.mono.plus(COMMENT_INTERVAL));
        if !std::mem::replace(&mut feed.lasted, true) {
            self.circuit_ended(Circuit::HttpSse, true, cx);
        }
        if self.conns.get(token)?.egress.is_blocked() {
            return Some(next);
        }
        let timestamp = cx.stamp.get().to_owned();
        self.put_control(token, cx, |out| match (due, ndjson) {
            (_, true) => out.push(b'\n'),
            (true, false) => {
                sse::event(out, None, Some("heartbeat"), &format!(r#"{{"timestamp":"{timestamp}"}}"#))
            }
            (false, false) => sse::comment(out, ""),
        });
        Some(next)
    }

    /// A stream has ended.
    pub(crate) fn forget_feed(&mut self, token: Token, mut feed: Feed, cx: &mut Cx<'_>) {
        self.stats.http_sse.connections -= 1;
        self.tell_connection(false, "http_sse", Some(feed.session), cx);
        if let Some(watching) = feed.watching.take() {
            self.unwatch(*watching, cx);
        }
        if !feed.lasted {
            self.circuit_ended(Circuit::HttpSse, true, cx);
        }
        let Some(session) = self.sessions.get(feed.session) else { return };
        let events = &*session.client == route::EVENTS;
        let Feed { marks, since, broke, .. } = &feed;
        let parting =
            Parting { carrier: Carrier::Sse, marks: marks.as_deref(), since: *since, broke: *broke };
        self.unlink(token, feed.session, parting, cx);
        if events {
            self.count_handlers(feed.session, cx);
        }
    }

    /// Tells every shard how many backends read pushes.
    fn count_handlers(&mut self, session: Token, cx: &mut Cx<'_>) {
        let count = self.sessions.get(session).map_or(0, |s| s.links.as_slice().len()) as u32;
        for shard in 0..self.config.shards {
            self.send(Member(shard), Mail::Handlers(count), cx);
        }
    }
}
