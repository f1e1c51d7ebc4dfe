//! Request targets (RFC 9112 section 3.2) and the Host header (RFC 9110 section 7.2).

use super::{HeadError, Method};

/// A request target taken apart.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Target<'a> {
    /// Of the absolute form only.
    pub(super) authority: Option<&'a str>,
    /// Begins with `/`, or is `*`.
    pub(super) path: &'a str,
    pub(super) query: Option<&'a str>,
}

impl<'a> Target<'a> {
    /// Accepts the origin form, the absolute form of http and https, and `*` with OPTIONS.
    pub(super) fn parse(raw: &'a str, method: Method) -> Result<Target<'a>, HeadError> {
        if !raw.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'#') {
            return Err(HeadError::Target);
        }
        if raw == "*" && method == Method::Options {
            return Ok(Target { authority: None, path: raw, query: None });
        }
        if raw.starts_with('/') {
            let (path, query) = split_query(raw);
            return Ok(Target { authority: None, path, query });
        }
        let rest = strip_scheme(raw).ok_or(HeadError::Target)?;
        let (authority, rest) = rest.split_at(rest.find(['/', '?']).unwrap_or(rest.len()));
        if !is_host(authority) {
            return Err(HeadError::Target);
        }
        let (path, query) = split_query(rest);
        let path = if path.is_empty() { "/" } else { path };
        Ok(Target { authority: Some(authority), path, query })
    }
}

fn split_query(raw: &str) -> (&str, Option<&str>) {
    match raw.split_once('?') {
        Some((path, query)) => (path, Some(query)),
        None => (raw, None),
    }
}

fn strip_scheme(raw: &str) -> Option<&str> {
    let (scheme, rest) = raw.split_once("://")?;
    (scheme.eq_ignore_ascii_case("http") || scheme.eq_ignore_ascii_case("https")).then_some(rest)
}

/// Whether `text` is `host` or `host:port` with a DNS name, an IPv4 address or a bracketed IPv6 address.
///
/// Narrower than RFC 3986's reg-name, which allows commas, quotes and percent-encoding that other readers
/// of the same request may take apart differently.
pub(super) fn is_host(text: &str) -> bool {
    let (host_is_good, rest) = match text.strip_prefix('[') {
        Some(inner) => {
            let Some((address, rest)) = inner.split_once(']') else { return false };
            (address.parse::<std::net::Ipv6Addr>().is_ok(), rest)
        }
        None => {
            let (name, rest) = text.split_at(text.find(':').unwrap_or(text.len()));
            let is_name = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_');
            (!name.is_empty() && name.bytes().all(is_name), rest)
        }
    };
    let port_is_good = rest.is_empty() || rest.strip_prefix(':').is_some_and(is_port);
    host_is_good && port_is_good
}

fn is_port(text: &str) -> bool {
    text.len() <= 5 && text.bytes().all(|byte| byte.is_ascii_digit()) && text.parse::<u16>().is_ok()
}
