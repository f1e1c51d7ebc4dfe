//! Which messages spans are recorded of.

/// Sampling.
#[derive(Clone, Debug, PartialEq)]
pub struct Tracing {
    /// Somebody takes the spans. Default false: nothing is recorded.
    pub on: bool,
    /// The part of the messages that begin a trace which are recorded, 0 to 1. Default 0.01. A message of a trace that its
    /// sender records always is, as far as `most` allows.
    pub rate: f64,
    /// Messages that a shard records in a second, at most. Default 1,000; 0: no bound.
    pub most: u32,
}

impl Default for Tracing {
    fn default() -> Self {
        Tracing { on: false, rate: 0.01, most: 1_000 }
    }
}
