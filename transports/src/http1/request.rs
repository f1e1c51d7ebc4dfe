//! Requests on their way out.
//!
//! Nothing written here can be split by its inputs: in the target every byte but visible ASCII is
//! percent-encoded, and CR, LF and NUL in a header become a space (RFC 9110 section 5.5).

use super::response::write_header;

/// Writes the head of a request whose body of `length` bytes, if it has one, follows.
///
/// `target` is a path with its query, in the origin form (RFC 9112 section 3.2.1). Adds `Host` and
/// `Content-Length`; `headers` must have neither, nor `Transfer-Encoding`.
pub fn write_head<'h>(
    out: &mut Vec<u8>,
    method: &'static str,
    target: &str,
    host: &str,
    headers: impl IntoIterator<Item = (&'h str, &'h str)>,
    length: Option<usize>,
) {
    out.extend_from_slice(method.as_bytes());
    out.push(b' ');
    write_target(out, target);
    out.extend_from_slice(b" HTTP/1.1\r\n");
    write_header(out, "Host", host);
    for (name, value) in headers {
        debug_assert!(!is_ours(name), "{name} is written by the codec");
        write_header(out, name, value);
    }
    if let Some(length) = length {
        write_header(out, "Content-Length", itoa::Buffer::new().format(length));
    }
    out.extend_from_slice(b"\r\n");
}

fn write_target(out: &mut Vec<u8>, target: &str) {
    const HEX: &[u8; 16] = b"0123456789ABCDEF";
    for byte in target.bytes() {
        if byte.is_ascii_graphic() {
            out.push(byte);
        } else {
            out.extend_from_slice(&[b'%', HEX[usize::from(byte >> 4)], HEX[usize::from(byte & 0xf)]]);
        }
    }
}

fn is_ours(name: &str) -> bool {
    ["Host", "Content-Length", "Transfer-Encoding"].into_iter().any(|ours| name.eq_ignore_ascii_case(ours))
}
