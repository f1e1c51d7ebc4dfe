//! HTTP/1.1: a request head.

use std::hint::black_box;

use criterion::{Criterion, Throughput};
use weir_transports::http1::{Limits, parse_head};

const LIMITS: Limits = Limits { head_bytes_max: 16 << 10, line_bytes_max: 8 << 10 };

const HEAD: &[u8] =
    b"POST /mcp/clients/u1/messages HTTP/1.1\r\nHost: 127.0.0.1:4001\r\nUser-Agent: curl/8.5.0\r\n\
    Content-Type: application/json\r\nContent-Length: 30\r\n\r\n";

pub(crate) fn benches(c: &mut Criterion) {
    let head = parse_head(HEAD, &LIMITS).expect("a valid head").expect("a whole one");
    assert_eq!((head.len, head.path), (HEAD.len(), "/mcp/clients/u1/messages"));
    let mut group = c.benchmark_group("http1");
    group.throughput(Throughput::Bytes(HEAD.len() as u64));
    group.bench_function("head", |b| b.iter(|| parse_head(black_box(HEAD), &LIMITS)));
}
