//! Settings of the gateways that Weir follows that mean nothing here: an operator who brings them along is told why.

const BEAM: &str =
    "Weir does not run on the BEAM: server.shards and server.cores say how many threads work, and where";
const DATABASE: &str =
    "there is no database: what must outlive the process is kept in the folder durability.dir";
const PHOENIX: &str =
    "there is no Phoenix endpoint: [server] says where Weir listens, security.hosts what it is called";

/// Variables; a `*` at the end is any text.
const VARIABLES: [(&str, &str); 12] = [
    ("BEAM_*", BEAM),
    ("ELIXIR_*", BEAM),
    ("ERL_*", BEAM),
    ("MIX_ENV", BEAM),
    ("RELEASE_COOKIE", BEAM),
    ("RELEASE_NODE", BEAM),
    ("RELEASE_DISTRIBUTION", BEAM),
    ("DATABASE_URL", DATABASE),
    ("ECTO_*", DATABASE),
    ("PHX_*", PHOENIX),
    ("SECRET_KEY_BASE", "nothing is signed with it: tokens are made and checked with JWT_SECRET"),
    ("POOL_SIZE", "there is no database: connections to upstreams are bounded by MCP_POOL_SIZE"),
];

/// Keys and sections of a file.
const KEYS: [(&str, &str); 16] = [
    ("beam", BEAM),
    ("erlang", BEAM),
    ("vm_args", BEAM),
    ("database", DATABASE),
    ("database_url", DATABASE),
    ("repo", DATABASE),
    ("phoenix", PHOENIX),
    ("endpoint", PHOENIX),
    ("chunk_size", CHUNKS),
    ("http_sse.chunk_size", CHUNKS),
    (
        "http_sse.compression_level",
        "event streams are not compressed; messages on WebSockets are (websocket.compression)",
    ),
    ("websocket.batch_size", "a turn sends what there is, and turn.deliveries bounds it"),
    ("websocket.tcp_nodelay", "TCP_NODELAY is always on: a turn writes once what it has for a connection"),
    (
        "websocket.idle_timeout",
        "who is silent is pinged (websocket.ping_interval), and lost without an answer (pong_timeout)",
    ),
    ("pool.strategy", "requests wait in order, and the connection that was used last is used first"),
    ("routing.consistent_hash", "clients are assigned to cores by consistent hash in any case"),
];

const CHUNKS: &str = "an event leaves whole, as soon as it is there";

/// Why a variable has no effect, if it is one of another gateway.
pub(super) fn variable(name: &str) -> Option<&'static str> {
    find(&VARIABLES, name)
}

/// Why a key, or a section, has no effect, if it is one of another gateway.
pub(super) fn key(name: &str) -> Option<&'static str> {
    find(&KEYS, name)
}

fn find(table: &[(&str, &'static str)], name: &str) -> Option<&'static str> {
    let fits = |pattern: &str| match pattern.strip_suffix('*') {
        Some(prefix) => name.starts_with(prefix),
        None => pattern == name,
    };
    table.iter().find(|(pattern, _)| fits(pattern)).map(|(_, why)| *why)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::keys;

    #[test]
    fn what_is_foreign_is_known_by_its_name_or_how_it_begins() {
        assert_eq!(variable("PHX_HOST"), Some(PHOENIX));
        assert_eq!((variable("ERL_FLAGS"), variable("DATABASE_URL")), (Some(BEAM), Some(DATABASE)));
        assert_eq!(
            (variable("DATABASE_URLS"), variable("HOME"), variable("MCP_WS_PORT")),
            (None, None, None)
        );
        assert_eq!((key("http_sse.chunk_size"), key("http_sse.retry")), (Some(CHUNKS), None));
    }

    #[test]
    fn no_key_of_ours_is_foreign() {
        for own in keys::KEYS {
            assert_eq!(key(own.name), None, "{}", own.name);
            assert_eq!(variable(&own.variable()), None, "{}", own.name);
            assert_eq!(own.alias.and_then(variable), None, "{}", own.name);
        }
    }
}
