//! Lists of several servers put together: one page of each, in the order of the configuration.
//!
//! The gateway's cursor holds the upstreams' own, so that no page is lost and none comes twice. A server
//! that does not answer in time is left out of the page; the client is told, and asks again when the list
//! is said to have changed.

use std::time::Duration;

use weir_ring::token::Token;
use weir_transports::jsonrpc::{self, Body, Id};
use weir_transports::mcp::cursor::Cursor;
use weir_transports::mcp::headers::ParamHeader;
use weir_transports::mcp::hints::Hints;
use weir_transports::mcp::list::{self, Page};
use weir_transports::mcp::show::{self, Shown};
use weir_transports::mcp::{Era, Method, Params, code, object};

use crate::limits::Prefix;
use crate::mcp::answer::Refusal;
use crate::mcp::call::{Call, Serves, Work};
use crate::mcp::catalog::{Kind, Place};
use crate::mcp::compose::Outgoing;
use crate::mcp::dispatch::Request;
use crate::mcp::outlet::{Client, Delivery};
use crate::mcp::servers::BUILTIN;
use crate::mcp::survey::Survey;
use crate::turn::{Alarm, Cx, Shard};
use crate::upstream::{UpstreamFault, UpstreamId};

/// How long the others wait for the last server of a merged list.
const PATIENCE: Duration = Duration::from_secs(5);

/// A list under way at several servers.
#[derive(Debug)]
pub(crate) struct Merge {
    /// What each server contributes, in the order of the configuration.
    pub(crate) parts: Vec<Part>,
    /// The list is not the client's: a request waits for what it says.
    pub(crate) survey: Option<Box<Survey>>,
}

/// One server's contribution.
#[derive(Debug)]
pub(crate) struct Part {
    pub(crate) server: UpstreamId,
    /// Which page of its list it is; `None`: nobody is called by that list.
    pub(crate) place: Option<Place>,
    pub(crate) state: PartState,
}

/// How far it is.
#[derive(Debug)]
pub(crate) enum PartState {
    /// The server was asked.
    Asked(Token),
    /// The result's text.
    Here(Box<str>),
    /// The server did not answer, and why.
    Missing(String),
}

impl Shard {
    /// A page of a list.
    pub(crate) fn list(&mut self, request: &Request<'_>, cx: &mut Cx<'_>) -> Result<(), Refusal> {
        let prefixed = self.config.mcp.prefix == Prefix::Always;
        if let Some(sole) = self.sole_server()
            && !self.is_restricted(request.from.who)
            && (!prefixed || Kind::listed_by(request.method).is_none_or(|kind| kind == Kind::Resource))
        {
            return self.direct(request, sole, None, cx);
        }
        let places: Vec<(u16, Option<String>)> = match request.read.cursor.and_then(object::string) {
            Some(cursor) => {
                let cursor = Cursor::decode(&cursor).ok();
                let cursor = cursor.filter(|cursor| cursor.generation == self.cursor_generation());
                let cursor = cursor.ok_or_else(foreign_cursor)?;
                cursor.upstreams.into_iter().map(|(server, cursor)| (server, Some(cursor))).collect()
            }
            None => self.servers().map(|server| (server.0, None)).collect(),
        };
        let call = self.begin(request, Work::Merge(Box::new(Merge { parts: Vec::new(), survey: None })))?;
        for (server, cursor) in places {
            let server = UpstreamId(server);
            if self.servers().any(|known| known == server) && self.has_list(server, request.method) {
                self.ask_part(call, server, request.method, cursor.as_deref(), request, cx);
            }
        }
        self.alarm(cx.now.mono.plus(PATIENCE), Alarm::Mcp(call));
        self.finish_merge_if_whole(call, cx);
        Ok(())
    }

