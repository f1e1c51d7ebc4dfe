//! How much there is to do, as shares of what there may be.

use crate::limits::SLOTS_RESERVED;
use crate::metrics::Load;
use crate::turn::Shard;

/// A full table does by itself what the highest level does: nobody is accepted. The levels below keep its last
/// places for those who come back.
const TABLE_SHARE_MAX: f64 = 0.97;

impl Load {
    /// What newcomers would add to.
    pub(super) fn of_newcomers(&self) -> f64 {
        self.connections.min(TABLE_SHARE_MAX).max(self.turns).max(self.queued).max(self.memory)
    }

    /// What publishes would add to. Requests to MCP servers have a bound of their own, which fewer publishes would not
    /// move.
    pub(super) fn of_publishes(&self) -> f64 {
        self.turns.max(self.outbox).max(self.queued).max(self.memory)
    }
}

impl Shard {
    pub(super) fn load(&self) -> Load {
        let config = &self.config;
        let share = |part: f64, whole: f64| if whole > 0.0 { part / whole } else { 0.0 };
        Load {
            connections: share(
                self.conns.len().into(),
                config.connections_max.saturating_sub(SLOTS_RESERVED).into(),
            ),
            turns: share(self.control.lateness.mean().as_secs_f64(), config.control.turn_max.as_secs_f64()),
            queued: share(self.queued as f64, config.queue_bytes_total_max as f64),
            outbox: share(self.stats.outbox_bytes as f64, config.outbox_bytes_total_max as f64),
            calls: share(self.mcp.calls_under_way().into(), config.mcp.calls_max.into()),
            memory: f64::from(u8::from(self.squeezed.is_some())),
        }
    }
}
