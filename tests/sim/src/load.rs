//! What makes shards late: pauses and heavy turns.

use crate::fault::Fault;
use crate::options::{MS, Weather};
use crate::stage::Stage;

/// A shard's work, which is heavier for a while now and then.
#[derive(Debug, Default)]
pub struct Labour {
    /// Until when its turns are heavy, ns.
    until: u64,
}

impl Labour {
    /// How long the turn at hand takes, ns.
    pub fn turn(&mut self, stage: &mut Stage) -> u64 {
        if stage.rng.chance(stage.weather.overload) {
            stage.faults.count(Fault::Overload);
            self.until = stage.now + stage.rng.between(500, 3_000) * MS;
        }
        if stage.now < self.until && !stage.healed {
            return stage.rng.between(30, 300) * MS;
        }
        stage.rng.between(2_000, 40_000)
    }
}

/// How much later than due a shard may do what is due, ns: it may stall again before it gets to it.
pub fn late_max(weather: &Weather) -> u64 {
    let stall = if weather.stall == 0 {
        0
    } else if weather.freeze == 0 {
        400
    } else {
        4_000
    };
    let heavy = if weather.overload == 0 { 0 } else { 300 };
    (3 * stall + 2 * heavy + 100) * MS + weather.mesh_delay_max
}

/// How long a shard takes no turn, ns.
pub fn stall(stage: &mut Stage) -> u64 {
    if stage.rng.chance(stage.weather.freeze) {
        stage.faults.count(Fault::Freeze);
        return stage.rng.between(1_000, 4_000) * MS;
    }
    stage.rng.between(10, 400) * MS
}
