//! What can be wrong with a frame from the network.

use std::fmt;

use crate::json::Fault;

/// A part of a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Field {
    /// `join_ref`.
    JoinRef,
    /// `ref`.
    Ref,
    /// `topic`.
    Topic,
    /// `event`.
    Event,
    /// `payload`.
    Payload,
    /// `status` of a binary reply.
    Status,
}

impl fmt::Display for Field {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Field::JoinRef => "join_ref",
            Field::Ref => "ref",
            Field::Topic => "topic",
            Field::Event => "event",
            Field::Payload => "payload",
            Field::Status => "status",
        })
    }
}

/// Why bytes are not a frame. Always the sender's fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DecodeError {
    /// Not JSON.
    Json(Fault),
    /// A text of serializer 2.0.0 that is no array.
    NotArray,
    /// A text of serializer 1.0.0 that is no object.
    NotObject,
    /// An array that ends before its fifth element, or an object without a key it must have.
    Missing(Field),
    /// A field of the wrong JSON type.
    Type(Field),
    /// An object that has a key twice.
    Duplicate(Field),
    /// A binary frame that does not begin with 0, a client's push.
    Kind(u8),
    /// A binary frame shorter than its own sizes say.
    Truncated {
        /// Bytes that the frame must have at least.
        needed: usize,
        /// Bytes that it has.
        len: usize,
    },
    /// A field of a binary frame that is not UTF-8.
    NotUtf8(Field),
}

impl fmt::Display for DecodeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            DecodeError::Json(fault) => fault.fmt(f),
            DecodeError::NotArray => {
                f.write_str("with vsn=2.0.0 send arrays: [join_ref, ref, topic, event, payload]")
            }
            DecodeError::NotObject => {
                f.write_str("with vsn=1.0.0 send objects with topic, event, payload and ref")
            }
            DecodeError::Missing(field) => write!(f, "{field} is missing: it must be there, if only as null"),
            DecodeError::Type(field @ (Field::JoinRef | Field::Ref)) => {
                write!(f, "{field} must be a string or null")
            }
            DecodeError::Type(field) => write!(f, "{field} must be a string"),
            DecodeError::Duplicate(field) => write!(f, "{field} is there twice: send it once"),
            DecodeError::Kind(kind) => {
                write!(f, "binary frame of kind {kind}: clients send pushes, kind 0")
            }
            DecodeError::Truncated { needed, len } => {
                write!(f, "binary frame of {len} bytes: its sizes ask for at least {needed}")
            }
            DecodeError::NotUtf8(field) => write!(f, "{field} of the binary frame must be UTF-8"),
        }
    }
}

impl std::error::Error for DecodeError {}

impl From<Fault> for DecodeError {
    fn from(fault: Fault) -> DecodeError {
        DecodeError::Json(fault)
    }
}
