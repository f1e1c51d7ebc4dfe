//! What upstreams send, on its way to the clients.

use weir_ring::token::Token;
use weir_transports::jsonrpc::{self, Body, Id, Message};
use weir_transports::mcp::show::{self, Shown};
use weir_transports::mcp::splice::splice;
use weir_transports::mcp::{Era, Method, code, hints, object};

use crate::mcp::answer::{Refusal, status_of};
use crate::mcp::call::{Call, Serves, Work};
use crate::mcp::conversation::Whose;
use crate::mcp::listen::{AGAIN, AGAIN_REFUSED};
use crate::mcp::outlet::{Delivery, Outlet};
use crate::turn::{Cx, Shard};
use crate::upstream::{UpstreamFault, UpstreamId};

impl Shard {
    /// A message for a leg; a response is its last.
    pub(crate) fn leg_message(&mut self, leg: Token, text: &str, cx: &mut Cx<'_>) {
        let serves = self.mcp.legs.get(leg).map(|leg| leg.serves);
        let message = jsonrpc::decode(text);
        if let Some(Serves::Remote { member, leg: asker }) = serves
            && !matches!(message, Ok(Message::Request { .. }))
        {
            if matches!(message, Ok(Message::Response { .. })) {
                self.end_leg(leg, cx);
            }
            return self.pass_back(member, asker, text, cx);
        }
        match message {
            Ok(Message::Response { body, .. }) => self.leg_answered(leg, body, cx),
            Ok(Message::Notification { method, params }) => {
                let method = Method::of(&method);
                self.leg_notified(leg, method, text, params, cx);
            }
            Ok(Message::Request { id, method, params }) => {
                let Some(conversation) = self.mcp.legs.get(leg).map(|leg| leg.conversation) else { return };
                self.upstream_asks(conversation, Some(leg), id, &method, text, params, cx);
            }
            // Whoever took it off the wire has judged it.
            Err(_) => {}
        }
    }

    /// A leg will not be answered.
    pub(crate) fn leg_failed(&mut self, leg: Token, why: UpstreamFault, cx: &mut Cx<'_>) {
        self.trace_asked_of(leg, || Some(why.to_string().into()), cx);
        let Some(ended) = self.end_leg(leg, cx) else { return };
        self.end_lease(ended.conversation, cx);
        let call = match ended.serves {
            Serves::Call(call) => call,
            Serves::Hold(hold) => return self.hold_failed(hold, ended.server, why, cx),
            Serves::Remote { member, leg } => return self.fail_back(member, leg, why, cx),
            Serves::Nobody => return,
        };
        match self.mcp.calls.get(call).map(|call| &call.work) {
            Some(Work::Merge(_)) => self.part_failed(call, leg, ended.server, why, cx),
            Some(Work::Listen(_)) => {
                let refused = matches!(why, UpstreamFault::Http(400..=499));
                self.listen_ended(call, leg, if refused { AGAIN_REFUSED } else { AGAIN }, cx);
            }
            Some(_) => {
                let refusal = self.fault(ended.server, &why);
                self.finish_with_error(call, &refusal, cx);
            }
            None => {}
        }
    }

    fn leg_answered(&mut self, leg: Token, body: Body<'_>, cx: &mut Cx<'_>) {
        self.trace_asked_of(leg, || fault_of(body), cx);
        let Some(mut ended) = self.end_leg(leg, cx) else { return };
        self.keep_answer(&mut ended, body, cx);
        let call = match ended.serves {
            Serves::Call(call) => call,
            Serves::Hold(hold) => return self.hold_answered(hold, ended.server, body, cx),
            Serves::Nobody => return self.server_is_back(ended.server, cx),
            Serves::Remote { .. } => return,
        };
        match self.mcp.calls.get(call).map(|call| &call.work) {
            Some(Work::Merge(_)) => self.part_answered(call, leg, ended.server, body, cx),
            Some(Work::Listen(_)) => {
                let refused = matches!(body, Body::Error(_));
                self.listen_ended(call, leg, if refused { AGAIN_REFUSED } else { AGAIN }, cx);
            }
            Some(_) => self.finish_direct(call, ended.server, body, cx),
            None => {}
        }
    }

