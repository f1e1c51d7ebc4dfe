//! What can be wrong with a message from the network.

use std::fmt;

use crate::json::Fault;

/// Why a text is not a message. Always the sender's fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DecodeError {
    /// Not JSON.
    Json(Fault),
    /// An array: JSON-RPC's batch, which MCP has dropped.
    Batch,
    /// JSON, but no object.
    NotObject,
    /// An object that has this key twice.
    Duplicate(&'static str),
    /// `jsonrpc` is not there or not `"2.0"`.
    Version,
    /// `id` is neither a string nor an integer, or null where that says nothing.
    Id,
    /// `method` is not a string.
    Method,
    /// `params` is neither an object nor an array.
    Params,
    /// `error` is not an object.
    Error,
    /// Not exactly one of `method`, `result` and `error`.
    Shape,
}

impl DecodeError {
    /// The code that answers it (JSON-RPC 2.0 section 5.1).
    pub const fn code(self) -> i32 {
        match self {
            DecodeError::Json(_) => -32700,
            DecodeError::Batch
            | DecodeError::NotObject
            | DecodeError::Duplicate(_)
            | DecodeError::Version
            | DecodeError::Id
            | DecodeError::Method
            | DecodeError::Params
            | DecodeError::Error
            | DecodeError::Shape => -32600,
        }
    }
}

impl fmt::Display for DecodeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            DecodeError::Json(fault) => return fault.fmt(f),
            DecodeError::Duplicate(key) => return write!(f, "{key} is there twice: send it once"),
            DecodeError::Batch => "no batches: send each message by itself",
            DecodeError::NotObject => "a JSON-RPC message is an object",
            DecodeError::Version => "jsonrpc must be \"2.0\"",
            DecodeError::Id => "id must be a string or an integer, and not null",
            DecodeError::Method => "method must be a string",
            DecodeError::Params => "params must be an object or an array",
            DecodeError::Error => "error must be an object",
            DecodeError::Shape => "a message has exactly one of method, result and error",
        })
    }
}

impl std::error::Error for DecodeError {}

impl From<Fault> for DecodeError {
    fn from(fault: Fault) -> DecodeError {
        DecodeError::Json(fault)
    }
}
