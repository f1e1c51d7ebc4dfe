//! The gateway core: one sans-IO state machine per core. Completions and mail in, operations and
//! mail out; time, bytes and randomness are arguments. The kernel and the simulator are two callers
//! of the same function, [`Shard::turn`].
#![forbid(unsafe_code)]

mod acks;
pub mod audit;
mod channels;
mod chunks;
pub mod dead;
mod downstream;
pub mod durable;
mod encryption;
pub mod error;
#[cfg(fuzzing)]
pub mod fuzzing;
pub mod hash_ring;
mod idempotency;
pub mod lane;
pub mod limits;
pub mod mail;
mod mailbox;
mod marks;
mod mcp;
pub mod message;
pub mod metrics;
pub mod operation;
pub mod outbox;
pub mod policy;
mod random;
mod recovery;
mod reply_to;
mod route;
mod seal;
mod session;
pub mod slots;
pub mod span;
pub mod stream;
pub mod timers;
pub mod tls;
mod turn;
mod upstream;
pub mod vsm;

pub use turn::{Post, Shard};
