//! WebSocket: frames in, frames out, permessage-deflate.

use std::hint::black_box;

use criterion::{BatchSize, Criterion, Throughput};
use weir_bench::repeat::PING;
use weir_bench::world::text_frame;
use weir_transports::websocket::{
    Deflate, DeflateParams, Deflater, Limits, Opcode, Reader, Scratch, client, write_message,
};

const LIMITS: Limits = Limits { frame_bytes_max: 64 << 10, message_bytes_max: 1 << 20, deflate: true };

pub(crate) fn benches(c: &mut Criterion) {
    read(c);
    write(c);
    deflate(c);
}

fn read(c: &mut Criterion) {
    let mut group = c.benchmark_group("websocket");
    for count in [1_usize, 16] {
        let input = text_frame(PING.as_bytes()).repeat(count);
        let (mut reader, mut scratch) = (Reader::default(), Scratch::default());
        assert_eq!(messages(&mut reader, &mut scratch, &mut input.clone()), count);
        group.throughput(Throughput::Elements(count as u64));
        group.bench_function(format!("read {count}"), |b| {
            // Reading unmasks in place, so each run gets a fresh copy.
            b.iter_batched_ref(
                || input.clone(),
                |input| messages(&mut reader, &mut scratch, input),
                BatchSize::SmallInput,
            );
        });
    }
}

/// Reads all that `input` holds; says how many messages.
fn messages(reader: &mut Reader, scratch: &mut Scratch, input: &mut [u8]) -> usize {
    let (mut at, mut messages) = (0, 0);
    while at < input.len() {
        let read = reader.read(&mut input[at..], &LIMITS, scratch).expect("no violation");
        at += read.consumed;
        messages += usize::from(black_box(read.message).is_some());
    }
    messages
}

fn write(c: &mut Criterion) {
    let mut out = Vec::new();
    let mut written = || {
        out.clear();
        write_message(&mut out, Opcode::Text, black_box(PING.as_bytes()), None);
        black_box(&out).len()
    };
    assert_eq!(written(), 2 + PING.len());
    c.benchmark_group("websocket").bench_function("write", |b| b.iter(&mut written));
}

/// 1 KiB of JSON, both ways.
fn deflate(c: &mut Criterion) {
    let text: String = (0..).map(|n| format!("{{\"id\":{n},\"name\":\"client-{n}\"}},")).take(64).collect();
    let payload = &text.as_bytes()[..1 << 10];
    let mut deflater = Deflater::default();
    let mut deflated = |out: &mut Vec<u8>| {
        let params = DeflateParams::default();
        let deflate = Deflate { deflater: &mut deflater, params, always: false };
        out.clear();
        write_message(out, Opcode::Text, black_box(payload), Some(deflate));
    };
    let mut out = Vec::new();
    let mut group = c.benchmark_group("websocket");
    group.throughput(Throughput::Bytes(payload.len() as u64));
    group.bench_function("deflate 1 KiB", |b| b.iter(|| deflated(&mut out)));

    deflated(&mut out);
    let compressed = client::read_frame(&out).expect("a valid frame").expect("a whole one");
    assert_eq!(compressed.first, client::FIN | client::RSV1 | Opcode::Text as u8);
    let mut input = Vec::new();
    client::write_frame(&mut input, compressed.first, compressed.payload, [1, 2, 3, 4]);
    let (mut reader, mut scratch) = (Reader::default(), Scratch::default());
    assert_eq!(messages(&mut reader, &mut scratch, &mut input.clone()), 1);
    group.bench_function("inflate 1 KiB", |b| {
        b.iter_batched_ref(
            || input.clone(),
            |input| messages(&mut reader, &mut scratch, input),
            BatchSize::SmallInput,
        );
    });
}
