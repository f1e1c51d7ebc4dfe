//! Error codes of JSON-RPC 2.0 (section 5.1) and MCP (basic/index, Error Codes). -32020 to -32099 are the
//! specification's alone; a server's own codes lie outside of -32768 to -32000.

use super::Era;

/// Not JSON.
pub const PARSE_ERROR: i32 = -32700;
/// JSON, but no message.
pub const INVALID_REQUEST: i32 = -32600;
/// No such method, or none of this revision.
pub const METHOD_NOT_FOUND: i32 = -32601;
/// Parameters that do not fit the method.
pub const INVALID_PARAMS: i32 = -32602;
/// The server's fault, or that of a server behind it.
pub const INTERNAL_ERROR: i32 = -32603;
/// Headers that are missing, malformed or say something else than the body (since 2026-07-28).
pub const HEADER_MISMATCH: i32 = -32020;
/// The request needs a capability that its client did not declare (since 2026-07-28).
pub const MISSING_CAPABILITY: i32 = -32021;
/// No such revision is spoken (since 2026-07-28).
pub const UNSUPPORTED_PROTOCOL_VERSION: i32 = -32022;

/// No resource has this URI: -32002 until 2025-11-25, -32602 since, where -32002 is forbidden.
pub const fn resource_not_found(era: Era) -> i32 {
    match era {
        Era::Legacy(_) => -32002,
        Era::Modern => INVALID_PARAMS,
    }
}
