//! One turn of a shard, from completions to operations: everything but the kernel.

use criterion::{Criterion, Throughput};
use weir_bench::repeat::Repeat;
use weir_shard::limits::{Effect, Injection, Matchers, Names, Rule, RuleSet, Rules};

/// Subscribers of the topic.
const SUBSCRIBERS: usize = 1_000;

pub(crate) fn benches(c: &mut Criterion) {
    bench(c, "1 ping", 1, || Repeat::pings(1, 1));
    bench(c, "16 pings of one", 16, || Repeat::pings(1, 16));
    bench(c, "a ping of each of 16", 16, || Repeat::pings(16, 1));
    bench(c, "publish to 1,000 subscribers", SUBSCRIBERS, || Repeat::fanout(SUBSCRIBERS));
    bench(c, "publish to a client", 1, Repeat::publish_to_client);
    bench(c, "a push, default rules", 1, || Repeat::push(Rules::default()));
    let off = Injection::Off;
    let none = Rules { injection: off, backend_injection: off, set: RuleSet::default() };
    bench(c, "a push, no rules", 1, || Repeat::push(none.clone()));
    let twenty = Rules { set: others(20), ..Rules::default() };
    bench(c, "a push, default rules and 20 about other types", 1, || Repeat::push(twenty.clone()));
}

/// Rules that are asked about each push and are about none.
fn others(count: usize) -> RuleSet {
    let types = Names::parse(&["order.*"]).expect("a pattern");
    let when = Matchers { types, ..Matchers::default() };
    let rule = |at: usize| Rule {
        name: format!("rule-{at}").into(),
        when: when.clone(),
        effect: Effect::Deny,
        dry_run: false,
    };
    RuleSet { dry_run: false, rules: (0..count).map(rule).collect() }
}

/// Measures a turn that handles `messages`.
fn bench(c: &mut Criterion, name: &str, messages: usize, repeat: impl Fn() -> Repeat) {
    let mut group = c.benchmark_group("turn");
    group.throughput(Throughput::Elements(messages as u64));
    group.bench_function(name, |b| {
        let mut repeat = repeat();
        b.iter(|| repeat.turn().len());
    });
}