    /// Whether the server may have anything in such a list, as far as it has introduced itself.
    pub(crate) fn has_list(&self, server: UpstreamId, method: Method) -> bool {
        let Some(about) = self.mcp.abouts.get(&server) else { return true };
        let key = match method {
            Method::ToolsList => "tools",
            Method::PromptsList => "prompts",
            _ => "resources",
        };
        let capabilities = object::find(&about.result, ["capabilities"]).ok().and_then(|[found]| found);
        capabilities.is_none_or(|found| !matches!(object::find(found, [key]), Ok([None])))
    }

    /// Asks one server for its page.
    pub(crate) fn ask_part(
        &mut self,
        call: Token,
        server: UpstreamId,
        method: Method,
        cursor: Option<&str>,
        request: &Request<'_>,
        cx: &mut Cx<'_>,
    ) {
        let params = page_params(request.read, cursor);
        let place = Kind::listed_by(method).map(|kind| self.mcp.catalog.place(kind, server, cursor));
        let state = if server == BUILTIN {
            match self.builtin_page(request, method, cx) {
                Some(page) => PartState::Here(page.into()),
                None => return,
            }
        } else if let Some(page) = self.kept_result(server, method, Some(&params), None, cx) {
            PartState::Here(page.into())
        } else {
            let outgoing = Outgoing {
                client: request.from.client,
                method,
                params: Some(&params),
                own: None,
                headers: request.from.headers,
            };
            let leg = match Params::read(method, Some(&params)) {
                Ok(read) => self.begin_leg(Serves::Call(call), server, outgoing, &read, cx),
                Err(_) => Err(UpstreamFault::Garbage),
            };
            match leg {
                Ok(leg) => PartState::Asked(leg),
                Err(why) => {
                    self.note_absence(server, cx);
                    PartState::Missing(why.to_string())
                }
            }
        };
        if let Some(Work::Merge(merge)) = self.mcp.calls.get_mut(call).map(|call| &mut call.work) {
            merge.parts.push(Part { server, place, state });
        }
    }

    /// A server has answered with its page, or with an error.
    pub(crate) fn part_answered(
        &mut self,
        call: Token,
        leg: Token,
        server: UpstreamId,
        body: Body<'_>,
        cx: &mut Cx<'_>,
    ) {
        let state = match body {
            Body::Result(result) => {
                self.lists_again(server, cx);
                PartState::Here(result.into())
            }
            Body::Error(error) => {
                let found = object::find(error, ["message"]).ok().and_then(|[message]| message);
                let message = found.and_then(object::string).unwrap_or_default();
                PartState::Missing(format!("answered with an error: {message}"))
            }
        };
        self.part_done(call, leg, state, cx);
    }

    /// A server will not answer.
    pub(crate) fn part_failed(
        &mut self,
        call: Token,
        leg: Token,
        server: UpstreamId,
        why: UpstreamFault,
        cx: &mut Cx<'_>,
    ) {
        self.note_absence(server, cx);
        self.part_done(call, leg, PartState::Missing(why.to_string()), cx);
    }

    fn part_done(&mut self, call: Token, leg: Token, state: PartState, cx: &mut Cx<'_>) {
        let Some(Work::Merge(merge)) = self.mcp.calls.get_mut(call).map(|call| &mut call.work) else {
            return;
        };
        let asked = |part: &&mut Part| matches!(part.state, PartState::Asked(asked) if asked == leg);
        if let Some(part) = merge.parts.iter_mut().find(asked) {
            part.state = state;
        }
        self.finish_merge_if_whole(call, cx);
    }

    /// Some servers have taken too long: goes on without them.
    pub(crate) fn merge_overdue(&mut self, call: Token, cx: &mut Cx<'_>) {
        let Some(Work::Merge(merge)) = self.mcp.calls.get_mut(call).map(|call| &mut call.work) else {
            return;
        };
        if let Some(survey) = &mut merge.survey {
            survey.end();
        }
        let mut late = Vec::new();
        for part in &mut merge.parts {
            if let PartState::Asked(leg) = part.state {
                late.push((leg, part.server));
                part.state = PartState::Missing(UpstreamFault::TimedOut.to_string());
            }
        }
        for (leg, server) in late {
            self.drop_leg(leg, cx);
            self.note_absence(server, cx);
        }
        self.finish_merge_if_whole(call, cx);
    }

