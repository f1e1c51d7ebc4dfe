//! The outside world of a shard, and the only crate with `unsafe`. It knows no protocol.
//!
//! `op`, `token`, `mesh` and `time` are plain values that the shard and the simulator share;
//! `uring`, `socket`, `clock` and `affinity` are the kernel's side.

pub mod op;
pub mod time;
pub mod token;
