//! `subscriptions/listen`: one stream of news out of those of all servers.
//!
//! Modern upstreams are listened to in turn, one leg each; legacy ones send their news in the shared
//! conversation. A session with modern upstreams has such a stream too, which feeds its own.

use std::collections::BTreeMap;
use std::time::Duration;

use weir_ring::time::Instant;
use weir_ring::token::Token;
use weir_transports::mcp::splice::{splice, with_meta};
use weir_transports::mcp::{Era, Filter, Method, Params, key, object};

use crate::mcp::answer::Refusal;
use crate::mcp::call::{Call, Serves, Work};
use crate::mcp::catalog::Kind;
use crate::mcp::compose::Outgoing;
use crate::mcp::dispatch::Request;
use crate::mcp::outlet::{Client, Delivery, Outlet};
use crate::mcp::servers::{BUILTIN, Whose};
use crate::turn::{Alarm, Cx, Shard};
use crate::upstream::UpstreamId;

/// How long the acknowledgement waits for those of the upstreams.
const PATIENCE: Duration = Duration::from_secs(5);

/// How soon an upstream that has hung up is listened to again.
pub(crate) const AGAIN: Duration = Duration::from_secs(2);

/// How soon one is that has refused: most likely it has nothing to tell.
pub(crate) const AGAIN_REFUSED: Duration = Duration::from_secs(60);

/// URIs that one listener may name.
const URIS_MAX: usize = 1_000;

/// One client's wish for news.
#[derive(Debug, Default)]
pub(crate) struct Listen {
    /// The news it wants.
    pub(crate) wants: Wants,
    /// Legs at modern upstreams, each with whether it has acknowledged.
    pub(crate) legs: Vec<(Token, UpstreamId, bool)>,
    /// Legacy upstreams that send their news in the shared conversation.
    pub(crate) subscribed: Vec<UpstreamId>,
    /// Upstreams that are not listened to, and when they are to be again.
    silent: BTreeMap<UpstreamId, Instant>,
    /// The client has been told what it gets.
    pub(crate) acknowledged: bool,
    /// The parameters of the request, for legs to come.
    params: Option<Box<str>>,
    headers: Vec<(Box<str>, Box<str>)>,
}

/// Which news.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Wants {
    pub(crate) tools: bool,
    pub(crate) prompts: bool,
    pub(crate) resources: bool,
    /// Resources, by the URIs that clients see.
    pub(crate) uris: Vec<String>,
}

impl Wants {
    fn read(notifications: &str) -> Result<Wants, weir_transports::mcp::DecodeError> {
        let filter = Filter::read(notifications)?;
        let uris = filter.resource_subscriptions.map_or_else(Vec::new, |uris| {
            object::elements(uris).flatten().filter_map(object::string).map(|uri| uri.into_owned()).collect()
        });
        Ok(Wants {
            tools: filter.tools_list_changed,
            prompts: filter.prompts_list_changed,
            resources: filter.resources_list_changed,
            uris,
        })
    }

    /// As the value of `notifications`.
    fn write(&self) -> String {
        let mut filter = serde_json::Map::new();
        for (name, wanted) in [
            ("toolsListChanged", self.tools),
            ("promptsListChanged", self.prompts),
            ("resourcesListChanged", self.resources),
        ] {
            if wanted {
                filter.insert(name.into(), true.into());
            }
        }
        if !self.uris.is_empty() {
            filter.insert("resourceSubscriptions".into(), self.uris.clone().into());
        }
        serde_json::Value::Object(filter).to_string()
    }

    fn wants(&self, method: Method, uri: Option<&str>) -> bool {
        match method {
            Method::NotificationToolsListChanged => self.tools,
            Method::NotificationPromptsListChanged => self.prompts,
            Method::NotificationResourcesListChanged => self.resources,
            Method::NotificationResourcesUpdated => {
                uri.is_some_and(|uri| self.uris.iter().any(|wanted| wanted == uri))
            }
            _ => false,
        }
    }
}

