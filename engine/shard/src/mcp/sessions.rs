//! Sessions of legacy clients: opened by `initialize`, ended by DELETE, by their connection, or by time.

use std::collections::BTreeMap;
use std::hash::BuildHasher;
use std::sync::Arc;

use weir_ring::token::Token;
use weir_transports::jsonrpc::Id;
use weir_transports::mcp::about::SERVER_INFO;
use weir_transports::mcp::{LEGACY_NEWEST, Method, Version, code, object};

use crate::error::Error;
use crate::mcp::Mcp;
use crate::mcp::answer::Refusal;
use crate::mcp::call::{Call, Leg, Serves, Work};
use crate::mcp::dispatch::Request;
use crate::mcp::outlet::{Client, Delivery, From, Outlet};
use crate::mcp::session::{Asked, Carrier, Session};
use crate::mcp::wire_id;
use crate::policy::TokenBucket;
use crate::policy::auth::Principal;
use crate::route;
use crate::turn::{Cx, Shard};
use crate::upstream::Ask;

impl Mcp {
    /// The session with this id.
    pub(crate) fn find(&self, id: &str) -> Option<Token> {
        let hash = self.hash(id);
        let named = |token: &Token| self.sessions.get(*token).is_some_and(|session| &*session.id == id);
        self.by_id.find(hash, named).copied()
    }

    /// Where a text falls.
    pub(crate) fn hash(&self, text: &str) -> u64 {
        self.hasher.hash_one(text)
    }
}

impl Shard {
    /// Opens a session for a legacy client whose `initialize` has these parameters.
    ///
    /// # Errors
    /// The table of sessions is full, newcomers of its class are not let in, or the parameters are not what `initialize`
    /// takes.
    pub(crate) fn mcp_open(
        &mut self,
        params: Option<&str>,
        carrier: Carrier,
        who: Option<Arc<Principal>>,
        cx: &mut Cx<'_>,
    ) -> Result<Token, Error> {
        self.admit_newcomer("", who.as_deref())?;
        let keys = ["protocolVersion", "capabilities", "clientInfo"];
        let [version, capabilities, info] = object::find(params.unwrap_or("{}"), keys)
            .map_err(|fault| Error::malformed(fault.to_string()))?;
        let version = version.and_then(object::string);
        let version = version.as_deref().and_then(Version::parse).filter(|version| !version.is_modern());
        let object_or = |text: Option<&str>, other: &str| match text {
            Some(text) if text.starts_with('{') => Box::from(text),
            _ => Box::from(other),
        };
        let session = Session {
            id: self.mint_session_id().into(),
            version: version.unwrap_or(LEGACY_NEWEST),
            client_info: object_or(info, SERVER_INFO),
            capabilities: object_or(capabilities, "{}"),
            who,
            bucket: TokenBucket::new(),
            heard: cx.now.mono,
            initialized: false,
            log_level: None,
            backings: BTreeMap::new(),
            listens: BTreeMap::new(),
            calls: Vec::new(),
            asked: BTreeMap::new(),
            next_ask: 0,
            carrier,
        };
        let hash = self.mcp.hash(&session.id);
        let mcp = &mut self.mcp;
        let token = mcp.sessions.insert(session).map_err(|_| Error::insufficient_resources())?;
        let (sessions, hasher) = (&mcp.sessions, &mcp.hasher);
        let rehash = |token: &Token| sessions.get(*token).map_or(0, |session| hasher.hash_one(&*session.id));
        mcp.by_id.insert_unique(hash, token, rehash);
        Ok(token)
    }

    /// An id that cannot be guessed and whose home is this shard.
    pub(crate) fn mint_session_id(&mut self) -> String {
        loop {
            let id = self.seal.name();
            if route::home(&self.ring, &id) == self.me {
                return id;
            }
        }
    }

    /// Ends a session and all that is under way for it.
    pub(crate) fn mcp_close(&mut self, session: Token, cx: &mut Cx<'_>) {
        let Some(held) = self.mcp.sessions.get(session) else { return };
        let (mut calls, conversations) = (held.calls.clone(), held.backings.clone());
        calls.extend(held.listens.values());
        let hash = self.mcp.hash(&held.id);
        for call in calls {
            self.drop_call(call, cx);
        }
        for conversation in conversations.into_values() {
            self.end_conversation(conversation, cx);
        }
        if let Ok(entry) = self.mcp.by_id.find_entry(hash, |other| *other == session) {
            entry.remove();
        }
        self.mcp.sessions.remove(session);
    }

    /// A session is about to end: what is under way for it is given up and answered so.
    pub(crate) fn refuse_calls(&mut self, session: Token, cx: &mut Cx<'_>) {
        let Some(held) = self.mcp.sessions.get(session) else { return };
        let listens: Vec<Token> = held.listens.values().copied().collect();
        let calls: Vec<Token> = held.calls.iter().copied().filter(|call| !listens.contains(call)).collect();
        self.refuse_these(calls, &Refusal::new(code::INTERNAL_ERROR, "the session has ended"), cx);
    }

