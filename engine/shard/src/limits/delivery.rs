//! Bounds of acknowledged delivery: retries, dead letters, backpressure.

use std::time::Duration;

/// When a message that nobody acknowledged is sent again, and when it is given up. For clients that
/// acknowledge.
#[derive(Clone, Debug, PartialEq)]
pub struct Delivery {
    /// How long a client may take to acknowledge; doubles with each attempt. Default 1 s.
    pub ack_timeout: Duration,
    /// Longest wait between two attempts. Default 30 s.
    pub retry_max: Duration,
    /// Attempts until a message is a dead letter, at least 1. Default 5.
    pub attempts_max: u8,
    /// Dead letters of one shard. Default 10,000 over all shards.
    pub dead_messages_max: usize,
    /// Bytes of one shard's dead letters. Default 64 MiB over all shards.
    pub dead_bytes_max: usize,
}

impl Delivery {
    /// How long attempt `attempts`, counted from 1, waits for its acknowledgement. `random` spreads it by
    /// a fifth to both sides, so that clients that failed together do not come back together.
    pub fn wait(&self, attempts: u8, random: u64) -> Duration {
        let doublings = u32::from(attempts.saturating_sub(1)).min(31);
        let wait = self.ack_timeout.saturating_mul(1 << doublings).min(self.retry_max);
        wait / 1_000 * (800 + (random % 401) as u32)
    }
}

/// When a client that acknowledges is sent less. What is pending was written and not acknowledged.
#[derive(Clone, Debug, PartialEq)]
pub struct Backpressure {
    /// More pending than this: half the rate. Default 50.
    pub slow_down: usize,
    /// More pending than this: only the lanes high and urgent. At least `slow_down`. Default 100.
    pub critical_only: usize,
    /// Pending for longer than this: messages come in bundles. Default 5 s.
    pub lag: Duration,
    /// A bundle this often. Default 1 s.
    pub bundle_interval: Duration,
}

impl Default for Delivery {
    fn default() -> Self {
        Delivery {
            ack_timeout: Duration::from_secs(1),
            retry_max: Duration::from_secs(30),
            attempts_max: 5,
            dead_messages_max: 10_000,
            dead_bytes_max: 64 << 20,
        }
    }
}

impl Default for Backpressure {
    fn default() -> Self {
        Backpressure {
            slow_down: 50,
            critical_only: 100,
            lag: Duration::from_secs(5),
            bundle_interval: Duration::from_secs(1),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_double_up_to_a_bound_and_spread_by_a_fifth() {
        let delivery = Delivery::default();
        let millis = |attempts, random| delivery.wait(attempts, random).as_millis();
        assert_eq!(
            [1, 2, 3, 4, 5, 6, 255].map(|n| millis(n, 200)),
            [1, 2, 4, 8, 16, 30, 30].map(|s| s * 1_000)
        );
        assert_eq!((millis(1, 0), millis(1, 400), millis(1, 401)), (800, 1_200, 800));
    }
}
