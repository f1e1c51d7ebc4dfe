//! `POST /mcp`: one message of a client, and the answer to it.

use weir_ring::time::Wall;
use weir_ring::token::Token;
use weir_transports::http1::{Head, Method, Version as Http};
use weir_transports::jsonrpc::{self, Id, Message};
use weir_transports::mcp::{self, Version};

use crate::downstream::connection::{Exchange, Stage, Waiting, Watch};
use crate::downstream::endpoint::Endpoint;
use crate::downstream::exchange::{Outcome, Raw};
use crate::downstream::identity::{Proof, is_guest, of_message};
use crate::downstream::mcp::fault::Fault;
use crate::downstream::mcp::headers::{Headers, accepts};
use crate::downstream::mcp::modern;
use crate::downstream::mcp::pending::{COMMENT_INTERVAL, Form, Pending, Source};
use crate::downstream::reply::Terms;
use crate::error::Error;
use crate::mcp::outlet::{Asker, Client, From, Outlet};
use crate::mcp::session::{Carrier, same_subject};
use crate::metrics::{Feature, Received};
use crate::policy::suspicion::Who;
use crate::policy::{Caller, Verdict};
use crate::route::CLIENT_ID_BYTES_MAX;
use crate::turn::{Cx, Shard};

/// The method that begins a session.
const INITIALIZE: &str = "initialize";

/// One HTTP request to an MCP endpoint.
#[derive(Debug)]
pub(crate) struct Request<'a> {
    /// Its connection.
    pub(crate) token: Token,
    /// Its head.
    pub(crate) head: &'a Head<'a>,
    /// What of its head is MCP's.
    pub(crate) headers: Headers<'a>,
    /// It as it came.
    pub(crate) raw: Raw<'a>,
    /// Headers of the answer.
    pub(crate) terms: Terms,
    /// The client knows chunks.
    pub(crate) chunked: bool,
    /// What the answer may be.
    pub(crate) form: Form,
    /// When it came.
    pub(crate) now: Wall,
}

impl<'a> Request<'a> {
    /// The client it is from: the one that is proved, else the one that it calls itself.
    fn named(&self) -> Option<&'a str> {
        match self.raw.who() {
            Some(who) if !is_guest(who) => Some(&*who.subject),
            _ => self.headers.client.filter(|name| name.len() <= CLIENT_ID_BYTES_MAX),
        }
    }

    /// What is known of who asks.
    pub(crate) fn asker(&self) -> Asker<'a> {
        Asker::Http { name: self.named(), standing: self.terms.standing }
    }

    /// As a request that waits.
    pub(crate) fn pending(&self, source: Source) -> Pending {
        Pending {
            source,
            form: self.form,
            terms: self.terms,
            chunked: self.chunked,
            proof: Proof::new(self.raw.who.cloned(), self.now),
            opens: false,
            long: false,
        }
    }
}

impl Shard {
    /// A request to one of the MCP endpoints over HTTP.
    pub(crate) fn mcp_http(
        &mut self,
        token: Token,
        exchange: &mut Exchange,
        endpoint: &Endpoint<'_>,
        head: &Head<'_>,
        raw: Raw<'_>,
        cx: &mut Cx<'_>,
    ) -> Outcome {
        self.read_on(token, exchange, cx);
        let mut request = Request {
            token,
            head,
            headers: Headers::of(head),
            raw,
            terms: self.terms(head),
            chunked: head.version == Http::Http11,
            form: Form::Undecided,
            now: cx.now.wall,
        };
        match self.serve_mcp(exchange, endpoint, &mut request, cx) {
            Ok(outcome) => outcome,
            Err(fault) => self.refuse_mcp(token, &fault, request.terms, cx),
        }
    }

