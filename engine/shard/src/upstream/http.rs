//! One HTTP connection: a request goes out, its response comes in (RFC 9112; Streamable HTTP).

use std::borrow::Cow;
use std::time::Duration;

use weir_ring::token::Token;
use weir_transports::http1::{self, BodyReader, parse_response_head};
use weir_transports::sse;

use super::UpstreamFault;
use super::errand::Purpose;
use super::lines::{Line, Lines};
use super::stream::Cut;
use super::wire::{Speech, Wire};
use crate::turn::{Cx, Shard};

/// What a line of SSE or a body has beside its message: `data: `, a line end.
const SLACK: usize = 64;

/// What is known of one HTTP connection.
#[derive(Debug)]
pub(super) struct Http {
    /// Goes back to the pool after each request.
    pub(super) pooled: bool,
    /// Has served a request before this one.
    pub(super) reused: bool,
    /// How long the server keeps it, as far as it says.
    pub(super) idle_max: Option<Duration>,
    /// The beginning of a head.
    spill: Vec<u8>,
    response: Option<Response>,
}

/// A response that has begun.
#[derive(Debug)]
struct Response {
    status: u16,
    keep_alive: bool,
    reader: BodyReader,
    content: Content,
}

/// What its body is.
#[derive(Debug)]
enum Content {
    /// One message, or what a server says in place of one.
    Whole(Vec<u8>),
    /// A message an event.
    Events(Box<sse::Decoder>),
    /// A message a line: some servers write a stream that lasts so, and call it JSON.
    Lines(Lines),
    /// Nobody reads it.
    Nothing,
}

impl Http {
    pub(super) fn new(pooled: bool) -> Http {
        Http { pooled, reused: false, idle_max: None, spill: Vec::new(), response: None }
    }

    /// Whether something of a response has come.
    pub(super) fn has_begun(&self) -> bool {
        self.response.is_some() || !self.spill.is_empty()
    }
}

/// The response cannot be read.
struct Unreadable;

impl Shard {
    /// Input of a connection that is lent.
    pub(super) fn read_response(&mut self, token: Token, mut wire: Box<Wire>, bytes: &[u8], cx: &mut Cx<'_>) {
        let Speech::Http(http) = &mut wire.speech else { return self.return_wire(token, wire, cx) };
        let mut input = Cow::Borrowed(bytes);
        if !http.spill.is_empty() {
            http.spill.extend_from_slice(bytes);
            input = Cow::Owned(std::mem::take(&mut http.spill));
        }
        let mut rest = &*input;
        let mut response = http.response.take();
        if response.is_none() {
            match self.begin_response(&mut wire, rest) {
                Ok(Some((begun, len))) => {
                    response = Some(begun);
                    rest = rest.get(len..).unwrap_or_default();
                }
                Ok(None) => {
                    if let Speech::Http(http) = &mut wire.speech {
                        http.spill = input.into_owned();
                    }
                    return self.return_wire(token, wire, cx);
                }
                Err(Unreadable) => return self.wire_unreadable(token, wire, cx),
            }
        }
        if let Some(response) = response {
            self.read_body(token, wire, response, rest, cx);
        }
    }

    /// Reads a head, if it is whole, and how long it is.
    fn begin_response(
        &mut self,
        wire: &mut Wire,
        bytes: &[u8],
    ) -> Result<Option<(Response, usize)>, Unreadable> {
        // Nothing was asked.
        let id = wire.errand.ok_or(Unreadable)?;
        let http = &self.config.http;
        let limits =
            http1::Limits { head_bytes_max: http.head_bytes_max, line_bytes_max: http.line_bytes_max };
        let head = parse_response_head(bytes, &limits).map_err(|_| Unreadable)?;
        let Some(head) = head else { return Ok(None) };
        let errand = self.upstream.errands.get(id).map(|errand| (errand.purpose, errand.backing));
        let (purpose, backing) = errand.ok_or(Unreadable)?;
        if let Speech::Http(http) = &mut wire.speech {
            http.idle_max = head.header("keep-alive").and_then(keep_alive_timeout);
        }
        if purpose == Purpose::Initialize
            && let Some(session) = head.header("mcp-session-id")
        {
            self.note_session(backing, session);
        }
        let events = head.header("content-type").is_some_and(is_event_stream);
        let good = (200..300).contains(&head.status);
        if purpose == Purpose::Listen && good {
            self.stream_settled(backing);
        }
        let content = match purpose {
            Purpose::Ask { .. } | Purpose::Initialize | Purpose::Probe | Purpose::Listen
                if good && events =>
            {
                let max = self.config.message_bytes_max;
                let limits = sse::Limits { line_bytes_max: max + SLACK, event_bytes_max: max };
                Content::Events(Box::new(sse::Decoder::new(limits)))
            }
            Purpose::Ask { long: true, .. } if good => Content::Lines(Lines::default()),
            Purpose::Ask { .. } | Purpose::Initialize | Purpose::Probe => Content::Whole(Vec::new()),
            _ => Content::Nothing,
        };
        let response = Response {
            status: head.status,
            keep_alive: head.keep_alive,
            reader: BodyReader::new(head.body),
            content,
        };
        Ok(Some((response, head.len)))
    }

