//! HTTP+SSE of 2024-11-05: `GET /sse` opens the server's half, whose first event names where to POST the
//! client's messages. The session lives as long as the stream.

use weir_ring::token::Token;
use weir_transports::http1::{query, response};
use weir_transports::jsonrpc::{self, Message};
use weir_transports::sse;

use crate::downstream::connection::{Exchange, Stage, Waiting};
use crate::downstream::exchange::Outcome;
use crate::downstream::mcp::fault::Fault;
use crate::downstream::mcp::headers::accepts;
use crate::downstream::mcp::modern::method_of;
use crate::downstream::mcp::pending::{Form, HttpSse, Source};
use crate::downstream::mcp::post::{Request, text};
use crate::mcp::session::{Carrier, same_subject};
use crate::turn::{Cx, Shard};

impl Shard {
    /// `GET /sse`.
    pub(crate) fn http_sse_stream<'a>(
        &mut self,
        request: &mut Request<'a>,
        cx: &mut Cx<'_>,
    ) -> Result<Outcome, Fault<'a>> {
        if !accepts(request.head.headers("accept"), "text", "event-stream") {
            return Err(Fault::http(406, "Accept must allow text/event-stream."));
        }
        request.form = Form::Sse;
        let id: Box<str> = self.mint_session_id().into();
        let who = request.raw.who.cloned();
        let endpoint = format!("/messages?sessionId={id}");
        self.serving.http_sse.insert(id.clone(), request.token);
        let mut pending = request.pending(Source::HttpSse(Box::new(HttpSse { id, who, session: None })));
        self.begin_stream(request.token, &mut pending, cx);
        self.write_part(request.token, &pending, cx, |out| {
            sse::event(out, None, Some("endpoint"), &endpoint)
        });
        Ok(Outcome::Waiting(Waiting::Mcp(Box::new(pending))))
    }

    /// `POST /messages`: accepted here, answered on the stream.
    pub(crate) fn http_sse_post<'a>(
        &mut self,
        exchange: &mut Exchange,
        request: &mut Request<'a>,
        cx: &mut Cx<'_>,
    ) -> Result<Outcome, Fault<'a>> {
        let Some(id) = request.head.query.and_then(|query| query::get(query, "sessionId")) else {
            return Err(Fault::http(400, "The query names no sessionId; use what the endpoint event said."));
        };
        if self.leaves_for(request.token, &id, request.raw, cx) {
            return Ok(Outcome::Gone);
        }
        let stream = *self.serving.http_sse.get(&*id).ok_or_else(Fault::no_session)?;
        let open = self.http_sse(stream).filter(|open| same_subject(&open.who, request.raw.who));
        let session = open.ok_or_else(Fault::no_session)?.session;
        let message = jsonrpc::decode(text(request)?).map_err(Fault::undecodable)?;
        let asked = match &message {
            Message::Request { id, .. } => Some(*id),
            _ => None,
        };
        if !matches!(message, Message::Response { .. }) {
            self.charge_mcp(exchange, request, session, (asked, method_of(&message)), cx)?;
            self.may_send(request, &message, cx)?;
        }
        let session = match (session, &message) {
            (Some(session), _) => session,
            (None, Message::Request { id, method, params }) if method == "initialize" => {
                let carrier = Carrier::HttpSse { connection: stream };
                let opened = self.mcp_open(*params, carrier, request.raw.who.cloned(), cx);
                let session = opened.map_err(|error| Fault::of(&error, Some(*id)))?;
                if let Some(open) = self.http_sse(stream) {
                    open.session = Some(session);
                }
                session
            }
            _ => return Err(Fault::invalid("Send initialize first.").to(asked)),
        };
        if let Some(session) = self.mcp.sessions.get_mut(session) {
            session.heard = cx.now.mono;
        }
        self.tell_hub(session, request, message, cx);
        self.stats.http_requests += 1;
        let (terms, token) = (request.terms, request.token);
        self.put_head(token, &[], &terms, cx, |out, headers| {
            response::write(out, 202, headers, b"Accepted", terms.keep_alive);
        });
        Ok(Outcome::Done)
    }

    /// The server's half of HTTP+SSE on `connection`.
    fn http_sse(&mut self, connection: Token) -> Option<&mut HttpSse> {
        let Stage::Http(exchange) = &mut self.conns.get_mut(connection)?.stage else { return None };
        match &mut exchange.waiting {
            Some(Waiting::Mcp(pending)) => match &mut pending.source {
                Source::HttpSse(open) => Some(open),
                _ => None,
            },
            _ => None,
        }
    }
}