    fn serve_mcp<'a>(
        &mut self,
        exchange: &mut Exchange,
        endpoint: &Endpoint<'_>,
        request: &mut Request<'a>,
        cx: &mut Cx<'_>,
    ) -> Result<Outcome, Fault<'a>> {
        if let Some(name) = request.headers.client {
            self.let_in(Who::Client(name), cx.now).map_err(|error| Fault::of(&error, None))?;
        }
        if request.head.method == Method::Post {
            self.stats.messages.received(Received::Mcp);
        }
        match (endpoint, request.head.method) {
            (Endpoint::HttpSse, _) => self.http_sse_stream(request, cx),
            (Endpoint::Messages, _) => self.http_sse_post(exchange, request, cx),
            (_, Method::Post) => self.post(exchange, request, cx),
            (_, Method::Get) => self.get_stream(request, cx),
            (_, Method::Delete) => self.delete_session(request, cx),
            _ => Err(Fault::http(405, "This path serves GET, POST and DELETE.")),
        }
    }

    /// From its first MCP request on a connection is read without a pause: a request that waits must see
    /// that its client is gone, and the next one needs no operation to be received.
    pub(crate) fn read_on(&mut self, token: Token, exchange: &mut Exchange, cx: &mut Cx<'_>) {
        if exchange.watch == Watch::Once
            && let Some(conn) = self.conns.get(token)
        {
            exchange.watch = Watch::Stream;
            cx.out.ops.push(Watch::Stream.op(token, conn.socket));
        }
    }

    fn post<'a>(
        &mut self,
        exchange: &mut Exchange,
        request: &mut Request<'a>,
        cx: &mut Cx<'_>,
    ) -> Result<Outcome, Fault<'a>> {
        let text = text(request)?;
        request.form = form(request.head)?;
        if text.trim_ascii_start().starts_with('[') {
            return self.post_batch(exchange, request, text, cx);
        }
        let message = jsonrpc::decode(text).map_err(Fault::undecodable)?;
        if let Some(params) = modern::stateless(request, &message)? {
            let mirror = request.head.all_headers().collect();
            mcp::headers::check(&mirror, &message, &params)
                .map_err(|fault| Fault::of_headers(&fault).to(modern::id_of(&message)))?;
            // What the state speaks of is held by one shard.
            if let Some(home) = params.request_state.and_then(|state| self.state_home(state))
                && self.leaves_to(request.token, home, request.raw, cx)
            {
                return Ok(Outcome::Gone);
            }
            return self.post_stateless(exchange, request, message, cx);
        }
        match message {
            Message::Request { ref method, .. } if method == INITIALIZE => {
                self.post_initialize(exchange, request, message, cx)
            }
            Message::Request { id, ref method, .. } => {
                let Some(session) = self.named_session(request, cx).map_err(|fault| fault.to(Some(id)))?
                else {
                    return Ok(Outcome::Gone);
                };
                self.charge_mcp(exchange, request, Some(session), (Some(id), &**method), cx)?;
                self.may_send(request, &message, cx)?;
                Ok(self.ask_of_session(session, request, false, message, cx))
            }
            Message::Notification { .. } | Message::Response { .. } => {
                let Some(session) = self.named_session(request, cx)? else { return Ok(Outcome::Gone) };
                if let Message::Notification { method, .. } = &message {
                    self.charge_mcp(exchange, request, Some(session), (None, &**method), cx)?;
                }
                self.tell_hub(session, request, message, cx);
                Ok(self.accept_post(request, cx))
            }
        }
    }

    /// `initialize`: a session of its own, and the answer names it.
    fn post_initialize<'a>(
        &mut self,
        exchange: &mut Exchange,
        request: &mut Request<'a>,
        message: Message<'a>,
        cx: &mut Cx<'_>,
    ) -> Result<Outcome, Fault<'a>> {
        let Message::Request { id, params, .. } = message else { return Ok(Outcome::Done) };
        if request.headers.session.is_some() {
            return match self.named_session(request, cx).map_err(|fault| fault.to(Some(id)))? {
                Some(_) => Err(Fault::invalid("The session is initialized already.").to(Some(id))),
                None => Ok(Outcome::Gone),
            };
        }
        self.charge_mcp(exchange, request, None, (Some(id), INITIALIZE), cx)?;
        let session = self
            .mcp_open(params, Carrier::Streamable(Box::default()), request.raw.who.cloned(), cx)
            .map_err(|error| Fault::of(&error, Some(id)))?;
        self.watch_session(session, cx.now.mono);
        Ok(self.ask_of_session(session, request, true, message, cx))
    }

    /// The session that a request names; `None`: the connection is on its way to the session's home.
    pub(crate) fn named_session<'a>(
        &mut self,
        request: &Request<'_>,
        cx: &mut Cx<'_>,
    ) -> Result<Option<Token>, Fault<'a>> {
        let Some(id) = request.headers.session else {
            return Err(Fault::http(
                400,
                "The header Mcp-Session-Id is missing; send what initialize answered.",
            ));
        };
        if self.leaves_for(request.token, id, request.raw, cx) {
            return Ok(None);
        }
        let found = self.mcp.find(id).filter(|found| self.is_of(*found, request.raw));
        let found = found.ok_or_else(Fault::no_session)?;
        if let Some(version) = request.headers.version
            && Version::parse(version).is_none_or(Version::is_modern)
        {
            let message = "MCP-Protocol-Version names no revision that has sessions here; send the one that \
                           initialize agreed on.";
            return Err(Fault::http(400, message));
        }
        if let Some(session) = self.mcp.sessions.get_mut(found) {
            (session.heard, session.who) = (cx.now.mono, request.raw.who.cloned());
        }
        Ok(Some(found))
    }

    /// Whether a session is of whoever sends the request. To all others it does not exist: its id alone is no
    /// proof (MCP, "Session Hijacking").
    fn is_of(&self, session: Token, raw: Raw<'_>) -> bool {
        self.mcp.sessions.get(session).is_some_and(|session| same_subject(&session.who, raw.who))
    }

    /// Whether who sends a message may.
    ///
    /// # Errors
    /// 403.
    pub(crate) fn may_send<'a>(
        &mut self,
        request: &Request<'_>,
        message: &Message<'a>,
        cx: &Cx<'_>,
    ) -> Result<(), Fault<'a>> {
        let allowed = self.may(request.raw.standing(), of_message(message));
        allowed.map_err(|error| {
            self.trace_denied(None, "", &error, cx);
            Fault::of(&error, modern::id_of(message))
        })
    }

    /// Takes a token from the bucket of whoever asks: the client it calls itself, its session, or its
    /// connection; and one from that for the method, if it has a limit.
    pub(crate) fn charge_mcp<'a>(
        &mut self,
        exchange: &mut Exchange,
        request: &mut Request<'a>,
        session: Option<Token>,
        (id, method): (Option<Id<'a>>, &str),
        cx: &mut Cx<'_>,
    ) -> Result<(), Fault<'a>> {
        let (rate, now) = (self.rate_of(request.raw.standing(), self.config.client_rate), cx.now.mono);
        let named = request.named();
        let caller = match (named, session) {
            (Some(name), _) => Caller::Client(name),
            (None, Some(session)) => Caller::Session(session),
            (None, None) => Caller::Connection(request.token),
        };
        self.trace_received(named, method, || request.headers.trace_context(), cx);
        let began = self.meter.begin();
        let session = session.and_then(|session| self.mcp.sessions.get_mut(session));
        let (verdict, standing) = match (named, session) {
            (Some(name), _) => self.serving.clients.take(Some(name), &rate, now),
            (None, session) => {
                let bucket = session.map_or(&mut exchange.bucket, |session| &mut session.bucket);
                (bucket.take(&rate, now), bucket.standing(&rate, now))
            }
        };
        self.meter.end(Feature::RateLimits, began);
        request.terms.standing = standing;
        let charged = match verdict {
            Verdict::Allow { .. } => self.charge_method(caller, method, cx),
            Verdict::Deny { retry_after } => {
                self.stats.limited += 1;
                Err(Error::RateLimited { retry_after })
            }
        };
        charged.map_err(|error| {
            self.trace_denied(named, method, &error, cx);
            Fault::of(&error, id)
        })
    }

    /// A request of a session: its answer is a stream of its own.
    fn ask_of_session(
        &mut self,
        session: Token,
        request: &mut Request<'_>,
        opens: bool,
        message: Message<'_>,
        cx: &mut Cx<'_>,
    ) -> Outcome {
        let stream = self.open_stream(session, request.token, 1);
        let pending = Pending { opens, ..request.pending(Source::Stream { session, stream, cursor: 0 }) };
        let headers = &request.headers.passed;
        let (outlet, client) = (Outlet::Stream { session, stream }, Client::Session(session));
        let from = From { outlet, client, who: request.raw.who, asker: request.asker(), headers };
        self.serving.request = Some((request.token, pending));
        self.mcp_message(from, message, cx);
        self.asked_hub(request.token, cx)
    }

    /// Opens the stream of a POST with so many requests.
    pub(crate) fn open_stream(&mut self, session: Token, carrier: Token, requests: u32) -> u32 {
        let (number, freed) = self.streams(session).map_or((0, 0), |streams| streams.open(carrier, requests));
        self.stats.outbox_bytes -= freed as u64;
        number
    }

    /// A notification or response of a session.
    pub(crate) fn tell_hub(
        &mut self,
        session: Token,
        request: &Request<'_>,
        message: Message<'_>,
        cx: &mut Cx<'_>,
    ) {
        let headers = &request.headers.passed;
        let (outlet, client) = (Outlet::Session { session }, Client::Session(session));
        let from = From { outlet, client, who: request.raw.who, asker: request.asker(), headers };
        self.mcp_message(from, message, cx);
    }

    /// What became of the request that was at hand.
    pub(crate) fn asked_hub(&mut self, token: Token, cx: &Cx<'_>) -> Outcome {
        let request = self.serving.request.take();
        let gone = self.conns.get(token).is_none_or(|conn| !matches!(conn.stage, Stage::Lent));
        match request {
            Some((_, pending)) if gone => {
                self.forget_pending(token, pending);
                Outcome::Gone
            }
            Some((_, pending)) => {
                self.wake_by(token, cx.now.mono.plus(COMMENT_INTERVAL));
                Outcome::Waiting(Waiting::Mcp(Box::new(pending)))
            }
            None if gone => Outcome::Gone,
            None => Outcome::Done,
        }
    }

    /// Answers a POST of nothing but notifications and responses.
    pub(crate) fn accept_post(&mut self, request: &Request<'_>, cx: &mut Cx<'_>) -> Outcome {
        self.write_accepted(request.token, request.terms, cx);
        Outcome::Done
    }
}

/// The text of a POST.
pub(crate) fn text<'a>(request: &Request<'a>) -> Result<&'a str, Fault<'a>> {
    let media = request.headers.content_type.unwrap_or_default();
    let media = media.split(';').next().unwrap_or_default().trim_ascii();
    if !media.eq_ignore_ascii_case("application/json") {
        return Err(Fault::http(415, "Content-Type must be application/json."));
    }
    std::str::from_utf8(request.raw.body)
        .map_err(|_| Fault { code: mcp::code::PARSE_ERROR, ..Fault::http(400, "The body is not UTF-8.") })
}

/// What the client takes for an answer. Many take both without a word.
fn form<'a>(head: &Head<'_>) -> Result<Form, Fault<'a>> {
    let json = accepts(head.headers("accept"), "application", "json");
    let events = accepts(head.headers("accept"), "text", "event-stream");
    match (json, events) {
        (true, true) => Ok(Form::Undecided),
        (true, false) => Ok(Form::Json),
        (false, true) => Ok(Form::Sse),
        (false, false) => Err(Fault::http(406, "Accept must allow application/json and text/event-stream.")),
    }
}
