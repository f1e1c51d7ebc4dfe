//! The gateway as an OAuth resource server: what it says of itself (RFC 9728), and what it asks for (RFC 6750;
//! MCP, basic/authorization).

use std::fmt::Write;

use weir_ring::token::Token;
use weir_transports::http1::Head;

use crate::downstream::exchange::Outcome;
use crate::downstream::reply::Terms;
use crate::error::Error;
use crate::limits::{Mode, Permissions};
use crate::turn::{Cx, Shard};

/// Where a resource describes itself: before its path.
const WELL_KNOWN: &str = "/.well-known/oauth-protected-resource";

/// What a resource is called where no path says it.
const MCP: &str = "/mcp";

/// The server's half of HTTP+SSE, and the client's.
const HTTP_SSE: [&str; 2] = ["/sse", "/messages"];

/// What words of ours are called in scopes.
const SCOPE_PREFIX: &str = "mcp:";

/// How the request at hand calls the gateway, for what it may be refused with.
#[derive(Debug, Default)]
pub(crate) struct Address {
    host: String,
    resource: &'static str,
    /// Over TLS.
    secure: bool,
}

/// The resource that `path` describes, if it is where one describes itself.
pub(crate) fn described(path: &str) -> Option<&'static str> {
    match path.strip_prefix(WELL_KNOWN)? {
        "" | MCP => Some(MCP),
        "/sse" => Some(HTTP_SSE[0]),
        _ => None,
    }
}

/// The resource that a request is about.
fn resource_of(path: &str) -> &'static str {
    if HTTP_SSE.contains(&path) { HTTP_SSE[0] } else { MCP }
}

/// A URL taken apart: what stands before the path, and the path.
fn split(url: &str) -> (&str, &str) {
    let authority = url.find("://").map_or(0, |at| at + 3);
    url.split_at(url[authority..].find('/').map_or(url.len(), |at| authority + at))
}

/// The words of permissions as scopes.
fn scopes(permissions: Permissions) -> String {
    let words: Vec<String> = permissions.words().map(|word| format!("{SCOPE_PREFIX}{word}")).collect();
    words.join(" ")
}

/// Appends `, name="value"`, the comma unless it is the first.
fn parameter(challenge: &mut String, name: &str, value: &str) {
    let before = if challenge.ends_with("Bearer") { " " } else { ", " };
    let value = value.replace('\\', "\\\\").replace('"', "\\\"");
    // A String takes all that is written to it.
    let _ = write!(challenge, "{before}{name}=\"{value}\"");
}

impl Shard {
    /// Whether clients are told where tokens come from.
    fn is_resource(&self) -> bool {
        self.config.auth.mode != Mode::Off && !self.config.resource.authorization_servers.is_empty()
    }

    /// A request is about to be served.
    pub(crate) fn note_address(&mut self, head: &Head<'_>, secure: bool) {
        if self.is_resource() {
            self.address.host.clear();
            self.address.host.push_str(head.header("host").unwrap_or("localhost"));
            self.address.resource = resource_of(head.path);
            self.address.secure = secure;
        }
    }

    /// The URL of a resource: as it is configured, or as the request at hand calls the gateway.
    fn resource_url(&self, resource: &str) -> String {
        match &self.config.resource.url {
            Some(url) => format!("{}{resource}", url.strip_suffix(MCP).unwrap_or(url)),
            None => {
                let scheme = if self.address.secure { "https" } else { "http" };
                format!("{scheme}://{}{resource}", self.address.host)
            }
        }
    }

    /// `GET /.well-known/oauth-protected-resource`, with or without the resource's path behind it.
    pub(crate) fn resource_metadata(
        &mut self,
        token: Token,
        resource: &str,
        terms: Terms,
        cx: &mut Cx<'_>,
    ) -> Outcome {
        if !self.is_resource() {
            return self.refuse(token, &Error::NotFound { what: "path" }, terms, cx);
        }
        let both = Permissions::READ | Permissions::WRITE;
        let metadata = serde_json::json!({
            "resource": self.resource_url(resource),
            "authorization_servers": self.config.resource.authorization_servers,
            "scopes_supported": scopes(both).split(' ').collect::<Vec<_>>(),
            "bearer_methods_supported": ["header"],
            "resource_name": "Weir",
        });
        self.respond(token, 200, metadata.to_string().as_bytes(), terms, cx);
        Outcome::Done
    }