impl Shard {
    /// A client wants to hear news until it hangs up.
    pub(crate) fn listen(&mut self, request: &Request<'_>, cx: &mut Cx<'_>) -> Result<(), Refusal> {
        let refuse = |error: weir_transports::mcp::DecodeError| Refusal::new(error.code(), error.to_string());
        let mut wants = Wants::read(request.read.notifications.unwrap_or("{}")).map_err(refuse)?;
        if wants.uris.len() > URIS_MAX {
            let message = format!("resourceSubscriptions names more than {URIS_MAX} resources");
            return Err(Refusal::new(weir_transports::mcp::code::INVALID_PARAMS, message));
        }
        wants.uris.retain(|uri| match self.whose_uri(uri) {
            Whose::Of(server, own) => self.may_use(request.from.who, Kind::Resource, server, &own).is_ok(),
            Whose::Ask(_) | Whose::Nobodys => !self.is_restricted(request.from.who),
        });
        let listen = Listen {
            wants,
            params: request.params.map(Box::from),
            headers: request.from.headers.to_vec(),
            ..Listen::default()
        };
        let call = self.begin(request, Work::Listen(Box::new(listen)))?;
        self.mcp.listeners.push(call);
        for server in self.servers().filter(|server| *server != BUILTIN).collect::<Vec<_>>() {
            self.listen_to(call, server, cx);
        }
        self.alarm(cx.now.mono.plus(PATIENCE), Alarm::Mcp(call));
        self.acknowledge_listen(call, false, cx);
        Ok(())
    }

    /// A session whose upstream is modern gets the upstream's news, if it does not yet.
    pub(crate) fn hear_modern(&mut self, session: Token, server: UpstreamId, cx: &mut Cx<'_>) {
        let held = self.mcp.sessions.get(session);
        if held.is_some_and(|held| !held.listens.contains_key(&server)) {
            self.listen_for_session(session, server, Vec::new(), cx);
        }
    }