    /// A server's answer is the call's.
    pub(crate) fn finish_direct(&mut self, call: Token, server: UpstreamId, body: Body<'_>, cx: &mut Cx<'_>) {
        if let Body::Result(result) = body
            && self.is_modern(server)
            && self.needs_input(call, server, result, cx)
        {
            return;
        }
        let Some(call) = self.end_call(call) else { return };
        let Some(id) = Id::from_json(&call.id) else { return };
        let mut message = std::mem::take(&mut self.mcp.message);
        message.clear();
        let status = match body {
            Body::Result(result) => {
                self.learn_page(call.method, server, None, result);
                jsonrpc::begin_result(&mut message, &id);
                self.write_result(&mut message, &call, server, result);
                message.push(b'}');
                200
            }
            Body::Error(error) => {
                let code = error_code(error);
                jsonrpc::begin_error(&mut message, &id);
                write_error(&mut message, call.era, call.method, code, error);
                message.push(b'}');
                status_of(call.era, code)
            }
        };
        self.mcp_deliver(call.outlet, Delivery::Answer { status }, &message, cx);
        self.mcp.message = message;
    }

    /// A result as the client of `call` is to see it.
    fn write_result(&mut self, out: &mut Vec<u8>, call: &Call, server: UpstreamId, result: &str) {
        let rewritten;
        let mut result = result;
        if self.shows_uris() {
            let mut text = Vec::with_capacity(result.len() + 64);
            let shown = Shown { upstream: self.server_name(server), names: false, uris: true };
            show::write(&mut text, call.method, result, shown);
            rewritten = String::from_utf8(text).unwrap_or_default();
            result = &rewritten;
        }
        let modern = self.is_modern(server);
        match (call.era, modern) {
            (Era::Modern, false) => hints::to_modern(out, call.method, result, None),
            (Era::Legacy(_), true) => hints::to_legacy(out, result),
            _ => out.extend_from_slice(result.as_bytes()),
        }
    }

    /// A call cannot be answered otherwise.
    pub(crate) fn finish_with_error(&mut self, call: Token, refusal: &Refusal, cx: &mut Cx<'_>) {
        let Some(call) = self.end_call(call) else { return };
        let Some(id) = Id::from_json(&call.id) else { return };
        self.answer_error(call.outlet, call.era, id, refusal, cx);
    }

    /// Progress, logs and whatever else an upstream says in the course of a call.
    fn leg_notified(
        &mut self,
        leg: Token,
        method: Method,
        text: &str,
        params: Option<&str>,
        cx: &mut Cx<'_>,
    ) {
        let Some(held) = self.mcp.legs.get(leg) else { return };
        let (server, conversation) = (held.server, held.conversation);
        let Some(call) = held.serves.call().and_then(|call| self.mcp.calls.get(call)) else { return };
        let outlet = call.outlet;
        let held_listens = matches!(call.work, Work::Listen(_));
        match method {
            Method::NotificationProgress => {
                let Some(token) = &call.progress else { return };
                let params = params.unwrap_or("{}");
                let Ok([Some(sent)]) = object::find(params, ["progressToken"]) else { return };
                let mut message = std::mem::take(&mut self.mcp.message);
                message.clear();
                splice(&mut message, text, &[(sent, token.as_bytes())]);
                self.mcp_deliver(outlet, Delivery::Interim, &message, cx);
                self.mcp.message = message;
            }
            Method::NotificationMessage => {
                if call.logs {
                    self.mcp_deliver(outlet, Delivery::Interim, text.as_bytes(), cx);
                }
            }
            Method::NotificationCancelled => self.upstream_cancels(conversation, params, cx),
            _ if held_listens => self.listen_news(leg, method, params, cx),
            _ => self.server_notified(server, conversation, method, params, cx),
        }
    }

    /// A message of an upstream that belongs to no leg.
    pub(crate) fn backing_message(&mut self, backing: Token, text: &str, cx: &mut Cx<'_>) {
        let Some((owner, server)) = self.backing(backing).map(|backing| (backing.owner, backing.upstream))
        else {
            return;
        };
        // A modern server knows no conversations: whoever began to talk to it, it speaks to all.
        let shared = self.mcp.shared.get(&server).filter(|_| self.is_modern(server));
        let conversation = shared.copied().unwrap_or(owner);
        match jsonrpc::decode(text) {
            Ok(Message::Request { id, method, params }) => {
                let leg = self.latest_leg(conversation);
                self.upstream_asks(conversation, leg, id, &method, text, params, cx);
            }
            Ok(Message::Notification { method, params }) => match Method::of(&method) {
                Method::NotificationMessage => self.log_message(conversation, text, cx),
                Method::NotificationCancelled => self.upstream_cancels(conversation, params, cx),
                // Of a request that nobody waits for any more.
                Method::NotificationProgress => {}
                method => self.server_notified(server, conversation, method, params, cx),
            },
            Ok(Message::Response { .. }) | Err(_) => {}
        }
    }