    fn finish_merge_if_whole(&mut self, call: Token, cx: &mut Cx<'_>) {
        let Some(held) = self.mcp.calls.get(call) else { return };
        let Work::Merge(merge) = &held.work else { return };
        if merge.parts.iter().any(|part| matches!(part.state, PartState::Asked(_))) {
            return;
        }
        if merge.survey.is_some() {
            return self.survey_page(call, cx);
        }
        let Some(call) = self.end_call(call) else { return };
        self.finish_merge(call, cx);
    }

    fn finish_merge(&mut self, call: Call, cx: &mut Cx<'_>) {
        let Work::Merge(merge) = &call.work else { return };
        let Some(id) = Id::from_json(&call.id) else { return };
        let missing: Vec<(UpstreamId, &str)> = merge
            .parts
            .iter()
            .filter_map(|part| match &part.state {
                PartState::Missing(why) => Some((part.server, why.as_str())),
                _ => None,
            })
            .collect();
        if !missing.is_empty() && missing.len() == merge.parts.len() {
            let (server, why) = missing[0];
            let refusal = Refusal::new(
                code::INTERNAL_ERROR,
                format!("no server answered; {} {why}", self.server_name(server)),
            );
            return self.answer_error(call.outlet, call.era, id, &refusal, cx);
        }
        for (server, why) in &missing {
            self.tell_missing(&call, *server, why, cx);
        }
        for part in &merge.parts {
            if let PartState::Here(result) = &part.state {
                self.learn_page(call.method, part.server, part.place.as_ref(), result);
            }
        }
        let Some(page) = self.merged(&call, merge) else {
            let refusal = Refusal::new(
                code::INTERNAL_ERROR,
                "the servers' cursors are too long for one of the gateway's",
            );
            return self.answer_error(call.outlet, call.era, id, &refusal, cx);
        };
        let mut message = Vec::with_capacity(page.len() + 64);
        jsonrpc::result(&mut message, &id, &page);
        self.mcp_deliver(call.outlet, Delivery::Answer { status: 200 }, &message, cx);
    }

    /// The result of the call, out of its parts. `None`: the next pages cannot be named.
    fn merged(&self, call: &Call, merge: &Merge) -> Option<Vec<u8>> {
        let mut items: Vec<Vec<u8>> = Vec::new();
        let mut next = Cursor { generation: self.cursor_generation(), upstreams: Vec::new() };
        let mut hints: Option<Hints> = None;
        for part in &merge.parts {
            let PartState::Here(result) = &part.state else {
                continue;
            };
            let Some(page) = Page::read(call.method, result) else { continue };
            let seen = |item: &str| {
                self.is_shown(call.method, part.server, item)
                    && self.sees(call.who.as_ref(), call.method, part.server, item)
            };
            for item in page.items.iter().filter(|item| seen(item)) {
                let mut shown = Vec::with_capacity(item.len() + 32);
                self.write_item(&mut shown, call.method, part.server, item);
                items.push(shown);
            }
            if let Some(cursor) = &page.next_cursor {
                next.upstreams.push((part.server.0, cursor.to_string()));
            }
            hints = Some(hints.map_or(page.hints, |before| before.and(page.hints)));
        }
        let next = if next.upstreams.is_empty() { None } else { Some(next.encode()?) };
        // What is not whole is not to be kept.
        let whole = merge.parts.iter().all(|part| !matches!(part.state, PartState::Missing(_)));
        let hints = (call.era == Era::Modern).then(|| hints.filter(|_| whole).unwrap_or(Hints::NONE));
        let mut out = Vec::new();
        list::write_page(&mut out, call.method, items.iter().map(Vec::as_slice), next.as_deref(), hints);
        Some(out)
    }

    /// Which servers the gateway's cursors speak of: with other servers configured, they mean nothing.
    fn cursor_generation(&self) -> u32 {
        let names = self.config.upstreams.iter().flat_map(|upstream| upstream.name.bytes().chain([0]));
        // FNV-1a.
        names.fold(0x811c_9dc5, |hash: u32, byte| (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193))
    }

