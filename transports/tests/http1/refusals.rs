//! Every head that must not pass, by name.

use weir_transports::http1::HeadError::{self, *};
use weir_transports::http1::parse_head;

use crate::LIMITS;

type Case = (&'static str, &'static [u8], HeadError);

#[track_caller]
fn refused(cases: &[Case]) {
    for (name, bytes, expected) in cases {
        match parse_head(bytes, &LIMITS) {
            Err(error) => assert_eq!(error, *expected, "{name}"),
            Ok(head) => panic!("{name}: not refused but {head:?}"),
        }
    }
}

#[test]
fn ambiguous_framing() {
    refused(&[
        (
            "CL and TE",
            b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 6\r\nTransfer-Encoding: chunked\r\n\r\n",
            LengthAndChunked,
        ),
        (
            "TE and CL",
            b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nContent-Length: 6\r\n\r\n",
            LengthAndChunked,
        ),
        (
            "CL and TE on 1.0",
            b"POST / HTTP/1.0\r\nContent-Length: 6\r\nTransfer-Encoding: chunked\r\n\r\n",
            LengthAndChunked,
        ),
        (
            "TE on 1.0",
            b"POST / HTTP/1.0\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n",
            TransferEncodingOnHttp10,
        ),
        (
            "TE twice",
            b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n",
            TransferEncodingRepeated,
        ),
        (
            "TE twice, the second unknown",
            b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: cow\r\n\r\n",
            TransferEncodingRepeated,
        ),
        (
            "two equal CL",
            b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nContent-Length: 5\r\n\r\n",
            ContentLengthRepeated,
        ),
        (
            "two different CL",
            b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\ncontent-length: 6\r\n\r\n",
            ContentLengthRepeated,
        ),
        (
            "upgrade with a length",
            b"GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nContent-Length: 1\r\n\r\n",
            UpgradeWithBody,
        ),
        (
            "upgrade with chunks",
            b"GET / HTTP/1.1\r\nHost: a\r\nUpgrade: h2c\r\nTransfer-Encoding: chunked\r\n\r\n",
            UpgradeWithBody,
        ),
    ]);
}

#[test]
fn odd_content_lengths() {
    for value in [
        "",
        "+5",
        "-5",
        "-0",
        "5, 5",
        "5,6",
        "5;",
        "5 5",
        "0x5",
        "5e0",
        "5.0",
        "05",
        "00",
        "five",
        "\"5\"",
        "18446744073709551616",
        "99999999999999999999999999",
    ] {
        let head = format!("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: {value}\r\n\r\n");
        assert_eq!(parse_head(head.as_bytes(), &LIMITS).unwrap_err(), ContentLengthInvalid, "{value:?}");
    }
}

#[test]
fn transfer_encodings_other_than_chunked() {
    for value in [
        "",
        "identity",
        "gzip",
        "gzip, chunked",
        "chunked, chunked",
        "chunked, identity",
        "xchunked",
        "chunkedx",
        "chunk ed",
        "\"chunked\"",
        "chunked;",
        "chunked;q=1",
        ",chunked",
        "chunked,",
    ] {
        let head = format!("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: {value}\r\n\r\n");
        assert_eq!(parse_head(head.as_bytes(), &LIMITS).unwrap_err(), TransferEncodingUnknown, "{value:?}");
    }
}

