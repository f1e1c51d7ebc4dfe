//! Why a head is refused. Every variant is the client's fault; every one ends the connection.

/// A request head that is not answered by its route but by [`HeadError::status`], after which the
/// connection closes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum HeadError {
    BareLf,
    BareCr,
    ControlByte,
    LeadingBlank,
    ObsFold,
    LineTooLong,
    HeadTooLong,
    TooManyHeaders,
    NotUtf8,
    RequestLine,
    Method,
    Target,
    Version,
    HeaderName,
    HeaderValue,
    HostMissing,
    HostRepeated,
    HostInvalid,
    HostMismatch,
    ContentLengthInvalid,
    ContentLengthRepeated,
    TransferEncodingUnknown,
    TransferEncodingRepeated,
    TransferEncodingOnHttp10,
    LengthAndChunked,
    UpgradeWithBody,
    Expectation,
}

impl HeadError {
    /// The status that answers the request.
    pub const fn status(self) -> u16 {
        match self {
            HeadError::LineTooLong => 414,
            HeadError::Expectation => 417,
            HeadError::HeadTooLong | HeadError::TooManyHeaders => 431,
            HeadError::Version => 505,
            HeadError::BareLf
            | HeadError::BareCr
            | HeadError::ControlByte
            | HeadError::LeadingBlank
            | HeadError::ObsFold
            | HeadError::NotUtf8
            | HeadError::RequestLine
            | HeadError::Method
            | HeadError::Target
            | HeadError::HeaderName
            | HeadError::HeaderValue
            | HeadError::HostMissing
            | HeadError::HostRepeated
            | HeadError::HostInvalid
            | HeadError::HostMismatch
            | HeadError::ContentLengthInvalid
            | HeadError::ContentLengthRepeated
            | HeadError::TransferEncodingUnknown
            | HeadError::TransferEncodingRepeated
            | HeadError::TransferEncodingOnHttp10
            | HeadError::LengthAndChunked
            | HeadError::UpgradeWithBody => 400,
        }
    }

    /// What is wrong and how to mend it, one sentence for the client's developer.
    pub const fn reason(self) -> &'static str {
        match self {
            HeadError::BareLf => "a line of the request head ends in LF alone; end each line with CR LF",
            HeadError::BareCr => "a CR in the request head is not followed by LF; end each line with CR LF",
            HeadError::ControlByte => {
                "the request head holds a control character; send plain HTTP/1.1 (is this TLS on a plain port?)"
            }
            HeadError::LeadingBlank => {
                "blanks precede the request line; send the method as the first byte of a request"
            }
            HeadError::ObsFold => "a header line begins with a blank; put each header on one line",
            HeadError::LineTooLong => "the request line is too long; shorten the path or query",
            HeadError::HeadTooLong => "the request head is too large; send fewer or shorter headers",
            HeadError::TooManyHeaders => "the request has more than 64 headers; send fewer",
            HeadError::NotUtf8 => "the request head is not UTF-8; encode header values as UTF-8",
            HeadError::RequestLine => {
                "the request line is malformed; send `METHOD SP target SP HTTP/1.1` with single spaces"
            }
            HeadError::Method => "the method is not made of capital letters; methods are case-sensitive",
            HeadError::Target => {
                "the request target is not a path; send `/path?query` in ASCII, percent-encoded, without a fragment"
            }
            HeadError::Version => "the HTTP version is not spoken here; use HTTP/1.1",
            HeadError::HeaderName => {
                "a header name is not a token; allow no space before the colon and no empty name"
            }
            HeadError::HeaderValue => "a header value holds a byte that is not allowed there",
            HeadError::HostMissing => "the Host header is missing; HTTP/1.1 requires exactly one",
            HeadError::HostRepeated => "the Host header is repeated; send exactly one",
            HeadError::HostInvalid => "the Host header is not `host` or `host:port`",
            HeadError::HostMismatch => {
                "the Host header differs from the authority in the target; make them equal"
            }
            HeadError::ContentLengthInvalid => {
                "Content-Length is not a plain decimal number; send digits only, without leading zeros"
            }
            HeadError::ContentLengthRepeated => "the Content-Length header is repeated; send exactly one",
            HeadError::TransferEncodingUnknown => {
                "Transfer-Encoding is not `chunked`; no other coding is accepted"
            }
            HeadError::TransferEncodingRepeated => {
                "the Transfer-Encoding header is repeated; send exactly one"
            }
            HeadError::TransferEncodingOnHttp10 => {
                "Transfer-Encoding came with HTTP/1.0; use HTTP/1.1 or Content-Length"
            }
            HeadError::LengthAndChunked => {
                "both Content-Length and Transfer-Encoding are present; send one of them"
            }
            HeadError::UpgradeWithBody => {
                "a request with an Upgrade header has a body; upgrade without a body"
            }
            HeadError::Expectation => "the Expect header asks for something other than 100-continue",
        }
    }
}

impl std::fmt::Display for HeadError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.reason())
    }
}

impl std::error::Error for HeadError {}
