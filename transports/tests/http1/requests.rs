//! Requests, to the byte, and read back.

use proptest::collection::vec;
use proptest::prelude::*;
use weir_transports::http1::{BodyKind, Method, parse_head, request};

use crate::LIMITS;

fn written(target: &str, host: &str, headers: &[(&str, &str)], length: Option<usize>) -> Vec<u8> {
    let mut out = b"before ".to_vec();
    request::write_head(&mut out, "POST", target, host, headers.iter().copied(), length);
    out.split_off(7)
}

#[test]
fn request_heads() {
    assert_eq!(
        written("/mcp?a=b", "127.0.0.1:9000", &[("Accept", "text/event-stream")], Some(2)),
        b"POST /mcp?a=b HTTP/1.1\r\nHost: 127.0.0.1:9000\r\nAccept: text/event-stream\r\nContent-Length: 2\r\n\r\n"
    );
    assert_eq!(written("/", "a", &[], None), b"POST / HTTP/1.1\r\nHost: a\r\n\r\n");
}

#[test]
fn nothing_splits_a_request() {
    assert_eq!(
        written("/a b\r\nX: y/\u{e9}", "a\r\nEvil: 1", &[("X\nY", "b\r\n\r\nGET / HTTP/1.1\0")], None),
        "POST /a%20b%0D%0AX:%20y/%C3%A9 HTTP/1.1\r\nHost: a  Evil: 1\r\nX Y: b    GET / HTTP/1.1 \r\n\r\n"
            .as_bytes()
    );
}

proptest! {
    #[test]
    fn a_written_head_is_one_head(
        target in "/[ -~é\r\n]{0,20}",
        values in vec("[ -~é\r\n]{0,20}", 0..8),
        length in proptest::option::of(0..9_usize),
    ) {
        // A fragment is no part of a target.
        let target = target.replace('#', "");
        let headers: Vec<_> = values.iter().map(|value| ("X-Tag", value.as_str())).collect();
        let bytes = [written(&target, "a:1", &headers, length), b"rest".to_vec()].concat();
        let head = parse_head(&bytes, &LIMITS).unwrap().unwrap();
        prop_assert_eq!(&bytes[head.len..], b"rest");
        prop_assert_eq!(head.method, Method::Post);
        prop_assert_eq!(head.body, length.map_or(BodyKind::None, |length| BodyKind::Length(length as u64)));
        let tags = values.iter().map(|value| value.replace(['\r', '\n'], " ").trim().to_owned());
        prop_assert_eq!(head.headers("x-tag").collect::<Vec<_>>(), tags.collect::<Vec<_>>());
        prop_assert_eq!(head.all_headers().count(), 1 + values.len() + usize::from(length.is_some()));
    }
}