#[test]
fn lines_and_bytes() {
    refused(&[
        ("bare LF after the request line", b"GET / HTTP/1.1\nHost: a\r\n\r\n", BareLf),
        ("bare LF after a header", b"GET / HTTP/1.1\r\nHost: a\n\r\n", BareLf),
        ("bare LF in a value", b"GET / HTTP/1.1\r\nHost: a\r\nX: b\nY: c\r\n\r\n", BareLf),
        ("bare LF as the blank line", b"GET / HTTP/1.1\r\nHost: a\r\n\n", BareLf),
        ("bare LF before the request line", b"\nGET / HTTP/1.1\r\nHost: a\r\n\r\n", BareLf),
        ("bare CR after the request line", b"GET / HTTP/1.1\rHost: a\r\n\r\n", BareCr),
        ("CR in a value", b"GET / HTTP/1.1\r\nHost: a\r\nX: b\rc\r\n\r\n", BareCr),
        ("CR CR LF", b"GET / HTTP/1.1\r\r\nHost: a\r\n\r\n", BareCr),
        ("NUL in a value", b"GET / HTTP/1.1\r\nHost: a\r\nX: b\0c\r\n\r\n", ControlByte),
        ("NUL in a name", b"GET / HTTP/1.1\r\nHost: a\r\nX\0: b\r\n\r\n", ControlByte),
        ("VT before chunked", b"GET / HTTP/1.1\r\nTransfer-Encoding: \x0bchunked\r\n\r\n", ControlByte),
        ("DEL in the target", b"GET /\x7f HTTP/1.1\r\nHost: a\r\n\r\n", ControlByte),
        ("NUL in the target", b"GET /\0 HTTP/1.1\r\nHost: a\r\n\r\n", ControlByte),
        ("TLS to a plain port", b"\x16\x03\x01\x02\x00\x01", ControlByte),
        ("obs-fold", b"GET / HTTP/1.1\r\nHost: a\r\nX: b\r\n c\r\n\r\n", ObsFold),
        ("obs-fold by tab", b"GET / HTTP/1.1\r\nHost: a\r\nX: b\r\n\tc\r\n\r\n", ObsFold),
        ("blank before the first header", b"GET / HTTP/1.1\r\n Host: a\r\n\r\n", ObsFold),
        ("line of blanks", b"GET / HTTP/1.1\r\nHost: a\r\n \r\n\r\n", ObsFold),
        ("space before the method", b" GET / HTTP/1.1\r\nHost: a\r\n\r\n", LeadingBlank),
        ("two empty lines before the method", b"\r\n\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n", LeadingBlank),
        ("blank after an empty line", b"\r\n GET / HTTP/1.1\r\nHost: a\r\n\r\n", LeadingBlank),
        ("Latin-1 in a value", b"GET / HTTP/1.1\r\nHost: a\r\nX: caf\xe9\r\n\r\n", NotUtf8),
    ]);
}

