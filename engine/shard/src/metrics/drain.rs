//! How far an orderly stop is.

use crate::vsm::DrainPhase;

/// What an orderly stop still waits for, as it was counted at the last batch.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize)]
pub struct Drain {
    /// None: no stop is on.
    pub phase: Option<DrainPhase>,
    /// Connections that are still open.
    pub connections: u64,
    /// Connections among them on which something is under way.
    pub calls: u64,
}

impl Drain {
    /// Adds another shard's. Together they are as far as the last of them.
    pub(super) fn add(&mut self, other: &Drain) {
        self.phase = match (self.phase, other.phase) {
            (Some(one), Some(other)) => Some(one.min(other)),
            (one, other) => one.or(other),
        };
        self.connections += other.connections;
        self.calls += other.calls;
    }
}
