//! Heads that pass, and what is read from them.

use weir_transports::http1::{BodyKind, Head, Method, Version, parse_head, query};

use crate::LIMITS;

#[track_caller]
fn head(bytes: &[u8]) -> Head<'_> {
    parse_head(bytes, &LIMITS).expect("not refused").expect("complete")
}

#[test]
fn a_request_of_every_part() {
    let bytes = b"POST /mcp/clients/u%201/messages?a=1&b HTTP/1.1\r\nHost: example.org:4001\r\n\
        Content-Length: 12\r\nX-Tag: one\r\nx-tag:\ttwo \r\nAccept:\r\n\r\nhello, world";
    let head = head(bytes);
    assert_eq!(head.method, Method::Post);
    assert_eq!(head.path, "/mcp/clients/u%201/messages");
    assert_eq!(head.query, Some("a=1&b"));
    assert_eq!(head.version, Version::Http11);
    assert_eq!(&bytes[head.len..], b"hello, world");
    assert_eq!(head.body, BodyKind::Length(12));
    assert!(head.keep_alive && !head.expect_continue && !head.upgrade_websocket);
    assert_eq!(head.header("HOST"), Some("example.org:4001"));
    assert_eq!(head.header("accept"), Some(""));
    assert_eq!(head.header("cookie"), None);
    assert_eq!(head.headers("X-Tag").collect::<Vec<_>>(), ["one", "two"]);
}

#[test]
fn methods() {
    let of = |name: &str| {
        parse_head(format!("{name} / HTTP/1.1\r\nHost: a\r\n\r\n").as_bytes(), &LIMITS)
            .unwrap()
            .unwrap()
            .method
    };
    assert_eq!(of("GET"), Method::Get);
    assert_eq!(of("POST"), Method::Post);
    assert_eq!(of("PUT"), Method::Put);
    assert_eq!(of("DELETE"), Method::Delete);
    assert_eq!(of("OPTIONS"), Method::Options);
    assert_eq!(of("HEAD"), Method::Head);
    assert_eq!(of("PATCH"), Method::Other);
    assert_eq!(of("M-SEARCH"), Method::Other);
}

#[test]
fn targets() {
    let of = |line: &str| {
        let bytes = format!("{line} HTTP/1.1\r\nHost: Example.org:80\r\n\r\n");
        let head = parse_head(bytes.as_bytes(), &LIMITS).unwrap().unwrap();
        (head.path.to_owned(), head.query.map(str::to_owned))
    };
    let parts = |path: &str, query: Option<&str>| (path.to_owned(), query.map(str::to_owned));
    assert_eq!(of("GET /"), parts("/", None));
    assert_eq!(of("GET /a?"), parts("/a", Some("")));
    assert_eq!(of("GET /a?b?c"), parts("/a", Some("b?c")));
    assert_eq!(of("GET //a"), parts("//a", None));
    assert_eq!(of("OPTIONS *"), parts("*", None));
    assert_eq!(of("GET http://example.org:80"), parts("/", None));
    assert_eq!(of("GET HTTP://example.org:80?q"), parts("/", Some("q")));
    assert_eq!(of("GET https://example.org:80/a/b?q=/"), parts("/a/b", Some("q=/")));
}

#[test]
fn hosts() {
    for host in ["a", "A.b-c_d", "127.0.0.1", "a:1", "a:65535", "[::1]", "[2001:db8::1]:4001"] {
        let bytes = format!("GET / HTTP/1.1\r\nHost: {host}\r\n\r\n");
        assert_eq!(head(bytes.as_bytes()).header("host"), Some(host));
    }
}

#[test]
fn one_empty_line_may_precede() {
    let bytes = b"\r\nGET /a HTTP/1.1\r\nHost: a\r\n\r\nrest";
    let head = head(bytes);
    assert_eq!((head.path, &bytes[head.len..]), ("/a", &b"rest"[..]));
}