    /// `WWW-Authenticate` of a refusal that another token may help against.
    pub(crate) fn challenge(&self, error: &Error) -> Option<String> {
        let both = Permissions::READ | Permissions::WRITE;
        let (name, wanted) = match error {
            Error::MissingToken => (None, both),
            Error::InvalidToken { .. } | Error::TokenExpired | Error::TokenRevoked => {
                (Some("invalid_token"), both)
            }
            // A token with the new scope alone would be one without the old.
            Error::InsufficientScope { wanted } => (Some("insufficient_scope"), Permissions::READ | *wanted),
            _ => return None,
        };
        let mut challenge = "Bearer".to_owned();
        if let Some(name) = name {
            parameter(&mut challenge, "error", name);
            parameter(&mut challenge, "error_description", &error.message());
        }
        if self.is_resource() {
            let url = self.resource_url(self.address.resource);
            let (host, path) = split(&url);
            parameter(&mut challenge, "resource_metadata", &format!("{host}{WELL_KNOWN}{path}"));
        }
        parameter(&mut challenge, "scope", &scopes(wanted));
        Some(challenge)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::downstream::mcp::tests::World;
    use crate::limits::Config;
    use serde_json::{Value, json};

    const SERVER: &str = "https://login.example.com";

    fn world(url: Option<&str>, servers: &[&str]) -> World {
        World::with(|config: &mut Config| {
            config.auth.mode = Mode::Required;
            config.resource.url = url.map(Box::from);
            config.resource.authorization_servers = servers.iter().map(|server| (*server).into()).collect();
        })
    }

    fn get(world: &mut World, path: &str) -> (u16, Value) {
        let token = world.accept();
        let answer = world.ask(token, &format!("GET {path} HTTP/1.1\r\nHost: localhost:4001\r\n\r\n"));
        let (head, body) = answer.split_once("\r\n\r\n").expect("a whole answer");
        let status = head.split(' ').nth(1).and_then(|status| status.parse().ok()).expect("a status");
        (status, serde_json::from_str(body).expect("JSON"))
    }

    fn challenge(world: &mut World, path: &str, error: &Error) -> Option<String> {
        let head = format!("POST {path} HTTP/1.1\r\nHost: localhost:4001\r\n\r\n");
        let limits = weir_transports::http1::Limits { head_bytes_max: 1024, line_bytes_max: 512 };
        let head =
            weir_transports::http1::parse_head(head.as_bytes(), &limits).expect("right").expect("whole");
        world.shard.note_address(&head, false);
        world.shard.challenge(error)
    }

    #[test]
    fn the_resource_describes_itself() {
        let mut world = world(None, &[SERVER]);
        for path in ["", "/mcp", "/sse"] {
            let resource = if path.is_empty() { "/mcp" } else { path };
            let metadata = json!({
                "resource": format!("http://localhost:4001{resource}"),
                "authorization_servers": [SERVER],
                "scopes_supported": ["mcp:read", "mcp:write"],
                "bearer_methods_supported": ["header"],
                "resource_name": "Weir",
            });
            assert_eq!(get(&mut world, &format!("{WELL_KNOWN}{path}")), (200, metadata));
        }
        assert_eq!(get(&mut world, &format!("{WELL_KNOWN}/other")).0, 404);
    }

    #[test]
    fn without_authorization_servers_there_is_nothing_to_say() {
        let mut world = world(None, &[]);
        assert_eq!(get(&mut world, WELL_KNOWN).0, 404);
        let said = challenge(&mut world, "/mcp", &Error::MissingToken);
        assert_eq!(said.as_deref(), Some(r#"Bearer scope="mcp:read mcp:write""#));
    }

    #[test]
    fn a_refusal_says_which_token_would_do() {
        let mut world = world(Some("https://weir.example.com/gate/mcp"), &[SERVER]);
        let metadata =
            |path: &str| format!(r#"resource_metadata="https://weir.example.com{WELL_KNOWN}/gate{path}""#);
        let missing = challenge(&mut world, "/mcp", &Error::MissingToken);
        assert_eq!(missing, Some(format!(r#"Bearer {}, scope="mcp:read mcp:write""#, metadata("/mcp"))));
        let legacy = challenge(&mut world, "/messages", &Error::MissingToken).expect("a challenge");
        assert!(legacy.contains(&metadata("/sse")), "{legacy}");
        for (error, name, scope) in [
            (Error::TokenExpired, "invalid_token", "mcp:read mcp:write"),
            (Error::InvalidToken { what: "it is none" }, "invalid_token", "mcp:read mcp:write"),
            (
                Error::InsufficientScope { wanted: Permissions::WRITE },
                "insufficient_scope",
                "mcp:read mcp:write",
            ),
            (
                Error::InsufficientScope { wanted: Permissions::PUBLISH },
                "insufficient_scope",
                "mcp:read mcp:publish",
            ),
        ] {
            let said = challenge(&mut world, "/mcp", &error).expect("a challenge");
            assert!(said.starts_with(&format!(r#"Bearer error="{name}", error_description=""#)), "{said}");
            assert!(said.ends_with(&format!(r#"scope="{scope}""#)), "{said}");
        }
        for error in [Error::Origin, Error::ClientIdMismatch, Error::RecoveryTokenExpired] {
            assert_eq!(challenge(&mut world, "/mcp", &error), None);
        }
    }

    #[test]
    fn values_cannot_break_out_of_their_quotes() {
        let mut challenge = "Bearer".to_owned();
        parameter(&mut challenge, "a", r#"b", c="\"#);
        assert_eq!(challenge, r#"Bearer a="b\", c=\"\\""#);
    }
}
