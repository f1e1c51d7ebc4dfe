//! HTTP requests of one connection: bytes to requests, one at a time, in order.

use std::sync::Arc;
use std::time::Duration;

use weir_ring::time::Instant;
use weir_ring::token::Token;
use weir_transports::http1::{self, BodyKind, BodyReader, Head, parse_head, response};

use crate::downstream::connection::{Exchange, PartialBody, Stage, Waiting, Watch};
use crate::downstream::reply::Terms;
use crate::error::Error;
use crate::limits;
use crate::policy::auth::{Principal, Standing};
use crate::policy::suspicion::Offence;
use crate::turn::{Cx, Shard};

/// A look that comes so much later than it should says that the core stood still.
const LATE: Duration = Duration::from_millis(100);

/// A request that other shards have not answered for this long is given up.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(30);

/// A request as it came, and what came after it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Raw<'a> {
    /// The head's bytes.
    pub head: &'a [u8],
    /// How they say that the body is delimited.
    pub kind: BodyKind,
    /// The body, decoded.
    pub body: &'a [u8],
    /// Of the requests after it.
    pub rest: &'a [u8],
    /// Who sends it, once that is proved.
    pub who: Option<&'a Arc<Principal>>,
}

impl<'a> Raw<'a> {
    /// Who sends it, once that is proved.
    pub(crate) fn who(self) -> Option<&'a Principal> {
        self.who.map(|who| &**who)
    }

    /// What its messages are judged by.
    pub(crate) fn standing(self) -> Option<Standing> {
        self.who().map(Principal::standing)
    }

    /// Bytes that say the same, for another shard to begin with.
    pub(crate) fn to_bytes(self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(self.head.len() + self.body.len() + self.rest.len() + 32);
        bytes.extend_from_slice(self.head);
        if self.kind == BodyKind::Chunked {
            response::write_chunk(&mut bytes, |out| out.extend_from_slice(self.body));
            bytes.extend_from_slice(response::LAST_CHUNK);
        } else {
            bytes.extend_from_slice(self.body);
        }
        bytes.extend_from_slice(self.rest);
        bytes
    }
}

/// What became of a request.
pub(crate) enum Outcome {
    /// Answered: on to the next one.
    Done,
    /// Its answer comes later.
    Waiting(Waiting),
    /// The connection is something else now, or on its way to another shard, or closing.
    Gone,
}

/// What reading requests came to.
enum Step {
    /// This many bytes were a request, and it is done.
    Used(usize),
    /// More bytes are needed.
    More,
    /// The connection left the exchange.
    Gone,
}

impl Shard {
    /// Bytes of requests; empty to go on with what is already here.
    pub(crate) fn http_received(&mut self, token: Token, bytes: &[u8], cx: &mut Cx<'_>) {
        let Some(mut exchange) = self.lend_exchange(token) else { return };
        if exchange.waiting.is_some() {
            self.keep_for_later(token, &mut exchange, bytes, cx);
            return self.return_exchange(token, exchange, cx);
        }
        if exchange.body.is_some() {
            return self.body_received(token, exchange, bytes, cx);
        }
        if exchange.spill.is_empty() {
            return self.requests(token, exchange, bytes, cx);
        }
        let mut spill = std::mem::take(&mut exchange.spill);
        spill.extend_from_slice(bytes);
        self.requests(token, exchange, &spill, cx);
    }

    /// What comes while a request waits; once it is more than one request can be, the peer has to wait too.
    fn keep_for_later(&mut self, token: Token, exchange: &mut Exchange, bytes: &[u8], cx: &mut Cx<'_>) {
        exchange.spill.extend_from_slice(bytes);
        let max = self.config.http.head_bytes_max + self.config.message_bytes_max;
        if exchange.watch == Watch::Stream
            && exchange.spill.len() > max
            && let Some(conn) = self.conns.get(token)
        {
            exchange.watch = Watch::Held;
            cx.out.ops.push(Watch::Held.op(token, conn.socket));
        }
    }

    /// Serves the requests that `input` begins with and keeps the rest.
    fn requests(&mut self, token: Token, mut exchange: Box<Exchange>, mut input: &[u8], cx: &mut Cx<'_>) {
        while !input.is_empty() && exchange.waiting.is_none() {
            match self.next_request(token, &mut exchange, input, cx) {
                Step::Used(len) => input = &input[len..],
                Step::More => break,
                Step::Gone => return,
            }
        }
        // `next_request` keeps a head itself when it has begun to read the body.
        if exchange.body.is_none() {
            self.keep(token, &mut exchange, input, cx);
        }
        self.return_exchange(token, exchange, cx);
    }

