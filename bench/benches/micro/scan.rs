//! What a gateway reads of an MCP message, by our scan and by others: `id`, `method` and `params.name` of
//! a call, `id` and `result` of an answer. All judge the whole text. Ours also refuses duplicates and lends
//! slices of the text; so does sonic-rs; simd-json writes into its input and lends nothing to splice.

use std::hint::black_box;

use criterion::{BenchmarkGroup, Criterion, Throughput, measurement::WallTime};
use simd_json::prelude::*;
use sonic_rs::JsonValueTrait;
use weir_transports::jsonrpc::{self, Body, Message};
use weir_transports::mcp::{Method, Params};

const CALL: &str =
    r#"{"jsonrpc":"2.0","id":17,"method":"tools/call","params":{"name":"add","arguments":{"a":1,"b":2.5}}}"#;

pub(crate) fn benches(c: &mut Criterion) {
    let call = |name: &str| name == r#""add""#;
    let mut group = c.benchmark_group("scan_call");
    group.throughput(Throughput::Bytes(CALL.len() as u64));
    compare(&mut group, CALL, "tools/call", call);
    group.finish();

    let answer = answer();
    let mut group = c.benchmark_group("scan_answer");
    group.throughput(Throughput::Bytes(answer.len() as u64));
    compare(&mut group, &answer, "", |result| result.len() > 10_000);
    group.finish();
}

/// An answer of 10 KiB: text with some escapes, numbers, objects in arrays.
fn answer() -> String {
    let items: Vec<_> = (0..32)
        .map(|n| {
            format!(
                r#"{{"type":"text","text":"Entry {n}: the quick brown fox jumps over the lazy dog.\nIt says \"woof\" and goes on to sleep, as dogs do; the fox is long gone by then, and it is getting dark.","annotations":{{"audience":["user","assistant"],"priority":0.{n},"lastModified":"2026-01-12T15:00:58Z"}},"_meta":{{"index":{n},"ok":true}}}}"#
            )
        })
        .collect();
    format!(r#"{{"jsonrpc":"2.0","id":17,"result":{{"content":[{}],"isError":false}}}}"#, items.join(","))
}

/// What is read: id, method (empty in an answer), and name or result.
type Read<'a> = (&'a str, &'a str, &'a str);

fn compare(group: &mut BenchmarkGroup<'_, WallTime>, text: &str, method: &str, rest: fn(&str) -> bool) {
    let right = |read: Option<Read<'_>>| read.is_some_and(|(id, m, r)| id == "17" && m == method && rest(r));
    assert!(ours(text, |read| right(Some(read))) == Some(true));
    group.bench_function("ours", |b| b.iter(|| ours(black_box(text), |read| black_box(read).2.len())));
    assert!(lazy(text, |read| right(Some(read))) == Some(true));
    group.bench_function("sonic_rs", |b| b.iter(|| lazy(black_box(text), |read| black_box(read).2.len())));

    let mut scratch = Vec::new();
    let mut buffers = simd_json::Buffers::new(text.len());
    assert!(tape(text, &mut scratch, &mut buffers) == Some(17));
    group.bench_function("simd_json", |b| b.iter(|| tape(black_box(text), &mut scratch, &mut buffers)));
}

fn ours<T>(text: &str, with: impl FnOnce(Read<'_>) -> T) -> Option<T> {
    match jsonrpc::decode(text).ok()? {
        Message::Request { id, method, params } => {
            let params = Params::read(Method::of(&method), params).ok()?;
            Some(with((id.as_json(), &method, params.name?)))
        }
        Message::Response { id, body: Body::Result(result) } => Some(with((id?.as_json(), "", result))),
        _ => None,
    }
}

fn lazy<T>(text: &str, with: impl FnOnce(Read<'_>) -> T) -> Option<T> {
    let (mut id, mut method, mut params, mut rest) = (None, None, None, None);
    for member in sonic_rs::to_object_iter(text) {
        let (key, value) = member.ok()?;
        match &*key {
            "id" => id = Some(value),
            "method" => method = Some(value),
            "params" => params = Some(value),
            "result" => rest = Some(value),
            _ => {}
        }
    }
    for member in params.iter().flat_map(|params| sonic_rs::to_object_iter(params.as_raw_str())) {
        let (key, value) = member.ok()?;
        if key == "name" {
            rest = Some(value);
        }
    }
    let method = method.as_ref().map_or(Some(""), |method| method.as_str())?;
    Some(with((id?.as_raw_str(), method, rest?.as_raw_str())))
}

/// The id, once the method's and the name's or the content's place are found.
fn tape(text: &str, scratch: &mut Vec<u8>, buffers: &mut simd_json::Buffers) -> Option<i64> {
    scratch.clear();
    scratch.extend_from_slice(text.as_bytes());
    let tape = simd_json::to_tape_with_buffers(scratch, buffers).ok()?;
    let message = tape.as_value();
    black_box(message.get("method").and_then(|method| method.into_string()));
    black_box(message.get("params").and_then(|params| params.get("name")?.into_string()));
    black_box(message.get("result").is_some());
    message.get("id")?.as_i64()
}
