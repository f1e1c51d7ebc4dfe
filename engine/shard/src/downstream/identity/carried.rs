//! What a request carries to prove who sends it, and where.

use std::borrow::Cow;

use base64::Engine;
use base64::engine::general_purpose::STANDARD_NO_PAD;
use weir_transports::http1::{Head, query};
use weir_transports::websocket::handshake;

use crate::downstream::endpoint::Endpoint;
use crate::downstream::poll;
use crate::error::Error;

/// What phoenix.js puts before its `authToken` to make it a subprotocol. In spite of the name what follows is
/// standard base64, without padding.
const PHOENIX_BEARER: &str = "base64url.bearer.phx.";

/// The query parameter of a ticket.
pub(crate) const TICKET: &str = "ticket";

/// A credential as it came.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Carried<'a> {
    /// A token, or an API key sent as one.
    Bearer(Cow<'a, str>),
    /// An API key.
    ApiKey(&'a str),
    /// A ticket of `POST /mcp/ticket`.
    Ticket(Cow<'a, str>),
}

/// The credential of a request. Which carriers count depends on the endpoint: browsers cannot give headers to
/// what opens a stream, and MCP takes no token from a URL (authorization, "Access Token Usage").
///
/// # Errors
/// Two that are not the same, or one that is not what its place takes.
pub(crate) fn of<'a>(
    head: &Head<'a>,
    endpoint: &Endpoint<'_>,
    query_token: bool,
) -> Result<Option<Carried<'a>>, Error> {
    let mut found = Found(None);
    for value in head.headers("authorization") {
        found.put(Carried::Bearer(bearer(value)?.into()))?;
    }
    for key in head.headers("x-api-key") {
        found.put(Carried::ApiKey(key))?;
    }
    match endpoint {
        Endpoint::WebSocket | Endpoint::Phoenix | Endpoint::Echo => {
            let offered = head.headers("sec-websocket-protocol").flat_map(handshake::protocols);
            for token in offered.filter_map(|name| name.strip_prefix(PHOENIX_BEARER)) {
                found.put(Carried::Bearer(decode(token)?.into()))?;
            }
        }
        Endpoint::LongPoll => {
            for token in head.headers("x-phoenix-authtoken") {
                found.put(Carried::Bearer(token.into()))?;
            }
        }
        Endpoint::Sse | Endpoint::Events => {}
        _ => return Ok(found.0),
    }
    for (name, value) in query::pairs(head.query.unwrap_or_default()) {
        match &*name {
            "token" if query_token && !value.starts_with(poll::MARK) => {
                found.put(Carried::Bearer(value))?;
            }
            // What many read has no ticket: it is spent at the home of the client whose own stream it opens.
            TICKET if *endpoint != Endpoint::Events => found.put(Carried::Ticket(value))?,
            _ => {}
        }
    }
    Ok(found.0)
}

/// The one credential.
struct Found<'a>(Option<Carried<'a>>);

impl<'a> Found<'a> {
    fn put(&mut self, carried: Carried<'a>) -> Result<(), Error> {
        match &self.0 {
            Some(before) if *before != carried => {
                Err(Error::malformed("it carries several credentials that differ; send one, in one place"))
            }
            _ => {
                self.0 = Some(carried);
                Ok(())
            }
        }
    }
}

/// The token of an `Authorization` header (RFC 6750, section 2.1; the scheme in any case: RFC 9110, section 11.1).
fn bearer(value: &str) -> Result<&str, Error> {
    let (scheme, token) = value.split_once(' ').unwrap_or((value, ""));
    if !scheme.eq_ignore_ascii_case("bearer") {
        return Err(Error::InvalidToken { what: "it is not of the scheme Bearer" });
    }
    Ok(token.trim_ascii())
}

/// A token in the letters of either base64.
fn decode(token: &str) -> Result<String, Error> {
    let standard: String = token.trim_end_matches('=').chars().map(standard).collect();
    let bytes = STANDARD_NO_PAD.decode(standard).ok();
    let text = bytes.and_then(|bytes| String::from_utf8(bytes).ok());
    text.ok_or(Error::InvalidToken { what: "it is no base64 of a text" })
}