    /// The rest of a request waits for more; its deadline runs from its first byte.
    fn keep(&mut self, token: Token, exchange: &mut Exchange, rest: &[u8], cx: &mut Cx<'_>) {
        if rest.is_empty() {
            return;
        }
        if !std::mem::replace(&mut exchange.partial, true) {
            if let Some(conn) = self.conns.get_mut(token) {
                conn.heard = cx.now.mono;
            }
            self.wake_by(token, cx.now.mono.plus(self.config.http.head_deadline));
        }
        exchange.spill.extend_from_slice(rest);
    }

    fn next_request(&mut self, token: Token, exchange: &mut Exchange, input: &[u8], cx: &mut Cx<'_>) -> Step {
        let config = std::sync::Arc::clone(&self.config);
        let limits = http1::Limits {
            head_bytes_max: config.http.head_bytes_max,
            line_bytes_max: config.http.line_bytes_max,
        };
        let head = match parse_head(input, &limits) {
            Ok(Some(head)) => head,
            Ok(None) => return Step::More,
            Err(e) => return self.refuse_bytes(token, (e.status(), e.reason()), Terms::default(), cx),
        };
        let (raw_head, after) = input.split_at(head.len);
        let mut reader = BodyReader::new(head.body);
        if let Some(body) = reader.whole(after, config.message_bytes_max) {
            let rest = &after[body.len()..];
            let raw = Raw { head: raw_head, kind: head.body, body, rest, who: None };
            return self.serve(token, exchange, &head, raw, head.len + body.len(), cx);
        }
        let mut body = Vec::new();
        match reader.read(after, &mut body, config.message_bytes_max) {
            Err(e) => self.refuse_bytes(token, (e.status(), e.reason()), self.terms(&head), cx),
            Ok(progress) if progress.done => {
                let rest = &after[progress.consumed..];
                let raw = Raw { head: raw_head, kind: head.body, body: &body, rest, who: None };
                self.serve(token, exchange, &head, raw, head.len + progress.consumed, cx)
            }
            Ok(_) => {
                if head.expect_continue {
                    self.put(token, cx, |out| out.extend_from_slice(response::CONTINUE));
                }
                self.keep(token, exchange, raw_head, cx);
                exchange.body = Some(Box::new(PartialBody { reader, bytes: body }));
                Step::More
            }
        }
    }

    fn serve(
        &mut self,
        token: Token,
        exchange: &mut Exchange,
        head: &Head<'_>,
        raw: Raw<'_>,
        used: usize,
        cx: &mut Cx<'_>,
    ) -> Step {
        (exchange.served, exchange.partial) = (true, false);
        if let Some(conn) = self.conns.get_mut(token) {
            conn.heard = cx.now.mono;
        }
        match self.request(token, exchange, head, raw, cx) {
            Outcome::Done if head.keep_alive => Step::Used(used),
            Outcome::Done => {
                self.finish(token, cx);
                Step::Gone
            }
            Outcome::Waiting(waiting) => {
                exchange.waiting = Some(waiting);
                Step::Used(used)
            }
            Outcome::Gone => Step::Gone,
        }
    }

    /// More of a body whose head is kept in the spill.
    fn body_received(&mut self, token: Token, mut exchange: Box<Exchange>, bytes: &[u8], cx: &mut Cx<'_>) {
        let Some(mut partial) = exchange.body.take() else { return };
        let max = self.config.message_bytes_max;
        let progress = match partial.reader.read(bytes, &mut partial.bytes, max) {
            Ok(progress) => progress,
            Err(e) => {
                let terms = kept_head(&exchange.spill).map_or(Terms::default(), |head| self.terms(&head));
                self.refuse_bytes(token, (e.status(), e.reason()), terms, cx);
                return;
            }
        };
        if !progress.done {
            exchange.body = Some(partial);
            return self.return_exchange(token, exchange, cx);
        }
        let spill = std::mem::take(&mut exchange.spill);
        let Some(head) = kept_head(&spill) else { return self.close(token, cx) };
        let rest = &bytes[progress.consumed..];
        let raw = Raw { head: &spill, kind: head.body, body: &partial.bytes, rest, who: None };
        match self.serve(token, &mut exchange, &head, raw, spill.len(), cx) {
            Step::Gone => {}
            _ => self.requests(token, exchange, rest, cx),
        }
    }

    /// Bytes that are no request: what they are instead is not looked at any more.
    fn refuse_bytes(
        &mut self,
        token: Token,
        (status, reason): (u16, &str),
        terms: Terms,
        cx: &mut Cx<'_>,
    ) -> Step {
        // Slow is not odd.
        if status != 408 {
            self.peer_offends(token, Offence::Malformed, cx.now);
        }
        self.stats.refuse(&match status {
            413 => Error::MessageTooLarge { bytes_max: 0 },
            _ => Error::malformed(""),
        });
        let error = if status == 413 { "message_too_large" } else { "malformed" };
        let body = serde_json::json!({
            "error": "invalid_message", "reason": error, "message": reason, "retry_after": null
        });
        self.respond(token, status, body.to_string().as_bytes(), Terms { keep_alive: false, ..terms }, cx);
        self.finish(token, cx);
        Step::Gone
    }

