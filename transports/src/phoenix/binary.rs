//! Binary frames to a client, serializer 2.0.0, appended to what is there: a kind, the sizes of the
//! fields in a byte each, the fields, then the payload to the end. A reference that is null has no
//! bytes.

use std::fmt;

use super::{Field, Status};

/// A field does not fit a binary frame. Nothing was appended. The caller's names are too long: send
/// the frame as text, or refuse such names when they are given.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FieldTooLong {
    /// Which one.
    pub field: Field,
    /// Its bytes; 255 is the most.
    pub len: usize,
}

impl fmt::Display for FieldTooLong {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} of {} bytes: a binary frame takes at most 255", self.field, self.len)
    }
}

impl std::error::Error for FieldTooLong {}

/// A message to the client, kind 0.
pub fn push(
    out: &mut Vec<u8>,
    join_ref: Option<&str>,
    topic: &str,
    event: &str,
    payload: &[u8],
) -> Result<(), FieldTooLong> {
    let fields =
        [(Field::JoinRef, join_ref.unwrap_or_default()), (Field::Topic, topic), (Field::Event, event)];
    frame(out, 0, &fields, payload)
}

/// The answer to the push `reference`, kind 1; phoenix.js hands on `response` as an ArrayBuffer.
pub fn reply(
    out: &mut Vec<u8>,
    join_ref: Option<&str>,
    reference: Option<&str>,
    topic: &str,
    status: Status,
    response: &[u8],
) -> Result<(), FieldTooLong> {
    let fields = [
        (Field::JoinRef, join_ref.unwrap_or_default()),
        (Field::Ref, reference.unwrap_or_default()),
        (Field::Topic, topic),
        (Field::Status, status.as_str()),
    ];
    frame(out, 1, &fields, response)
}

/// A message to all who joined the topic, kind 2.
pub fn broadcast(out: &mut Vec<u8>, topic: &str, event: &str, payload: &[u8]) -> Result<(), FieldTooLong> {
    frame(out, 2, &[(Field::Topic, topic), (Field::Event, event)], payload)
}

fn frame(out: &mut Vec<u8>, kind: u8, fields: &[(Field, &str)], payload: &[u8]) -> Result<(), FieldTooLong> {
    let start = out.len();
    out.push(kind);
    for &(field, text) in fields {
        let Ok(size) = u8::try_from(text.len()) else {
            out.truncate(start);
            return Err(FieldTooLong { field, len: text.len() });
        };
        out.push(size);
    }
    for (_, text) in fields {
        out.extend_from_slice(text.as_bytes());
    }
    out.extend_from_slice(payload);
    Ok(())
}
