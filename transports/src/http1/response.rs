//! Responses, written whole into the caller's buffer.
//!
//! Nothing written here can be split by its inputs: CR, LF and NUL in a header's name or value become a
//! space (RFC 9110 section 5.5). `Date` is the caller's header, who has a clock.

/// The interim response that a client with `Expect: 100-continue` waits for.
pub const CONTINUE: &[u8] = b"HTTP/1.1 100 Continue\r\n\r\n";

/// Writes a whole response.
///
/// Adds `Content-Length`, and `Connection: close` unless `keep_alive`. With a status that has no body
/// (1xx, 204, 304) neither the length nor `body` is written; 101 takes its `Connection: Upgrade` from
/// `headers`.
pub fn write(out: &mut Vec<u8>, status: u16, headers: &[(&str, &str)], body: &[u8], keep_alive: bool) {
    write_head(out, status, headers, body.len(), keep_alive);
    if has_body(status) {
        out.extend_from_slice(body);
    }
}

/// Writes what [`write()`] writes for a body of `length` bytes, without the body: the answer to HEAD.
pub fn write_head(out: &mut Vec<u8>, status: u16, headers: &[(&str, &str)], length: usize, keep_alive: bool) {
    write_status_and_headers(out, status, headers);
    if has_body(status) {
        out.extend_from_slice(b"Content-Length: ");
        out.extend_from_slice(itoa::Buffer::new().format(length).as_bytes());
        out.extend_from_slice(b"\r\n");
    }
    if !keep_alive {
        out.extend_from_slice(b"Connection: close\r\n");
    }
    out.extend_from_slice(b"\r\n");
}

/// Writes the head of a response that lasts until the connection closes (RFC 9112 section 6.3, case 8): an
/// SSE stream.
///
/// Not chunked: an event then costs no frame of its own, an encoded event is the same bytes for every
/// client, and a stream never hands its connection back anyway. A stream cut short is no ambiguity either,
/// because events carry their own ends and the client resumes by id.
pub fn write_stream_head(out: &mut Vec<u8>, status: u16, headers: &[(&str, &str)]) {
    write_status_and_headers(out, status, headers);
    out.extend_from_slice(b"Connection: close\r\n\r\n");
}

/// Writes the head of a response whose body comes in chunks of [`write_chunk`] and ends with [`LAST_CHUNK`]
/// (RFC 9112 section 7.1): a stream that hands its connection back. Not for HTTP/1.0, nor for a status
/// without a body.
pub fn write_chunked_head(out: &mut Vec<u8>, status: u16, headers: &[(&str, &str)], keep_alive: bool) {
    write_status_and_headers(out, status, headers);
    out.extend_from_slice(b"Transfer-Encoding: chunked\r\n");
    if !keep_alive {
        out.extend_from_slice(b"Connection: close\r\n");
    }
    out.extend_from_slice(b"\r\n");
}

/// Writes what `write` appends as one chunk; nothing if it appends nothing, because an empty chunk would be
/// the last.
pub fn write_chunk(out: &mut Vec<u8>, write: impl FnOnce(&mut Vec<u8>)) {
    /// A size of fixed width, as leading zeros are allowed: it is written before the data is.
    const SIZE: &[u8] = b"00000000\r\n";
    let start = out.len();
    out.extend_from_slice(SIZE);
    write(out);
    let mut left = out.len() - start - SIZE.len();
    if left == 0 {
        return out.truncate(start);
    }
    for digit in out[start..start + SIZE.len() - 2].iter_mut().rev() {
        *digit = b"0123456789abcdef"[left % 16];
        left /= 16;
    }
    debug_assert_eq!(left, 0, "a chunk of 4 GiB");
    out.extend_from_slice(b"\r\n");
}

/// The end of a body in chunks, without trailers.
pub const LAST_CHUNK: &[u8] = b"0\r\n\r\n";

fn write_status_and_headers(out: &mut Vec<u8>, status: u16, headers: &[(&str, &str)]) {
    out.extend_from_slice(b"HTTP/1.1 ");
    out.extend_from_slice(itoa::Buffer::new().format(status).as_bytes());
    out.push(b' ');
    out.extend_from_slice(reason_phrase(status).as_bytes());
    out.extend_from_slice(b"\r\n");
    for (name, value) in headers {
        write_header(out, name, value);
    }
}

/// Writes one header line.
pub(super) fn write_header(out: &mut Vec<u8>, name: &str, value: &str) {
    put_text(out, name);
    out.extend_from_slice(b": ");
    put_text(out, value);
    out.extend_from_slice(b"\r\n");
}

fn put_text(out: &mut Vec<u8>, text: &str) {
    let ends_line = |byte: u8| matches!(byte, b'\r' | b'\n' | b'\0');
    if text.bytes().any(ends_line) {
        out.extend(text.bytes().map(|byte| if ends_line(byte) { b' ' } else { byte }));
    } else {
        out.extend_from_slice(text.as_bytes());
    }
}

/// RFC 9112 section 6.3, case 1.
const fn has_body(status: u16) -> bool {
    !matches!(status, 100..=199 | 204 | 304)
}

/// The phrase that RFC 9110 section 15 gives a status that this gateway sends; empty for any other.
pub const fn reason_phrase(status: u16) -> &'static str {
    match status {
        100 => "Continue",
        101 => "Switching Protocols",
        200 => "OK",
        201 => "Created",
        202 => "Accepted",
        204 => "No Content",
        304 => "Not Modified",
        400 => "Bad Request",
        401 => "Unauthorized",
        403 => "Forbidden",
        404 => "Not Found",
        405 => "Method Not Allowed",
        406 => "Not Acceptable",
        408 => "Request Timeout",
        409 => "Conflict",
        410 => "Gone",
        413 => "Content Too Large",
        414 => "URI Too Long",
        415 => "Unsupported Media Type",
        417 => "Expectation Failed",
        422 => "Unprocessable Content",
        426 => "Upgrade Required",
        429 => "Too Many Requests",
        431 => "Request Header Fields Too Large",
        500 => "Internal Server Error",
        501 => "Not Implemented",
        502 => "Bad Gateway",
        503 => "Service Unavailable",
        504 => "Gateway Timeout",
        505 => "HTTP Version Not Supported",
        _ => "",
    }
}
