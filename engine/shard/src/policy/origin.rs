//! Who may ask: a page that somebody was lured to must not use a browser to talk to a gateway that only the
//! browser can reach, or that trusts it.
//!
//! Three things tell. `Origin` is the page, where the browser says so (RFC 6454). `Sec-Fetch-Site` tells of a
//! page where it does not (Fetch Metadata). `Host` is what the page calls the gateway: a name of its own, if it
//! was made to point here (DNS rebinding), and then the request is its own host's and has nothing else to
//! tell it by.

use std::net::IpAddr;

use crate::error::Error;
use crate::limits::{Browser, Origins, default_port, host_and_port};

/// What a request says of where it comes from.
#[derive(Clone, Copy, Debug, Default)]
pub struct Provenance<'a> {
    /// `Host`, as HTTP has it: at most one, and with a right form.
    pub host: Option<&'a str>,
    /// `Origin`; of two the last.
    pub origin: Option<&'a str>,
    /// There is more than one `Origin`.
    pub disputed: bool,
    /// `Sec-Fetch-Site`.
    pub fetch_site: Option<&'a str>,
    /// It came over TLS, so that a page of the same host did, too, unless somebody on the way has made it.
    pub secure: bool,
}

impl<'a> Provenance<'a> {
    /// Reads it from headers of any case.
    pub fn of(headers: impl Iterator<Item = (&'a str, &'a str)>) -> Provenance<'a> {
        let mut found = Provenance::default();
        for (name, value) in headers {
            // The length tells most names apart.
            match name.len() {
                4 if name.eq_ignore_ascii_case("host") => found.host = Some(value),
                6 if name.eq_ignore_ascii_case("origin") => {
                    found.disputed |= found.origin.is_some();
                    found.origin = Some(value);
                }
                14 if name.eq_ignore_ascii_case("sec-fetch-site") => found.fetch_site = Some(value),
                _ => {}
            }
        }
        found
    }

    /// Whether the request may be served. A page must be of the request's own host, or listed; who names none is
    /// no page, unless its browser tells otherwise.
    ///
    /// # Errors
    /// [`Error::Host`], [`Error::Origin`].
    pub fn check(&self, browser: &Browser) -> Result<(), Error> {
        let name = self.host.map(|host| host_and_port(host).0);
        let known = |name: &str| {
            browser.hosts.iter().any(|known| name.eq_ignore_ascii_case(known)) || is_address(name)
        };
        if !browser.hosts.is_empty() && name.is_some_and(|name| !known(name)) {
            return Err(Error::Host);
        }
        let lists = [&browser.origins, &browser.cors.origins];
        let welcome = lists.contains(&&Origins::Any)
            || match self.origin {
                _ if self.disputed => false,
                Some(sent) => self.is_own(sent) || lists.iter().any(|list| list.has(sent)),
                // Of a link, an image, a script: which page has it is not told, only that it is another's.
                None => !matches!(self.fetch_site, Some("cross-site" | "same-site")),
            };
        if welcome { Ok(()) } else { Err(Error::Origin) }
    }

    /// Whether a page is of the host, port included, that the request is for. Without TLS its scheme may be https,
    /// where a proxy ends that.
    fn is_own(&self, sent: &str) -> bool {
        let (Some((scheme, page)), Some(host)) = (sent.split_once("://"), self.host) else { return false };
        let Some(default) = default_port(scheme) else { return false };
        if self.secure && !scheme.eq_ignore_ascii_case("https") {
            return false;
        }
        let port = |port: Option<&str>| port.map_or(Some(default), |port| port.parse().ok());
        let ((page, page_port), (host, host_port)) = (host_and_port(page), host_and_port(host));
        page.eq_ignore_ascii_case(host) && port(page_port).is_some_and(|at| port(host_port) == Some(at))
    }
}

