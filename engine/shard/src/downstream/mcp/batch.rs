//! Batches, which only 2025-03-26 has: several messages in one POST, their answers in one stream.

use weir_ring::token::Token;
use weir_transports::jsonrpc::{self, Message, Refused};
use weir_transports::mcp::{Version, code, object};

use crate::downstream::connection::Exchange;
use crate::downstream::exchange::Outcome;
use crate::downstream::mcp::fault::Fault;
use crate::downstream::mcp::pending::{Form, Source};
use crate::downstream::mcp::post::Request;
use crate::mcp::outlet::{Client, Delivery, From, Outlet};
use crate::turn::{Cx, Shard};

/// Messages that one batch may hold.
const BATCH_MAX: usize = 1_000;

impl Shard {
    pub(crate) fn post_batch<'a>(
        &mut self,
        exchange: &mut Exchange,
        request: &mut Request<'a>,
        text: &'a str,
        cx: &mut Cx<'_>,
    ) -> Result<Outcome, Fault<'a>> {
        let Some(session) = self.named_session(request, cx)? else { return Ok(Outcome::Gone) };
        let version = self.mcp.sessions.get(session).map(|session| session.version);
        if version != Some(Version::V2025_03_26) {
            return Err(Fault::invalid("This revision has no batches; send each message by itself."));
        }
        let messages = decode(text)?;
        let asks = |message: &Result<Message<'_>, _>| !matches!(message, Ok(m) if !is_request(m));
        let requests = messages.iter().filter(|message| asks(message)).count();
        if requests == 0 {
            for message in messages.into_iter().flatten() {
                self.tell_hub(session, request, message, cx);
            }
            return Ok(self.accept_post(request, cx));
        }
        let messages: Vec<_> = messages
            .into_iter()
            .map(|message| {
                let refusal = self.refusal(exchange, request, session, &message, cx);
                (message, refusal)
            })
            .collect();
        // Which of the messages was at hand last says nothing of the first.
        self.tracer.close(None, cx.now.mono);
        let stream = self.open_stream(session, request.token, requests as u32);
        request.form = Form::Sse;
        let pending = request.pending(Source::Stream { session, stream, cursor: 0 });
        self.serving.request = Some((request.token, pending));
        let outlet = Outlet::Stream { session, stream };
        for (message, refusal) in messages {
            match (message, refusal) {
                (_, Some(fault)) => {
                    let mut body = Vec::new();
                    fault.write(&mut body);
                    self.mcp_deliver(outlet, Delivery::Answer { status: fault.status }, &body, cx);
                }
                (Ok(message), None) if is_request(&message) => {
                    let headers = &request.headers.passed;
                    let (client, who) = (Client::Session(session), request.raw.who);
                    let from = From { outlet, client, who, asker: request.asker(), headers };
                    self.mcp_message(from, message, cx);
                }
                (Ok(message), None) => self.tell_hub(session, request, message, cx),
                (Err(_), None) => {}
            }
        }
        Ok(self.asked_hub(request.token, cx))
    }

    /// Why a message of a batch is not handed on.
    fn refusal<'a>(
        &mut self,
        exchange: &mut Exchange,
        request: &mut Request<'a>,
        session: Token,
        message: &Result<Message<'a>, Refused<'a>>,
        cx: &mut Cx<'_>,
    ) -> Option<Fault<'a>> {
        match message {
            Err(refused) => Some(Fault::undecodable(*refused)),
            Ok(Message::Request { id, method, .. }) if method == "initialize" => {
                Some(Fault::invalid("initialize stands alone.").to(Some(*id)))
            }
            Ok(message @ Message::Request { id, method, .. }) => {
                let asked = (Some(*id), &**method);
                let charged = self.charge_mcp(exchange, request, Some(session), asked, cx);
                charged.and_then(|()| self.may_send(request, message, cx)).err()
            }
            Ok(_) => None,
        }
    }
}

fn is_request(message: &Message<'_>) -> bool {
    matches!(message, Message::Request { .. })
}

/// The messages of a batch, each by itself.
fn decode<'a>(text: &'a str) -> Result<Vec<Result<Message<'a>, Refused<'a>>>, Fault<'a>> {
    let mut messages = Vec::new();
    for element in object::elements(text) {
        let element = element.map_err(|fault| Fault {
            code: code::PARSE_ERROR,
            ..Fault::http(400, format!("The body is not JSON: {fault}."))
        })?;
        if messages.len() == BATCH_MAX {
            return Err(Fault::invalid("A batch holds at most 1,000 messages."));
        }
        messages.push(jsonrpc::decode(element));
    }
    if messages.is_empty() {
        return Err(Fault::invalid("A batch holds at least one message."));
    }
    Ok(messages)
}
