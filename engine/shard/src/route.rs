//! Who lives where, and which names are legal. The home of a name is the same on every shard.

use weir_ring::token::Member;

use crate::error::Error;
use crate::hash_ring::HashRing;

/// The client's own stream, as Phoenix Channels name it.
pub(crate) const GATEWAY: &str = "mcp:gateway";

/// The stream of all clients' pushes, read by backends. A client name that clients cannot take.
pub(crate) const EVENTS: &str = "mcp:events";

/// What the names begin with that the gateway gives to connections without one. Clients cannot take such a
/// name.
pub(crate) const MINTED: &str = "mcp:conn-";

/// Longest client name, bytes.
pub(crate) const CLIENT_ID_BYTES_MAX: usize = 128;

/// Longest topic, bytes: what a Phoenix binary frame can carry.
pub(crate) const TOPIC_BYTES_MAX: usize = 255;

/// The shard that `name` (a client, a topic) belongs to.
pub(crate) fn home(ring: &HashRing, name: &str) -> Member {
    Member(ring.home(name.as_bytes()))
}

/// A client name: 1 to 128 bytes without control characters, outside the reserved `mcp:` names.
///
/// # Errors
/// `ClientIdRequired` when empty, `Malformed` otherwise.
pub(crate) fn check_client_id(name: &str) -> Result<&str, Error> {
    if name.is_empty() {
        Err(Error::ClientIdRequired)
    } else if name.len() > CLIENT_ID_BYTES_MAX
        || name.chars().any(char::is_control)
        || name.starts_with("mcp:")
    {
        Err(Error::malformed(
            "a client_id has 1 to 128 bytes, no control characters and does not begin with mcp:",
        ))
    } else {
        Ok(name)
    }
}

/// Whether a topic is a channel that carries MCP: `mcp:NAME`, except for the client's own stream.
pub(crate) fn is_mcp_channel(topic: &str) -> bool {
    let name = topic.strip_prefix("mcp:").is_some_and(|name| !name.is_empty());
    name && topic != GATEWAY && topic.len() <= TOPIC_BYTES_MAX && !topic.chars().any(char::is_control)
}

/// Whether a name is a topic that clients may join and backends publish to: `topic:NAME`, `room:NAME`.
pub(crate) fn is_topic(name: &str) -> bool {
    let rest = name.strip_prefix("topic:").or_else(|| name.strip_prefix("room:"));
    rest.is_some_and(|rest| !rest.is_empty())
        && name.len() <= TOPIC_BYTES_MAX
        && !name.chars().any(char::is_control)
}
