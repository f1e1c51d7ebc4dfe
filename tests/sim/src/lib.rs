//! The simulator: several shards, scripted clients and a hostile network on one thread, from a seed.
//!
//! `options` says what a seed stands for. `world` takes one event after the other: shards' turns (the
//! production code of `weir-shard`), bytes on `pipe`s, letters on the `mesh`, clients' actions. `net` does
//! what a shard's operations ask and notes every breach of that contract. Clients write down what they
//! see in the `history`; the `oracle` reads it after the run. `canary` proves that the oracle sees.

pub mod access;
pub mod canary;
pub mod client;
pub mod control;
pub mod disaster;
pub mod disk;
pub mod fault;
pub mod history;
pub mod load;
pub mod mcp;
pub mod mcp_options;
pub mod mesh;
pub mod net;
pub mod options;
pub mod oracle;
pub mod pipe;
pub mod place;
pub mod report;
pub mod rng;
pub mod server;
pub mod stage;
pub mod succession;
pub mod text;
pub mod wire;
pub mod world;

use std::sync::Arc;
use std::time::Duration;

use canary::{Canary, Saboteur};
use disaster::Disaster;
use history::Fact;
use options::Options;
use rng::Rng;
use stage::Stage;
use weir_ring::token::Member;
use weir_shard::Shard;
use weir_shard::durable::Share;
use weir_shard::limits::Config;
use world::World;

/// A shard, which goes on with what its log held.
fn boot(config: &Config, me: Member, seed: u64, share: Option<Share>) -> Shard {
    let mut shard = Shard::new(Arc::new(config.clone()), me, seed);
    if let Some(share) = share {
        shard.restore(share);
    }
    shard
}

/// One run of the production shard from `seed`, with or without a saboteur.
pub fn run(seed: u64, canary: Option<Canary>, trace: bool) -> Outcome {
    let mut rng = Rng::new(seed);
    let options = Options::draw(&mut rng);
    let mut stage = Stage::new(options, rng, Saboteur::new(canary, seed));
    stage.history.trace = trace;
    play(seed, stage)
}

/// One run in which a single client does what bytes say: eight for the seed, then the script.
pub fn run_script(bytes: &[u8]) -> Outcome {
    let (seed, script) = bytes.split_first_chunk().unwrap_or((&[0; 8], bytes));
    let seed = u64::from_le_bytes(*seed);
    let mut rng = Rng::new(seed);
    let options = Options::draw(&mut rng).alone(script);
    play(seed, Stage::new(options, rng, Saboteur::new(None, seed)))
}

/// Plays what the stage is set for, and has it judged.
fn play(seed: u64, mut stage: Stage) -> Outcome {
    let (start, drain) = (stage.now, stage.options.config.drain.clone());
    // What goes from one process to another is dated by the clock that people read.
    let passed_on = |(_, disaster): &(u64, Disaster)| *disaster == Disaster::Succession;
    let steady = stage.options.weather.clock_jump == 0
        || stage.options.disk.is_none() && !stage.options.disasters.iter().any(passed_on);
    stage.options.config.drain = stage.saboteur.drain(drain.clone());
    let mut world = World::new(stage, boot);
    world.run();
    let turns = world.turns();
    let stage = world.stage;
    let terms = oracle::Terms {
        roomy: stage.options.roomy,
        disk: stage.options.disk.is_some(),
        attempts_max: stage.options.config.delivery.attempts_max,
        ttl: stage.options.cast.ttl > 0,
        steady,
        queue_bytes_max: stage.saboteur.bound(stage.options.queue_bytes_max()),
        outbox_bytes_max: stage.options.outbox_bytes_max(),
        drains: stage.options.drains,
        shards: stage.options.config.shards.into(),
        drain,
        unlimited: is_unlimited(&stage.options.config),
        ample: stage.options.mcp.is_ample(&stage.options.config),
        mcp_patience: stage.saboteur.patience(options::MCP_PATIENCE),
        late: load::late_max(&stage.options.weather),
    };
    let violations = oracle::judge(&stage.history, &terms);
    let is_delivery = |(_, fact): &&(u64, Fact)| matches!(fact, Fact::Delivered { .. } | Fact::Binary { .. });
    Outcome {
        seed,
        turns,
        deliveries: stage.history.facts.iter().filter(is_delivery).count() as u64,
        span: Duration::from_nanos(stage.now - start),
        faults: stage.faults,
        violations,
        strikes: stage.saboteur.strikes,
    }
}

/// Whether neither a client nor its address may ask too much.
fn is_unlimited(config: &Config) -> bool {
    [config.client_rate, config.network.request_rate].iter().all(|rate| rate.per_second == 0.0)
}

/// What a run came to.
#[derive(Debug)]
pub struct Outcome {
    /// Its seed.
    pub seed: u64,
    /// Turns of all shards.
    pub turns: u64,
    /// Messages delivered to clients.
    pub deliveries: u64,
    /// Simulated time.
    pub span: Duration,
    /// Faults by kind.
    pub faults: fault::Faults,
    /// Promises that were not kept.
    pub violations: Vec<history::Violation>,
    /// How often the saboteur struck.
    pub strikes: u64,
}
