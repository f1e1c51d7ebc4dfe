//! Text frames to a client, appended to what is there. JSON that is passed in goes out as it stands:
//! it must be one valid value.

use super::{Status, Version};
use crate::json::write_str;

/// The answer to the push or join `reference`. Both references come from the frame that is answered;
/// at most one reply per reference.
pub fn reply(
    version: Version,
    out: &mut Vec<u8>,
    join_ref: Option<&str>,
    reference: Option<&str>,
    topic: &str,
    status: Status,
    response: &[u8],
) {
    begin(version, out, join_ref, reference, topic, "phx_reply");
    out.extend_from_slice(b"{\"status\":\"");
    out.extend_from_slice(status.as_str().as_bytes());
    out.extend_from_slice(b"\",\"response\":");
    out.extend_from_slice(response);
    out.push(b'}');
    end(version, out, None);
}

/// A message to the client: to one join, or with `join_ref` null to whoever joined the topic.
/// phoenix.js shows `meta` only to a decoder of the application's own: the sixth element in 2.0.0, the
/// key `meta` in 1.0.0.
pub fn push(
    version: Version,
    out: &mut Vec<u8>,
    join_ref: Option<&str>,
    topic: &str,
    event: &str,
    payload: &[u8],
    meta: Option<&[u8]>,
) {
    // Never a reference: the client takes a frame that has its heartbeat's for the heartbeat's reply.
    begin(version, out, join_ref, None, topic, event);
    out.extend_from_slice(payload);
    end(version, out, meta);
}

/// The channel ended for good: the client drops it and never joins again. `join_ref` is a must:
/// without it the client would drop whichever join of the topic is live.
pub fn close(version: Version, out: &mut Vec<u8>, join_ref: &str, topic: &str) {
    begin(version, out, Some(join_ref), Some(join_ref), topic, "phx_close");
    out.extend_from_slice(b"{}");
    end(version, out, None);
}

/// The channel failed: the client joins again after 1, 2, 5, then every 10 s.
pub fn error(version: Version, out: &mut Vec<u8>, join_ref: &str, topic: &str, reason: &str) {
    begin(version, out, Some(join_ref), Some(join_ref), topic, "phx_error");
    out.extend_from_slice(b"{\"reason\":");
    write_str(out, reason);
    out.push(b'}');
    end(version, out, None);
}

/// All of a frame that stands before its payload.
pub(super) fn begin(
    version: Version,
    out: &mut Vec<u8>,
    join_ref: Option<&str>,
    reference: Option<&str>,
    topic: &str,
    event: &str,
) {
    match version {
        Version::V2 => {
            out.push(b'[');
            write_reference(out, join_ref);
            out.push(b',');
            write_reference(out, reference);
            out.push(b',');
            write_str(out, topic);
            out.push(b',');
            write_str(out, event);
            out.push(b',');
        }
        // 1.0.0 has no join_ref on the way to the client.
        Version::V1 => {
            out.extend_from_slice(b"{\"topic\":");
            write_str(out, topic);
            out.extend_from_slice(b",\"event\":");
            write_str(out, event);
            out.extend_from_slice(b",\"ref\":");
            write_reference(out, reference);
            out.extend_from_slice(b",\"payload\":");
        }
    }
}

/// All of a frame that stands after its payload.
pub(super) fn end(version: Version, out: &mut Vec<u8>, meta: Option<&[u8]>) {
    let (key, close): (&[u8], u8) = match version {
        Version::V2 => (b",", b']'),
        Version::V1 => (b",\"meta\":", b'}'),
    };
    if let Some(meta) = meta {
        out.extend_from_slice(key);
        out.extend_from_slice(meta);
    }
    out.push(close);
}

fn write_reference(out: &mut Vec<u8>, reference: Option<&str>) {
    match reference {
        Some(reference) => write_str(out, reference),
        None => out.extend_from_slice(b"null"),
    }
}