    fn lend_exchange(&mut self, token: Token) -> Option<Box<Exchange>> {
        let conn = self.conns.get_mut(token)?;
        match std::mem::replace(&mut conn.stage, Stage::Lent) {
            Stage::Http(exchange) => Some(exchange),
            other => {
                conn.stage = other;
                None
            }
        }
    }

    /// Takes a lent exchange back and reads on unless a request waits. If the connection was closed
    /// meanwhile, the exchange ends here.
    fn return_exchange(&mut self, token: Token, mut exchange: Box<Exchange>, cx: &mut Cx<'_>) {
        match self.conns.get_mut(token) {
            Some(conn) if matches!(conn.stage, Stage::Lent) => {
                if exchange.waiting.is_none() && exchange.watch != Watch::Stream {
                    if exchange.watch == Watch::Held {
                        exchange.watch = Watch::Stream;
                    }
                    cx.out.ops.push(exchange.watch.op(token, conn.socket));
                }
                let idle = exchange.waiting.is_none();
                conn.stage = Stage::Http(exchange);
                if idle {
                    self.release_peer(token);
                }
            }
            _ => self.forget_exchange(token, *exchange, cx),
        }
    }

    /// A connection no longer speaks HTTP: who waits for its request learns of it.
    pub(crate) fn forget_exchange(&mut self, token: Token, exchange: Exchange, cx: &Cx<'_>) {
        match exchange.waiting {
            Some(Waiting::Mcp(pending)) => self.forget_pending(token, *pending),
            Some(Waiting::Poll { poll, .. }) => self.poll_deserted(token, poll, cx),
            Some(Waiting::Keys(_)) => self.forget_parked(token),
            Some(Waiting::Gather(gather)) => {
                self.tracer.take_up(gather.traced);
                self.tracer.close(Some("disconnected"), cx.now.mono);
            }
            None => {}
        }
    }

    /// A look at a connection that speaks HTTP: when to look again.
    pub(crate) fn examine_exchange(&mut self, token: Token, cx: &mut Cx<'_>) -> Option<Instant> {
        let http = &self.config.http;
        let conn = self.conns.get_mut(token)?;
        let Stage::Http(exchange) = &conn.stage else { return None };
        let (allowed, status) = if let Some(waiting) = &exchange.waiting {
            match waiting {
                Waiting::Mcp(_) => return self.examine_pending(token, cx),
                Waiting::Poll { .. } => return self.examine_waiting_poll(token, cx),
                Waiting::Keys(_) => return self.examine_parked(token, cx),
                Waiting::Gather(_) => (ANSWER_TIMEOUT, None),
            }
        } else if let Some(body) = &exchange.body {
            (body_time(http, body.bytes.len()), Some(408))
        } else if exchange.partial || !exchange.served {
            (http.head_deadline + spread(http.head_deadline, token), Some(408))
        } else {
            (http.keep_alive_timeout, None)
        };
        let end = conn.heard.plus(allowed);
        if cx.now.mono < end {
            return Some(end);
        }
        // An idle one may have sent something while the core stood still: that is read first.
        if status.is_none() && cx.now.mono >= end.plus(LATE) {
            conn.heard = conn.heard.plus(cx.now.mono.since(end) + LATE);
            return Some(cx.now.mono.plus(LATE));
        }
        if conn.is_handshaking() {
            self.stats.tls.failed += 1;
            self.close(token, cx);
            return None;
        }
        match status {
            Some(status) => {
                let reason = "The request did not arrive in time; send it at once.";
                self.refuse_bytes(token, (status, reason), Terms::default(), cx);
            }
            None => self.finish(token, cx),
        }
        None
    }
}

/// What a head may take beyond its deadline: up to a quarter, by the connection's slot. A crowd that came at once is not
/// cut off at once, and does not come back at once.
fn spread(deadline: Duration, token: Token) -> Duration {
    let scattered = (token.index ^ token.generation.rotate_left(16)).wrapping_mul(0x9E37_79B9);
    deadline.mul_f64(f64::from(scattered) / f64::from(u32::MAX) / 4.0)
}

/// How long a body may take of which so many bytes have come.
fn body_time(http: &limits::Http, received: usize) -> Duration {
    match http.body_rate_min {
        0 => http.keep_alive_timeout,
        rate => http.head_deadline + Duration::from_secs(1).mul_f64(received as f64 / f64::from(rate)),
    }
}

/// A head that was found to be whole before.
fn kept_head(bytes: &[u8]) -> Option<Head<'_>> {
    let limits = http1::Limits { head_bytes_max: bytes.len(), line_bytes_max: bytes.len() };
    parse_head(bytes, &limits).ok().flatten()
}
