//! What TLS connections are begun with: made by the server, given to every shard, and replaced at run time.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use rustls::pki_types::UnixTime;
use rustls::time_provider::TimeProvider;
use rustls::{ClientConfig, ServerConfig};
use weir_ring::time::Wall;

/// Certificates, keys and whom to trust. Connections that are open go on with what they were begun with.
#[derive(Clone, Debug, Default)]
pub struct Credentials {
    /// How clients are met, on every listener. None: in plaintext.
    pub server: Option<Arc<ServerConfig>>,
    /// How upstreams are met, by their place in `Config::upstreams`. Those without are spoken to in plaintext only.
    pub upstreams: Box<[Option<Arc<ClientConfig>>]>,
    /// The time provider of all of these.
    pub clock: Arc<Clock>,
}

/// The time for handshakes, as the last turn with one had it: whether certificates and tickets are still good is a
/// matter of seconds. Zero until a shard has told it.
#[derive(Debug, Default)]
pub struct Clock(AtomicU64);

impl Clock {
    /// Sets the time. All shards do, so it is written only when it has changed.
    pub(super) fn set(&self, now: Wall) {
        let seconds = now.0 / 1_000;
        if self.0.load(Ordering::Relaxed) != seconds {
            self.0.store(seconds, Ordering::Relaxed);
        }
    }
}

impl TimeProvider for Clock {
    fn current_time(&self) -> Option<UnixTime> {
        Some(UnixTime::since_unix_epoch(Duration::from_secs(self.0.load(Ordering::Relaxed))))
    }
}
