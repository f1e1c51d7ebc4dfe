//! What each message asks first: whose it is, and whether it may pass.

use std::hint::black_box;

use criterion::Criterion;
use weir_ring::time::Instant;
use weir_shard::hash_ring::HashRing;
use weir_shard::limits::Rate;
use weir_shard::policy::{TokenBucket, Verdict};

/// Virtual nodes of a core, as by default.
const VNODES: u16 = 150;

pub(crate) fn benches(c: &mut Criterion) {
    home(c);
    take(c);
}

fn home(c: &mut Criterion) {
    let ring = HashRing::new(&[(0, 1), (1, 1), (2, 1), (3, 1)], VNODES);
    let keys: Vec<String> = (0..1024).map(|n| format!("client-{n}")).collect();
    assert!((0..4).all(|node| keys.iter().any(|key| ring.home(key.as_bytes()) == node)));
    let mut keys = keys.iter().cycle();
    c.benchmark_group("hash ring").bench_function("home of 4", |b| {
        b.iter(|| keys.next().map(|key| ring.home(black_box(key.as_bytes()))));
    });
}

fn take(c: &mut Criterion) {
    let rate = Rate::new(100.0, 100);
    let mut group = c.benchmark_group("token bucket");
    for (name, step, allowed) in [("take", 10_000_000, true), ("take, denied", 0, false)] {
        let (mut bucket, mut now) = (TokenBucket::new(), 1);
        let mut take = || {
            now += step;
            bucket.take(black_box(&rate), Instant(now))
        };
        for _ in 0..rate.burst {
            take();
        }
        assert_eq!(matches!(take(), Verdict::Allow { .. }), allowed);
        group.bench_function(name, |b| b.iter(&mut take));
    }
}
