//! Which protocol a WebSocket's first text speaks, where its URL does not say.

use crate::json::Scanner;

/// What a text looks like.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// An object with the key `jsonrpc`.
    JsonRpc,
    /// An object with the key `topic`: a Phoenix frame, serializer 1.0.0.
    Phoenix,
}

/// Reads as far as the first top-level key `jsonrpc` or `topic`, which decides. `None`: no object, or
/// neither key before its end or first fault.
pub fn sniff(text: &str) -> Option<Kind> {
    let mut scanner = Scanner::new(text);
    if !scanner.open(b'{') {
        return None;
    }
    while let Some(key) = scanner.next_member().ok()? {
        match key.as_ref() {
            "jsonrpc" => return Some(Kind::JsonRpc),
            "topic" => return Some(Kind::Phoenix),
            _ => scanner.value().ok()?,
        };
    }
    None
}
