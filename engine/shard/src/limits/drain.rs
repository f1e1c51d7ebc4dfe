//! How an orderly stop goes.

use std::time::Duration;

/// Bounds of an orderly stop.
#[derive(Clone, Debug, PartialEq)]
pub struct Drain {
    /// How long it may take. Default 30 s.
    pub timeout: Duration,
    /// How often clients that are still connected are told. Default 5 s; zero: once.
    pub notification_interval: Duration,
    /// Connections that one shard closes at once; more where the time-out would not do otherwise. At least 1. Default
    /// 100.
    pub batch: u32,
    /// From one batch to the next. Default 100 ms.
    pub batch_interval: Duration,
}

impl Default for Drain {
    fn default() -> Self {
        Drain {
            timeout: Duration::from_secs(30),
            notification_interval: Duration::from_secs(5),
            batch: 100,
            batch_interval: Duration::from_millis(100),
        }
    }
}

impl Drain {
    /// How long before its end calls that are still under way are given up, so that everybody is told.
    pub fn last_call(&self) -> Duration {
        Duration::from_secs(2).min(self.timeout / 4)
    }

    /// What a batch has to be where so many connections are left `elapsed` after the beginning: two thirds of the time
    /// must do for all of them.
    pub fn batch_of(&self, connections: usize, elapsed: Duration) -> usize {
        let left = (self.timeout / 3).saturating_mul(2).saturating_sub(elapsed);
        let batches = left.as_nanos() / self.batch_interval.as_nanos().max(1);
        let needed = connections.div_ceil(usize::try_from(batches).unwrap_or(usize::MAX).max(1));
        needed.max(self.batch as usize)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_batch_grows_where_the_time_would_not_do() {
        let drain = Drain::default();
        let seconds = Duration::from_secs;
        assert_eq!(drain.batch_of(5_000, seconds(0)), 100);
        assert_eq!(drain.batch_of(131_072, seconds(0)), 656);
        assert_eq!(drain.batch_of(30_000, seconds(19)), 3_000);
        assert_eq!(drain.batch_of(30_000, seconds(25)), 30_000);
        assert_eq!(Drain { timeout: Duration::MAX, ..drain }.batch_of(1 << 20, seconds(3_600)), 100);
    }

    #[test]
    fn the_last_call_leaves_time_to_tell_everybody() {
        let last_call = |timeout| Drain { timeout, ..Drain::default() }.last_call();
        assert_eq!(last_call(Duration::from_secs(30)), Duration::from_secs(2));
        assert_eq!(last_call(Duration::from_millis(10)), Duration::from_micros(2_500));
    }
}
