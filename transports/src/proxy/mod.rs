//! The PROXY protocol, versions 1 and 2: what a proxy says of the client before it passes on the client's
//! first byte (<https://www.haproxy.org/download/3.2/doc/proxy-protocol.txt>; sections are that text's).
//!
//! Only the receiving side, and only whom the connection is from. Whether that is to be believed is not
//! asked here.

mod binary;
mod text;

use std::net::IpAddr;

/// What a connection begins with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Preface {
    /// No header of the protocol: the bytes are the client's own.
    Absent,
    /// A header of `len` bytes.
    Header {
        /// Where the client's own bytes begin.
        len: usize,
        /// Who it is, IPv4 as IPv4; none if the proxy speaks for itself or does not know.
        client: Option<IpAddr>,
    },
}

/// A header that was begun and is none: nobody can say where the client's bytes begin.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Malformed;

/// Reads the header at the start of `bytes`. `None`: more bytes are needed.
///
/// # Errors
/// The bytes begin like a header and are none.
pub fn parse(bytes: &[u8]) -> Result<Option<Preface>, Malformed> {
    if bytes.starts_with(binary::SIGNATURE) {
        return binary::read(bytes);
    }
    if bytes.starts_with(text::SIGNATURE) {
        return text::read(bytes);
    }
    let begun = [binary::SIGNATURE, text::SIGNATURE].iter().any(|signature| signature.starts_with(bytes));
    Ok((!begun).then_some(Preface::Absent))
}
