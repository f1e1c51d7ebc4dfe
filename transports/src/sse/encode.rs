//! Events as bytes. Everything is appended to the caller's buffer, so an event can be encoded once and
//! sent to many.

use memchr::{memchr2, memchr3};

/// Appends one event.
///
/// `data` becomes one `data:` line per line of it; CR, LF and CR LF all end a line, and the client reads
/// each as LF. In `id` and `name`, CR, LF and NUL are left out: none of them can be carried there, and the
/// rest must not be read as fields of its own. Check names where they enter.
pub fn event(out: &mut Vec<u8>, id: Option<&str>, name: Option<&str>, data: &str) {
    if let Some(id) = id {
        field(out, b"id: ", id);
    }
    if let Some(name) = name {
        field(out, b"event: ", name);
    }
    lines(out, b"data: ", data);
    out.push(b'\n');
}

/// Appends a comment, one comment line per line of `text`. Clients ignore it; proxies see a live stream.
pub fn comment(out: &mut Vec<u8>, text: &str) {
    lines(out, b": ", text);
    out.push(b'\n');
}

/// Appends the time, in milliseconds, that the client is to wait before it reconnects.
pub fn retry(out: &mut Vec<u8>, milliseconds: u64) {
    out.extend_from_slice(b"retry: ");
    out.extend_from_slice(itoa::Buffer::new().format(milliseconds).as_bytes());
    out.extend_from_slice(b"\n\n");
}

fn field(out: &mut Vec<u8>, prefix: &[u8], value: &str) {
    out.extend_from_slice(prefix);
    let mut rest = value.as_bytes();
    while let Some(at) = memchr3(b'\r', b'\n', b'\0', rest) {
        let (before, after) = rest.split_at(at);
        out.extend_from_slice(before);
        rest = after.get(1..).unwrap_or_default();
    }
    out.extend_from_slice(rest);
    out.push(b'\n');
}

fn lines(out: &mut Vec<u8>, prefix: &[u8], text: &str) {
    let mut rest = text.as_bytes();
    loop {
        out.extend_from_slice(prefix);
        let Some(at) = memchr2(b'\r', b'\n', rest) else { break };
        let (line, end) = rest.split_at(at);
        out.extend_from_slice(line);
        out.push(b'\n');
        let end_len = if end.starts_with(b"\r\n") { 2 } else { 1 };
        rest = end.get(end_len..).unwrap_or_default();
    }
    out.extend_from_slice(rest);
    out.push(b'\n');
}