    /// The leg that an upstream which does not say so most likely speaks of.
    fn latest_leg(&self, conversation: Token) -> Option<Token> {
        let sent = |leg: &&Token| {
            self.mcp.legs.get(**leg).is_some_and(|leg| leg.unsent.is_none() && leg.serves != Serves::Nobody)
        };
        self.mcp.conversations.get(conversation)?.legs.iter().rev().find(sent).copied()
    }

    /// A log message over a pipe: it goes where the call under way goes, else to the session.
    fn log_message(&mut self, conversation: Token, text: &str, cx: &mut Cx<'_>) {
        let leg = self.latest_leg(conversation);
        if let Some(leg) = leg
            && let Some(Serves::Remote { .. }) = self.mcp.legs.get(leg).map(|leg| leg.serves)
        {
            return self.leg_message(leg, text, cx);
        }
        let leg = leg.and_then(|leg| self.mcp.legs.get(leg));
        let call = leg.and_then(|leg| self.mcp.calls.get(leg.serves.call()?));
        let outlet = match (call, self.mcp.conversations.get(conversation).map(|held| &held.whose)) {
            (Some(call), _) if call.logs => call.outlet,
            (None, Some(Whose::Session(session))) => Outlet::Session { session: *session },
            _ => return,
        };
        self.mcp_deliver(outlet, Delivery::Interim, text.as_bytes(), cx);
    }

    /// News of a server: lists that changed, resources that were updated.
    fn server_notified(
        &mut self,
        server: UpstreamId,
        conversation: Token,
        method: Method,
        params: Option<&str>,
        cx: &mut Cx<'_>,
    ) {
        let Some(name) = method.name() else { return };
        self.list_changed(server, method);
        if self.is_modern(server) {
            self.spread_stale(server, method, cx);
        }
        let params = self.shown_params(server, method, params.unwrap_or("{}"));
        if let Some(session) = self.session_of(conversation) {
            let message = format!(r#"{{"jsonrpc":"2.0","method":"{name}","params":{params}}}"#);
            self.mcp_deliver(Outlet::Session { session }, Delivery::Interim, message.as_bytes(), cx);
        }
        // A session's news are its own, and those of a lease come in the shared conversation too.
        let shared = self.mcp.conversations.get(conversation).is_some_and(|held| held.whose == Whose::Shared);
        if shared {
            self.spread_news(server, method, &params, cx);
            self.tell_listeners(server, method, &params, cx);
        }
    }

    /// Parameters that an upstream wrote, as clients see them.
    pub(crate) fn shown_params(&self, server: UpstreamId, method: Method, params: &str) -> String {
        if !self.shows_uris() {
            return params.to_owned();
        }
        let mut text = Vec::with_capacity(params.len() + 32);
        let shown = Shown { upstream: self.server_name(server), names: false, uris: true };
        show::write(&mut text, method, params, shown);
        String::from_utf8(text).unwrap_or_default()
    }

    /// The session that a conversation is held for, if it is one's.
    pub(crate) fn session_of(&self, conversation: Token) -> Option<Token> {
        match self.mcp.conversations.get(conversation)?.whose {
            Whose::Session(session) => Some(session),
            Whose::Shared | Whose::Lease { .. } | Whose::Spent => None,
        }
    }
}

/// Why a server has not done what it was asked for, if it says so.
fn fault_of(body: Body<'_>) -> Option<Box<str>> {
    match body {
        Body::Result(_) => None,
        Body::Error(error) => Some(format!("JSON-RPC error {}", error_code(error)).into()),
    }
}

/// The code of an error object; that of an internal error if it has none.
fn error_code(error: &str) -> i32 {
    let code = object::find(error, ["code"]).ok().and_then(|[code]| code?.parse().ok());
    code.unwrap_or(code::INTERNAL_ERROR)
}

/// An error object as a client of `era` is to see it.
fn write_error(out: &mut Vec<u8>, era: Era, method: Method, code: i32, error: &str) {
    let code_text = object::find(error, ["code"]).ok().and_then(|[code]| code);
    match (era, code_text) {
        // Codes that the modern era forbids (basic/index, Error Codes).
        (Era::Modern, Some(text)) if code == -32002 && method == Method::ResourcesRead => {
            splice(out, error, &[(text, b"-32602")]);
        }
        _ => out.extend_from_slice(error.as_bytes()),
    }
}
