//! The outside world of a shard, and the only crate with `unsafe`. It knows no protocol.
//!
//! `op`, `token`, `mesh` and `time` are plain values that the shard and the simulator share;
//! `uring`, `log`, `mapped`, `waker`, `socket`, `sockaddr`, `pass`, `clock`, `memory` and `affinity` are the kernel's side.

pub mod affinity;
pub mod clock;
pub mod log;
pub mod mapped;
pub mod memory;
pub mod mesh;
pub mod op;
pub mod pass;
mod sockaddr;
pub mod socket;
pub mod time;
pub mod token;
pub mod uring;
pub mod waker;