    fn read_body(
        &mut self,
        token: Token,
        wire: Box<Wire>,
        mut response: Response,
        bytes: &[u8],
        cx: &mut Cx<'_>,
    ) {
        let max = self.config.message_bytes_max + SLACK;
        match &mut response.content {
            Content::Whole(body) => {
                if body.is_empty()
                    && let Some(whole) = response.reader.whole(bytes, max)
                {
                    let clean = whole.len() == bytes.len();
                    return self.response_over(token, wire, response, Cow::Borrowed(whole), clean, cx);
                }
                match response.reader.read(bytes, body, max) {
                    Err(_) => self.wire_unreadable(token, wire, cx),
                    Ok(progress) if progress.done => {
                        let (body, clean) = (std::mem::take(body), progress.consumed == bytes.len());
                        self.response_over(token, wire, response, Cow::Owned(body), clean, cx);
                    }
                    Ok(_) => self.keep_response(token, wire, response, cx),
                }
            }
            Content::Events(_) | Content::Lines(_) | Content::Nothing => {
                self.read_stream(token, wire, response, bytes, cx);
            }
        }
    }

    /// Reads a body that is no single message.
    fn read_stream(
        &mut self,
        token: Token,
        mut wire: Box<Wire>,
        mut response: Response,
        bytes: &[u8],
        cx: &mut Cx<'_>,
    ) {
        let mut plain = Vec::new();
        let Ok(progress) = response.reader.read(bytes, &mut plain, usize::MAX) else {
            return self.wire_unreadable(token, wire, cx);
        };
        let mut readable = true;
        match &mut response.content {
            Content::Events(decoder) => {
                decoder.push(&plain);
                loop {
                    match decoder.next() {
                        Err(_) => readable = false,
                        Ok(Some(event)) if event.data.is_empty() => continue,
                        Ok(Some(event)) => {
                            wire.errand = wire.errand.filter(|id| self.errand_streamed(*id, event.data, cx));
                            continue;
                        }
                        Ok(None) => {}
                    }
                    break;
                }
            }
            Content::Lines(lines) => {
                let max = self.config.message_bytes_max;
                lines.feed(&plain, max, |line| {
                    readable = self.streamed_line(&mut wire.errand, line, cx);
                    readable
                });
            }
            Content::Whole(_) | Content::Nothing => {}
        }
        if !readable {
            return self.wire_unreadable(token, wire, cx);
        }
        if progress.done {
            let clean = progress.consumed == bytes.len();
            return self.response_over(token, wire, response, Cow::Borrowed(b""), clean, cx);
        }
        self.keep_response(token, wire, response, cx);
    }

    /// One line of a stream that calls itself JSON. False: it is none.
    fn streamed_line(&mut self, errand: &mut Option<Token>, line: Line<'_>, cx: &mut Cx<'_>) -> bool {
        let Line::Whole(line) = line else { return false };
        let Ok(text) = std::str::from_utf8(line) else { return false };
        if !text.trim().is_empty() {
            *errand = errand.filter(|id| self.errand_streamed(*id, text, cx));
        }
        true
    }

    /// More of the response is to come.
    fn keep_response(&mut self, token: Token, mut wire: Box<Wire>, response: Response, cx: &mut Cx<'_>) {
        if wire.errand.is_none() {
            // Nobody waits for the rest; it may not take long.
            self.wake_by(token, cx.now.mono.plus(super::wire::LINGER));
        }
        if let Speech::Http(http) = &mut wire.speech {
            http.response = Some(response);
        }
        self.return_wire(token, wire, cx);
    }

