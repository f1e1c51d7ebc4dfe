//! The outside world of a shard, and the only crate with `unsafe`. It knows no protocol.
//!
//! `op`, `counters`, `token`, `mesh` and `time` are plain values that the shard and the simulator share; the rest is the
//! kernel's side: `driver` is one of `uring` and `epoll`, which do the same.

pub mod affinity;
pub mod clock;
pub mod counters;
mod drains;
pub mod driver;
pub mod epoll;
pub mod landing;
pub mod log;
pub mod mapped;
pub mod memory;
pub mod mesh;
pub mod op;
pub mod pass;
pub mod peer;
pub mod settings;
mod sockaddr;
pub mod socket;
pub mod time;
pub mod token;
pub mod uring;
pub mod waker;