    /// The gateway stops, and all that is under way has had its time.
    pub(crate) fn refuse_all_calls(&mut self, cx: &mut Cx<'_>) {
        let finite = self.mcp.calls.iter().filter(|(_, call)| !matches!(call.work, Work::Listen(_)));
        let calls: Vec<Token> = finite.map(|(token, _)| token).collect();
        let error = Error::draining();
        let code = error.http_status().into();
        self.refuse_these(calls, &Refusal::denied(code, error.message(), &error), cx);
    }

    /// Whether a session has requests under way that come to an end.
    pub(crate) fn session_has_calls(&self, session: Token) -> bool {
        let Some(held) = self.mcp.sessions.get(session) else { return false };
        held.calls.iter().any(|call| self.is_finite(*call))
    }

    /// Whether a connection's client has such requests under way without a session.
    pub(crate) fn connection_has_calls(&self, connection: Token) -> bool {
        self.calls_of(connection).into_iter().any(|call| self.is_finite(call))
    }

    fn is_finite(&self, call: Token) -> bool {
        self.mcp.calls.get(call).is_some_and(|call| !matches!(call.work, Work::Listen(_)))
    }

    fn refuse_these(&mut self, calls: Vec<Token>, refusal: &Refusal, cx: &mut Cx<'_>) {
        for call in calls {
            let Some(ended) = self.give_up(call, cx) else { continue };
            if let Some(id) = Id::from_json(&ended.id) {
                self.answer_error(ended.outlet, ended.era, id, refusal, cx);
            }
        }
    }

    /// Gives up a call: its legs are cancelled, and no answer goes out.
    pub(crate) fn drop_call(&mut self, call: Token, cx: &mut Cx<'_>) {
        if let Some(ended) = self.give_up(call, cx) {
            self.mcp_deliver(ended.outlet, Delivery::Nothing, b"", cx);
        }
    }

    fn give_up(&mut self, call: Token, cx: &mut Cx<'_>) -> Option<Call> {
        for leg in self.mcp.calls.get(call)?.work.legs() {
            self.trace_asked_of(leg, || Some("cancelled".into()), cx);
        }
        let ended = self.end_call(call)?;
        self.tracer.close(Some("cancelled"), cx.now.mono);
        for leg in ended.work.legs() {
            self.drop_leg(leg, cx);
        }
        match ended.work {
            Work::Introduction => self.mcp.introducing.retain(|other| *other != call),
            Work::Listen(_) => self.mcp.listeners.retain(|other| *other != call),
            _ => {}
        }
        Some(ended)
    }

    /// A client's notification.
    pub(crate) fn mcp_notified(
        &mut self,
        from: From<'_>,
        method: Method,
        params: Option<&str>,
        cx: &mut Cx<'_>,
    ) {
        match (method, from.client) {
            (Method::NotificationCancelled, _) => {
                let request = params.and_then(|params| object::find(params, ["requestId"]).ok());
                if let Some([Some(request)]) = request {
                    self.cancel_request(from, request, cx);
                }
            }
            (Method::NotificationInitialized, Client::Session(session)) => self.client_is_ready(session, cx),
            (Method::NotificationRootsListChanged, Client::Session(session)) => {
                self.tell_all(
                    session,
                    br#"{"jsonrpc":"2.0","method":"notifications/roots/list_changed"}"#,
                    cx,
                );
            }
            (Method::NotificationProgress, Client::Session(session)) => {
                self.progress_of_client(session, params, cx);
            }
            _ => {}
        }
    }

    /// The client no longer wants an answer.
    fn cancel_request(&mut self, from: From<'_>, id: &str, cx: &mut Cx<'_>) {
        let asks = |call: &Token| {
            // `initialize` must not be cancelled.
            self.mcp.calls.get(*call).is_some_and(|call| &*call.id == id && call.method != Method::Initialize)
        };
        let found = match from.client {
            Client::Session(session) => {
                let Some(held) = self.mcp.sessions.get(session) else { return };
                held.calls.iter().copied().find(asks)
            }
            Client::Stateless => self.calls_for(from.outlet).find(asks),
        };
        if let Some(call) = found {
            self.drop_call(call, cx);
        }
    }

    /// The calls whose answers go to `outlet`.
    fn calls_for(&self, outlet: Outlet) -> impl Iterator<Item = Token> {
        let calls = outlet.connection().map_or_else(Vec::new, |connection| self.calls_of(connection));
        calls
            .into_iter()
            .filter(move |call| self.mcp.calls.get(*call).is_some_and(|call| call.outlet == outlet))
    }

    /// Tells every upstream with which a session converses.
    fn tell_all(&mut self, session: Token, message: &[u8], cx: &mut Cx<'_>) {
        let Some(held) = self.mcp.sessions.get(session) else { return };
        let conversations: Vec<Token> = held.backings.values().copied().collect();
        for conversation in conversations {
            if let Some(held) = self.mcp.conversations.get(conversation)
                && held.ready
                && self.is_legacy(held.server)
            {
                let Some(backing) = held.backing else { continue };
                self.tell_upstream(backing, message, cx);
            }
        }
    }

