//! The other end, serializer 2.0.0: what a client sends and how it reads. Serves simulated clients.

use super::decode::array;
use super::encode::{begin, end};
use super::{DecodeError, Frame, Version};

/// Appends a join: its own reference is the `join_ref` of all that follows on the topic.
pub fn join(out: &mut Vec<u8>, reference: &str, topic: &str, payload: &[u8]) {
    push(out, Some(reference), Some(reference), topic, "phx_join", payload);
}

/// Appends a push; `payload` is one valid JSON value. A heartbeat has no `join_ref`, topic `phoenix`
/// and event `heartbeat`; a leave has event `phx_leave`.
pub fn push(
    out: &mut Vec<u8>,
    join_ref: Option<&str>,
    reference: Option<&str>,
    topic: &str,
    event: &str,
    payload: &[u8],
) {
    begin(Version::V2, out, join_ref, reference, topic, event);
    out.extend_from_slice(payload);
    end(Version::V2, out, None);
}

/// A frame from the server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Received<'a> {
    /// Its five elements.
    pub frame: Frame<'a>,
    /// The sixth element's JSON text.
    pub meta: Option<&'a str>,
}

/// Reads a text frame from the server.
pub fn decode(text: &str) -> Result<Received<'_>, DecodeError> {
    array(text).map(|(frame, meta)| Received { frame, meta })
}

/// A binary broadcast from the server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Broadcast<'a> {
    /// The channel.
    pub topic: &'a str,
    /// The application's event.
    pub event: &'a str,
    /// What is said.
    pub data: &'a [u8],
}

/// Reads a binary broadcast; `None` where the frame is none.
pub fn decode_broadcast(frame: &[u8]) -> Option<Broadcast<'_>> {
    let [2, topic_len, event_len, rest @ ..] = frame else { return None };
    let (topic, rest) = rest.split_at_checked(usize::from(*topic_len))?;
    let (event, data) = rest.split_at_checked(usize::from(*event_len))?;
    Some(Broadcast { topic: str::from_utf8(topic).ok()?, event: str::from_utf8(event).ok()?, data })
}
