//! Keys of `_meta` that MCP reserves (basic/index, `_meta`), those with its prefix.

/// String: the revision a request is written in. Required of each since 2026-07-28.
pub const PROTOCOL_VERSION: &str = "io.modelcontextprotocol/protocolVersion";
/// Object: what the client can be asked for. Required of each request since 2026-07-28.
pub const CLIENT_CAPABILITIES: &str = "io.modelcontextprotocol/clientCapabilities";
/// Object: name and version of the client.
pub const CLIENT_INFO: &str = "io.modelcontextprotocol/clientInfo";
/// Object: name and version of the server, in results.
pub const SERVER_INFO: &str = "io.modelcontextprotocol/serverInfo";
/// String: the least severe log message that the request asks for.
pub const LOG_LEVEL: &str = "io.modelcontextprotocol/logLevel";
/// String or integer: the id of the `subscriptions/listen` that a notification belongs to.
pub const SUBSCRIPTION_ID: &str = "io.modelcontextprotocol/subscriptionId";