    /// A client's progress with what an upstream asked of it: the upstream chose the token.
    fn progress_of_client(&mut self, session: Token, params: Option<&str>, cx: &mut Cx<'_>) {
        let Some(held) = self.mcp.sessions.get(session) else { return };
        let asker = |asked: &Asked| match asked {
            Asked::Request { backing, .. } => Some(*backing),
            Asked::Input { .. } => None,
        };
        let mut backings: Vec<Token> = held.asked.values().filter_map(asker).collect();
        backings.dedup();
        let mut message = br#"{"jsonrpc":"2.0","method":"notifications/progress","params":"#.to_vec();
        message.extend_from_slice(params.unwrap_or("{}").as_bytes());
        message.push(b'}');
        for backing in backings {
            self.tell_upstream(backing, &message, cx);
        }
    }

    /// `logging/setLevel`: kept for what is asked later, and passed on to all who log already.
    pub(crate) fn set_level(&mut self, request: &Request<'_>, cx: &mut Cx<'_>) -> Result<(), Refusal> {
        const LEVELS: [&str; 8] =
            ["debug", "info", "notice", "warning", "error", "critical", "alert", "emergency"];
        let Client::Session(session) = request.from.client else { return Ok(()) };
        let level = request.read.level.filter(|level| LEVELS.contains(&level.trim_matches('"')));
        let Some(level) = level else {
            let message = format!("level must be one of {}", LEVELS.join(", "));
            return Err(Refusal::new(code::INVALID_PARAMS, message));
        };
        let Some(held) = self.mcp.sessions.get_mut(session) else { return Ok(()) };
        held.log_level = Some(level.into());
        let conversations: Vec<Token> = held.backings.values().copied().collect();
        for conversation in conversations {
            self.restore_log_level(conversation, cx);
        }
        self.answer_result(request.from.outlet, request.id, b"{}", cx);
        Ok(())
    }

    /// Tells a legacy upstream that logs which messages the session wants.
    pub(crate) fn restore_log_level(&mut self, conversation: Token, cx: &mut Cx<'_>) {
        let Some(held) = self.mcp.conversations.get(conversation) else { return };
        let (server, ready) = (held.server, held.ready);
        let session = self.session_of(conversation).and_then(|session| self.mcp.sessions.get(session));
        let Some(level) = session.and_then(|session| session.log_level.clone()) else { return };
        if !ready || !self.is_legacy(server) || !self.logs(server) {
            return;
        }
        let params = format!(r#"{{"level":{level}}}"#);
        self.errand(conversation, Serves::Nobody, Method::LoggingSetLevel, &params, cx);
    }

    /// Asks something of a legacy upstream that no client has asked. `None`: it cannot be asked now.
    pub(crate) fn errand(
        &mut self,
        conversation: Token,
        serves: Serves,
        method: Method,
        params: &str,
        cx: &mut Cx<'_>,
    ) -> Option<Token> {
        let held = self.mcp.conversations.get(conversation).filter(|held| held.ready)?;
        let (backing, server) = (held.backing, held.server);
        let leg = Leg { serves, server, conversation, method, unsent: None, wish: None, upward: None };
        let leg = self.mcp.legs.insert(leg).ok()?;
        self.track_leg(conversation, leg);
        let name = method.name().unwrap_or_default();
        let message =
            format!(r#"{{"jsonrpc":"2.0","id":{},"method":"{name}","params":{params}}}"#, wire_id::of(leg));
        let ask = Ask {
            message: message.as_bytes(),
            method: name,
            name: None,
            headers: &[],
            idempotent: true,
            long: false,
            who: None,
        };
        match backing {
            Some(backing) => {
                self.ask(backing, leg, ask, cx);
            }
            None => self.ask_remotely(leg, method, message.as_bytes(), cx),
        }
        Some(leg)
    }

    /// Whether an upstream says that it logs.
    fn logs(&self, server: crate::upstream::UpstreamId) -> bool {
        let about = self.mcp.abouts.get(&server);
        let capabilities = about.and_then(|about| object::find(&about.result, ["capabilities"]).ok()?[0]);
        capabilities.is_some_and(|found| matches!(object::find(found, ["logging"]), Ok([Some(_)])))
    }

    /// A stateless client has given up all whose answers would go to `outlet`.
    pub(crate) fn mcp_abandoned(&mut self, outlet: Outlet, cx: &mut Cx<'_>) {
        let abandoned: Vec<Token> = self.calls_for(outlet).collect();
        for call in abandoned {
            self.drop_call(call, cx);
        }
    }
}

impl Work {
    /// The legs that are open.
    pub(crate) fn legs(&self) -> Vec<Token> {
        match self {
            Work::Direct { leg } => vec![*leg],
            Work::Merge(merge) => merge.open_legs(),
            Work::Listen(listen) => listen.legs.iter().map(|(leg, ..)| *leg).collect(),
            Work::Input(_) | Work::Introduction | Work::Sleep(_) => Vec::new(),
        }
    }
}
