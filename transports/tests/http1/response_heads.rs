//! Response heads: what is read from them, what is refused.

use weir_transports::http1::ResponseError::{self, *};
use weir_transports::http1::{BodyKind, Limits, ResponseHead, parse_response_head};

use crate::LIMITS;

#[track_caller]
fn head(bytes: &[u8]) -> ResponseHead<'_> {
    parse_response_head(bytes, &LIMITS).expect("not refused").expect("complete")
}

fn framing(text: &str) -> (BodyKind, bool) {
    let head = head(text.as_bytes());
    (head.body, head.keep_alive)
}

fn refused(text: &str) -> ResponseError {
    parse_response_head(text.as_bytes(), &LIMITS).unwrap_err()
}

#[test]
fn a_response_of_every_part() {
    let bytes = b"HTTP/1.1 200 All is well\r\nContent-Type: text/event-stream\r\n\
        Mcp-Session-Id:  s1 \r\nX-Tag: one\r\nx-tag: two\r\nContent-Length: 5\r\n\r\nhello";
    let head = head(bytes);
    assert_eq!((head.status, head.body, head.keep_alive), (200, BodyKind::Length(5), true));
    assert_eq!(head.header("mcp-session-id"), Some("s1"));
    assert_eq!(head.headers("X-Tag").collect::<Vec<_>>(), ["one", "two"]);
    assert_eq!(&bytes[head.len..], b"hello");
}

#[test]
fn framings() {
    let close = (BodyKind::UntilClose, false);
    assert_eq!(framing("HTTP/1.1 200 OK\r\n\r\n"), close);
    assert_eq!(framing("HTTP/1.0 200 OK\r\nContent-Length: 1\r\n\r\n"), (BodyKind::Length(1), false));
    assert_eq!(framing("HTTP/1.1 200 \r\nTransfer-Encoding: chunked\r\n\r\n"), (BodyKind::Chunked, true));
    assert_eq!(
        framing("HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: x, Close\r\n\r\n"),
        (BodyKind::Length(0), false)
    );
    assert_eq!(framing("HTTP/1.1 202\r\nContent-Length: 0\r\n\r\n"), (BodyKind::Length(0), true));
    assert_eq!(framing("HTTP/1.1 204 No Content\r\n\r\n"), (BodyKind::None, true));
    assert_eq!(framing("HTTP/1.1 204 No Content\r\nContent-Length: 0\r\n\r\n"), (BodyKind::None, true));
    assert_eq!(framing("HTTP/1.1 204 No Content\r\nContent-Length: 3\r\n\r\n"), (BodyKind::None, false));
    assert_eq!(framing("HTTP/1.1 204 \r\nTransfer-Encoding: chunked\r\n\r\n"), (BodyKind::None, false));
    assert_eq!(framing("HTTP/1.1 304 Not Modified\r\nContent-Length: 3\r\n\r\n"), (BodyKind::None, true));
    // Headers that decide about requests only.
    assert_eq!(framing("HTTP/1.1 200 OK\r\nUpgrade: h2c\r\nHost: a\r\nHost: b\r\nExpect: x\r\n\r\n"), close);
}

#[test]
fn interim_responses_are_passed_over() {
    let bytes = b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: a\r\n\r\nHTTP/1.1 404 \r\nContent-Length: 1\r\n\r\nx";
    let head = head(bytes);
    assert_eq!((head.status, head.header("link")), (404, None));
    assert_eq!(&bytes[head.len..], b"x");
    assert!(parse_response_head(&bytes[..60], &LIMITS).unwrap().is_none());
}

#[test]
fn refusals() {
    let cases = [
        ("GET / HTTP/1.1\r\nHost: a\r\n\r\n", Malformed),
        ("\r\nHTTP/1.1 200 OK\r\n\r\n", Malformed),
        ("HTTP/2.0 200 OK\r\n\r\n", Malformed),
        ("HTTP/1.1 20 OK\r\n\r\n", Malformed),
        ("HTTP/1.1 099 OK\r\n\r\n", Malformed),
        ("HTTP/1.1 200 OK\nContent-Length: 1\n\n", Malformed),
        ("HTTP/1.1 200 OK\r\nA: b\r\n c\r\n\r\n", Malformed),
        ("HTTP/1.1 200 OK\r\nA : b\r\n\r\n", Malformed),
        ("HTTP/1.1 200 OK\r\nA: \0\r\n\r\n", Malformed),
        ("HTTP/1.1 101 Switching Protocols\r\nUpgrade: h2c\r\n\r\n", Switching),
        ("HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 1\r\n\r\n", Framing),
        ("HTTP/1.1 200 OK\r\nContent-Length: 1, 1\r\n\r\n", Framing),
        ("HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n", Framing),
        ("HTTP/1.1 200 OK\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n", Framing),
        ("HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n", Framing),
        ("HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", Framing),
    ];
    for (text, expected) in cases {
        assert_eq!(refused(text), expected, "{text:?}");
    }
    let many = format!("HTTP/1.1 200 OK\r\n{}\r\n", "A: b\r\n".repeat(65));
    assert_eq!(refused(&many), TooLong);
    assert_eq!(parse_response_head(b"HTTP/1.1 200 OK\r\nA: \xff\r\n\r\n", &LIMITS).unwrap_err(), Malformed);
}

#[test]
fn limits_hold_for_all_heads_of_a_response() {
    let limits = Limits { head_bytes_max: 64, line_bytes_max: 20 };
    let interim = "HTTP/1.1 100 \r\n\r\n";
    let with = |count: usize| format!("{}HTTP/1.1 200 \r\n\r\n", interim.repeat(count));
    let parse =
        |text: &str| parse_response_head(text.as_bytes(), &limits).map(|head| head.map(|head| head.status));
    assert_eq!(parse(&with(2)), Ok(Some(200)));
    assert_eq!(parse(&with(3)), Err(TooLong));
    assert_eq!(parse(&interim.repeat(9)), Err(TooLong));
    assert_eq!(parse("HTTP/1.1 200 All is very well"), Err(TooLong));
}
