//! What a shard counts, with what is looked up only when somebody asks.

use weir_ring::counters::Counters;

use crate::metrics::Stats;
use crate::turn::Shard;

impl Shard {
    /// What the driver has done so far, as told after each turn.
    pub fn drove(&mut self, counters: Counters) {
        self.stats.driver = counters;
    }

    /// All counters as they are now.
    pub(crate) fn figures(&mut self) -> Stats {
        let Shard { stats, sessions, topics, keys, rosters, addresses, census, tracer, trail, dead, .. } =
            self;
        stats.sessions = sessions.len().into();
        stats.topics = topics.len() as u64;
        stats.idempotency_keys = keys.len() as u64;
        stats.present = rosters.len() as u64;
        stats.addressed = addresses.connections();
        stats.census = census.connections();
        stats.operations = tracer.count();
        stats.traces_left_out = tracer.left_out();
        stats.audit = trail.stats();
        stats.delivery.letters = dead.len() as u64;
        stats.delivery.letter_bytes = dead.bytes() as u64;
        (stats.bytes_in, stats.bytes_out) = stats.bytes.totals();
        stats.gaps = stats.missed.total();
        stats.queued_bytes = self.queued as u64;
        stats.methods = self.mcp.asked.by_name().collect();
        self.stats.mcp = self.mcp_stats();
        self.stats.clone()
    }
}
