//! Responses, to the byte.

use weir_transports::http1::{BodyKind, BodyReader, Limits, parse_head, response};

fn written(write: impl FnOnce(&mut Vec<u8>)) -> String {
    let mut out = b"before ".to_vec();
    write(&mut out);
    String::from_utf8(out).unwrap().strip_prefix("before ").unwrap().to_owned()
}

#[test]
fn whole_responses() {
    let headers = [("Content-Type", "text/plain")];
    assert_eq!(
        written(|out| response::write(out, 200, &headers, b"hi", true)),
        "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 2\r\n\r\nhi"
    );
    assert_eq!(
        written(|out| response::write(out, 404, &[], b"", false)),
        "HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
    );
    assert_eq!(
        written(|out| response::write_head(out, 200, &[], 10, true)),
        "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n"
    );
    assert_eq!(
        written(|out| response::write(out, 299, &[], b"", true)).lines().next(),
        Some("HTTP/1.1 299 ")
    );
}

#[test]
fn statuses_without_a_body() {
    assert_eq!(written(|out| response::write(out, 204, &[], b"x", true)), "HTTP/1.1 204 No Content\r\n\r\n");
    assert_eq!(
        written(|out| response::write(out, 101, &[("Connection", "Upgrade")], b"", true)),
        "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\n\r\n"
    );
}

#[test]
fn streams_end_with_the_connection() {
    assert_eq!(
        written(|out| response::write_stream_head(out, 200, &[("Content-Type", "text/event-stream")])),
        "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nConnection: close\r\n\r\n"
    );
}

#[test]
fn streams_in_chunks_hand_the_connection_back() {
    assert_eq!(
        written(|out| response::write_chunked_head(out, 200, &[("A", "b")], true)),
        "HTTP/1.1 200 OK\r\nA: b\r\nTransfer-Encoding: chunked\r\n\r\n"
    );
    assert!(written(|out| response::write_chunked_head(out, 200, &[], false)).contains("Connection: close"));
}

#[test]
fn chunks_are_read_back_and_an_empty_one_is_none() {
    let parts = [vec![b'a'], Vec::new(), vec![b'\n'; 300], vec![b'x'; 70_000]];
    let mut body = b"before".to_vec();
    for part in &parts {
        response::write_chunk(&mut body, |out| out.extend_from_slice(part));
    }
    body.extend_from_slice(response::LAST_CHUNK);
    let mut read = Vec::new();
    let progress = BodyReader::new(BodyKind::Chunked).read(&body[6..], &mut read, 1 << 20).unwrap();
    assert!(progress.done && progress.consumed == body.len() - 6);
    assert_eq!(read, parts.concat());
}

#[test]
fn headers_cannot_split_a_response() {
    let headers = [("X\r\nY", "a\r\nSet-Cookie: b\n\0c")];
    assert_eq!(
        written(|out| response::write(out, 200, &headers, b"", true)),
        "HTTP/1.1 200 OK\r\nX  Y: a  Set-Cookie: b  c\r\nContent-Length: 0\r\n\r\n"
    );
}

#[test]
fn every_error_has_a_phrase() {
    let tiny = Limits { head_bytes_max: 4, line_bytes_max: 2 };
    let statuses =
        [parse_head(b"GET /", &tiny).unwrap_err().status(), parse_head(b"\0", &tiny).unwrap_err().status()];
    for status in statuses.into_iter().chain([413, 414, 417, 431, 505]) {
        assert!(!response::reason_phrase(status).is_empty(), "{status}");
    }
}
