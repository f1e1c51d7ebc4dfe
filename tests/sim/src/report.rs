//! Many runs, and what they came to.

use std::time::Duration;

use crate::Outcome;
use crate::canary::{self, Canary};
use crate::fault::{Faults, NAMES};
use crate::run;

/// Sums over runs.
#[derive(Debug, Default)]
pub struct Tally {
    seeds: u64,
    turns: u64,
    deliveries: u64,
    span: Duration,
    /// Seeds in which each kind fired.
    fired: Faults,
    faults: Faults,
    /// Seeds with a violation.
    pub failed: Vec<u64>,
    /// Seeds with fewer turns than a seed must have.
    short: Vec<u64>,
}

/// Fewest turns of a seed.
pub const TURNS_MIN: u64 = 5_000;

/// Fewest seeds of which it makes sense to ask how many had a fault.
const SEEDS_FOR_RATES: u64 = 100;

/// Seeds within which a canary must be caught.
const CANARY_SEEDS: u64 = 60;

/// Violations shown of one seed.
const SHOWN: usize = 5;

impl Tally {
    /// Adds a run.
    pub fn add(&mut self, outcome: &Outcome) {
        self.seeds += 1;
        self.turns += outcome.turns;
        self.deliveries += outcome.deliveries;
        self.span += outcome.span;
        self.faults.add(&outcome.faults);
        self.fired.add(&outcome.faults.fired());
        if !outcome.violations.is_empty() {
            self.failed.push(outcome.seed);
        }
        if outcome.turns < TURNS_MIN {
            self.short.push(outcome.seed);
        }
    }

    /// What is wrong with the runs as a whole: a kind of fault that fired too rarely, too few turns.
    pub fn weaknesses(&self) -> Vec<String> {
        let mut found: Vec<String> =
            self.short.iter().map(|seed| format!("seed {seed} has less than {TURNS_MIN} turns")).collect();
        if self.seeds >= SEEDS_FOR_RATES {
            let rare = (0..NAMES.len()).filter(|kind| self.fired.counts()[*kind] * 10 < self.seeds);
            found.extend(
                rare.map(|kind| format!("{} fired in {} seeds only", NAMES[kind], self.fired.counts()[kind])),
            );
        }
        found
    }

    /// Prints the sums.
    pub fn print(&self, took: Duration) {
        println!(
            "{} seeds, {} turns, {} deliveries, {:.0} s simulated in {:.1} s; {} seeds with violations",
            self.seeds,
            self.turns,
            self.deliveries,
            self.span.as_secs_f64(),
            took.as_secs_f64(),
            self.failed.len()
        );
        for (kind, name) in NAMES.iter().enumerate() {
            let share = self.fired.counts()[kind] * 100 / self.seeds.max(1);
            println!("  {name:<17} {:>9}  in {share:>3} % of seeds", self.faults.counts()[kind]);
        }
    }
}

/// Prints a run's violations and how to see them again.
pub fn print_violations(outcome: &Outcome) {
    for violation in outcome.violations.iter().take(SHOWN) {
        let seconds = violation.at as f64 / 1e9;
        println!(
            "seed {}: invariant {} at {seconds:.6}: {}",
            outcome.seed, violation.invariant, violation.what
        );
    }
    if outcome.violations.len() > SHOWN {
        println!("seed {}: {} more", outcome.seed, outcome.violations.len() - SHOWN);
    }
    println!("replay: {}", replay(outcome.seed));
}

/// The command that runs a seed again.
pub fn replay(seed: u64) -> String {
    format!("cargo run --release -p weir-sim -- --seed {seed}")
}

/// The seeds that broke a promise once.
pub fn regressions() -> Vec<u64> {
    let lines = include_str!("../regressions.txt").lines();
    lines.filter_map(|line| line.split_whitespace().next()?.parse().ok()).collect()
}

/// The first seed from `start` on in which the oracle catches `canary` by the invariant it breaks.
pub fn catch(canary: Canary, invariant: u8, start: u64) -> Option<u64> {
    (start..start + CANARY_SEEDS).find(|seed| {
        let outcome = run(*seed, Some(canary), false);
        outcome.strikes > 0 && outcome.violations.iter().any(|violation| violation.invariant == invariant)
            || matches!(canary, Canary::Bound | Canary::McpPatience)
                && outcome.violations.iter().any(|violation| violation.invariant == invariant)
    })
}

/// Runs every canary; true if all are caught.
pub fn canaries(start: u64) -> bool {
    let mut all = true;
    for (canary, name, invariant) in canary::ALL {
        match catch(canary, invariant, start) {
            Some(seed) => println!("canary {name:<16} caught by invariant {invariant} at seed {seed}"),
            None => {
                all = false;
                println!(
                    "canary {name:<16} LIVES: invariant {invariant} saw nothing in {CANARY_SEEDS} seeds"
                );
            }
        }
    }
    all
}
