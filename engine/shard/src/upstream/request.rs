//! Requests to MCP servers: what a POST, a GET and a DELETE say beside their message, and the messages that
//! the gateway sends on its own.

use weir_transports::mcp::{LEGACY_NEWEST, Version};

use super::backing::Opening;

/// The id of `server/discover`, JSON. Legs have numbers, so it is nobody else's.
pub(super) const PROBE_ID: &str = r#""weir-discover""#;
/// The id of `initialize`, JSON.
pub(super) const INITIALIZE_ID: &str = r#""weir-initialize""#;
/// What follows the answer to `initialize`.
pub(super) const INITIALIZED: &[u8] = br#"{"jsonrpc":"2.0","method":"notifications/initialized"}"#;

/// A request, without what depends on the replica it goes to; or the line that goes into a pipe.
#[derive(Debug, Default)]
pub(super) struct Request {
    verb: Verb,
    /// Header lines, the blank line and the body.
    rest: Vec<u8>,
}

/// The method of a request.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Verb {
    #[default]
    Post,
    Get,
    Delete,
}

/// What the headers say that differs from request to request.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Headers<'a> {
    pub(super) version: Option<Version>,
    pub(super) session: Option<&'a str>,
    /// `Mcp-Method` of 2026-07-28.
    pub(super) method: Option<&'a str>,
    /// `Mcp-Name` of 2026-07-28.
    pub(super) name: Option<&'a str>,
    pub(super) extra: &'a [(Box<str>, Box<str>)],
    pub(super) last_event_id: Option<&'a str>,
}

impl Request {
    /// A message.
    pub(super) fn post(headers: &Headers<'_>, body: &[u8]) -> Request {
        let mut rest = Vec::with_capacity(256 + body.len());
        put(&mut rest, "Accept", "application/json, text/event-stream");
        put(&mut rest, "Content-Type", "application/json");
        put(&mut rest, "Content-Length", itoa::Buffer::new().format(body.len()));
        headers.write(&mut rest);
        rest.extend_from_slice(b"\r\n");
        rest.extend_from_slice(body);
        Request { verb: Verb::Post, rest }
    }

    /// A stream of the server's messages.
    pub(super) fn get(headers: &Headers<'_>) -> Request {
        let mut rest = Vec::with_capacity(256);
        put(&mut rest, "Accept", "text/event-stream");
        headers.write(&mut rest);
        rest.extend_from_slice(b"\r\n");
        Request { verb: Verb::Get, rest }
    }

    /// The end of a session.
    pub(super) fn delete(headers: &Headers<'_>) -> Request {
        let mut rest = Vec::with_capacity(256);
        headers.write(&mut rest);
        rest.extend_from_slice(b"\r\n");
        Request { verb: Verb::Delete, rest }
    }

    /// A message for a pipe.
    pub(super) fn line(message: &[u8]) -> Request {
        let mut rest = Vec::with_capacity(message.len() + 1);
        write_line(&mut rest, message);
        Request { verb: Verb::Post, rest }
    }

    pub(super) fn is_get(&self) -> bool {
        self.verb == Verb::Get
    }

    /// Writes it for one replica.
    pub(super) fn write(&self, out: &mut Vec<u8>, host: &str, path: &str, fixed: &[(Box<str>, Box<str>)]) {
        let verb: &[u8] = match self.verb {
            Verb::Post => b"POST ",
            Verb::Get => b"GET ",
            Verb::Delete => b"DELETE ",
        };
        out.extend_from_slice(verb);
        out.extend_from_slice(path.as_bytes());
        out.extend_from_slice(b" HTTP/1.1\r\n");
        put(out, "Host", host);
        for (name, value) in fixed {
            put(out, name, value);
        }
        out.extend_from_slice(&self.rest);
    }

    /// Writes it into a pipe.
    pub(super) fn write_line(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.rest);
    }
}

impl Headers<'_> {
    fn write(&self, out: &mut Vec<u8>) {
        let known = [
            ("Mcp-Session-Id", self.session),
            ("MCP-Protocol-Version", self.version.map(Version::as_str)),
            ("Last-Event-ID", self.last_event_id),
            ("Mcp-Method", self.method),
        ];
        for (name, value) in known {
            if let Some(value) = value {
                put(out, name, value);
            }
        }
        if let Some(name) = self.name {
            put(out, "Mcp-Name", name);
        }
        for (name, value) in self.extra {
            put(out, name, value);
        }
    }
}

/// Writes one header. What would end its line becomes a space (RFC 9110 section 5.5).
fn put(out: &mut Vec<u8>, name: &str, value: &str) {
    out.extend_from_slice(name.as_bytes());
    out.extend_from_slice(b": ");
    out.extend(value.bytes().map(|byte| if matches!(byte, b'\r' | b'\n' | b'\0') { b' ' } else { byte }));
    out.extend_from_slice(b"\r\n");
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
    format!(
        concat!(
            r#"{{"jsonrpc":"2.0","id":{},"method":"server/discover","params":{{"_meta":{{"#,
            r#""io.modelcontextprotocol/protocolVersion":"{}","io.modelcontextprotocol/clientInfo":"#,
            r#"{{"name":"weir","version":"{}"}},"io.modelcontextprotocol/clientCapabilities":{{}}}}}}}}"#
        ),
        PROBE_ID,
        Version::V2026_07_28.as_str(),
        env!("CARGO_PKG_VERSION"),
    )
    .into_bytes()
}

/// The POST of [`discover_message`].
pub(super) fn discover() -> Request {
    let headers = Headers {
        version: Some(Version::V2026_07_28),
        method: Some("server/discover"),
        ..Headers::default()
    };
    Request::post(&headers, &discover_message())
}

/// `initialize` of a legacy conversation.
pub(super) fn initialize_message(opening: &Opening) -> Vec<u8> {
    let mut out = Vec::with_capacity(256);
    out.extend_from_slice(br#"{"jsonrpc":"2.0","id":"#);
    out.extend_from_slice(INITIALIZE_ID.as_bytes());
    out.extend_from_slice(br#","method":"initialize","params":{"protocolVersion":""#);
    out.extend_from_slice(LEGACY_NEWEST.as_str().as_bytes());
    out.extend_from_slice(br#"","capabilities":"#);
    out.extend_from_slice(opening.capabilities.as_bytes());
    out.extend_from_slice(br#","clientInfo":"#);
    out.extend_from_slice(opening.client_info.as_bytes());
    out.extend_from_slice(b"}}");
    out
}

/// `notifications/cancelled` for the request of this id.
pub(super) fn cancelled_message(wire_id: u64) -> Vec<u8> {
    format!(
        r#"{{"jsonrpc":"2.0","method":"notifications/cancelled","params":{{"requestId":{wire_id},"reason":"no answer in time"}}}}"#
    )
    .into_bytes()
}
