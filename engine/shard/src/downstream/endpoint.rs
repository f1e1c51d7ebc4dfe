//! Which path is what.

use std::borrow::Cow;

use weir_transports::http1::Method;
use weir_transports::http1::query::path_segment;

use crate::downstream::resource;
use crate::error::Error;

/// What a request path names.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Endpoint<'a> {
    /// MCP over Streamable HTTP.
    Mcp,
    /// MCP over HTTP+SSE (2024-11-05): the server's messages.
    HttpSse,
    /// MCP over HTTP+SSE: the client's messages.
    Messages,
    /// A client's own stream over SSE.
    Sse,
    /// The clients' pushes for backends.
    Events,
    /// A WebSocket whose first message tells what it speaks.
    WebSocket,
    /// Phoenix Channels over WebSocket.
    Phoenix,
    /// Phoenix Channels over LongPoll.
    LongPoll,
    /// Echoes; only with test endpoints on.
    Echo,
    /// Messages to one client.
    Client(Cow<'a, str>),
    /// Messages to a topic.
    Topic(Cow<'a, str>),
    /// Who is on a topic.
    Presence(Cow<'a, str>),
    /// Many messages, one a line.
    Batch,
    /// A cumulative acknowledgement.
    Acknowledge,
    /// A ticket for one's own stream.
    Ticket,
    /// A newer token.
    Refresh,
    /// One client's state.
    Health(Cow<'a, str>),
    /// The process's counters.
    Stats,
    /// What the resource of this path is to OAuth.
    Resource(&'static str),
}

/// Finds the endpoint of a request.
///
/// # Errors
/// `NotFound`, `MethodNotAllowed`, `Malformed` for a path segment that does not decode.
pub(crate) fn find<'a>(method: Method, path: &'a str, test: bool) -> Result<Endpoint<'a>, Error> {
    let (endpoint, allow) = match path {
        // Its methods are its own business: which ones there are depends on the revision.
        "/mcp" => return Ok(Endpoint::Mcp),
        "/mcp/ws/longpoll" => return Ok(Endpoint::LongPoll),
        "/sse" => (Endpoint::HttpSse, Method::Get),
        "/messages" => (Endpoint::Messages, Method::Post),
        "/mcp/sse" => (Endpoint::Sse, Method::Get),
        "/mcp/events" => (Endpoint::Events, Method::Get),
        "/mcp/ws" => (Endpoint::WebSocket, Method::Get),
        "/mcp/ws/websocket" => (Endpoint::Phoenix, Method::Get),
        "/mcp/ws/echo" if test => (Endpoint::Echo, Method::Get),
        "/mcp/batch" => (Endpoint::Batch, Method::Post),
        "/mcp/ack" => (Endpoint::Acknowledge, Method::Post),
        "/mcp/stats" => (Endpoint::Stats, Method::Get),
        "/mcp/ticket" => (Endpoint::Ticket, Method::Post),
        "/mcp/token/refresh" => (Endpoint::Refresh, Method::Post),
        _ => named(path)?,
    };
    if method != allow {
        let allow = if allow == Method::Post { "POST" } else { "GET" };
        return Err(Error::MethodNotAllowed { allow });
    }
    Ok(endpoint)
}

/// Paths that carry a name.
fn named(path: &str) -> Result<(Endpoint<'_>, Method), Error> {
    const UNKNOWN: Error = Error::NotFound { what: "path" };
    if let Some(resource) = resource::described(path) {
        return Ok((Endpoint::Resource(resource), Method::Get));
    }
    let rest = path.strip_prefix("/mcp/").ok_or(UNKNOWN)?;
    let (kind, rest) = rest.split_once('/').ok_or(UNKNOWN)?;
    if kind == "health" && !rest.contains('/') {
        return Ok((Endpoint::Health(decode(rest)?), Method::Get));
    }
    match (kind, rest.split_once('/')) {
        ("clients", Some((name, "messages"))) => Ok((Endpoint::Client(decode(name)?), Method::Post)),
        ("topics", Some((name, "messages"))) => Ok((Endpoint::Topic(decode(name)?), Method::Post)),
        ("topics", Some((name, "presence"))) => Ok((Endpoint::Presence(decode(name)?), Method::Get)),
        _ => Err(UNKNOWN),
    }
}

fn decode(segment: &str) -> Result<Cow<'_, str>, Error> {
    path_segment(segment)
        .map_err(|_| Error::Malformed { what: "a path segment is not percent-encoded UTF-8".into() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_name_endpoints_and_methods() {
        let get = |path| find(Method::Get, path, false);
        assert_eq!(get("/mcp/sse"), Ok(Endpoint::Sse));
        assert_eq!(get("/mcp/health/a%20b"), Ok(Endpoint::Health("a b".into())));
        assert_eq!(get("/mcp/topics/room%3A7/presence"), Ok(Endpoint::Presence("room:7".into())));
        assert_eq!(get("/mcp/ws/echo"), Err(Error::NotFound { what: "path" }));
        assert_eq!(find(Method::Get, "/mcp/ws/echo", true), Ok(Endpoint::Echo));
        assert_eq!(get("/mcp/clients/u1/messages"), Err(Error::MethodNotAllowed { allow: "POST" }));
        assert_eq!(get("/.well-known/oauth-protected-resource/sse"), Ok(Endpoint::Resource("/sse")));
        assert_eq!(get("/.well-known/oauth-protected-resource"), Ok(Endpoint::Resource("/mcp")));
        let post = |path| find(Method::Post, path, false);
        assert_eq!(post("/mcp/clients/u%2F1/messages"), Ok(Endpoint::Client("u/1".into())));
        assert_eq!(post("/mcp/topics/topic:a/messages"), Ok(Endpoint::Topic("topic:a".into())));
        assert!(matches!(post("/mcp/clients/%ff/messages"), Err(Error::Malformed { .. })));
        assert_eq!(post("/mcp"), Ok(Endpoint::Mcp));
        assert_eq!(get("/messages"), Err(Error::MethodNotAllowed { allow: "POST" }));
        assert_eq!(post("/mcp/clients/u1"), Err(Error::NotFound { what: "path" }));
    }
}