fn standard(letter: char) -> char {
    match letter {
        '-' => '+',
        '_' => '/',
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use weir_transports::http1::{Limits, parse_head};

    use super::*;

    fn carried(endpoint: Endpoint<'_>, target: &str, headers: &str) -> Result<Option<String>, String> {
        let head = format!("GET {target} HTTP/1.1\r\nHost: h\r\n{headers}\r\n");
        let limits = Limits { head_bytes_max: 4096, line_bytes_max: 1024 };
        let head = parse_head(head.as_bytes(), &limits).expect("valid").expect("whole");
        let found = of(&head, &endpoint, true).map_err(|error| error.reason().to_owned())?;
        Ok(found.map(|carried| match carried {
            Carried::Bearer(token) => format!("bearer {token}"),
            Carried::ApiKey(key) => format!("key {key}"),
            Carried::Ticket(ticket) => format!("ticket {ticket}"),
        }))
    }

    #[test]
    fn each_endpoint_takes_what_its_clients_can_send() {
        let is = |endpoint, target, headers, expected: Option<&str>| {
            assert_eq!(
                carried(endpoint, target, headers),
                Ok(expected.map(str::to_owned)),
                "{target} {headers}"
            );
        };
        is(Endpoint::Mcp, "/mcp", "Authorization: Bearer t\r\n", Some("bearer t"));
        is(Endpoint::Mcp, "/mcp", "authorization: BEARER  t\r\n", Some("bearer t"));
        is(Endpoint::Batch, "/mcp/batch", "X-API-Key: k\r\n", Some("key k"));
        is(Endpoint::Sse, "/mcp/sse?client_id=u&token=t%2B", "", Some("bearer t+"));
        is(Endpoint::Events, "/mcp/events?token=t", "", Some("bearer t"));
        is(Endpoint::WebSocket, "/mcp/ws?ticket=t", "", Some("ticket t"));
        is(Endpoint::LongPoll, "/l?token=t&vsn=2.0.0&token=poll.x", "", Some("bearer t"));
        is(Endpoint::LongPoll, "/l", "X-Phoenix-AuthToken: t\r\n", Some("bearer t"));
        is(Endpoint::Mcp, "/mcp?token=t", "", None);
        is(Endpoint::Events, "/mcp/events?ticket=t", "", None);
        is(Endpoint::Sse, "/mcp/sse", "", None);
    }

    #[test]
    fn the_token_of_phoenix_is_read_in_either_base64() {
        for (protocols, token) in [
            ("phoenix, base64url.bearer.phx.c2VjcmV0dG9rZW4", "bearer secrettoken"),
            ("phoenix,base64url.bearer.phx.dG9rfj8+", "bearer tok~?>"),
            ("phoenix, base64url.bearer.phx.dG9rfj8-", "bearer tok~?>"),
        ] {
            let header = format!("Sec-WebSocket-Protocol: {protocols}\r\n");
            assert_eq!(carried(Endpoint::Phoenix, "/", &header), Ok(Some(token.to_owned())));
        }
        for token in ["c2VjcmV0dG9rZW5", "a", "%", "gICA"] {
            let header = format!("Sec-WebSocket-Protocol: phoenix, {PHOENIX_BEARER}{token}\r\n");
            assert_eq!(carried(Endpoint::Phoenix, "/", &header), Err("invalid_token".to_owned()), "{token}");
        }
    }

    #[test]
    fn two_carriers_must_agree() {
        let twice = "Authorization: Bearer t\r\nAuthorization: Bearer t\r\n";
        assert_eq!(carried(Endpoint::Sse, "/mcp/sse?token=t", twice), Ok(Some("bearer t".to_owned())));
        for (target, headers) in [
            ("/mcp/sse?token=u", "Authorization: Bearer t\r\n"),
            ("/mcp/sse?token=t&token=u", ""),
            ("/mcp/sse?ticket=t", "X-API-Key: t\r\n"),
            ("/mcp/sse", "Authorization: Bearer t\r\nX-API-Key: t\r\n"),
        ] {
            assert_eq!(
                carried(Endpoint::Sse, target, headers),
                Err("malformed".to_owned()),
                "{target} {headers}"
            );
        }
        assert_eq!(
            carried(Endpoint::Sse, "/", "Authorization: Basic dTpw\r\n"),
            Err("invalid_token".to_owned())
        );
    }
}
