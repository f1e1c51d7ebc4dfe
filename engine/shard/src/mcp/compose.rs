//! A client's request as its upstream is to see it: the id, the progress token and the name are the
//! upstream's, what the other era needs is added, and every other byte stays.

use weir_transports::mcp::headers::ParamHeader;
use weir_transports::mcp::splice::{splice, with_meta};
use weir_transports::mcp::{Era, Method, Params, Version, key, object};
use weir_transports::trace_context::{TRACEPARENT, TRACESTATE};

use crate::mcp::call::Unsent;
use crate::mcp::outlet::Client;
use crate::span::TraceContext;
use crate::turn::Shard;
use crate::upstream::UpstreamId;

/// A request on its way to an upstream.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Outgoing<'a> {
    pub(crate) client: Client,
    pub(crate) method: Method,
    /// As the client wrote them.
    pub(crate) params: Option<&'a str>,
    /// What the upstream calls the thing that the client names otherwise.
    pub(crate) own: Option<&'a str>,
    /// `Mcp-Param-*` and trace headers of the client's request.
    pub(crate) headers: &'a [(Box<str>, Box<str>)],
}

/// Headers that say which trace a request is part of.
const TRACE_HEADERS: [&str; 3] = [TRACEPARENT, TRACESTATE, "baggage"];

/// Keys of `_meta` that only the modern era knows.
const MODERN_KEYS: [&str; 4] =
    [key::PROTOCOL_VERSION, key::CLIENT_CAPABILITIES, key::CLIENT_INFO, key::LOG_LEVEL];

/// How a request's words must change for its upstream.
#[derive(Clone, Debug)]
pub(crate) enum Translation {
    /// Both are of one era.
    None,
    /// Legacy to modern: what the client has said once is said in each request.
    Modern { client_info: Box<str>, capabilities: Box<str>, log_level: Option<Box<str>> },
    /// Modern to legacy: what is said in each request is left out.
    Legacy,
}

/// What of a request's words is not its client's.
#[derive(Debug)]
pub(crate) struct Rewriting<'a> {
    pub(crate) translation: Translation,
    /// The span that its upstream is asked in; `None`: the client's own stays.
    pub(crate) trace: Option<&'a TraceContext>,
}

impl Outgoing<'_> {
    /// A copy to be sent later.
    pub(crate) fn kept(&self) -> Unsent {
        Unsent {
            client: self.client,
            params: self.params.map(Box::from),
            own: self.own.map(Box::from),
            headers: self.headers.to_vec(),
        }
    }
}

impl Shard {
    /// What has to change in requests of `client` for an upstream of `era`.
    pub(crate) fn translation(&self, era: Era, client: Client) -> Translation {
        match (era, client) {
            (Era::Modern, Client::Session(session)) => match self.mcp.sessions.get(session) {
                Some(session) => Translation::Modern {
                    client_info: session.client_info.clone(),
                    capabilities: session.capabilities.clone(),
                    log_level: session.log_level.clone(),
                },
                None => Translation::None,
            },
            (Era::Legacy(_), Client::Stateless) => Translation::Legacy,
            _ => Translation::None,
        }
    }

    /// The headers that go with a request.
    pub(crate) fn headers_for(
        &self,
        server: UpstreamId,
        era: Era,
        outgoing: &Outgoing<'_>,
        read: &Params<'_>,
    ) -> Vec<(Box<str>, Box<str>)> {
        let trace = |name: &str| TRACE_HEADERS.iter().any(|known| name.eq_ignore_ascii_case(known));
        let mut all: Vec<(Box<str>, Box<str>)> =
            outgoing.headers.iter().filter(|(name, _)| era == Era::Modern || trace(name)).cloned().collect();
        if let Some(parent) = read.meta.traceparent.and_then(object::string)
            && !all.iter().any(|(name, _)| name.eq_ignore_ascii_case(TRACEPARENT))
        {
            all.push((TRACEPARENT.into(), parent.as_ref().into()));
        }
        if era == Era::Modern
            && outgoing.method == Method::ToolsCall
            && matches!(outgoing.client, Client::Session(_))
            && let Some(shown) = read.name.and_then(object::string)
        {
            let wanted = self.mcp.catalog.headers(server, outgoing.own.unwrap_or(&shown));
            all.extend(ParamHeader::headers(wanted, read.arguments));
        }
        all
    }
}