    /// Whether clients see an item: where nothing tells two of the same name apart, they see the first.
    fn is_shown(&self, method: Method, server: UpstreamId, item: &str) -> bool {
        if self.config.mcp.prefix != Prefix::Never {
            return true;
        }
        let (Some(kind), Some(name)) = (Kind::listed_by(method), list::name_of(method, item)) else {
            return true;
        };
        self.mcp.catalog.owners(kind, &name).first().is_none_or(|first| *first == server)
    }

    /// An item as clients see it.
    fn write_item(&self, out: &mut Vec<u8>, method: Method, server: UpstreamId, item: &str) {
        let name = list::name_of(method, item);
        let names = match (Kind::listed_by(method), name.as_deref()) {
            (Some(kind @ (Kind::Tool | Kind::Prompt)), Some(name)) => self.shows_prefix(kind, name),
            _ => false,
        };
        let shown = Shown { upstream: self.server_name(server), names, uris: self.shows_uris() };
        show::write_item(out, method, item, shown);
    }

    /// Notes what a page of a list says: who has what. `place`: which page it is, where that was noted.
    pub(crate) fn learn_page(
        &mut self,
        method: Method,
        server: UpstreamId,
        place: Option<&Place>,
        result: &str,
    ) {
        let Some(kind) = Kind::listed_by(method) else { return };
        let Some(page) = Page::read(method, result) else { return };
        let wants_headers = self.is_modern(server);
        for item in &page.items {
            let Some(name) = list::name_of(method, item) else { continue };
            self.mcp.catalog.learn(kind, &name, server);
            if kind == Kind::Tool && wants_headers {
                // A tool that breaks the rules is called without such headers.
                let mirrored = ParamHeader::of_tool(item).unwrap_or_default();
                self.mcp.catalog.learn_headers(server, &name, mirrored);
            }
        }
        match place {
            Some(place) => self.mcp.catalog.learned_page(kind, server, place, page.next_cursor.as_deref()),
            None if page.next_cursor.is_none() => self.mcp.catalog.learned(kind, server),
            None => {}
        }
    }

    /// Tells the client that a page is not whole.
    fn tell_missing(&mut self, call: &Call, server: UpstreamId, why: &str, cx: &mut Cx<'_>) {
        if !call.logs {
            return;
        }
        let note = serde_json::json!({
            "jsonrpc": "2.0",
            "method": "notifications/message",
            "params": {
                "level": "warning",
                "logger": "weir",
                "data": format!("the list is not whole: the server {} {why}", self.server_name(server)),
            },
        });
        let outlet = match call.client {
            Client::Session(session) => crate::mcp::outlet::Outlet::Session { session },
            Client::Stateless => call.outlet,
        };
        self.mcp_deliver(outlet, Delivery::Interim, note.to_string().as_bytes(), cx);
    }
}

fn foreign_cursor() -> Refusal {
    Refusal::new(code::INVALID_PARAMS, "the cursor is not one of this gateway's; begin without one")
}

/// The parameters for one server's page: the server's own cursor, and the `_meta` of the request.
fn page_params(read: &Params<'_>, cursor: Option<&str>) -> String {
    let mut params = b"{".to_vec();
    if let Some(meta) = read.meta.text {
        params.extend_from_slice(b"\"_meta\":");
        params.extend_from_slice(meta.as_bytes());
    }
    if let Some(cursor) = cursor {
        if params.len() > 1 {
            params.push(b',');
        }
        params.extend_from_slice(b"\"cursor\":");
        object::write_str(&mut params, cursor);
    }
    params.push(b'}');
    String::from_utf8(params).unwrap_or_default()
}

impl Merge {
    /// The legs that are open.
    pub(crate) fn open_legs(&self) -> Vec<Token> {
        let open = |part: &Part| match part.state {
            PartState::Asked(leg) => Some(leg),
            _ => None,
        };
        self.parts.iter().filter_map(open).collect()
    }
}
