//! Who may change something on the admin port.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use axum::extract::{ConnectInfo, Request, State};
use axum::http::{HeaderMap, Method, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use weir_shard::error::Error;
use weir_shard::limits::Secret;

use super::api::refuse;

/// Where the endpoints are that only operators may use.
const ADMIN: [&str; 2] = ["/mcp/admin/", "/debug/"];

/// What everybody may ask: whether the gateway lives.
const PUBLIC: [&str; 3] = ["/", "/health", "/ready"];

/// Where the dashboard is: a page without figures, which asks for the token itself.
const PAGES: [&str; 2] = ["/mcp/dashboard", "/metrics/dashboard"];

/// What an operator proves himself with.
#[derive(Clone, Debug)]
pub(crate) enum Guard {
    /// By being on this machine: there is no authentication.
    Loopback,
    /// By the admin token; figures are also for who is on this machine.
    Token(Secret),
}

impl Guard {
    fn admit(&self, peer: IpAddr, method: &Method, path: &str, headers: &HeaderMap) -> Result<(), Error> {
        let reads = method == Method::GET || method == Method::HEAD;
        let near = peer.to_canonical().is_loopback();
        let admin = ADMIN.iter().any(|prefix| path.starts_with(prefix));
        match self {
            Guard::Loopback if reads || near => Ok(()),
            Guard::Loopback => Err(Error::Loopback),
            Guard::Token(_) if reads && !admin && (near || is_public(path)) => Ok(()),
            Guard::Token(token) => match bearer(headers) {
                None => Err(Error::MissingToken),
                Some(sent) if token.matches(sent.as_bytes()) => Ok(()),
                Some(_) => Err(Error::InvalidToken { what: "it is not the admin token of this gateway" }),
            },
        }
    }
}

/// Whether everybody may ask for it.
fn is_public(path: &str) -> bool {
    let of_page =
        |page: &&str| path.strip_prefix(*page).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'));
    PUBLIC.contains(&path) || PAGES.iter().any(of_page)
}

/// Lets a request pass, or refuses it.
pub(super) async fn check(
    State(guard): State<Arc<Guard>>,
    ConnectInfo(peer): ConnectInfo<SocketAddr>,
    request: Request,
    next: Next,
) -> Response {
    match guard.admit(peer.ip(), request.method(), request.uri().path(), request.headers()) {
        Ok(()) => next.run(request).await,
        Err(error @ Error::Loopback) => refuse(&error),
        Err(error) => ([(header::WWW_AUTHENTICATE, "Bearer")], refuse(&error)).into_response(),
    }
}

/// The credential of `Authorization: Bearer` (RFC 6750, 2.1), if there is one and no other.
fn bearer(headers: &HeaderMap) -> Option<&str> {
    let mut values = headers.get_all(header::AUTHORIZATION).iter();
    let (Some(value), None) = (values.next(), values.next()) else { return None };
    let (scheme, token) = value.to_str().ok()?.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then_some(token.trim())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn admit(guard: &Guard, peer: &str, method: Method, path: &str, sent: Option<&str>) -> u16 {
        let mut headers = HeaderMap::new();
        if let Some(sent) = sent {
            headers.insert(header::AUTHORIZATION, sent.parse().expect("a header"));
        }
        let peer = peer.parse().expect("an address");
        guard.admit(peer, &method, path, &headers).map_or_else(|error| error.http_status(), |()| 200)
    }

    #[test]
    fn without_authentication_changes_come_from_this_machine() {
        let guard = Guard::Loopback;
        for (peer, post, get) in [
            ("127.0.0.9", 200, 200),
            ("::1", 200, 200),
            ("::ffff:127.0.0.1", 200, 200),
            ("10.0.0.1", 403, 200),
            ("2001:db8::1", 403, 200),
        ] {
            assert_eq!(admit(&guard, peer, Method::POST, "/mcp/admin/dlq/redrive", None), post, "{peer}");
            assert_eq!(admit(&guard, peer, Method::GET, "/mcp/stats", None), get, "{peer}");
        }
    }

    #[test]
    fn with_a_token_operators_prove_themselves() {
        let guard = Guard::Token(Secret::new(*b"operators only here"));
        let right = Some("Bearer operators only here");
        for (method, path, peer, sent, status) in [
            (Method::GET, "/health", "10.0.0.1", None, 200),
            (Method::GET, "/mcp/stats", "127.0.0.1", None, 200),
            (Method::GET, "/mcp/stats", "10.0.0.1", None, 401),
            (Method::GET, "/mcp/stats", "10.0.0.1", right, 200),
            (Method::GET, "/mcp/admin/dlq", "127.0.0.1", None, 401),
            (Method::GET, "/debug/pprof/profile", "127.0.0.1", None, 401),
            (Method::GET, "/metrics", "127.0.0.1", None, 200),
            (Method::GET, "/metrics", "10.0.0.1", None, 401),
            (Method::POST, "/mcp/admin/token", "127.0.0.1", None, 401),
            (Method::POST, "/mcp/admin/token", "127.0.0.1", Some("Bearer operators only her"), 401),
            (Method::POST, "/mcp/admin/token", "127.0.0.1", Some("Basic operators only here"), 401),
            (Method::POST, "/mcp/admin/token", "10.0.0.1", Some("bearer operators only here"), 200),
            (Method::GET, "/mcp/dashboard", "10.0.0.1", None, 200),
            (Method::GET, "/mcp/dashboard/main.js", "10.0.0.1", None, 200),
            (Method::GET, "/mcp/dashboards", "10.0.0.1", None, 401),
            (Method::GET, "/mcp/admin/dashboard/events", "127.0.0.1", None, 401),
            (Method::DELETE, "/health", "127.0.0.1", None, 401),
        ] {
            assert_eq!(admit(&guard, peer, method.clone(), path, sent), status, "{method} {path} {peer}");
        }
    }
}
