//! The URL of an upstream.

use std::net::{SocketAddr, ToSocketAddrs};

use weir_ring::token::Address;
use weir_shard::limits::{Target, TargetKind};

use super::problem::Fault;
use super::value::{Value, is_host};

/// The ports of URLs without one (RFC 9110, 4.2.1 and 4.2.2).
const HTTP_PORT: u16 = 80;
const HTTPS_PORT: u16 = 443;

/// What `text`, such as `http://127.0.0.1:3000/mcp`, leads to. A name is looked up now; of its addresses the
/// first IPv4 one is taken, as servers on `localhost` often listen on nothing else.
///
/// # Errors
/// It is no URL that can be served, or its host is not found.
pub(super) fn target(text: &str) -> Result<Target, Fault> {
    let url = Url::parse(text).ok_or_else(|| Fault::Value {
        value: Value::Text(text.to_owned()),
        wanted: "a URL such as \"http://127.0.0.1:3000/mcp\", without user and fragment".into(),
    })?;
    Ok(Target {
        address: Address::Tcp(url.resolve()?),
        kind: TargetKind::Http {
            host: url.authority().into(),
            path: url.path.into(),
            tls: url.secure.then(|| url.name().into()),
        },
        weight: 1,
    })
}

/// Whether it is a URL that can be asked.
pub(super) fn is_url(text: &str) -> bool {
    Url::parse(text).is_some()
}

/// The parts of a URL that are used.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Url<'a> {
    /// TLS is spoken.
    pub(super) secure: bool,
    /// As in a `Host` header, without port.
    pub(super) host: &'a str,
    /// That of the scheme if it says none.
    pub(super) port: u16,
    /// It says one.
    pub(super) has_port: bool,
    /// Path and query.
    pub(super) path: &'a str,
}

impl<'a> Url<'a> {
    pub(super) fn parse(text: &'a str) -> Option<Url<'a>> {
        let (scheme, rest) = text.split_once("://")?;
        let secure = scheme.eq_ignore_ascii_case("https");
        let (authority, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
        let bracket = authority.find(']').map_or(0, |end| end + 1);
        let colon = authority[bracket..].find(':').map(|colon| bracket + colon);
        let (host, port) = match colon {
            Some(colon) => (&authority[..colon], authority[colon + 1..].parse().ok()?),
            None => (authority, if secure { HTTPS_PORT } else { HTTP_PORT }),
        };
        let visible = path.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'#');
        let http = secure || scheme.eq_ignore_ascii_case("http");
        let right = http && is_host(host) && port != 0 && visible;
        let path = if path.is_empty() { "/" } else { path };
        right.then_some(Url { secure, host, port, has_port: colon.is_some(), path })
    }

    /// The value of the `Host` header.
    fn authority(&self) -> String {
        let usual = if self.secure { HTTPS_PORT } else { HTTP_PORT };
        if self.port == usual { self.host.to_owned() } else { format!("{}:{}", self.host, self.port) }
    }

    /// The name or address by itself.
    fn name(&self) -> &'a str {
        self.host.trim_start_matches('[').trim_end_matches(']')
    }

    fn resolve(&self) -> Result<SocketAddr, Fault> {
        let name = self.name();
        let found =
            (name, self.port).to_socket_addrs().map(Vec::from_iter).map_err(|error| error.to_string());
        let address = found.and_then(|all| {
            let first = all.iter().find(|address| address.is_ipv4()).or(all.first());
            first.copied().ok_or_else(|| "it has no address".to_owned())
        });
        address.map_err(|error| Fault::Unresolved { host: name.to_owned(), error })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kind(host: &str, path: &str, tls: Option<&str>) -> TargetKind {
        TargetKind::Http { host: host.into(), path: path.into(), tls: tls.map(Box::from) }
    }

    fn parsed(text: &str) -> Option<(&str, u16, &str)> {
        Url::parse(text).map(|url| (url.host, url.port, url.path))
    }

    #[test]
    fn urls_have_host_port_and_path() {
        assert_eq!(parsed("http://127.0.0.1:3000/mcp"), Some(("127.0.0.1", 3000, "/mcp")));
        assert_eq!(parsed("HTTP://tools.example"), Some(("tools.example", 80, "/")));
        assert_eq!(parsed("http://[::1]:8080/a/b?c=d"), Some(("[::1]", 8080, "/a/b?c=d")));
        assert_eq!(parsed("http://[::1]/"), Some(("[::1]", 80, "/")));
        assert_eq!(parsed("HTTPS://tools.example/mcp"), Some(("tools.example", 443, "/mcp")));
    }

    #[test]
    fn what_cannot_be_a_target_is_refused() {
        for text in [
            "",
            "127.0.0.1:3000",
            "ftp://a/",
            "http://",
            "http:///mcp",
            "http://:3000/mcp",
            "http://a:0/",
            "http://a:70000/",
            "http://a:b/",
            "http://user@a/",
            "http://user:secret@a/",
            "http://[::1/",
            "http://[::1]3000/",
            "http://a/b c",
            "http://a/b#c",
            "http://a?b",
        ] {
            assert_eq!(parsed(text), None, "{text}");
        }
    }

    #[test]
    fn a_target_has_an_address_and_what_is_said_there() {
        let http = |host: &str, path: &str| kind(host, path, None);
        let found = target("http://[::1]:3000/mcp").expect("an address needs no resolver");
        assert_eq!(found.address, Address::Tcp(SocketAddr::from(([0, 0, 0, 0, 0, 0, 0, 1], 3000))));
        assert_eq!((found.kind, found.weight), (http("[::1]:3000", "/mcp"), 1));
        assert_eq!(target("http://127.0.0.1").expect("right").kind, http("127.0.0.1", "/"));
    }

    #[test]
    fn over_tls_a_target_has_the_name_of_its_certificate() {
        let found = |text| target(text).expect("right").kind;
        assert_eq!(found("https://[::1]:8443/mcp"), kind("[::1]:8443", "/mcp", Some("::1")));
        assert_eq!(found("https://127.0.0.1:443/"), kind("127.0.0.1", "/", Some("127.0.0.1")));
        assert_eq!(found("https://127.0.0.1:80"), kind("127.0.0.1:80", "/", Some("127.0.0.1")));
    }

    #[test]
    fn unknown_hosts_say_so() {
        // Not a name that the resolver would ask anybody about.
        let fault = target("http://no..where/");
        assert!(matches!(&fault, Err(Fault::Unresolved { host, .. }) if host == "no..where"), "{fault:?}");
    }
}
