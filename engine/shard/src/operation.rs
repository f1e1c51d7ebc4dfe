//! Operations: what the gateway does for one message.

use std::fmt;

use crate::span::Journey;

/// Bits of the number that is the shard's own.
const COUNT_BITS: u32 = 48;

/// Names what is done for one accepted message: the shard that took it, and how many it had taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Operation(u64);

impl Operation {
    /// The `count`th of a shard.
    pub const fn new(shard: u16, count: u64) -> Operation {
        Operation((shard as u64) << COUNT_BITS | count & ((1 << COUNT_BITS) - 1))
    }
}

impl fmt::Display for Operation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

impl serde::Serialize for Operation {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// An operation whose steps are told, or recorded as spans.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Traced {
    /// Whose message it is, or is for; empty if that has no name.
    pub client: Box<str>,
    /// Which operation, if its steps are told.
    pub told: Option<Operation>,
    /// The message's type, or its method, cut short.
    pub kind: Box<str>,
    /// If spans of it are recorded.
    pub journey: Option<Box<Journey>>,
}
