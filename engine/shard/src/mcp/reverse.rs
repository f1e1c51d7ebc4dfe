//! Requests of upstreams to clients, and the clients' answers.

use weir_ring::token::Token;
use weir_transports::jsonrpc::{self, Body, Id};
use weir_transports::mcp::splice::splice;
use weir_transports::mcp::{Method, code, object};

use crate::mcp::call::Serves;
use crate::mcp::outlet::{Client, Delivery, Outlet};
use crate::mcp::session::Asked;
use crate::turn::{Cx, Shard};

/// Requests that one client may have to answer at once.
const ASKED_MAX: usize = 256;

impl Shard {
    /// An upstream asks something of its client.
    #[expect(clippy::too_many_arguments, reason = "a request, taken apart")]
    pub(crate) fn upstream_asks(
        &mut self,
        conversation: Token,
        leg: Option<Token>,
        id: Id<'_>,
        method: &str,
        text: &str,
        params: Option<&str>,
        cx: &mut Cx<'_>,
    ) {
        let Some(held) = self.mcp.conversations.get(conversation) else { return };
        let server = held.server;
        let Some(backing) = held.backing else { return };
        if Method::of(method) == Method::Ping {
            let mut pong = Vec::new();
            jsonrpc::result(&mut pong, &id, b"{}");
            return self.tell_upstream(backing, &pong, cx);
        }
        let serves = leg.and_then(|leg| self.mcp.legs.get(leg)).map(|leg| leg.serves);
        let call = serves.and_then(Serves::call);
        let client = call.and_then(|call| self.mcp.calls.get(call)).map(|call| (call.client, call.outlet));
        let (session, outlet) = match (client, serves, leg) {
            (Some((Client::Stateless, _)), _, Some(leg)) | (_, Some(Serves::Hold(_)), Some(leg)) => {
                return self.hold_leg(leg, id, method, params, cx);
            }
            (Some((Client::Session(session), outlet)), ..) => (Some(session), Some(outlet)),
            _ => {
                let session = self.session_of(conversation);
                (session, session.map(|session| Outlet::Session { session }))
            }
        };
        let asked = Asked::Request { backing, id: id.as_json().into(), call };
        let (Some(outlet), Some(number)) =
            (outlet, session.and_then(|session| self.note_asked(session, asked)))
        else {
            return self.refuse_upstream(backing, id, "nobody is there to answer", cx);
        };
        let number = number.to_string();
        let shown = params.map(|params| self.shown_params(server, Method::of(method), params));
        let mut edits = vec![(id.as_json(), number.as_bytes())];
        edits.extend(params.zip(shown.as_ref()).map(|(params, shown)| (params, shown.as_bytes())));
        edits.sort_by_key(|(text, _)| text.as_ptr().addr());
        let mut message = Vec::with_capacity(text.len() + 16);
        splice(&mut message, text, &edits);
        self.mcp_deliver(outlet, Delivery::Interim, &message, cx);
    }

    /// Numbers what a client is asked. `None`: it has too much to answer already.
    pub(crate) fn note_asked(&mut self, session: Token, asked: Asked) -> Option<u64> {
        let session = self.mcp.sessions.get_mut(session)?;
        if session.asked.len() >= ASKED_MAX {
            return None;
        }
        session.next_ask += 1;
        session.asked.insert(session.next_ask, asked);
        Some(session.next_ask)
    }

    pub(crate) fn refuse_upstream(&mut self, backing: Token, id: Id<'_>, why: &str, cx: &mut Cx<'_>) {
        let mut refusal = Vec::new();
        jsonrpc::error(&mut refusal, Some(&id), code::INTERNAL_ERROR, why, None);
        self.tell_upstream(backing, &refusal, cx);
    }

    /// A client has answered what an upstream asked of it.
    pub(crate) fn client_answered(&mut self, client: Client, id: Id<'_>, body: Body<'_>, cx: &mut Cx<'_>) {
        let Client::Session(session) = client else { return };
        let Ok(number) = id.as_json().parse::<u64>() else { return };
        let Some(asked) = self.mcp.sessions.get_mut(session).and_then(|s| s.asked.remove(&number)) else {
            return;
        };
        let (backing, id) = match asked {
            Asked::Request { backing, id, .. } => (backing, id),
            Asked::Input { call, key } => return self.input_given(call, &key, body, cx),
        };
        let Some(id) = Id::from_json(&id) else { return };
        let mut answer = Vec::new();
        match body {
            Body::Result(result) => jsonrpc::result(&mut answer, &id, result.as_bytes()),
            Body::Error(error) => {
                jsonrpc::begin_error(&mut answer, &id);
                answer.extend_from_slice(error.as_bytes());
                answer.push(b'}');
            }
        }
        self.tell_upstream(backing, &answer, cx);
    }

    /// An upstream no longer wants an answer: the client is told.
    pub(crate) fn upstream_cancels(&mut self, conversation: Token, params: Option<&str>, cx: &mut Cx<'_>) {
        let Some(params) = params else { return };
        let Ok([Some(request)]) = object::find(params, ["requestId"]) else { return };
        let Some(held) = self.mcp.conversations.get(conversation) else { return };
        let Some(backing) = held.backing else { return };
        let Some(session) = self.session_of(conversation) else { return };
        let Some(owner) = self.mcp.sessions.get_mut(session) else { return };
        let found = owner.asked.iter().find_map(|(number, asked)| match asked {
            Asked::Request { backing: by, id, call } if *by == backing && **id == *request => {
                Some((*number, *call))
            }
            _ => None,
        });
        let Some((number, call)) = found else { return };
        owner.asked.remove(&number);
        let outlet = call.and_then(|call| self.mcp.calls.get(call)).map(|call| call.outlet);
        let mut changed = Vec::new();
        splice(&mut changed, params, &[(request, number.to_string().as_bytes())]);
        let mut message = br#"{"jsonrpc":"2.0","method":"notifications/cancelled","params":"#.to_vec();
        message.append(&mut changed);
        message.push(b'}');
        let outlet = outlet.unwrap_or(Outlet::Session { session });
        self.mcp_deliver(outlet, Delivery::Interim, &message, cx);
    }

    /// What a conversation that has ended had asked is not to be answered any more.
    pub(crate) fn forget_asked(&mut self, session: Token, backing: Token) {
        if let Some(session) = self.mcp.sessions.get_mut(session) {
            session
                .asked
                .retain(|_, asked| !matches!(asked, Asked::Request { backing: by, .. } if *by == backing));
        }
    }
}
