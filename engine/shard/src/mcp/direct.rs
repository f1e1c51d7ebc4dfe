//! Calls and their legs: begun, sent, ended.

use std::sync::Arc;

use weir_ring::token::Token;
use weir_transports::mcp::{Era, Method, Params, object};

use crate::mcp::answer::Refusal;
use crate::mcp::call::{Call, Leg, Serves, Work};
use crate::mcp::compose::{Outgoing, Rewriting, compose, trace_headers};
use crate::mcp::conversation::Whose;
use crate::mcp::dispatch::Request;
use crate::mcp::outlet::Client;
use crate::mcp::servers::BUILTIN;
use crate::mcp::wire_id;
use crate::policy::auth::Principal;
use crate::turn::{Cx, Shard};
use crate::upstream::{Ask, UpstreamFault, UpstreamId};

/// The name of no leg.
pub(crate) const NO_LEG: Token = Token { index: u32::MAX, generation: 0 };

impl Shard {
    /// Passes a request on to one server, whose answer is the answer. `own` is what the server calls the
    /// thing that the client names otherwise.
    pub(crate) fn direct(
        &mut self,
        request: &Request<'_>,
        server: UpstreamId,
        own: Option<&str>,
        cx: &mut Cx<'_>,
    ) -> Result<(), Refusal> {
        if server == BUILTIN {
            return self.builtin(request, own, cx);
        }
        if let Some(state) = request.read.request_state.and_then(object::string)
            && self.is_legacy(server)
        {
            return self.take_up(request, server, &state, cx);
        }
        if self.answer_kept(request, server, own, cx)? {
            return Ok(());
        }
        let call = self.begin(request, Work::Direct { leg: NO_LEG })?;
        let outgoing = Outgoing {
            client: request.from.client,
            method: request.method,
            params: request.params,
            own,
            headers: request.from.headers,
        };
        match self.begin_leg(Serves::Call(call), server, outgoing, request.read, cx) {
            Ok(leg) => {
                if let Some(call) = self.mcp.calls.get_mut(call) {
                    call.work = Work::Direct { leg };
                }
                Ok(())
            }
            Err(why) => {
                self.end_call(call);
                Err(self.fault(server, &why))
            }
        }
    }

    /// Makes a request a call that is under way.
    pub(crate) fn begin(&mut self, request: &Request<'_>, work: Work) -> Result<Token, Refusal> {
        let call = Call {
            outlet: request.from.outlet,
            client: request.from.client,
            who: request.from.who.cloned(),
            era: request.era,
            id: request.id.as_json().into(),
            progress: request.read.meta.progress_token.map(Box::from),
            logs: matches!(request.from.client, Client::Session(_)) || request.read.meta.log_level.is_some(),
            method: request.method,
            asked: None,
            rounds: 0,
            traced: self.tracer.take_up(None),
            work,
        };
        let full = |_| {
            Refusal::new(
                weir_transports::mcp::code::INTERNAL_ERROR,
                "too many requests are under way here; try again later",
            )
        };
        let token = self.mcp.calls.insert(call).map_err(full)?;
        if let Client::Session(session) = request.from.client
            && let Some(session) = self.mcp.sessions.get_mut(session)
        {
            session.calls.push(token);
        }
        if let Some(connection) = request.from.outlet.connection() {
            self.mcp.by_connection.insert(entry_of(connection, token));
        }
        Ok(token)
    }

    /// Forgets a call. Its legs are none any more.
    pub(crate) fn end_call(&mut self, call: Token) -> Option<Call> {
        let mut ended = self.mcp.calls.remove(call)?;
        // Its answer, if there is one, comes next.
        self.tracer.take_up(ended.traced.take());
        if let Client::Session(session) = ended.client
            && let Some(session) = self.mcp.sessions.get_mut(session)
        {
            session.calls.retain(|other| *other != call);
            // What was asked in its course need not be answered any more.
            session.asked.retain(|_, asked| asked.call() != Some(call));
        }
        if let Some(connection) = ended.outlet.connection() {
            self.mcp.by_connection.remove(&entry_of(connection, call));
        }
        Some(ended)
    }

