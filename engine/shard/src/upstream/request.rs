//! Requests to MCP servers: what a POST, a GET and a DELETE say beside their message, and the messages that
//! the gateway sends on its own.

use weir_transports::http1;
use weir_transports::mcp::headers::encode;
use weir_transports::mcp::{LEGACY_NEWEST, Version, about};

use super::backing::Opening;
use crate::limits::Secret;

/// The id of `server/discover`, JSON. Legs have numbers, so it is nobody else's.
pub(super) const PROBE_ID: &str = r#""weir-discover""#;
/// The id of `initialize`, JSON.
pub(super) const INITIALIZE_ID: &str = r#""weir-initialize""#;
/// What follows the answer to `initialize`.
pub(super) const INITIALIZED: &[u8] = br#"{"jsonrpc":"2.0","method":"notifications/initialized"}"#;

/// A request as it is sent to one replica; or the line that goes into a pipe.
#[derive(Debug, Default)]
pub(super) struct Request {
    bytes: Vec<u8>,
    /// Where what differs between replicas ends: method, target and `Host`.
    rest: usize,
    verb: &'static str,
}

/// Where a request goes.
#[derive(Clone, Copy, Debug)]
pub(super) struct Site<'a> {
    pub(super) host: &'a str,
    pub(super) path: &'a str,
    /// Headers of every request.
    pub(super) fixed: &'a [(Box<str>, Box<str>)],
}

/// What the headers say that differs from request to request.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Headers<'a> {
    pub(super) version: Option<Version>,
    pub(super) session: Option<&'a str>,
    /// `Mcp-Method` of 2026-07-28.
    pub(super) method: Option<&'a str>,
    /// `Mcp-Name` of 2026-07-28, as it stands in the message.
    pub(super) name: Option<&'a str>,
    pub(super) extra: &'a [(Box<str>, Box<str>)],
    pub(super) last_event_id: Option<&'a str>,
}

impl Request {
    /// A message.
    pub(super) fn post(site: &Site<'_>, headers: &Headers<'_>, body: &[u8]) -> Request {
        let own = [("Accept", "application/json, text/event-stream"), ("Content-Type", "application/json")];
        Request::new("POST", site, &own, headers, Some(body))
    }

    /// A stream of the server's messages.
    pub(super) fn get(site: &Site<'_>, headers: &Headers<'_>) -> Request {
        Request::new("GET", site, &[("Accept", "text/event-stream")], headers, None)
    }

    /// The end of a session.
    pub(super) fn delete(site: &Site<'_>, headers: &Headers<'_>) -> Request {
        Request::new("DELETE", site, &[], headers, None)
    }

    fn new(
        verb: &'static str,
        site: &Site<'_>,
        own: &[(&str, &str)],
        headers: &Headers<'_>,
        body: Option<&[u8]>,
    ) -> Request {
        let mut bytes = Vec::with_capacity(512 + body.map_or(0, <[u8]>::len));
        let name = headers.name.map(encode);
        let known = [
            ("Mcp-Session-Id", headers.session),
            ("MCP-Protocol-Version", headers.version.map(Version::as_str)),
            ("Last-Event-ID", headers.last_event_id),
            ("Mcp-Method", headers.method),
            ("Mcp-Name", name.as_deref()),
        ];
        let known = known.into_iter().filter_map(|(name, value)| Some((name, value?)));
        let others = site.fixed.iter().chain(headers.extra).map(|(name, value)| (&**name, &**value));
        let all = own.iter().copied().chain(known).chain(others);
        http1::request::write_head(&mut bytes, verb, site.path, site.host, all, body.map(<[u8]>::len));
        bytes.extend_from_slice(body.unwrap_or_default());
        let rest = first_lines(verb, site).len();
        Request { bytes, rest, verb }
    }

    /// The same for another replica.
    pub(super) fn readdress(&mut self, site: &Site<'_>) {
        let mut bytes = first_lines(self.verb, site);
        let rest = bytes.len();
        bytes.extend_from_slice(self.bytes.get(self.rest..).unwrap_or_default());
        *self = Request { bytes, rest, verb: self.verb };
    }

    /// Adds what it proves itself with (RFC 6750, section 2.1).
    pub(super) fn authorize(&mut self, token: &Secret) {
        let header = [b"Authorization: Bearer ", token.expose(), b"\r\n"].concat();
        self.bytes.splice(self.rest..self.rest, header);
    }

    /// A message for a pipe.
    pub(super) fn line(message: &[u8]) -> Request {
        let mut bytes = Vec::with_capacity(message.len() + 1);
        write_line(&mut bytes, message);
        Request { bytes, ..Request::default() }
    }

    /// What goes over the wire.
    pub(super) fn bytes(&self) -> &[u8] {
        &self.bytes
    }
}

/// Request line and `Host`, with which every head begins.
fn first_lines(verb: &'static str, site: &Site<'_>) -> Vec<u8> {
    let mut lines = Vec::new();
    http1::request::write_head(&mut lines, verb, site.path, site.host, [], None);
    // Without the blank line.
    lines.truncate(lines.len().saturating_sub(2));
    lines
}

/// Writes a message as a line. Line ends inside of JSON are space between tokens, and may be any other.
pub(super) fn write_line(out: &mut Vec<u8>, message: &[u8]) {
    if memchr::memchr2(b'\r', b'\n', message).is_none() {
        out.extend_from_slice(message);
    } else {
        out.extend(message.iter().map(|&byte| if matches!(byte, b'\r' | b'\n') { b' ' } else { byte }));
    }
    out.push(b'\n');
}

/// `server/discover`, as 2026-07-28 wants it said.
pub(super) fn discover_message() -> Vec<u8> {
    message(PROBE_ID, "server/discover", |params| {
        about::write_discover_params(params, "{}", about::SERVER_INFO)
    })
}

/// The POST of [`discover_message`].
pub(super) fn discover(site: &Site<'_>) -> Request {
    let headers = Headers {
        version: Some(Version::V2026_07_28),
        method: Some("server/discover"),
        ..Headers::default()
    };
    Request::post(site, &headers, &discover_message())
}

/// `initialize` of a legacy conversation.
pub(super) fn initialize_message(opening: &Opening) -> Vec<u8> {
    let Opening { capabilities, client_info, .. } = opening;
    message(INITIALIZE_ID, "initialize", |params| {
        about::write_initialize_params(params, LEGACY_NEWEST, capabilities, client_info);
    })
}

/// A request of the gateway's own.
fn message(id: &str, method: &str, params: impl FnOnce(&mut Vec<u8>)) -> Vec<u8> {
    let mut out = format!(r#"{{"jsonrpc":"2.0","id":{id},"method":"{method}","params":"#).into_bytes();
    params(&mut out);
    out.push(b'}');
    out
}

/// `notifications/cancelled` for the request of this id.
pub(super) fn cancelled_message(wire_id: u64) -> Vec<u8> {
    format!(
        r#"{{"jsonrpc":"2.0","method":"notifications/cancelled","params":{{"requestId":{wire_id},"reason":"no answer in time"}}}}"#
    )
    .into_bytes()
}