#[test]
fn request_lines() {
    refused(&[
        ("two spaces", b"GET  / HTTP/1.1\r\nHost: a\r\n\r\n", RequestLine),
        ("two spaces before the version", b"GET /  HTTP/1.1\r\nHost: a\r\n\r\n", Version),
        ("tab", b"GET\t/ HTTP/1.1\r\nHost: a\r\n\r\n", RequestLine),
        ("blank after the version", b"GET / HTTP/1.1 \r\nHost: a\r\n\r\n", RequestLine),
        ("no target", b"GET HTTP/1.1\r\nHost: a\r\n\r\n", RequestLine),
        ("no version", b"GET /\r\nHost: a\r\n\r\n", RequestLine),
        ("lower-case method", b"get / HTTP/1.1\r\nHost: a\r\n\r\n", Method),
        ("mixed-case method", b"Post / HTTP/1.1\r\nHost: a\r\n\r\n", Method),
        ("garbage method", b"G|T / HTTP/1.1\r\nHost: a\r\n\r\n", Method),
        ("digits in the method", b"GET1 / HTTP/1.1\r\nHost: a\r\n\r\n", Method),
        ("delimiter in the method", b"GE(T / HTTP/1.1\r\nHost: a\r\n\r\n", RequestLine),
        ("HTTP/2 preface", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", Version),
        ("HTTP/1.2", b"GET / HTTP/1.2\r\nHost: a\r\n\r\n", Version),
        ("HTTP/0.9", b"GET / HTTP/0.9\r\n\r\n", Version),
        ("lower-case version", b"GET / http/1.1\r\nHost: a\r\n\r\n", Version),
        ("authority form", b"CONNECT a:443 HTTP/1.1\r\nHost: a:443\r\n\r\n", Target),
        ("authority form of GET", b"GET a:80 HTTP/1.1\r\nHost: a\r\n\r\n", Target),
        ("asterisk form of GET", b"GET * HTTP/1.1\r\nHost: a\r\n\r\n", Target),
        ("relative target", b"GET a/b HTTP/1.1\r\nHost: a\r\n\r\n", Target),
        ("fragment", b"GET /a#b HTTP/1.1\r\nHost: a\r\n\r\n", Target),
        ("raw UTF-8 in the target", "GET /é HTTP/1.1\r\nHost: a\r\n\r\n".as_bytes(), Target),
        ("absolute form of another scheme", b"GET ftp://a/ HTTP/1.1\r\nHost: a\r\n\r\n", Target),
        ("absolute form with user", b"GET http://u@a/ HTTP/1.1\r\nHost: a\r\n\r\n", Target),
        ("absolute form without authority", b"GET http:///x HTTP/1.1\r\nHost: a\r\n\r\n", Target),
        ("absolute form for another host", b"GET http://b/ HTTP/1.1\r\nHost: a\r\n\r\n", HostMismatch),
        ("absolute form without Host", b"GET http://a/ HTTP/1.1\r\n\r\n", HostMissing),
    ]);
}

#[test]
fn headers() {
    refused(&[
        ("space before the colon", b"GET / HTTP/1.1\r\nHost : a\r\n\r\n", HeaderName),
        (
            "space before the colon of CL",
            b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length : 5\r\n\r\n",
            HeaderName,
        ),
        ("tab before the colon", b"GET / HTTP/1.1\r\nHost\t: a\r\n\r\n", HeaderName),
        ("empty name", b"GET / HTTP/1.1\r\nHost: a\r\n: b\r\n\r\n", HeaderName),
        ("no colon", b"GET / HTTP/1.1\r\nHost: a\r\nX\r\n\r\n", HeaderName),
        ("delimiter in a name", b"GET / HTTP/1.1\r\nHost: a\r\nX[]: b\r\n\r\n", HeaderName),
        ("no Host", b"GET / HTTP/1.1\r\n\r\n", HostMissing),
        ("two Hosts", b"GET / HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n", HostRepeated),
        ("two Hosts on 1.0", b"GET / HTTP/1.0\r\nHost: a\r\nhost: b\r\n\r\n", HostRepeated),
        ("another expectation", b"POST / HTTP/1.1\r\nHost: a\r\nExpect: 200-ok\r\n\r\n", Expectation),
    ]);
}

#[test]
fn hosts() {
    for host in [
        "",
        "a b",
        "a,b",
        "a/b",
        "a@b",
        "u:p@a",
        "a?b",
        "a#b",
        "a:",
        "a:x",
        "a:-1",
        "a:65536",
        "a:80:80",
        ":80",
        "[",
        "[]",
        "[::1",
        "[::1]x",
        "[::1]:",
        "[fe80::1%25eth0]",
        "::1",
        "a\\b",
        "<a>",
        "é",
    ] {
        let head = format!("GET / HTTP/1.1\r\nHost: {host}\r\n\r\n");
        assert_eq!(parse_head(head.as_bytes(), &LIMITS).unwrap_err(), HostInvalid, "{host:?}");
    }
}

#[test]
fn sizes() {
    let line = |path_len: usize| format!("GET /{} HTTP/1.1\r\nHost: a\r\n\r\n", "p".repeat(path_len));
    let fixed = "GET / HTTP/1.1".len();
    let fits = line(LIMITS.line_bytes_max - fixed);
    assert!(parse_head(fits.as_bytes(), &LIMITS).unwrap().is_some());
    let over = line(LIMITS.line_bytes_max - fixed + 1);
    assert_eq!(parse_head(over.as_bytes(), &LIMITS).unwrap_err(), LineTooLong);
    assert_eq!(parse_head(&over.as_bytes()[..LIMITS.line_bytes_max + 1], &LIMITS).unwrap_err(), LineTooLong);
    assert!(parse_head(&fits.as_bytes()[..LIMITS.line_bytes_max + 1], &LIMITS).unwrap().is_none());

    let head =
        |value_len: usize| format!("GET / HTTP/1.1\r\nHost: a\r\nX: {}\r\n\r\n", "v".repeat(value_len));
    let fixed = head(0).len();
    let fits = head(LIMITS.head_bytes_max - fixed);
    assert!(parse_head(fits.as_bytes(), &LIMITS).unwrap().is_some());
    let over = head(LIMITS.head_bytes_max - fixed + 1);
    assert_eq!(parse_head(over.as_bytes(), &LIMITS).unwrap_err(), HeadTooLong);
    assert_eq!(parse_head(&over.as_bytes()[..LIMITS.head_bytes_max], &LIMITS).unwrap_err(), HeadTooLong);
}

#[test]
fn header_counts() {
    let head = |count: usize| format!("GET / HTTP/1.1\r\nHost: a\r\n{}\r\n", "X: y\r\n".repeat(count - 1));
    let full = head(64);
    let parsed = parse_head(full.as_bytes(), &LIMITS).unwrap().unwrap();
    assert_eq!(parsed.headers("x").count(), 63);
    assert_eq!(parse_head(head(65).as_bytes(), &LIMITS).unwrap_err(), TooManyHeaders);
}

#[test]
fn statuses() {
    assert_eq!(LineTooLong.status(), 414);
    assert_eq!(HeadTooLong.status(), 431);
    assert_eq!(TooManyHeaders.status(), 431);
    assert_eq!(Expectation.status(), 417);
    assert_eq!(Version.status(), 505);
    assert_eq!(BareLf.status(), 400);
    assert!(LengthAndChunked.reason().contains("Content-Length"));
}
