//! The log for those who look for a fault: connections, what messages go through and where they go, as long as that is
//! switched on. It hears the bus, so shards write no log.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tracing::{info, warn};
use weir_shard::limits::Debugging;
use weir_shard::vsm::{Event, Step};

use super::bus::{Matter, Observer, Published};
use super::features::Features;

/// Lines a second.
const LINES_MAX: u32 = 1_000;

const SECOND: Duration = Duration::from_secs(1);

/// Writes them.
pub(super) struct DebugLog {
    features: Features,
    /// When the second began in which these were written, and left out.
    since: Instant,
    written: u32,
    left_out: u64,
}

impl DebugLog {
    pub(super) fn new(features: Features) -> DebugLog {
        DebugLog { features, since: Instant::now(), written: 0, left_out: 0 }
    }

    /// Whether another line may be written now.
    fn may_write(&mut self, now: Instant) -> bool {
        if now.duration_since(self.since) >= SECOND {
            if self.left_out > 0 {
                warn!(target: "weir::debug", "{} lines are left out: there are more than {LINES_MAX} a second", self.left_out);
            }
            (self.since, self.written, self.left_out) = (now, 0, 0);
        }
        match self.written < LINES_MAX {
            true => self.written += 1,
            false => self.left_out += 1,
        }
        self.left_out == 0
    }
}

impl Observer for DebugLog {
    fn observe(&mut self, published: &Arc<Published>) {
        let Matter::Event(event) = &published.matter else { return };
        if is_wanted(event, self.features.switches().debug) && self.may_write(Instant::now()) {
            // What it is about, as the bus has it: ids and names, never what messages hold.
            info!(target: "weir::debug", topic = %published.topic(), "{}", published.text());
        }
    }
}

fn is_wanted(event: &Event, wanted: Debugging) -> bool {
    match event {
        Event::ConnectionOpened { .. } | Event::ConnectionClosed { .. } => wanted.connections,
        Event::TransportSwitched { .. } => wanted.routing,
        Event::Step { step: Step::Dispatched, .. } => wanted.routing || wanted.messages,
        Event::Step { .. } => wanted.messages,
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use weir_shard::limits::Config;

    use super::*;
    use crate::config::Alerts;

    #[test]
    fn only_what_is_wanted_is_written() {
        let opened = Event::ConnectionOpened { transport: "websocket", client: None };
        let all = Debugging::ALL;
        assert!(is_wanted(&opened, all) && !is_wanted(&opened, Debugging { connections: false, ..all }));
        assert!(!is_wanted(&Event::SheddingChanged { level: 1 }, all));
    }

    #[test]
    fn there_are_so_many_lines_a_second_at_most() {
        let mut log = DebugLog::new(Features::new(&Config::default(), &Alerts::default()));
        let now = log.since;
        let written = (0..2 * LINES_MAX).filter(|_| log.may_write(now)).count();
        assert_eq!(written, LINES_MAX as usize);
        assert!(log.may_write(now + SECOND));
    }
}
