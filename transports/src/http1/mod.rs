//! HTTP/1.1, the server's side (RFC 9110, RFC 9112): request heads, request bodies, responses.
//!
//! Strict on purpose. Where two readers could disagree about where a request ends, the request is an
//! error and the connection is to be closed: after an error no byte of it means anything.
//!
//! [`parse_head`] reads a head, [`BodyReader`] what follows it, [`response`] writes the answer and
//! [`query`] takes targets apart.

mod body;
mod error;
mod framing;
mod head;
pub mod query;
pub mod response;
mod scan;
mod target;

pub use body::{BodyError, BodyKind, BodyProgress, BodyReader};
pub use error::HeadError;
pub use head::{Head, Limits, Method, Version, parse_head};

/// RFC 9110 section 5.6.2: the bytes a token (a method, a field name) is made of.
const fn is_token(byte: u8) -> bool {
    matches!(byte,
        b'!' | b'#' | b'$' | b'%' | b'&' | b'\'' | b'*' | b'+' | b'-' | b'.' | b'^' | b'_' | b'`' | b'|' | b'~'
        | b'0'..=b'9' | b'A'..=b'Z' | b'a'..=b'z')
}