    /// The calls of a connection's clients without a session.
    pub(crate) fn calls_of(&self, connection: Token) -> Vec<Token> {
        let Token { index, generation } = connection;
        let entries = self.mcp.by_connection.range([index, generation, 0, 0]..);
        let mine = entries.take_while(|[of, life, ..]| (*of, *life) == (index, generation));
        mine.map(|[.., index, generation]| Token { index: *index, generation: *generation }).collect()
    }

    /// Asks one server; later, if the conversation with it is not ready.
    pub(crate) fn begin_leg(
        &mut self,
        serves: Serves,
        server: UpstreamId,
        outgoing: Outgoing<'_>,
        read: &Params<'_>,
        cx: &mut Cx<'_>,
    ) -> Result<Token, UpstreamFault> {
        let who = self.asker(serves);
        let asks = (outgoing.client, who.as_ref());
        let conversation = self.conversation(asks, read.meta.client_capabilities, server, cx)?;
        let wish = self.wish(server, &outgoing);
        let method = outgoing.method;
        let leg = Leg { serves, server, conversation, method, unsent: None, wish, upward: None };
        let leg = self.mcp.legs.insert(leg).map_err(|_| UpstreamFault::Overloaded)?;
        if self.takes_leg(conversation, leg) {
            self.track_leg(conversation, leg);
            self.send_leg(leg, outgoing, read, cx);
            return Ok(leg);
        }
        if let Some(held) = self.mcp.conversations.get_mut(conversation) {
            held.legs.push(leg);
        }
        if let Some(leg) = self.mcp.legs.get_mut(leg) {
            leg.unsent = Some(Box::new(outgoing.kept()));
        }
        Ok(leg)
    }

    /// The conversation has become ready: asks what waited for it.
    pub(crate) fn send_unsent(&mut self, leg: Token, cx: &mut Cx<'_>) {
        let Some(present) = self.mcp.legs.get(leg).map(|leg| leg.conversation) else { return };
        if self.takes_leg(present, leg) {
            self.place_leg(leg, cx);
        }
    }

    /// Sends what waits, in the conversation it waits for or, if that will not do or is gone, in another.
    pub(crate) fn place_leg(&mut self, leg: Token, cx: &mut Cx<'_>) {
        let Some(waiting) = self.mcp.legs.get_mut(leg) else { return };
        let (server, method, present) = (waiting.server, waiting.method, waiting.conversation);
        let serves = waiting.serves;
        let Some(unsent) = waiting.unsent.take() else { return };
        let who = self.asker(serves);
        // It was read when it came.
        let Ok(read) = Params::read(method, unsent.params.as_deref()) else { return };
        let outgoing = Outgoing {
            client: unsent.client,
            method,
            params: unsent.params.as_deref(),
            own: unsent.own.as_deref(),
            headers: &unsent.headers,
        };
        // What the upstream speaks is known by now: the shared conversation may not do for it.
        let there = self.mcp.conversations.get(present);
        let does = there.is_some_and(|held| !matches!(held.whose, Whose::Shared | Whose::Spent));
        let conversation = match does {
            true => Ok(present),
            false => {
                self.conversation((unsent.client, who.as_ref()), read.meta.client_capabilities, server, cx)
            }
        };
        match conversation {
            Ok(conversation) => self.send_or_wait(leg, conversation, &outgoing, &read, cx),
            Err(why) => self.leg_failed(leg, why, cx),
        }
    }

    fn send_or_wait(
        &mut self,
        leg: Token,
        conversation: Token,
        outgoing: &Outgoing<'_>,
        read: &Params<'_>,
        cx: &mut Cx<'_>,
    ) {
        let Some(held) = self.mcp.legs.get_mut(leg) else { return };
        let before = std::mem::replace(&mut held.conversation, conversation);
        let moved = before != conversation;
        if moved && let Some(from) = self.mcp.conversations.get_mut(before) {
            from.legs.retain(|other| *other != leg);
        }
        let unsent = Some(Box::new(outgoing.kept()));
        if self.takes_leg(conversation, leg) {
            if moved {
                self.track_leg(conversation, leg);
            }
            return self.send_leg(leg, *outgoing, read, cx);
        }
        if moved && let Some(to) = self.mcp.conversations.get_mut(conversation) {
            to.legs.push(leg);
        }
        if let Some(held) = self.mcp.legs.get_mut(leg) {
            held.unsent = unsent;
        }
    }

