//! Runs of the production shards. `weir-sim` itself does many more, optimised.

use weir_sim::report::regressions;
use weir_sim::{run, run_script};

#[test]
fn scripts_of_the_fuzzer_break_no_promise() {
    let seeds = concat!(env!("CARGO_MANIFEST_DIR"), "/../fuzz/corpus/shard");
    let mut played = 0;
    for seed in std::fs::read_dir(seeds).unwrap() {
        let script = std::fs::read(seed.unwrap().path()).unwrap();
        assert_eq!(run_script(&script).violations, []);
        played += 1;
    }
    assert!(played >= 5);
}

#[test]
fn a_seed_is_a_run() {
    let (one, two) = (run(7, None, false), run(7, None, false));
    assert_eq!((one.turns, one.deliveries, one.span), (two.turns, two.deliveries, two.span));
    assert_eq!(one.faults.counts(), two.faults.counts());
    assert_eq!(one.violations, []);
}

#[test]
fn every_line_of_the_regressions_is_read() {
    let lines = include_str!("../regressions.txt").lines().filter(|line| !line.starts_with('#'));
    assert_eq!(regressions().len(), lines.count());
}
