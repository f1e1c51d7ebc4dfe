//! HTTP/1.1: refusals by name, and properties that hold for any bytes and any cut of them.

#[path = "http1/bodies.rs"]
mod bodies;
#[path = "http1/cuts.rs"]
mod cuts;
#[path = "http1/forwarded.rs"]
mod forwarded;
#[path = "http1/heads.rs"]
mod heads;
#[path = "http1/refusals.rs"]
mod refusals;
#[path = "http1/requests.rs"]
mod requests;
#[path = "http1/response_cuts.rs"]
mod response_cuts;
#[path = "http1/response_heads.rs"]
mod response_heads;
#[path = "http1/responses.rs"]
mod responses;

use proptest::collection::vec;
use proptest::prelude::*;
use weir_transports::http1::Limits;

const LIMITS: Limits = Limits { head_bytes_max: 16 << 10, line_bytes_max: 8 << 10 };

/// All of `bytes` in pieces whose lengths follow `cuts`, over and over.
fn pieces<'a>(bytes: &'a [u8], cuts: &'a [usize]) -> impl Iterator<Item = &'a [u8]> {
    let mut rest = bytes;
    cuts.iter().cycle().map_while(move |&cut| {
        let (piece, after) = rest.split_at_checked(cut.clamp(1, rest.len().max(1)))?;
        rest = after;
        Some(piece)
    })
}

fn cuts() -> impl Strategy<Value = Vec<usize>> {
    vec(1..60_usize, 1..20)
}

/// Some of `known` in any order, with other bytes between them.
fn mixed(known: &'static [&'static [u8]]) -> impl Strategy<Value = Vec<u8>> {
    let piece = prop_oneof![4 => proptest::sample::select(known).prop_map(<[u8]>::to_vec), 1 => vec(any::<u8>(), 0..8)];
    vec(piece, 0..24).prop_map(|pieces| pieces.concat())
}
