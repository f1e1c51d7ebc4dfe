//! The scan for injection patterns, beside an automaton of the same literals. That one finds no escapes and no event
//! handlers, and so does less.

use std::hint::black_box;

use aho_corasick::AhoCorasick;
use criterion::{Criterion, Throughput};
use weir_shard::policy::rules::injection;

/// Literals of the patterns, and the escapes and signs that others begin with.
const LITERALS: [&str; 5] = ["<script", "javascript:", "${", "\\u", "="];

pub(crate) fn benches(c: &mut Criterion) {
    let chat = r#"{"type":"chat","data":"I just subscribed to the job feed: see you there, it is on at 9"}"#;
    let numbers =
        format!("[{}]", vec![r#"{"id":1234567,"at":"2026-11-21T06:17:31Z","ok":true}"#; 300].join(","));
    let escapes = format!(r#"{{"text":"{}"}}"#, "\\u043f\\u0440\\u0438\\u0432\\u0435\\u0442 ".repeat(400));
    let automaton = AhoCorasick::builder().ascii_case_insensitive(true).build(LITERALS).expect("literals");
    for (name, text) in [("chat", chat), ("16 KiB of records", &numbers), ("15 KiB of escapes", &escapes)] {
        assert_eq!(injection::find(text.as_bytes()), None);
        let mut group = c.benchmark_group("injection");
        group.throughput(Throughput::Bytes(text.len() as u64));
        group.bench_function(name, |b| b.iter(|| injection::find(black_box(text.as_bytes()))));
        group.bench_function(format!("{name}, aho-corasick"), |b| {
            b.iter(|| automaton.find(black_box(text)));
        });
    }
}
