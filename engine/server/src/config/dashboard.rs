//! The dashboard of the admin port.

use std::time::Duration;

/// Whether there is one, and what it shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Dashboard {
    pub(crate) enabled: bool,
    /// How often the shards are asked.
    pub(crate) interval: Duration,
    /// How far back its graphs go.
    pub(crate) history: Duration,
}

impl Default for Dashboard {
    fn default() -> Dashboard {
        Dashboard { enabled: true, interval: Duration::from_secs(1), history: Duration::from_secs(60) }
    }
}
