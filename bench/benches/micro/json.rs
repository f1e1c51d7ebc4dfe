//! What stands in messages: Phoenix frames, JSON-RPC envelopes, SSE events.

use std::hint::black_box;

use criterion::Criterion;
use weir_bench::repeat::PING;
use weir_transports::phoenix::{self, Version};
use weir_transports::{jsonrpc, sse};

const PUSH: &str = r#"["1","7","room:lobby","chat",{"user":"u1","text":"Hello, world","n":42}]"#;
const PAYLOAD: &str = r#"{"user":"u1","text":"Hello, world","n":42}"#;

pub(crate) fn benches(c: &mut Criterion) {
    phoenix(c);
    jsonrpc(c);
    sse(c);
}

fn phoenix(c: &mut Criterion) {
    let frame = phoenix::decode_text(Version::V2, PUSH).expect("a valid frame");
    assert_eq!((&*frame.topic, frame.payload), ("room:lobby", phoenix::Payload::Json(PAYLOAD)));
    let mut group = c.benchmark_group("phoenix");
    group.bench_function("decode", |b| b.iter(|| phoenix::decode_text(Version::V2, black_box(PUSH))));
    let encode = |out: &mut Vec<u8>| {
        out.clear();
        phoenix::push(Version::V2, out, None, "room:lobby", "chat", black_box(PAYLOAD.as_bytes()), None);
        black_box(out).len()
    };
    let mut out = Vec::new();
    encode(&mut out);
    assert_eq!(out, format!(r#"[null,null,"room:lobby","chat",{PAYLOAD}]"#).as_bytes());
    group.bench_function("encode", |b| b.iter(|| encode(&mut out)));
}

fn jsonrpc(c: &mut Criterion) {
    assert!(matches!(jsonrpc::decode(PING), Ok(jsonrpc::Message::Request { .. })));
    c.benchmark_group("jsonrpc")
        .bench_function("decode", |b| b.iter(|| black_box(jsonrpc::decode(black_box(PING))).is_ok()));
}

fn sse(c: &mut Criterion) {
    let event = |out: &mut Vec<u8>| {
        out.clear();
        sse::event(out, Some("17"), Some("message"), black_box(PAYLOAD));
        black_box(out).len()
    };
    let mut out = Vec::new();
    event(&mut out);
    assert_eq!(out, format!("id: 17\nevent: message\ndata: {PAYLOAD}\n\n").as_bytes());
    c.benchmark_group("sse").bench_function("event", |b| b.iter(|| event(&mut out)));
}
