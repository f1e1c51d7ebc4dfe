//! HTTP/1.1 (RFC 9110, RFC 9112), the server's side and the client's: heads, bodies.
//!
//! Strict on purpose. Where two readers could disagree about where a message ends, the message is an
//! error and the connection is to be closed: after an error no byte of it means anything.
//!
//! A server reads with [`parse_head`], writes with [`response`] and takes targets apart with [`query`]; [`forwarded`] is what proxies add; a
//! client writes with [`request`] and reads with [`parse_response_head`]. [`BodyReader`] reads what follows
//! a head.

mod body;
mod error;
mod fields;
pub mod forwarded;
mod framing;
mod head;
pub mod query;
pub mod request;
pub mod response;
mod response_head;
mod scan;
mod target;

pub use body::{BodyError, BodyKind, BodyProgress, BodyReader};
pub use error::HeadError;
pub use head::{Head, Limits, Method, Version, parse_head};
pub use response_head::{ResponseError, ResponseHead, parse_response_head};

/// RFC 9110 section 5.6.2: the bytes a token (a method, a field name) is made of.
const fn is_token(byte: u8) -> bool {
    matches!(byte,
        b'!' | b'#' | b'$' | b'%' | b'&' | b'\'' | b'*' | b'+' | b'-' | b'.' | b'^' | b'_' | b'`' | b'|' | b'~'
        | b'0'..=b'9' | b'A'..=b'Z' | b'a'..=b'z')
}