    /// The response is complete: the connection may serve another, then the answer is told. `clean`: nothing
    /// came behind it.
    fn response_over(
        &mut self,
        token: Token,
        mut wire: Box<Wire>,
        response: Response,
        body: Cow<'_, [u8]>,
        clean: bool,
        cx: &mut Cx<'_>,
    ) {
        let errand = wire.errand.take();
        let (upstream, target, pooled) = (wire.upstream, wire.target, wire.is_pooled());
        if let Speech::Http(http) = &mut wire.speech {
            http.reused = true;
        }
        self.return_wire(token, wire, cx);
        self.replica_answered(upstream, target);
        let in_step = errand.is_none_or(|id| self.is_in_step(id, response.status, &body));
        if response.keep_alive && clean && pooled && in_step {
            self.release_wire(token, upstream, target, cx);
        } else {
            self.close(token, cx);
        }
        let Some(id) = errand else { return };
        match response.content {
            Content::Whole(_) | Content::Nothing => match std::str::from_utf8(&body) {
                Ok(text) => self.errand_answered(id, response.status, text, cx),
                Err(_) => self.fail_errand(id, UpstreamFault::Garbage, cx),
            },
            Content::Events(decoder) => {
                let cut = Cut { last_event_id: decoder.last_event_id().into(), retry: decoder.retry() };
                self.stream_over(id, cut, cx);
            }
            Content::Lines(lines) => {
                let rest = lines.rest();
                let mut open = Some(id);
                self.streamed_line(&mut open, Line::Whole(&rest), cx);
                if open.is_some() {
                    self.fail_errand(id, UpstreamFault::Broken, cx);
                }
            }
        }
    }

    /// A stream has ended before what it was for had come.
    fn stream_over(&mut self, id: Token, cut: Cut, cx: &mut Cx<'_>) {
        let Some(errand) = self.upstream.errands.get(id) else { return };
        let backing = errand.backing;
        match errand.purpose {
            Purpose::Ask { .. } => self.answer_broke_off(id, cut, cx),
            Purpose::Listen => {
                self.dismiss_errand(id);
                self.stream_ended(backing, Some(cut), cx);
            }
            _ => self.fail_errand(id, UpstreamFault::Broken, cx),
        }
    }

    /// The peer has closed: that ends a body which lasts until then, and cuts off a stream.
    pub(super) fn http_ended(&mut self, token: Token, orderly: bool, cx: &mut Cx<'_>) {
        let Some(mut wire) = self.lend_wire(token) else { return };
        let Speech::Http(http) = &mut wire.speech else { return self.return_wire(token, wire, cx) };
        match http.response.take() {
            Some(mut response) if orderly && response.reader.may_end() => {
                let body = match &mut response.content {
                    Content::Whole(body) => std::mem::take(body),
                    _ => Vec::new(),
                };
                self.response_over(token, wire, response, Cow::Owned(body), false, cx);
            }
            Some(response) if matches!(response.content, Content::Events(_)) => {
                self.response_over(token, wire, response, Cow::Borrowed(b""), false, cx);
            }
            response => {
                http.response = response;
                self.return_wire(token, wire, cx);
            }
        }
    }

    /// What came cannot be read: nothing more of this connection means anything.
    fn wire_unreadable(&mut self, token: Token, mut wire: Box<Wire>, cx: &mut Cx<'_>) {
        self.stats.upstream.garbage += 1;
        let errand = wire.errand.take();
        self.return_wire(token, wire, cx);
        self.close(token, cx);
        if let Some(id) = errand {
            self.fail_errand(id, UpstreamFault::Garbage, cx);
        }
    }
}

fn is_event_stream(content_type: &str) -> bool {
    let essence = content_type.split(';').next().unwrap_or_default().trim();
    essence.eq_ignore_ascii_case("text/event-stream")
}

/// How long a server keeps an idle connection, less the second in which a request could cross its end.
fn keep_alive_timeout(value: &str) -> Option<Duration> {
    let parameter = value.split(',').find_map(|part| part.trim().strip_prefix("timeout="));
    let seconds: u64 = parameter?.trim().parse().ok()?;
    Some(Duration::from_secs(seconds.saturating_sub(1)))
}
