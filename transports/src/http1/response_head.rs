//! Response heads: as strict as request heads, since a gateway that is led astray about where a response
//! ends gives one client the answer of another.

use std::fmt;
use std::mem::MaybeUninit;

use super::fields::{FIELDS_MAX, Fields};
use super::framing::{Delimiter, lists};
use super::{BodyKind, HeadError, Limits, Version, scan};

/// A checked head of a final response.
#[derive(Clone, Copy, Debug)]
pub struct ResponseHead<'a> {
    /// 200 to 599, or what else a server makes up of three digits.
    pub status: u16,
    /// Bytes the head takes, its blank line and the interim responses before it included. The body begins
    /// there.
    pub len: usize,
    /// How the body is delimited.
    pub body: BodyKind,
    /// Whether the server lets the connection serve another request, once the body is read. Never true for
    /// HTTP/1.0, nor for a body that ends with the connection.
    pub keep_alive: bool,
    fields: Fields<'a>,
}

impl<'a> ResponseHead<'a> {
    /// The first value of the header `name`, whatever its case, without surrounding blanks.
    pub fn header(&self, name: &str) -> Option<&'a str> {
        self.fields.all(name).next()
    }

    /// Every value of the header `name`, whatever its case, in order.
    pub fn headers<'n>(&self, name: &'n str) -> impl Iterator<Item = &'a str> + use<'a, 'n, '_> {
        self.fields.all(name)
    }
}

/// A response head that is refused. The server's fault; it ends the connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ResponseError {
    /// Longer than [`Limits`] allow, interim responses included, or more than 64 headers.
    TooLong,
    /// Not a head of HTTP/1.0 or HTTP/1.1 in UTF-8.
    Malformed,
    /// Its lengths contradict each other or are none.
    Framing,
    /// 101, which nobody asked for.
    Switching,
}

impl fmt::Display for ResponseError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            ResponseError::TooLong => {
                "the server's response head is over the limit; send fewer or shorter headers"
            }
            ResponseError::Malformed => "the server's response head is not HTTP/1.1 in UTF-8",
            ResponseError::Framing => {
                "the server's response says its length in two ways or in none that is known; send one \
                 Content-Length, or Transfer-Encoding: chunked"
            }
            ResponseError::Switching => "the server switches protocols, which it was not asked to",
        })
    }
}

impl std::error::Error for ResponseError {}

/// Parses the head of the response at the start of `bytes`, which answers a request other than HEAD or
/// CONNECT. Interim responses (1xx) before it are passed over.
///
/// `None`: more bytes are needed, and nothing was consumed.
pub fn parse_response_head<'a>(
    bytes: &'a [u8],
    limits: &Limits,
) -> Result<Option<ResponseHead<'a>>, ResponseError> {
    let mut start = 0;
    loop {
        let rest = bytes.get(start..).unwrap_or_default();
        // An empty line may precede requests only.
        if rest.starts_with(b"\r") {
            return Err(ResponseError::Malformed);
        }
        let limits = Limits { head_bytes_max: limits.head_bytes_max.saturating_sub(start), ..*limits };
        let Some(range) = scan::head(rest, &limits).map_err(refusal)? else { return Ok(None) };
        let len = start + range.end;
        let head = parse(rest.get(range).unwrap_or_default(), len)?;
        match head.status {
            101 => return Err(ResponseError::Switching),
            100..=199 => start = len,
            _ => return Ok(Some(head)),
        }
    }
}

/// Parses one head that is whole and ends `len` bytes from where the response began.
fn parse(head: &[u8], len: usize) -> Result<ResponseHead<'_>, ResponseError> {
    let text = simdutf8::basic::from_utf8(head).map_err(|_| ResponseError::Malformed)?;
    let mut slots = [const { MaybeUninit::uninit() }; FIELDS_MAX];
    let mut response = httparse::Response::new(&mut []);
    let parsed = httparse::ParserConfig::default().parse_response_with_uninit_headers(
        &mut response,
        text.as_bytes(),
        &mut slots,
    );
    match parsed {
        Ok(httparse::Status::Complete(_)) => {}
        Err(httparse::Error::TooManyHeaders) => return Err(ResponseError::TooLong),
        Ok(httparse::Status::Partial) | Err(_) => return Err(ResponseError::Malformed),
    }
    let version = if response.version == Some(0) { Version::Http10 } else { Version::Http11 };
    let status = response.code.filter(|&code| code >= 100).ok_or(ResponseError::Malformed)?;

    let mut delimiter = Delimiter::default();
    let mut close = version == Version::Http10;
    let fields = Fields::collect(text, response.headers, |name, value| {
        close |= name.eq_ignore_ascii_case("connection") && lists(value, "close");
        delimiter.note(name, value)
    })
    .map_err(refusal)?;
    let said = delimiter.body(version).map_err(refusal)?;
    // RFC 9112 section 6.3, cases 1 and 8.
    let body = match (status, said) {
        (100..=199 | 204 | 304, _) => BodyKind::None,
        (_, said) => said.unwrap_or(BodyKind::UntilClose),
    };
    // Some servers send a body with 204 all the same; what it says of it tells.
    let stray = status == 204 && said.is_some_and(|said| !said.is_empty());
    let keep_alive = !close && !stray && body != BodyKind::UntilClose;
    Ok(ResponseHead { status, len, body, keep_alive, fields })
}

/// What is wrong with a request head, said of a response's.
fn refusal(error: HeadError) -> ResponseError {
    match error {
        HeadError::LineTooLong | HeadError::HeadTooLong | HeadError::TooManyHeaders => ResponseError::TooLong,
        HeadError::ContentLengthInvalid
        | HeadError::ContentLengthRepeated
        | HeadError::TransferEncodingUnknown
        | HeadError::TransferEncodingRepeated
        | HeadError::TransferEncodingOnHttp10
        | HeadError::LengthAndChunked => ResponseError::Framing,
        HeadError::BareLf
        | HeadError::BareCr
        | HeadError::ControlByte
        | HeadError::LeadingBlank
        | HeadError::ObsFold
        | HeadError::NotUtf8
        | HeadError::RequestLine
        | HeadError::Method
        | HeadError::Target
        | HeadError::Version
        | HeadError::HeaderName
        | HeadError::HeaderValue
        | HeadError::HostMissing
        | HeadError::HostRepeated
        | HeadError::HostInvalid
        | HeadError::HostMismatch
        | HeadError::UpgradeWithBody
        | HeadError::Expectation => ResponseError::Malformed,
    }
}
