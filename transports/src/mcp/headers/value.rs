//! Values that go from a body into a header: as they are where a header can hold them, else in Base64
//! between markers (streamable-http, Value Encoding).

use std::borrow::Cow;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

const PREFIX: &str = "=?base64?";
const SUFFIX: &str = "?=";

/// What a header's value says. `None`: bytes that a value may not hold, or markers around what is not
/// Base64 of UTF-8.
pub fn decode(value: &str) -> Option<Cow<'_, str>> {
    match marked(value) {
        None => value.bytes().all(|byte| is_plain(byte) || byte == b'\t').then_some(Cow::Borrowed(value)),
        Some(inner) => String::from_utf8(STANDARD.decode(inner).ok()?).ok().map(Cow::Owned),
    }
}

/// The value of a header that says `text`.
pub fn encode(text: &str) -> Cow<'_, str> {
    let edge = |byte: Option<&u8>| byte == Some(&b' ');
    let bytes = text.as_bytes();
    let plain = bytes.iter().all(|&byte| is_plain(byte));
    if plain && !edge(bytes.first()) && !edge(bytes.last()) && marked(text).is_none() {
        return Cow::Borrowed(text);
    }
    Cow::Owned(format!("{PREFIX}{}{SUFFIX}", STANDARD.encode(text)))
}

/// What stands between the markers.
fn marked(value: &str) -> Option<&str> {
    value.strip_prefix(PREFIX)?.strip_suffix(SUFFIX)
}

/// Visible ASCII and the space between.
const fn is_plain(byte: u8) -> bool {
    matches!(byte, b' '..=b'~')
}