#[test]
fn bodies() {
    let of = |headers: &str| {
        let bytes = format!("POST / HTTP/1.1\r\nHost: a\r\n{headers}\r\n");
        let head = parse_head(bytes.as_bytes(), &LIMITS).unwrap().unwrap();
        (head.body, head.expect_continue)
    };
    assert_eq!(of(""), (BodyKind::None, false));
    assert_eq!(of("Content-Length: 0\r\n"), (BodyKind::Length(0), false));
    assert_eq!(of("Content-Length: 18446744073709551615\r\n"), (BodyKind::Length(u64::MAX), false));
    assert_eq!(of("Transfer-Encoding: chunked\r\n"), (BodyKind::Chunked, false));
    assert_eq!(of("transfer-encoding: Chunked \r\n"), (BodyKind::Chunked, false));
    assert_eq!(of("Content-Length: 3\r\nExpect: 100-Continue\r\n"), (BodyKind::Length(3), true));
    assert_eq!(of("Expect: 100-continue\r\n"), (BodyKind::None, false));
}

#[test]
fn keep_alive() {
    assert!(head(b"GET / HTTP/1.1\r\nHost: a\r\nConnection: keep-alive\r\n\r\n").keep_alive);
    assert!(!head(b"GET / HTTP/1.1\r\nHost: a\r\nConnection: x, Close\r\n\r\n").keep_alive);
    assert!(!head(b"GET / HTTP/1.1\r\nHost: a\r\nConnection: x\r\nConnection: close\r\n\r\n").keep_alive);
    assert!(!head(b"GET / HTTP/1.0\r\n\r\n").keep_alive);
    assert!(!head(b"GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n").keep_alive);
}

#[test]
fn websocket_upgrades() {
    let of = |line: &str, headers: &str| {
        let bytes = format!("{line}\r\nHost: a\r\n{headers}\r\n");
        parse_head(bytes.as_bytes(), &LIMITS).unwrap().unwrap().upgrade_websocket
    };
    let both = "Connection: keep-alive, Upgrade\r\nUpgrade: WebSocket\r\n";
    assert!(of("GET / HTTP/1.1", both));
    assert!(of("GET / HTTP/1.1", "Connection: upgrade\r\nUpgrade: websocket\r\nContent-Length: 0\r\n"));
    assert!(!of("GET / HTTP/1.0", both));
    assert!(!of("POST / HTTP/1.1", both));
    assert!(!of("GET / HTTP/1.1", "Upgrade: websocket\r\n"));
    assert!(!of("GET / HTTP/1.1", "Connection: upgrade\r\n"));
    assert!(!of("GET / HTTP/1.1", "Connection: upgrade\r\nUpgrade: h2c\r\n"));
}

#[test]
fn queries() {
    let get = |query: &str, name: &str| query::get(query, name).map(String::from);
    assert_eq!(get("a=1&b=2&a=3", "a").as_deref(), Some("1"));
    assert_eq!(get("client%5Fid=u+1%2B", "client_id").as_deref(), Some("u 1+"));
    assert_eq!(get("a", "a").as_deref(), Some(""));
    assert_eq!(get("a=%ff%zz", "a").as_deref(), Some("\u{fffd}%zz"));
    assert_eq!(get("a=1", "b"), None);
    assert_eq!(query::pairs("x=1&&y=2").count(), 2);
}

#[test]
fn path_segments() {
    assert_eq!(query::path_segment("u+1").as_deref(), Ok("u+1"));
    assert_eq!(query::path_segment("a%2Fb%c3%A9").as_deref(), Ok("a/bé"));
    assert_eq!(query::path_segment("%ff"), Err(query::SegmentError::NotUtf8));
    for segment in ["%", "a%2", "%zz", "%+1", "%%41"] {
        assert_eq!(query::path_segment(segment), Err(query::SegmentError::Percent), "{segment}");
    }
}
