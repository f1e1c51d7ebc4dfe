//! Who may talk MCP to this server at all: a page that a browser was lured to must not (DNS rebinding; MCP,
//! basic/transports, Security Warning).

use crate::downstream::mcp::fault::Fault;
use crate::downstream::mcp::headers::Headers;
use crate::error::Error;

/// Checks `Host` and `Origin` against the hosts that are allowed: lower case, without port. With none named,
/// any `Host` will do, and an `Origin` must be the request's own host.
///
/// # Errors
/// 403.
pub(crate) fn check(headers: &Headers<'_>, hosts: &[Box<str>]) -> Result<(), Fault<'static>> {
    let host = headers.host.map(without_port);
    let allowed = |name: &str| hosts.iter().any(|host| name.eq_ignore_ascii_case(host));
    if !hosts.is_empty() && !host.is_some_and(allowed) {
        return Err(Fault::http(403, Error::Origin.message()));
    }
    let Some(origin) = headers.origin else { return Ok(()) };
    let origin = origin.split_once("://").map(|(_, authority)| without_port(authority));
    let welcome = match (origin, host) {
        (None, _) => false,
        (Some(origin), Some(host)) if hosts.is_empty() => origin.eq_ignore_ascii_case(host),
        (Some(origin), _) => allowed(origin),
    };
    if welcome { Ok(()) } else { Err(Fault::http(403, Error::Origin.message())) }
}

/// `[::1]:80` and `name:80` without the port.
fn without_port(authority: &str) -> &str {
    match authority.rfind(':') {
        Some(at) if !authority[at..].contains(']') => &authority[..at],
        _ => authority,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn passes(host: &str, origin: Option<&str>, hosts: &[&str]) -> bool {
        let hosts: Vec<Box<str>> = hosts.iter().map(|host| (*host).into()).collect();
        check(&Headers { host: Some(host), origin, ..Headers::default() }, &hosts).is_ok()
    }

    #[test]
    fn only_named_hosts_and_origins_pass() {
        let hosts = ["localhost", "[::1]"];
        assert!(passes("localhost:4001", None, &hosts));
        assert!(passes("LocalHost", Some("http://localhost:5173"), &hosts));
        assert!(passes("[::1]:4001", Some("https://[::1]"), &hosts));
        assert!(!passes("evil.example", None, &hosts));
        assert!(!passes("localhost", Some("http://evil.example"), &hosts));
        assert!(!passes("localhost", Some("null"), &hosts));
        assert!(!passes("localhost.evil.example", None, &hosts));
    }

    #[test]
    fn with_no_host_named_an_origin_is_the_host_itself() {
        assert!(passes("any.example:80", None, &[]));
        assert!(passes("any.example", Some("https://any.example"), &[]));
        assert!(!passes("any.example", Some("https://other.example"), &[]));
        assert!(!passes("any.example", Some("null"), &[]));
    }
}
