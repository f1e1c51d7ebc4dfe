//! Where spans go, and how the log is written.

use form_urlencoded::parse;
use weir_shard::limits::Secret;

use super::url::Url;

/// OTLP over HTTP (OTLP 1.x, "OTLP/HTTP").
const HTTP_PORT: u16 = 4_318;

/// OTLP over gRPC, which is another protocol.
const GRPC_PORT: u16 = 4_317;

/// Where OTLP over HTTP takes spans.
const PATH: &str = "/v1/traces";

/// The header of `tracing.api_key`.
const API_KEY: &str = "x-api-key";

/// Where spans go.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Tracing {
    /// None: nowhere.
    pub(super) endpoint: Option<Endpoint>,
    /// `NAME=VALUE,...`
    pub(super) headers: Option<Secret>,
    pub(super) api_key: Option<Secret>,
    /// Spans that are sent at once, at most.
    pub(super) batch_size: usize,
}

/// A collector's address.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Endpoint {
    /// With its path, which may say more than everybody should read.
    url: Box<str>,
    /// Without.
    origin: Box<str>,
}

/// A collector of spans.
#[derive(Clone, Debug)]
pub(crate) struct Collector {
    /// Where spans are posted.
    pub(crate) url: Box<str>,
    /// The part of it that may be shown.
    pub(crate) origin: Box<str>,
    /// What it wants to be told with them.
    pub(crate) headers: Vec<(Box<str>, Secret)>,
    /// Spans that it is sent at once, at most.
    pub(crate) batch_size: usize,
}

/// How the log is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Log {
    pub(crate) format: Format,
    /// Lines of one kind in ten seconds; 0: no limit.
    pub(crate) repeat: u32,
}

/// What a line of the log is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Format {
    /// For people.
    Text,
    /// One JSON object.
    Json,
}

impl Default for Log {
    fn default() -> Log {
        Log { format: Format::Text, repeat: 50 }
    }
}

/// Why a text is no collector's address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum EndpointFault {
    /// It is no URL, or one with a user.
    Url,
    /// It is where gRPC is spoken.
    Grpc,
}

impl Endpoint {
    /// Reads `http://HOST:4318`, with a path or without; a URL without a port means that of OTLP, over TLS that of HTTPS.
    ///
    /// # Errors
    /// Nobody can be asked there over HTTP.
    pub(super) fn parse(text: &str) -> Result<Endpoint, EndpointFault> {
        let whole = if text.contains("://") { text.to_owned() } else { format!("http://{text}") };
        let url = Url::parse(&whole).ok_or(EndpointFault::Url)?;
        let said = url.has_port.then_some(url.port);
        let (scheme, port) = match url.secure {
            true => ("https", said),
            false => ("http", said.or(Some(HTTP_PORT))),
        };
        if port == Some(GRPC_PORT) {
            return Err(EndpointFault::Grpc);
        }
        let port = port.map(|port| format!(":{port}")).unwrap_or_default();
        let origin = format!("{scheme}://{}{port}", url.host);
        let (path, query) = url.path.split_at(url.path.find('?').unwrap_or(url.path.len()));
        let path = path.trim_end_matches('/');
        let path = if path.ends_with(PATH) { path.to_owned() } else { format!("{path}{PATH}") };
        Ok(Endpoint { url: format!("{origin}{path}{query}").into(), origin: origin.into() })
    }
}

impl Tracing {
    /// Where spans go; `None`: nowhere.
    pub(crate) fn collector(&self) -> Option<Collector> {
        let Endpoint { url, origin } = self.endpoint.clone()?;
        let own = self.api_key.iter().map(|key| (API_KEY.into(), key.clone()));
        let headers = own.chain(self.headers().unwrap_or_default()).collect();
        Some(Collector { url, origin, headers, batch_size: self.batch_size })
    }

    /// Values that cannot be used, each with what to do.
    pub(super) fn contradictions(&self) -> Vec<String> {
        let mut found = Vec::new();
        if self.headers().is_none() {
            found.push(
                "tracing.headers is no list of headers; write NAME=VALUE, with commas between them and what is special in a \
                 value as %XX"
                    .to_owned(),
            );
        }
        if self.api_key.as_ref().is_some_and(|key| !is_value(key.expose())) {
            found.push("tracing.api_key holds what no header can; write it on one line".to_owned());
        }
        found
    }