/// Puts the span that an upstream is asked in among the headers, in place of the client's.
pub(crate) fn trace_headers(headers: &mut Vec<(Box<str>, Box<str>)>, trace: &TraceContext) {
    let is = |name: &str, known: &str| name.eq_ignore_ascii_case(known);
    headers.retain(|(name, _)| !is(name, TRACEPARENT) && !is(name, TRACESTATE));
    headers.push((TRACEPARENT.into(), trace.parent.to_string().into()));
    headers.extend(trace.state.as_deref().map(|state| (TRACESTATE.into(), state.into())));
}

/// Writes the request with `id` as an upstream is to see it.
pub(crate) fn compose(
    out: &mut Vec<u8>,
    id: u64,
    rewriting: &Rewriting<'_>,
    outgoing: &Outgoing<'_>,
    read: &Params<'_>,
) {
    let mut number = itoa::Buffer::new();
    let number = number.format(id);
    out.extend_from_slice(b"{\"jsonrpc\":\"2.0\",\"id\":");
    out.extend_from_slice(number.as_bytes());
    out.extend_from_slice(b",\"method\":\"");
    out.extend_from_slice(outgoing.method.name().unwrap_or_default().as_bytes());
    out.push(b'"');
    match rewritten(rewriting, outgoing.params) {
        // Its slices lie elsewhere than those that were read.
        Some(text) => {
            out.extend_from_slice(b",\"params\":");
            match Params::read(outgoing.method, Some(&text)) {
                Ok(read) => spliced(out, &text, number, outgoing, &read),
                Err(_) => out.extend_from_slice(text.as_bytes()),
            }
        }
        None => {
            if let Some(params) = outgoing.params {
                out.extend_from_slice(b",\"params\":");
                spliced(out, params, number, outgoing, read);
            }
        }
    }
    out.push(b'}');
}

/// The parameters with the upstream's own name and token in place of the client's.
fn spliced(out: &mut Vec<u8>, params: &str, number: &str, outgoing: &Outgoing<'_>, read: &Params<'_>) {
    let mut own = Vec::new();
    let mut edits: Vec<(&str, &[u8])> = Vec::new();
    if let Some(name) = outgoing.own {
        object::write_str(&mut own, name);
        let of_reference = read.reference.and_then(|text| object::find(text, ["name", "uri"]).ok());
        let [name, uri] = of_reference.unwrap_or_default();
        edits.extend(read.name.or(name).or(read.uri).or(uri).map(|text| (text, &own[..])));
    }
    edits.extend(read.meta.progress_token.map(|token| (token, number.as_bytes())));
    edits.sort_by_key(|(text, _)| text.as_ptr().addr());
    splice(out, params, &edits);
}

/// The parameters as they are to be; `None`: they are right as they are.
fn rewritten(rewriting: &Rewriting<'_>, params: Option<&str>) -> Option<String> {
    let translated = translated(&rewriting.translation, params);
    match rewriting.trace {
        Some(trace) => with_trace(translated.as_deref().or(params), trace),
        None => translated,
    }
}

/// The parameters with the span that the upstream is asked in.
fn with_trace(params: Option<&str>, trace: &TraceContext) -> Option<String> {
    let parent = format!("\"{}\"", trace.parent);
    let state = trace.state.as_deref().map(|state| {
        let mut json = Vec::with_capacity(state.len() + 2);
        object::write_str(&mut json, state);
        String::from_utf8(json).unwrap_or_default()
    });
    let mut out = Vec::new();
    match &state {
        Some(state) => with_meta(&mut out, params, &[(TRACEPARENT, &parent), (TRACESTATE, state)], &[]),
        None => with_meta(&mut out, params, &[(TRACEPARENT, &parent)], &[TRACESTATE]),
    }
    String::from_utf8(out).ok()
}

/// The parameters in the words of the other era; `None`: they are in the right ones.
fn translated(translation: &Translation, params: Option<&str>) -> Option<String> {
    let mut out = Vec::new();
    match translation {
        Translation::None => return None,
        Translation::Modern { client_info, capabilities, log_level } => {
            let version = format!("\"{}\"", Version::V2026_07_28.as_str());
            let mut additions = vec![
                (key::PROTOCOL_VERSION, version.as_str()),
                (key::CLIENT_CAPABILITIES, capabilities),
                (key::CLIENT_INFO, client_info),
            ];
            if let Some(level) = log_level {
                additions.push((key::LOG_LEVEL, level));
            }
            with_meta(&mut out, params, &additions, &[]);
        }
        Translation::Legacy => with_meta(&mut out, params, &[], &MODERN_KEYS),
    }
    String::from_utf8(out).ok()
}
