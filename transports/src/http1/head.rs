//! Request heads: one strict parse, no allocation, everything borrowed from the received bytes.

use std::mem::MaybeUninit;

use super::fields::{FIELDS_MAX, Fields};
use super::framing::Framing;
use super::target::Target;
use super::{BodyKind, HeadError, scan};

/// Bounds of a request head, in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// From the method to the end of the blank line. Anything above 65,535 counts as 65,535.
    pub head_bytes_max: usize,
    /// The request line without its line end.
    pub line_bytes_max: usize,
}

/// The request methods that routes distinguish.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Method {
    Get,
    Post,
    Put,
    Delete,
    Options,
    Head,
    /// Well-formed, and for no route.
    Other,
}

impl Method {
    fn parse(name: &str) -> Result<Method, HeadError> {
        match name {
            "GET" => Ok(Method::Get),
            "POST" => Ok(Method::Post),
            "PUT" => Ok(Method::Put),
            "DELETE" => Ok(Method::Delete),
            "OPTIONS" => Ok(Method::Options),
            "HEAD" => Ok(Method::Head),
            // Every registered method is made of these.
            _ if name.bytes().all(|byte| byte.is_ascii_uppercase() || byte == b'-') => Ok(Method::Other),
            _ => Err(HeadError::Method),
        }
    }
}

/// The version in the request line.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Version {
    Http10,
    Http11,
}

/// A checked request head.
#[derive(Clone, Copy, Debug)]
pub struct Head<'a> {
    pub method: Method,
    /// Percent-encoded ASCII that begins with `/`, or `*` (OPTIONS only).
    pub path: &'a str,
    /// What follows the first `?`, undecoded.
    pub query: Option<&'a str>,
    pub version: Version,
    /// Bytes the head takes, its blank line and a tolerated leading CR LF included. The body begins there.
    pub len: usize,
    pub body: BodyKind,
    /// Whether the client lets the connection serve another request. Never true for HTTP/1.0.
    pub keep_alive: bool,
    /// The client waits for [`super::response::CONTINUE`] before it sends the body.
    pub expect_continue: bool,
    /// A GET of HTTP/1.1 with `Upgrade: websocket` and `Connection: upgrade`. The handshake's own headers
    /// are the WebSocket codec's to check.
    pub upgrade_websocket: bool,
    fields: Fields<'a>,
}

impl<'a> Head<'a> {
    /// The first value of the header `name`, whatever its case, without surrounding blanks.
    pub fn header(&self, name: &str) -> Option<&'a str> {
        self.headers(name).next()
    }

    /// Every value of the header `name`, whatever its case, in order.
    pub fn headers<'n>(&self, name: &'n str) -> impl Iterator<Item = &'a str> + use<'a, 'n, '_> {
        self.fields.all(name)
    }

    /// The names and values of all headers, in order.
    pub fn all_headers(&self) -> impl Iterator<Item = (&'a str, &'a str)> + use<'a, '_> {
        self.fields.iter()
    }
}

/// Parses the head at the start of `bytes`.
///
/// `None`: more bytes are needed, and nothing was consumed. An error answers the request and ends the
/// connection.
pub fn parse_head<'a>(bytes: &'a [u8], limits: &Limits) -> Result<Option<Head<'a>>, HeadError> {
    let Some(range) = scan::head(bytes, limits)? else { return Ok(None) };
    let len = range.end;
    let text =
        simdutf8::basic::from_utf8(bytes.get(range).unwrap_or_default()).map_err(|_| HeadError::NotUtf8)?;

    let mut slots = [const { MaybeUninit::uninit() }; FIELDS_MAX];
    let mut request = httparse::Request::new(&mut []);
    match request.parse_with_uninit_headers(text.as_bytes(), &mut slots) {
        Ok(httparse::Status::Complete(_)) => {}
        Ok(httparse::Status::Partial) => return Err(HeadError::RequestLine),
        Err(error) => return Err(refusal(error)),
    }
    let version = if request.version == Some(0) { Version::Http10 } else { Version::Http11 };
    let method = Method::parse(request.method.unwrap_or_default())?;
    let target = Target::parse(request.path.unwrap_or_default(), method)?;

    let mut framing = Framing::default();
    let fields = Fields::collect(text, request.headers, |name, value| framing.note(name, value))?;
    framing.check_host(version, target.authority)?;
    let body = framing.body(version)?;
    Ok(Some(Head {
        method,
        path: target.path,
        query: target.query,
        version,
        len,
        body,
        keep_alive: framing.keep_alive(version),
        expect_continue: framing.expect_continue(version, body),
        upgrade_websocket: framing.upgrade_websocket() && method == Method::Get && version == Version::Http11,
        fields,
    }))
}

/// The parser's errors in our words.
fn refusal(error: httparse::Error) -> HeadError {
    match error {
        httparse::Error::HeaderName => HeadError::HeaderName,
        httparse::Error::HeaderValue => HeadError::HeaderValue,
        httparse::Error::TooManyHeaders => HeadError::TooManyHeaders,
        httparse::Error::Version => HeadError::Version,
        httparse::Error::NewLine | httparse::Error::Status | httparse::Error::Token => HeadError::RequestLine,
    }
}
