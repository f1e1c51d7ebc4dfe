//! Sans-IO codecs of the protocols Weir speaks. Bytes in, values out; values in, bytes out.
//!
//! No clock, no randomness, no sockets, no `unsafe`. Codecs are siblings and do not know each other,
//! except that `websocket` (its handshake) and `sse` (its response head) may use `http1` heads, and
//! that `phoenix`, `jsonrpc` and `mcp` share the scan in `json`; `mcp` reads what `jsonrpc` has opened.
//!
//! Every decoder keeps one promise: however the peer's bytes are cut, the same messages come out.
#![forbid(unsafe_code)]

pub mod http1;
pub mod json;
pub mod jsonrpc;
pub mod mcp;
pub mod phoenix;
pub mod proxy;
pub mod sse;
pub mod trace_context;
pub mod websocket;
