//! Runs seeds and reports. Exits with 1 when a promise was broken, a canary lived, or the runs as a whole
//! were too tame.

use std::cell::Cell;
use std::process::ExitCode;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc;
use std::thread;
use std::time::Instant;

use clap::Parser;
use weir_sim::canary::{self, Canary};
use weir_sim::report::{self, Tally, print_violations, replay};
use weir_sim::run;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// The simulator: several shards, scripted clients and a hostile network on one thread, from a seed.
#[derive(Parser)]
struct Args {
    /// Number of seeds.
    #[arg(long, default_value_t = 100)]
    seeds: u64,
    /// First seed.
    #[arg(long, default_value_t = 1)]
    start: u64,
    /// This seed only.
    #[arg(long)]
    seed: Option<u64>,
    /// Threads; a run has one of them to itself.
    #[arg(long, default_value_t = 1)]
    jobs: usize,
    /// The seeds that found a fault once.
    #[arg(long, conflicts_with_all = ["seed", "seeds", "start"])]
    regressions: bool,
    /// Print every event of the seed.
    #[arg(long, requires = "seed")]
    trace: bool,
    /// Run with a saboteur between server and clients.
    #[arg(long)]
    canary: Option<String>,
    /// Run every saboteur; each must be caught.
    #[arg(long)]
    canaries: bool,
}

fn main() -> ExitCode {
    let args = Args::parse();
    if args.canaries {
        return if report::canaries(args.start) { ExitCode::SUCCESS } else { ExitCode::FAILURE };
    }
    let canary = match args.canary.as_deref().map(named).transpose() {
        Ok(canary) => canary,
        Err(unknown) => {
            eprintln!("{unknown}");
            return ExitCode::FAILURE;
        }
    };
    let seeds = match args.seed {
        Some(seed) => vec![seed],
        None if args.regressions => report::regressions(),
        None => (args.start..args.start + args.seeds).collect(),
    };
    let clock = Instant::now();
    let mut tally = Tally::default();
    name_seed_on_panic();
    let next = AtomicUsize::new(0);
    let (heard, outcomes) = mpsc::channel();
    thread::scope(|scope| {
        for _ in 0..args.jobs.max(1) {
            let (next, seeds, heard) = (&next, &seeds, heard.clone());
            scope.spawn(move || {
                while let Some(&seed) = seeds.get(next.fetch_add(1, Ordering::Relaxed)) {
                    SEED.set(seed);
                    let _ = heard.send(run(seed, canary, args.trace));
                }
            });
        }
        drop(heard);
        for outcome in outcomes {
            tally.add(&outcome);
            if !outcome.violations.is_empty() {
                print_violations(&outcome);
            }
        }
    });
    tally.print(clock.elapsed());
    let weaknesses = tally.weaknesses();
    weaknesses.iter().for_each(|weakness| println!("too tame: {weakness}"));
    if tally.failed.is_empty() && weaknesses.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn named(name: &str) -> Result<Canary, String> {
    let found = canary::ALL.iter().find(|(_, known, _)| *known == name);
    let names = || canary::ALL.map(|(_, known, _)| known).join(", ");
    found.map(|(canary, ..)| *canary).ok_or_else(|| format!("no canary {name}; there are {}", names()))
}

thread_local! {
    /// The run of this thread.
    static SEED: Cell<u64> = const { Cell::new(0) };
}

/// The release build aborts on a panic; the seed must be known before.
fn name_seed_on_panic() {
    std::panic::set_hook(Box::new(|panic| {
        let seed = SEED.get();
        eprintln!("seed {seed}: {panic}\nreplay: {}", replay(seed));
    }));
}
