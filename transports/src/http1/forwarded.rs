//! What proxies write down of whom a request is from: `Forwarded` (RFC 7239), and the older `X-Forwarded-For` and
//! `X-Forwarded-Proto`.
//! Anybody can send either; whom to believe is not asked here.

use std::borrow::Cow;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::Head;

/// Who spoke to a proxy, IPv4 as IPv4. None: it does not know, does not tell, or what it wrote names no address.
pub type Node = Option<IpAddr>;

/// The nodes that `Forwarded` names with `for`, farthest first. An element without one is a node that nobody
/// knows.
pub fn forwarded(head: &Head<'_>) -> Vec<Node> {
    let elements = head.headers("forwarded").flat_map(|value| parts(value, b','));
    elements
        .map(|element| {
            parts(element, b';').find_map(|pair| of_pair(pair, "for")).and_then(|text| node(&text))
        })
        .collect()
}

/// The nodes that `X-Forwarded-For` names, farthest first.
pub fn x_forwarded_for(head: &Head<'_>) -> Vec<Node> {
    head.headers("x-forwarded-for").flat_map(|value| value.split(',')).map(|text| node(text.trim())).collect()
}

/// Whether the nearest proxy's client came over TLS, as the proxy says: by `proto` in the last element of `Forwarded`,
/// or the last of `X-Forwarded-Proto`. None: it does not say, or says both.
pub fn is_secure(head: &Head<'_>) -> Option<bool> {
    let element = head.headers("forwarded").flat_map(|value| parts(value, b',')).last();
    let told = element.and_then(|element| parts(element, b';').find_map(|pair| of_pair(pair, "proto")));
    let older = head.headers("x-forwarded-proto").flat_map(|value| value.split(',')).last();
    let [told, older] = [told.as_deref(), older.map(str::trim)].map(|scheme| scheme.and_then(is_https));
    match (told, older) {
        (Some(one), Some(other)) if one != other => None,
        (told, older) => told.or(older),
    }
}

fn is_https(scheme: &str) -> Option<bool> {
    let is = |name: &str| scheme.eq_ignore_ascii_case(name);
    if is("https") || is("wss") { Some(true) } else { (is("http") || is("ws")).then_some(false) }
}

/// The parts of `text` between separators that stand outside of quotes.
fn parts(text: &str, separator: u8) -> impl Iterator<Item = &str> {
    let mut rest = Some(text);
    std::iter::from_fn(move || {
        let text = rest?;
        let (mut quoted, mut escaped) = (false, false);
        let end = text.bytes().position(|byte| {
            match byte {
                _ if escaped => escaped = false,
                b'\\' if quoted => escaped = true,
                b'"' => quoted = !quoted,
                _ => return byte == separator && !quoted,
            }
            false
        });
        let (part, after) = match end {
            Some(end) => (&text[..end], Some(&text[end + 1..])),
            None => (text, None),
        };
        rest = after;
        Some(part)
    })
}

/// The value of a pair of this name.
fn of_pair<'a>(pair: &'a str, wanted: &str) -> Option<Cow<'a, str>> {
    let (name, value) = pair.split_once('=')?;
    if !name.trim().eq_ignore_ascii_case(wanted) {
        return None;
    }
    let value = value.trim();
    match value.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')) {
        Some(quoted) if quoted.contains('\\') => Some(Cow::Owned(unescaped(quoted))),
        Some(quoted) => Some(Cow::Borrowed(quoted)),
        None => Some(Cow::Borrowed(value)),
    }
}

/// A quoted string's content (RFC 9110, section 5.6.4).
fn unescaped(quoted: &str) -> String {
    let mut escaped = false;
    let keeps = |c: &char| {
        escaped = *c == '\\' && !escaped;
        !escaped
    };
    quoted.chars().filter(keeps).collect()
}

/// An address, with or without a port; IPv6 in brackets or, as older proxies write it, without.
fn node(text: &str) -> Node {
    let address = match text.strip_prefix('[') {
        Some(rest) => {
            let (address, port) = rest.split_once(']')?;
            let alone = port.is_empty() || port.strip_prefix(':').is_some_and(is_port);
            IpAddr::from(alone.then(|| address.parse::<Ipv6Addr>().ok())??)
        }
        None => match text.split_once(':') {
            Some((address, port)) if is_port(port) => address.parse::<Ipv4Addr>().ok()?.into(),
            _ => text.parse().ok()?,
        },
    };
    Some(address.to_canonical())
}

/// A number, or a name that hides it (RFC 7239, section 6.2).
fn is_port(text: &str) -> bool {
    let hidden = text.strip_prefix('_').is_some_and(|name| !name.is_empty() && !name.contains(':'));
    hidden || !text.is_empty() && text.len() <= 5 && text.bytes().all(|byte| byte.is_ascii_digit())
}
