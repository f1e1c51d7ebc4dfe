//! What makes shards late, or short of memory: pauses, heavy turns, a budget that is exceeded now and then.

use weir_ring::token::Member;
use weir_shard::mail::Mail;

use crate::fault::Fault;
use crate::options::MS;
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

/// What the control thread tells the shards of memory: now and then to give some back, else that there is enough.
pub fn squeeze(stage: &mut Stage, shards: usize) -> Vec<(Member, Mail)> {
    let bytes = if stage.rng.chance(stage.weather.squeeze) {
        stage.faults.count(Fault::Squeeze);
        stage.rng.between(1, 32_768) as usize
    } else {
        0
    };
    (0..shards).map(|shard| (Member(shard as u16), Mail::Squeeze(bytes))).collect()
}

/// How long a shard takes no turn, ns.
pub fn stall(stage: &mut Stage) -> u64 {
    if stage.rng.chance(stage.weather.freeze) {
        stage.faults.count(Fault::Freeze);
        return stage.rng.between(1_000, 4_000) * MS;
    }
    stage.rng.between(10, 400) * MS
}
