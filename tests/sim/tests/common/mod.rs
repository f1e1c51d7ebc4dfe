//! The simulated network with scripted shards and agents.

use weir_ring::op::Output;
use weir_sim::canary::Saboteur;
use weir_sim::net::{self, Taken, driver, port::Batch};
use weir_sim::options::Options;
use weir_sim::rng::Rng;
use weir_sim::stage::{Event, Stage};

/// A stage in the weather of `seed`, without clients.
pub(crate) fn stage(seed: u64) -> Stage {
    let mut rng = Rng::new(seed);
    let mut options = Options::draw(&mut rng);
    (options.config.listeners, options.config.queue_bytes_max) = (1, 1 << 20);
    let mut stage = Stage::new(options, rng, Saboteur::new(None, 0));
    for shard in 0..stage.net.ports.len() {
        stage.at(stage.now, Event::Turn { shard });
    }
    stage
}

/// Lets everything happen until nothing is due; `turn` is every shard, `heard` is every
/// agent: it gets what came on each connection.
pub(crate) fn play(
    stage: &mut Stage,
    mut turn: impl FnMut(usize, &mut Batch, &mut Output),
    mut heard: impl FnMut(&mut Stage, usize, &Taken),
) {
    let mut out = Output::default();
    while let Some(event) = stage.advance() {
        if let Event::Turn { shard } = event {
            let part = stage.rng.chance(stage.weather.partial_batch);
            let mut batch = stage.net.ports[shard].batch(part, &mut stage.rng);
            if batch.left() == 0 && stage.net.ports[shard].turns > 0 {
                continue;
            }
            stage.net.ports[shard].turns += 1;
            out.clear();
            turn(shard, &mut batch, &mut out);
            driver::execute(stage, shard, &mut out);
            if !stage.net.ports[shard].queue.is_empty() {
                stage.at(stage.now + 1000, Event::Turn { shard });
            }
        } else if let Some((conn, taken)) = net::happen(stage, event) {
            heard(stage, conn, &taken);
        }
    }
}
