//! Runs of the production shards. `weir-sim` itself does many more.

use weir_sim::report::{Tally, canaries, print_violations};
use weir_sim::{run, run_script};

/// Runs `seeds`; every promise must be kept.
fn hold(seeds: impl Iterator<Item = u64>) -> Tally {
    let mut tally = Tally::default();
    for seed in seeds {
        let outcome = run(seed, None, false);
        if !outcome.violations.is_empty() {
            print_violations(&outcome);
        }
        tally.add(&outcome);
    }
    tally
}

#[test]
fn promises_are_kept_and_every_fault_fires() {
    let tally = hold(1..=100);
    assert_eq!(tally.failed, [0; 0]);
    assert_eq!(tally.weaknesses(), [""; 0]);
}

#[test]
fn what_was_broken_once_is_not_broken_again() {
    let seeds = include_str!("../regressions.txt").lines().filter(|line| !line.starts_with('#'));
    let seeds = seeds.map(|line| line.split_whitespace().next().unwrap().parse().unwrap());
    assert_eq!(hold(seeds).failed, [0; 0]);
}

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
}

#[test]
fn every_canary_is_caught() {
    assert!(canaries(1));
}