    /// The headers that the text lists (OTEL_EXPORTER_OTLP_HEADERS: as W3C Baggage, without properties); `None` if it
    /// does not.
    fn headers(&self) -> Option<Vec<(Box<str>, Secret)>> {
        let Some(text) = &self.headers else { return Some(Vec::new()) };
        let text = std::str::from_utf8(text.expose()).ok()?;
        let pairs = text.split(',').filter(|pair| !pair.trim().is_empty());
        pairs
            .map(|pair| {
                let (name, value) = pair.split_once('=')?;
                let (name, value) = (name.trim(), decoded(value.trim()));
                let right = is_name(name) && is_value(value.as_bytes());
                right.then(|| (name.into(), Secret::new(value.as_bytes())))
            })
            .collect()
    }
}

/// With `%XX` as the bytes they stand for. A plus sign is one.
fn decoded(value: &str) -> String {
    let escaped = format!("={}", value.replace('+', "%2B").replace('&', "%26"));
    parse(escaped.as_bytes()).next().map(|(_, value)| value.into_owned()).unwrap_or_default()
}

/// Whether it can be a header's name (RFC 9110, section 5.6.2).
fn is_name(name: &str) -> bool {
    let token = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
    !name.is_empty() && name.bytes().all(token)
}

/// Whether it can be a header's value.
fn is_value(value: &[u8]) -> bool {
    value.iter().all(|byte| matches!(byte, b' '..=b'~' | b'\t'))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn urls(text: &str) -> Result<(String, String), EndpointFault> {
        Endpoint::parse(text).map(|it| (it.url.into(), it.origin.into()))
    }

    #[test]
    fn an_endpoint_gets_what_it_does_not_say() {
        for (text, url, origin) in [
            ("http://127.0.0.1:4318", "http://127.0.0.1:4318/v1/traces", "http://127.0.0.1:4318"),
            ("localhost", "http://localhost:4318/v1/traces", "http://localhost:4318"),
            ("collector:14318/", "http://collector:14318/v1/traces", "http://collector:14318"),
            ("http://[::1]", "http://[::1]:4318/v1/traces", "http://[::1]:4318"),
            ("https://otel.example.com", "https://otel.example.com/v1/traces", "https://otel.example.com"),
            ("http://c/otlp/", "http://c:4318/otlp/v1/traces", "http://c:4318"),
            ("https://c/v1/traces?key=s", "https://c/v1/traces?key=s", "https://c"),
        ] {
            assert_eq!(urls(text), Ok((url.to_owned(), origin.to_owned())), "{text}");
        }
    }

    #[test]
    fn what_cannot_be_asked_is_refused() {
        for text in ["http://localhost:4317", "localhost:4317", "https://otel.example.com:4317"] {
            assert_eq!(urls(text), Err(EndpointFault::Grpc), "{text}");
        }
        for text in ["", "grpc://localhost:4318", "http://user:word@c:4318", "http://c:0", "http://c /"] {
            assert_eq!(urls(text), Err(EndpointFault::Url), "{text}");
        }
    }

    fn headers(text: &str) -> Option<Vec<(String, Vec<u8>)>> {
        let tracing = Tracing { headers: Some(Secret::new(text.as_bytes())), ..Tracing::default() };
        let shown = |(name, value): (Box<str>, Secret)| (name.into(), value.expose().to_vec());
        tracing.headers().map(|all| all.into_iter().map(shown).collect())
    }

    #[test]
    fn headers_are_listed_as_everywhere() {
        let pair = |name: &str, value: &str| (name.to_owned(), value.as_bytes().to_vec());
        let expected = vec![pair("Authorization", "Basic a+b&c=="), pair("x-scope", "1")];
        assert_eq!(headers("Authorization=Basic%20a+b&c==, x-scope = 1,"), Some(expected));
        assert_eq!(headers(""), Some(vec![]));
        for text in ["alone", "a b=c", "=v", "name=%0d%0aX: y"] {
            assert_eq!(headers(text), None, "{text}");
        }
    }
}
