//! What a shard does before it has more to do than it can.

use std::time::Duration;

use super::{BREAKER, Breaker};

/// Where a load is too much. Loads are shares: 1 is as much as there may be.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Thresholds {
    /// From here on what matters least is refused. Default 0.9.
    pub soft: f64,
    /// From here on everything that may be is refused. At least `soft`. Default 0.98.
    pub hard: f64,
    /// Below this nothing is refused any more. Below `soft`. Default 0.8.
    pub resume: f64,
}

/// Admission, shedding and the breakers of a shard.
#[derive(Clone, Debug, PartialEq)]
pub struct Control {
    /// Where newcomers and publishes begin to be refused, and where no longer.
    pub thresholds: Thresholds,
    /// Newcomers are refused before the table is full. Default true.
    pub admission: bool,
    /// Publishes are refused by their priority. Default true.
    pub shedding: bool,
    /// How long turns may take on average: that is a load of 1. Default 100 ms.
    pub turn_max: Duration,
    /// Breakers of the transports and the router.
    pub breaker: Breaker,
    /// Pooled connections to all upstreams that one shard may have open together. 0: no bound. Default 0.
    pub pool_total: u32,
}

impl Thresholds {
    /// Where level `level` of 1 to 3 begins.
    pub fn up(&self, level: u8) -> f64 {
        match level {
            ..=1 => self.soft,
            2 => f64::midpoint(self.soft, self.hard),
            3.. => self.hard,
        }
    }

    /// Below which it ends.
    pub fn down(&self, level: u8) -> f64 {
        self.up(level) - (self.soft - self.resume)
    }
}

impl Default for Control {
    fn default() -> Self {
        Control {
            thresholds: Thresholds { soft: 0.9, hard: 0.98, resume: 0.8 },
            admission: true,
            shedding: true,
            turn_max: Duration::from_millis(100),
            // Some clients with bad lines, or a crash of some, are no reason to keep everybody out.
            breaker: Breaker { minimum: 100_000, ..BREAKER },
            pool_total: 0,
        }
    }
}
