//! LongPoll, phoenix.js' way where no WebSocket passes: frames up in the lines of a body, frames down in
//! the answer to a request that waits for them.

use std::borrow::Cow;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use crate::json::write_str;

/// What an answer says of itself, whatever HTTP's own status is. phoenix.js throws at any other number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Status {
    /// Here are frames; to a body of frames: they were taken.
    Ok,
    /// No frame came in time: poll again.
    Empty,
    /// The client is not let in.
    Forbidden,
    /// To a poll without a token: the session is open. With one: it is gone, and the client opens another.
    Gone,
    /// The client opens another session.
    Failed,
}

impl Status {
    /// The number on the wire.
    pub const fn code(self) -> u16 {
        match self {
            Status::Ok => 200,
            Status::Empty => 204,
            Status::Forbidden => 403,
            Status::Gone => 410,
            Status::Failed => 500,
        }
    }
}

/// One frame of a client.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Item<'a> {
    /// A text frame.
    Text(Cow<'a, str>),
    /// A binary frame, which came as base64.
    Binary(Vec<u8>),
    /// A line that is neither. The client's fault.
    Garbage,
}

impl Item<'_> {
    /// The same, to be kept.
    pub fn into_owned(self) -> Item<'static> {
        match self {
            Item::Text(text) => Item::Text(Cow::Owned(text.into_owned())),
            Item::Binary(bytes) => Item::Binary(bytes),
            Item::Garbage => Item::Garbage,
        }
    }
}

/// The frames of a body: one a line if it is `application/x-ndjson`, one in all otherwise, as clients before
/// 1.7 send them. A text frame begins with a bracket or a brace.
pub fn items(body: &str, ndjson: bool) -> impl Iterator<Item = Item<'_>> {
    let lines = body.split(move |c| ndjson && c == '\n');
    lines.map(str::trim_ascii).filter(|line| !line.is_empty()).map(|line| {
        if line.starts_with(['[', '{']) {
            return Item::Text(Cow::Borrowed(line));
        }
        STANDARD.decode(line).map_or(Item::Garbage, Item::Binary)
    })
}

/// Appends a text frame as an answer holds it: a comma and a JSON string, so that frames can be joined.
pub fn write_frame(out: &mut Vec<u8>, frame: &str) {
    out.push(b',');
    write_str(out, frame);
}

/// The texts of frames that [`write_frame`] wrote; none if it did not.
pub fn frames(written: &[u8]) -> Vec<String> {
    let Some((b',', frames)) = written.split_first() else { return Vec::new() };
    serde_json::from_slice(&[b"[", frames, b"]"].concat()).unwrap_or_default()
}

/// Appends an answer that holds what [`write_frame`] wrote. The client sends `token` with its next request; one
/// that is told of the end keeps the token it has.
pub fn write_answer(out: &mut Vec<u8>, status: Status, token: Option<&str>, frames: &[u8]) {
    out.extend_from_slice(b"{\"status\":");
    out.extend_from_slice(itoa::Buffer::new().format(status.code()).as_bytes());
    out.extend_from_slice(b",\"token\":");
    match token {
        Some(token) => write_str(out, token),
        None => out.extend_from_slice(b"null"),
    }
    out.extend_from_slice(b",\"messages\":[");
    out.extend_from_slice(frames.strip_prefix(b",").unwrap_or_default());
    out.extend_from_slice(b"]}");
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn what_is_written_is_read(texts in prop::collection::vec(any::<String>(), 0..9)) {
            let mut written = Vec::new();
            for text in &texts {
                write_frame(&mut written, text);
            }
            prop_assert_eq!(&frames(&written), &texts);
            let mut answer = Vec::new();
            write_answer(&mut answer, Status::Ok, Some("a\"b"), &written);
            let read: serde_json::Value = serde_json::from_slice(&answer).unwrap();
            prop_assert_eq!(read, serde_json::json!({"status": 200, "token": "a\"b", "messages": texts}));
        }

        #[test]
        fn any_body_can_be_taken_apart(body in any::<String>(), ndjson in any::<bool>()) {
            prop_assert!(items(&body, ndjson).count() <= body.len());
        }
    }

    #[test]
    fn a_line_is_text_or_base64() {
        let body = "[null,\"1\"]\r\n\n{\"ref\":1}\nAAEC\n?";
        let read: Vec<Item<'_>> = items(body, true).collect();
        let texts = [Item::Text("[null,\"1\"]".into()), Item::Text("{\"ref\":1}".into())];
        assert_eq!(read[..2], texts);
        assert_eq!(read[2..], [Item::Binary(vec![0, 1, 2]), Item::Garbage]);
        assert_eq!(items("{\n}", false).collect::<Vec<_>>(), [Item::Text("{\n}".into())], "one frame in all");
    }

    #[test]
    fn the_end_has_no_token() {
        let mut out = Vec::new();
        write_answer(&mut out, Status::Gone, None, b"");
        assert_eq!(out, br#"{"status":410,"token":null,"messages":[]}"#);
    }
}