    /// A session whose upstream is modern gets the upstream's news, and news of these resources.
    fn listen_for_session(&mut self, session: Token, server: UpstreamId, uris: Vec<String>, cx: &mut Cx<'_>) {
        let before = self.mcp.sessions.get_mut(session).and_then(|held| held.listens.remove(&server));
        if let Some(before) = before {
            self.drop_call(before, cx);
        }
        let Some(era) = self.era_of(Client::Session(session)) else { return };
        let who = self.mcp.sessions.get(session).and_then(|held| held.who.clone());
        let wants = Wants { tools: true, prompts: true, resources: true, uris };
        let params = format!(r#"{{"notifications":{}}}"#, wants.write());
        let listen = Listen { wants, params: Some(params.into()), acknowledged: true, ..Listen::default() };
        let call = Call {
            outlet: Outlet::Session { session },
            client: Client::Session(session),
            who,
            era,
            id: "0".into(),
            progress: None,
            logs: false,
            asked: None,
            rounds: 0,
            method: Method::SubscriptionsListen,
            traced: None,
            work: Work::Listen(Box::new(listen)),
        };
        let Ok(call) = self.mcp.calls.insert(call) else { return };
        if let Some(held) = self.mcp.sessions.get_mut(session) {
            held.listens.insert(server, call);
        }
        self.mcp.listeners.push(call);
        self.listen_to(call, server, cx);
    }

    /// `resources/subscribe` and `unsubscribe` of a legacy client at a modern upstream.
    pub(crate) fn subscribe_modern(
        &mut self,
        request: &Request<'_>,
        server: UpstreamId,
        uri: String,
        cx: &mut Cx<'_>,
    ) {
        if let Client::Session(session) = request.from.client {
            let listen = self.mcp.sessions.get(session).and_then(|held| held.listens.get(&server));
            let listen = listen.and_then(|call| self.mcp.calls.get(*call)).map(|call| &call.work);
            let mut uris = match listen {
                Some(Work::Listen(listen)) => listen.wants.uris.clone(),
                _ => Vec::new(),
            };
            uris.retain(|known| *known != uri);
            if request.method == Method::ResourcesSubscribe && uris.len() < URIS_MAX {
                uris.push(uri);
            }
            self.listen_for_session(session, server, uris, cx);
        }
        self.answer_result(request.from.outlet, request.id, b"{}", cx);
    }

    /// Listens to one server for a call.
    fn listen_to(&mut self, call: Token, server: UpstreamId, cx: &mut Cx<'_>) {
        let Some(held) = self.mcp.calls.get(call) else { return };
        let Work::Listen(listen) = &held.work else { return };
        let (client, who, headers) = (held.client, held.who.clone(), listen.headers.clone());
        let (mut wants, params) = (listen.wants.clone(), listen.params.clone());
        wants.uris = wants.uris.iter().filter_map(|uri| self.own_uri(server, uri)).collect();
        if self.is_legacy(server) {
            return self.subscribe_shared(call, server, &wants, cx);
        }
        if !self.is_modern(server) {
            // Which it is will be known once a conversation with it can begin.
            if self.shared_conversation(server, who.as_ref(), cx).is_err() {
                self.listen_later(call, server, AGAIN, cx);
            }
            return;
        }
        let Ok(read) = Params::read(Method::SubscriptionsListen, params.as_deref()) else { return };
        let (Some(text), Some(filter)) = (params.as_deref(), read.notifications) else { return };
        let mut own = Vec::new();
        splice(&mut own, text, &[(filter, wants.write().as_bytes())]);
        let Ok(own) = String::from_utf8(own) else { return };
        let Ok(read) = Params::read(Method::SubscriptionsListen, Some(&own)) else { return };
        let outgoing = Outgoing {
            client,
            method: Method::SubscriptionsListen,
            params: Some(&own),
            own: None,
            headers: &headers,
        };
        let leg = self.begin_leg(Serves::Call(call), server, outgoing, &read, cx);
        let Some(Work::Listen(listen)) = self.mcp.calls.get_mut(call).map(|call| &mut call.work) else {
            return;
        };
        match leg {
            Ok(leg) => listen.legs.push((leg, server, false)),
            Err(_) => self.listen_later(call, server, AGAIN, cx),
        }
    }

    /// A server is listened to after `wait`.
    fn listen_later(&mut self, call: Token, server: UpstreamId, wait: Duration, cx: &Cx<'_>) {
        let Some(Work::Listen(listen)) = self.mcp.calls.get_mut(call).map(|call| &mut call.work) else {
            return;
        };
        let at = cx.now.mono.plus(wait);
        listen.silent.insert(server, at);
        self.alarm(at, Alarm::Mcp(call));
    }

    /// What the server calls a resource, if it is the server's.
    fn own_uri(&self, server: UpstreamId, uri: &str) -> Option<String> {
        match self.whose_uri(uri) {
            Whose::Of(owner, own) if owner == server => Some(own.into_owned()),
            _ => None,
        }
    }

    /// Makes a legacy upstream send its news in the shared conversation.
    fn subscribe_shared(&mut self, call: Token, server: UpstreamId, wants: &Wants, cx: &mut Cx<'_>) {
        if self.is_personal(server) {
            // What it says in the shared conversation it says to whoever that was begun for.
            if let Some(Work::Listen(listen)) = self.mcp.calls.get_mut(call).map(|call| &mut call.work) {
                listen.subscribed.push(server);
            }
            return;
        }
        let Ok(conversation) = self.shared_conversation(server, None, cx) else {
            return self.listen_later(call, server, AGAIN, cx);
        };
        if self.mcp.conversations.get(conversation).is_none_or(|held| !held.ready) {
            return;
        }
        let mut legs = Vec::new();
        for uri in &wants.uris {
            let params = serde_json::json!({ "uri": uri }).to_string();
            let leg = self.errand(conversation, Serves::Call(call), Method::ResourcesSubscribe, &params, cx);
            legs.extend(leg.map(|leg| (leg, server, false)));
        }
        if let Some(Work::Listen(listen)) = self.mcp.calls.get_mut(call).map(|call| &mut call.work) {
            listen.subscribed.push(server);
            listen.legs.extend(legs);
        }
    }

    /// What waited for a server to be known is asked of it.
    pub(crate) fn listen_waiting(&mut self, server: UpstreamId, cx: &mut Cx<'_>) {
        for call in self.mcp.listeners.clone() {
            if self.lacks(call, server) {
                self.listen_to(call, server, cx);
                self.acknowledge_listen(call, false, cx);
            }
        }
    }

    /// A shared conversation has ended, and with it the subscriptions in it.
    pub(crate) fn unsubscribed(&mut self, server: UpstreamId, cx: &Cx<'_>) {
        for call in self.mcp.listeners.clone() {
            if let Some(Work::Listen(listen)) = self.mcp.calls.get_mut(call).map(|call| &mut call.work) {
                listen.subscribed.retain(|other| *other != server);
            }
            if self.lacks(call, server) {
                self.listen_later(call, server, AGAIN, cx);
            }
        }
    }

    /// Whether a call that wants news of a server does not listen to it.
    fn lacks(&self, call: Token, server: UpstreamId) -> bool {
        let Some(held) = self.mcp.calls.get(call) else { return false };
        let Work::Listen(listen) = &held.work else { return false };
        let wanted = match held.client {
            Client::Session(session) => {
                let session = self.mcp.sessions.get(session);
                session.is_some_and(|session| session.listens.get(&server) == Some(&call))
            }
            Client::Stateless => server != BUILTIN,
        };
        let asked = listen.legs.iter().any(|(_, of, _)| *of == server);
        wanted && !asked && !listen.subscribed.contains(&server)
    }

    /// News in the course of a leg that listens.
    pub(crate) fn listen_news(&mut self, leg: Token, method: Method, params: Option<&str>, cx: &mut Cx<'_>) {
        let Some(held) = self.mcp.legs.get(leg) else { return };
        let server = held.server;
        let Some(call) = held.serves.call() else { return };
        if method == Method::NotificationSubscriptionsAcknowledged {
            if let Some(Work::Listen(listen)) = self.mcp.calls.get_mut(call).map(|call| &mut call.work)
                && let Some(place) = listen.legs.iter_mut().find(|(other, ..)| *other == leg)
            {
                place.2 = true;
            }
            return self.acknowledge_listen(call, false, cx);
        }
        self.list_changed(server, method);
        self.spread_stale(server, method, cx);
        let params = self.shown_params(server, method, params.unwrap_or("{}"));
        self.tell_listener(call, method, &params, cx);
    }

    /// Passes news on to all who listen to the server by the shared conversation.
    pub(crate) fn tell_listeners(
        &mut self,
        server: UpstreamId,
        method: Method,
        params: &str,
        cx: &mut Cx<'_>,
    ) {
        if !self.is_legacy(server) {
            return;
        }
        self.tell_stateless(method, params, cx);
        let share = self.config.upstreams.get(usize::from(server.0)).is_some_and(|upstream| upstream.share);
        let lists = matches!(
            method,
            Method::NotificationToolsListChanged
                | Method::NotificationPromptsListChanged
                | Method::NotificationResourcesListChanged
        );
        if share && lists {
            self.tell_sessions(method, params, cx);
        }
    }

    /// Passes news on to all sessions.
    pub(crate) fn tell_sessions(&mut self, method: Method, params: &str, cx: &mut Cx<'_>) {
        let name = method.name().unwrap_or_default();
        let message = format!(r#"{{"jsonrpc":"2.0","method":"{name}","params":{params}}}"#);
        let sessions: Vec<Token> = self.mcp.sessions.iter().map(|(session, _)| session).collect();
        for session in sessions {
            self.mcp_deliver(Outlet::Session { session }, Delivery::Interim, message.as_bytes(), cx);
        }
    }

    /// Passes news on to all stateless clients that listen for such.
    pub(crate) fn tell_stateless(&mut self, method: Method, params: &str, cx: &mut Cx<'_>) {
        let uri = object::find(params, ["uri"]).ok().and_then(|[uri]| uri).and_then(object::string);
        for call in self.mcp.listeners.clone() {
            let wants = self.mcp.calls.get(call).is_some_and(|held| match &held.work {
                Work::Listen(listen) => {
                    held.client == Client::Stateless && listen.wants.wants(method, uri.as_deref())
                }
                _ => false,
            });
            if wants {
                self.tell_listener(call, method, params, cx);
            }
        }
    }

    fn tell_listener(&mut self, call: Token, method: Method, params: &str, cx: &mut Cx<'_>) {
        let Some(held) = self.mcp.calls.get(call) else { return };
        let (outlet, era) = (held.outlet, held.era);
        let mut message =
            format!(r#"{{"jsonrpc":"2.0","method":"{}","params":"#, method.name().unwrap_or_default())
                .into_bytes();
        match era {
            Era::Modern => with_meta(&mut message, Some(params), &[(key::SUBSCRIPTION_ID, &held.id)], &[]),
            Era::Legacy(_) => with_meta(&mut message, Some(params), &[], &[key::SUBSCRIPTION_ID]),
        }
        message.push(b'}');
        self.mcp_deliver(outlet, Delivery::Interim, &message, cx);
    }

    /// Tells the client what it gets, once every upstream has said what it grants, or has had its time.
    fn acknowledge_listen(&mut self, call: Token, overdue: bool, cx: &mut Cx<'_>) {
        let waits = self.servers().any(|server| self.is_awaited(call, server));
        let Some(held) = self.mcp.calls.get_mut(call) else { return };
        let Work::Listen(listen) = &mut held.work else { return };
        if listen.acknowledged || !overdue && waits {
            return;
        }
        listen.acknowledged = true;
        let params = format!(r#"{{"notifications":{}}}"#, listen.wants.write());
        self.tell_listener(call, Method::NotificationSubscriptionsAcknowledged, &params, cx);
    }

    /// Whether a server has not said yet what it grants, but may.
    fn is_awaited(&self, call: Token, server: UpstreamId) -> bool {
        let Some(Work::Listen(listen)) = self.mcp.calls.get(call).map(|call| &call.work) else {
            return false;
        };
        let mut legs = listen.legs.iter().filter(|(_, of, _)| *of == server).peekable();
        if legs.peek().is_some() {
            return legs.any(|(_, _, acknowledged)| !acknowledged);
        }
        let failed = self.mcp.faults.contains_key(&server) && !self.mcp.abouts.contains_key(&server);
        let left = listen.silent.contains_key(&server) || listen.subscribed.contains(&server);
        server != BUILTIN && !failed && !left
    }

    /// A leg that listened has ended: the upstream is listened to again after `wait`.
    pub(crate) fn listen_ended(&mut self, call: Token, leg: Token, wait: Duration, cx: &mut Cx<'_>) {
        let Some(Work::Listen(listen)) = self.mcp.calls.get_mut(call).map(|call| &mut call.work) else {
            return;
        };
        let ended = listen.legs.iter().position(|(other, ..)| *other == leg);
        let Some((_, server, _)) = ended.map(|at| listen.legs.swap_remove(at)) else { return };
        if self.lacks(call, server) {
            self.listen_later(call, server, wait, cx);
        }
        self.acknowledge_listen(call, false, cx);
    }

    /// A listener's time has come: upstreams that have hung up are listened to again, or acknowledgements
    /// that did not come are not waited for.
    pub(crate) fn examine_listen(&mut self, call: Token, cx: &mut Cx<'_>) {
        let Some(Work::Listen(listen)) = self.mcp.calls.get_mut(call).map(|call| &mut call.work) else {
            return;
        };
        let due: Vec<UpstreamId> =
            listen.silent.iter().filter(|(_, at)| **at <= cx.now.mono).map(|(server, _)| *server).collect();
        listen.silent.retain(|server, _| !due.contains(server));
        if due.is_empty() {
            return self.acknowledge_listen(call, true, cx);
        }
        for server in due {
            if self.lacks(call, server) {
                self.listen_to(call, server, cx);
            }
        }
    }

    /// What was learnt of a list that has changed is no longer true.
    pub(crate) fn list_changed(&mut self, server: UpstreamId, method: Method) {
        self.mcp.cache.forget(server, method);
        match method {
            Method::NotificationToolsListChanged => self.mcp.catalog.forget(Kind::Tool, server),
            Method::NotificationPromptsListChanged => self.mcp.catalog.forget(Kind::Prompt, server),
            Method::NotificationResourcesListChanged => self.mcp.catalog.forget(Kind::Resource, server),
            _ => {}
        }
    }
}
