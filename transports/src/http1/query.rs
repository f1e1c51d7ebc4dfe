//! Decoding of what targets carry: query pairs and path segments.

use std::borrow::Cow;

/// The pairs of a query, decoded as `application/x-www-form-urlencoded` (WHATWG URL section 5.1): `+` is a
/// space, a stray `%` stands for itself, bytes that are not UTF-8 become U+FFFD.
pub fn pairs(query: &str) -> form_urlencoded::Parse<'_> {
    form_urlencoded::parse(query.as_bytes())
}

/// The decoded value of the first pair called `name`.
pub fn get<'a>(query: &'a str, name: &str) -> Option<Cow<'a, str>> {
    pairs(query).find(|(key, _)| key == name).map(|(_, value)| value)
}

/// A path segment whose percent-encoding names no text. The client's fault: 400.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SegmentError {
    /// `%` without two hexadecimal digits.
    Percent,
    /// The decoded bytes are not UTF-8.
    NotUtf8,
}

/// Decodes the percent-encoding of one path segment (RFC 3986 section 2.1), already split at `/`: what
/// comes out may hold any character, `/` and NUL too. `+` stands for itself.
pub fn path_segment(segment: &str) -> Result<Cow<'_, str>, SegmentError> {
    if !segment.contains('%') {
        return Ok(Cow::Borrowed(segment));
    }
    let mut decoded = Vec::with_capacity(segment.len());
    let mut bytes = segment.bytes();
    while let Some(byte) = bytes.next() {
        decoded.push(match byte {
            b'%' => hex_digit(bytes.next())? << 4 | hex_digit(bytes.next())?,
            _ => byte,
        });
    }
    String::from_utf8(decoded).map(Cow::Owned).map_err(|_| SegmentError::NotUtf8)
}

fn hex_digit(byte: Option<u8>) -> Result<u8, SegmentError> {
    let digit = byte.and_then(|byte| char::from(byte).to_digit(16)).ok_or(SegmentError::Percent)?;
    Ok(digit as u8)
}
