//! Which driver the data threads have, and how many sockets that leaves to each of them.

use weir_ring::driver::{Kind, try_io_uring};
use weir_ring::settings::SetupError;
use weir_ring::socket;

use crate::config::Server;
use crate::start_error::StartError;

/// Descriptors beside the sockets of clients and servers: listeners, drivers, wakers, logs, admin requests.
const DESCRIPTORS_RESERVED: u64 = 64;

/// A shard with fewer connections is of no use.
const CONNECTIONS_MIN: u32 = 128;

/// The driver of all shards.
#[derive(Debug)]
pub(crate) struct Choice {
    pub(crate) kind: Kind,
    /// Connections one shard may hold.
    pub(crate) connections_per_shard: u32,
    /// Why it is not io_uring, if that was tried.
    pub(crate) refused: Option<SetupError>,
}

/// The driver that is configured for so many shards; io_uring, if the system allows it, where none is. Raises the
/// limit of descriptors as far as it goes.
///
/// # Errors
/// The limit of descriptors leaves no room for connections.
pub(crate) fn choose(server: &Server, shards: u16) -> Result<Choice, StartError> {
    let limit = socket::raise_nofile().map_err(StartError::System)?;
    let most = server.connections_per_shard;
    let choice = |kind, refused| {
        let connections_per_shard = room(kind, limit, shards).min(most.into()) as u32;
        Choice { kind, connections_per_shard, refused }
    };
    let choice = match server.driver {
        Some(kind) => choice(kind, None),
        None => match try_io_uring(room(Kind::IoUring, limit, shards).min(most.into()) as u32) {
            Ok(()) => choice(Kind::IoUring, None),
            Err(refused) => choice(Kind::Epoll, Some(refused)),
        },
    };
    let enough = choice.connections_per_shard >= CONNECTIONS_MIN;
    if enough { Ok(choice) } else { Err(StartError::TooFewDescriptors { limit }) }
}

/// What a limit of descriptors leaves for the sockets of one shard. A ring's table may have as many as the process
/// (io_uring_register(2)), and sockets in it are no descriptors of the process; on epoll they are.
fn room(driver: Kind, limit: u64, shards: u16) -> u64 {
    let left = limit.saturating_sub(DESCRIPTORS_RESERVED);
    match driver {
        Kind::IoUring => left,
        // A listener each for both ports, the set, the waker, the log and its directory.
        Kind::Epoll => (left / u64::from(shards)).saturating_sub(6),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn on_epoll_shards_share_the_descriptors() {
        assert_eq!(room(Kind::IoUring, 65_600, 4), 65_536);
        assert_eq!(room(Kind::Epoll, 65_600, 4), 16_378);
        assert_eq!(room(Kind::Epoll, 10, 4), 0);
    }

    #[test]
    fn what_is_configured_is_not_tried() {
        let server = Server { driver: Some(Kind::Epoll), ..crate::config::Settings::default().server };
        let choice = choose(&server, 1).expect("enough descriptors");
        assert_eq!(choice.kind, Kind::Epoll);
        assert!(choice.refused.is_none());
    }
}
