//! Which web pages may talk to the gateway, and which may read its answers.

use std::time::Duration;

/// What browsers may do on behalf of web pages. Clients that are no browsers send no `Origin` and are not
/// concerned.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Browser {
    /// Hosts that a request may be for (`Host`), in lower case and without port; addresses always may. Empty:
    /// any. Default [`LOOPBACK_HOSTS`]; the server's configuration empties it where the gateway listens
    /// elsewhere.
    pub hosts: Vec<Box<str>>,
    /// Pages that may talk to the gateway beside those of the request's own host. Default none.
    pub origins: Origins,
    /// Pages that may also read the answers.
    pub cors: Cors,
}

/// Cross-origin resource sharing (Fetch, section 3.2).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cors {
    /// Pages that may read answers; they may talk to the gateway, too. Default none: CORS is off.
    pub origins: Origins,
    /// `Access-Control-Allow-Methods`. Default GET, POST and DELETE.
    pub methods: Box<str>,
    /// `Access-Control-Allow-Headers`. Default those that the gateway knows.
    pub headers: Box<str>,
    /// How long a browser may keep the answer to a preflight. Default 86,400 s.
    pub max_age: Duration,
}

/// A set of origins.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Origins {
    /// Every page there is, `null` among them.
    Any,
    /// These.
    Listed(Vec<Origin>),
}

/// An origin as browsers write it (RFC 6454, section 6.2): scheme, host, and the port unless it is the
/// scheme's own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Origin(Box<str>);

/// The names of a gateway that listens on loopback only.
pub const LOOPBACK_HOSTS: [&str; 1] = ["localhost"];

/// Methods that pages may use.
const METHODS: [&str; 3] = ["GET", "POST", "DELETE"];

/// Headers that pages may send.
const HEADERS: [&str; 15] = [
    "Authorization",
    "Content-Type",
    "Idempotency-Key",
    "Last-Event-ID",
    "MCP-Protocol-Version",
    "Mcp-Method",
    "Mcp-Name",
    "Mcp-Session-Id",
    "X-API-Key",
    "X-Client-ID",
    "X-Phoenix-AuthToken",
    "X-Phoenix-LongPoll-Token",
    "baggage",
    "traceparent",
    "tracestate",
];

/// Ports that a URL of the scheme need not name.
const DEFAULT_PORTS: [(&str, u16); 2] = [("http", 80), ("https", 443)];

impl Origins {
    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        matches!(self, Origins::Listed(listed) if listed.is_empty())
    }

    /// Whether the origin that a browser sent is one of them.
    pub fn has(&self, sent: &str) -> bool {
        match self {
            Origins::Any => true,
            Origins::Listed(listed) => listed.iter().any(|origin| origin.is(sent)),
        }
    }
}

impl Origin {
    /// Reads `scheme://host` or `scheme://host:port`. `None`: it is none, or not as a browser would send it, which
    /// writes names in ASCII (`xn--...`).
    pub fn parse(text: &str) -> Option<Origin> {
        let (scheme, authority) = text.split_once("://")?;
        let scheme_is_good = scheme.starts_with(|first: char| first.is_ascii_alphabetic())
            && scheme.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"+-.".contains(&byte));
        let authority_is_good = !authority.is_empty()
            && authority.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-._:[]".contains(&byte));
        if !scheme_is_good || !authority_is_good {
            return None;
        }
        let (host, port) = host_and_port(authority);
        if host.is_empty() || port.is_some_and(|port| port.parse::<u16>().is_err()) {
            return None;
        }
        let needless =
            default_port(scheme).is_some_and(|own| port.and_then(|port| port.parse().ok()) == Some(own));
        let text = if needless { &text[..scheme.len() + 3 + host.len()] } else { text };
        Some(Origin(text.to_ascii_lowercase().into()))
    }

    /// Whether it is the one that a browser sent.
    pub fn is(&self, sent: &str) -> bool {
        sent.eq_ignore_ascii_case(&self.0)
    }

    /// As a browser writes it.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// The port that is meant where `scheme` is used without one.
pub fn default_port(scheme: &str) -> Option<u16> {
    DEFAULT_PORTS.iter().find(|(name, _)| scheme.eq_ignore_ascii_case(name)).map(|(_, port)| *port)
}

/// The parts of `host`, `host:port`, `[v6]` or `[v6]:port`.
pub fn host_and_port(authority: &str) -> (&str, Option<&str>) {
    match authority.rfind(':') {
        Some(at) if !authority[at..].contains(']') => (&authority[..at], Some(&authority[at + 1..])),
        _ => (authority, None),
    }
}

impl Default for Browser {
    fn default() -> Self {
        Browser {
            hosts: LOOPBACK_HOSTS.map(Box::from).into(),
            origins: Origins::Listed(Vec::new()),
            cors: Cors {
                origins: Origins::Listed(Vec::new()),
                methods: METHODS.join(", ").into(),
                headers: HEADERS.join(", ").into(),
                max_age: Duration::from_secs(86_400),
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_origin_is_scheme_host_and_port() {
        let read = |text| Origin::parse(text).map(|origin| origin.0.to_string());
        assert_eq!(read("https://App.Example.com").as_deref(), Some("https://app.example.com"));
        assert_eq!(read("http://localhost:5173").as_deref(), Some("http://localhost:5173"));
        assert_eq!(read("HTTPS://a:443").as_deref(), Some("https://a"));
        assert_eq!(read("https://a:80").as_deref(), Some("https://a:80"));
        assert_eq!(read("http://[::1]:80").as_deref(), Some("http://[::1]"));
        assert_eq!(read("chrome-extension://abcdef").as_deref(), Some("chrome-extension://abcdef"));
        for text in [
            "",
            "null",
            "*",
            "a.example",
            "//a",
            "://a",
            "http://",
            "http:///",
            "http://a/",
            "http://a?b",
            "http://a b",
            "http://user@a",
            "http://a:b",
            "http://a:70000",
            "http://a:",
            "http://:80",
            "https://bücher.example",
            "http://*.example",
        ] {
            assert_eq!(read(text), None, "{text}");
        }
    }

    #[test]
    fn a_set_has_what_it_lists_and_nothing_like_it() {
        let listed = Origins::Listed(vec![Origin::parse("https://example.com").expect("right")]);
        assert!(listed.has("https://example.com") && listed.has("HTTPS://Example.COM"));
        for other in [
            "http://example.com",
            "https://example.com:8443",
            "https://evil-example.com",
            "https://example.com.evil",
            "https://www.example.com",
            "https://example.com.",
            "https://example.com/",
            "null",
            "",
        ] {
            assert!(!listed.has(other), "{other}");
        }
        assert!(Origins::Any.has("null"));
    }
}