    /// Asks a server in a conversation that is ready.
    fn send_leg(&mut self, leg: Token, outgoing: Outgoing<'_>, read: &Params<'_>, cx: &mut Cx<'_>) {
        let Some(held) = self.mcp.legs.get(leg) else { return };
        let (server, conversation, serves) = (held.server, held.conversation, held.serves);
        let who = self.asker(serves);
        let Some(backing) = self.mcp.conversations.get(conversation).map(|held| held.backing) else { return };
        let own = backing.and_then(|backing| self.backing(backing)).and_then(|backing| backing.era);
        let known = self.mcp.abouts.get(&server).map(|about| about.era);
        let Some(era) = own.or(known) else { return };
        if era == Era::Modern
            && matches!(outgoing.client, Client::Session(_))
            && let Some(call) = serves.call().and_then(|call| self.mcp.calls.get_mut(call))
            && call.asked.is_none()
        {
            call.asked = Some(Box::new(outgoing.kept()));
        }
        let mut message = std::mem::take(&mut self.mcp.upward);
        message.clear();
        let trace = self.trace_asked(leg, cx);
        let rewriting =
            Rewriting { translation: self.translation(era, outgoing.client), trace: trace.as_ref() };
        compose(&mut message, wire_id::of(leg), &rewriting, &outgoing, read);
        let method = outgoing.method.name().unwrap_or_default();
        let shown = read.header_name(outgoing.method).and_then(object::string);
        let name = outgoing.method.name_param().and(outgoing.own.or(shown.as_deref()));
        let mut headers = self.headers_for(server, era, &outgoing, read);
        if let Some(trace) = &trace {
            trace_headers(&mut headers, trace);
        }
        let ask = Ask {
            message: &message,
            method,
            name,
            headers: &headers,
            idempotent: outgoing.method.is_idempotent(),
            long: outgoing.method == Method::SubscriptionsListen,
            who: who.as_ref(),
        };
        let passed_on = match backing {
            Some(backing) => self.ask(backing, leg, ask, cx),
            None => {
                self.ask_remotely(leg, outgoing.method, &message, cx);
                true
            }
        };
        self.mcp.upward = message;
        if passed_on {
            self.trace_dispatched(serves, server, cx);
        }
    }

    /// For whom a server is asked.
    fn asker(&self, serves: Serves) -> Option<Arc<Principal>> {
        serves.call().and_then(|call| self.mcp.calls.get(call)).and_then(|call| call.who.clone())
    }

    /// Forgets a leg.
    pub(crate) fn end_leg(&mut self, leg: Token, cx: &Cx<'_>) -> Option<Leg> {
        let ended = self.mcp.legs.remove(leg)?;
        if let Some(held) = self.mcp.conversations.get_mut(ended.conversation) {
            held.idle_since = cx.now.mono;
            held.legs.retain(|other| *other != leg);
            // In a lease over a pipe the next one has waited for this.
            if ended.unsent.is_none() && !held.legs.is_empty() && matches!(held.whose, Whose::Lease { .. }) {
                self.mcp.freed.push(ended.conversation);
            }
        }
        Some(ended)
    }

    /// Gives up a leg whose answer nobody wants any more, and tells a legacy upstream so.
    pub(crate) fn drop_leg(&mut self, leg: Token, cx: &mut Cx<'_>) {
        self.trace_asked_of(leg, || Some("cancelled".into()), cx);
        let Some(ended) = self.end_leg(leg, cx) else { return };
        if let Serves::Hold(hold) = ended.serves {
            self.mcp.holds.remove(hold);
        }
        if ended.unsent.is_some() {
            return;
        }
        let backing = self.mcp.conversations.get(ended.conversation).and_then(|held| held.backing);
        let Some(backing) = backing else { return self.cancel_remotely(leg, ended.server, cx) };
        if self.is_legacy(ended.server) {
            let cancelled = format!(
                r#"{{"jsonrpc":"2.0","method":"notifications/cancelled","params":{{"requestId":{},"reason":"cancelled by the client"}}}}"#,
                wire_id::of(leg)
            );
            self.tell_upstream(backing, cancelled.as_bytes(), cx);
        }
        self.cancel_leg(backing, leg, cx);
        self.end_lease(ended.conversation, cx);
    }
}

fn entry_of(connection: Token, call: Token) -> [u32; 4] {
    [connection.index, connection.generation, call.index, call.generation]
}