/// Whether a host is an address and no name, which nobody can make to point here.
fn is_address(host: &str) -> bool {
    let bare = host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(host);
    bare.parse::<IpAddr>().is_ok_and(|address| !address.is_unspecified())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::limits::Origin;

    fn browser(hosts: &[&str], origins: &[&str]) -> Browser {
        let listed = origins.iter().map(|text| Origin::parse(text).expect("right")).collect();
        let hosts = hosts.iter().map(|host| (*host).into()).collect();
        Browser { hosts, origins: Origins::Listed(listed), ..Browser::default() }
    }

    fn checked(host: &str, origin: &str, browser: &Browser) -> Result<(), Error> {
        Provenance { host: Some(host), origin: Some(origin), ..Provenance::default() }.check(browser)
    }

    #[test]
    fn a_page_of_the_requests_own_host_passes() {
        let any = browser(&[], &[]);
        for (host, origin) in [
            ("localhost:4001", "http://localhost:4001"),
            ("LOCALHOST:4001", "HTTP://LocalHost:4001"),
            ("weir.example.com", "https://weir.example.com"),
            ("weir.example.com", "http://weir.example.com"),
            ("weir.example.com:443", "https://weir.example.com"),
            ("[::1]:4002", "http://[::1]:4002"),
            ("[::1]", "http://[::1]"),
        ] {
            assert_eq!(checked(host, origin, &any), Ok(()), "{origin} at {host}");
        }
    }

    #[test]
    fn a_page_of_another_host_port_or_none_does_not() {
        let any = browser(&[], &[]);
        for origin in [
            "http://localhost",
            "http://localhost:4002",
            "http://localhost:40010",
            "http://localhost:4001.evil.example",
            "http://localhost:4001@evil.example",
            "http://evil.example:4001",
            "http://evil-localhost:4001",
            "http://localhost.evil.example:4001",
            "http://localhost.:4001",
            "http://127.0.0.1:4001",
            "http://localhost:4001/path",
            "http://localhost:4001, http://evil.example",
            "http://l\u{f6}calhost:4001",
            "http://xn--lcalhost-n4a:4001",
            "ftp://localhost:4001",
            "file://localhost:4001",
            "chrome-extension://localhost:4001",
            "//localhost:4001",
            "localhost:4001",
            "null",
            "",
        ] {
            assert_eq!(checked("localhost:4001", origin, &any), Err(Error::Origin), "{origin}");
        }
        assert_eq!(checked("weir.example.com:80", "https://weir.example.com", &any), Err(Error::Origin));
        let alone = Provenance { origin: Some("http://localhost"), ..Provenance::default() };
        assert_eq!(alone.check(&any), Err(Error::Origin));
    }

    #[test]
    fn over_tls_a_page_of_the_same_host_is_one_over_tls() {
        let page = |origin| {
            let secure = Provenance {
                host: Some("weir"),
                origin: Some(origin),
                secure: true,
                ..Provenance::default()
            };
            secure.check(&browser(&[], &[]))
        };
        assert_eq!((page("https://weir"), page("HTTPS://weir")), (Ok(()), Ok(())));
        assert_eq!((page("http://weir"), page("http://weir:443")), (Err(Error::Origin), Err(Error::Origin)));
    }

    #[test]
    fn a_listed_page_passes_and_nothing_like_it() {
        let listed = browser(&[], &["https://example.com", "http://localhost:5173"]);
        for origin in ["https://example.com", "HTTPS://EXAMPLE.COM", "http://localhost:5173"] {
            assert_eq!(checked("weir:4001", origin, &listed), Ok(()), "{origin}");
        }
        for origin in [
            "https://evil-example.com",
            "https://example.com.evil",
            "https://sub.example.com",
            "http://example.com",
            "https://example.com:8443",
            "http://localhost:5174",
            "https://ex\u{e4}mple.com",
            "null",
        ] {
            assert_eq!(checked("weir:4001", origin, &listed), Err(Error::Origin), "{origin}");
        }
        let mut shared = browser(&[], &[]);
        shared.cors.origins = Origins::Listed(vec![Origin::parse("https://example.com").expect("right")]);
        assert_eq!(checked("weir:4001", "https://example.com", &shared), Ok(()));
        shared.cors.origins = Origins::Any;
        assert_eq!(checked("weir:4001", "null", &shared), Ok(()));
    }

    #[test]
    fn a_name_that_was_made_to_point_here_does_not_pass() {
        let loopback = Browser::default();
        for host in ["localhost", "localhost:4001", "LocalHost:1", "127.0.0.1:4001", "[::1]:4001", "10.1.2.3"]
        {
            let plain = Provenance { host: Some(host), ..Provenance::default() };
            assert_eq!(plain.check(&loopback), Ok(()), "{host}");
        }
        for host in [
            "evil.example:4001",
            "localhost.evil.example",
            "localhost.",
            "127.0.0.1.evil.example",
            "0.0.0.0:4001",
        ] {
            let origin = format!("http://{host}");
            assert_eq!(checked(host, &origin, &loopback), Err(Error::Host), "{host}");
        }
        // HTTP/1.0 need not say.
        assert_eq!(Provenance::default().check(&loopback), Ok(()));
    }

    #[test]
    fn a_page_that_is_not_named_is_told_by_its_browser() {
        let any = browser(&[], &["https://example.com"]);
        let from = |site| Provenance { host: Some("weir"), fetch_site: Some(site), ..Provenance::default() };
        assert_eq!(from("cross-site").check(&any), Err(Error::Origin));
        assert_eq!(from("same-site").check(&any), Err(Error::Origin));
        assert_eq!((from("same-origin").check(&any), from("none").check(&any)), (Ok(()), Ok(())));
        let named = Provenance { origin: Some("https://example.com"), ..from("cross-site") };
        assert_eq!(named.check(&any), Ok(()));
    }

    #[test]
    fn two_origins_are_none() {
        let headers = [("HOST", "weir"), ("Origin", "http://evil.example"), ("origin", "http://weir")];
        let provenance = Provenance::of(headers.into_iter());
        assert_eq!((provenance.host, provenance.disputed), (Some("weir"), true));
        assert_eq!(provenance.check(&browser(&[], &[])), Err(Error::Origin));
    }
}
