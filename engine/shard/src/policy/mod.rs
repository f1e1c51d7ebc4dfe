//! What is allowed. A policy is a pure function of its own state, its limits and the time; who asks acts on
//! the verdict.

use std::time::Duration;

mod addresses;
pub mod admission;
pub(crate) mod allocation;
pub mod auth;
mod backends;
pub mod blacklist;
mod breaker;
mod buckets;
mod census;
mod held;
mod ladder;
pub(crate) mod lateness;
mod methods;
mod origin;
mod pace;
pub(crate) mod routing;
pub mod rules;
pub(crate) mod shedding;
mod source;
pub mod suspicion;
mod token_bucket;

pub use addresses::{Addresses, Peer, Refusal, Whence};
pub use backends::Backends;
pub use breaker::{CircuitBreaker, Hold, Phase};
pub use buckets::{Buckets, Caller};
pub use census::Census;
pub(crate) use held::Held;
pub use methods::Methods;
pub use origin::Provenance;
pub use pace::{Pace, Status};
pub use source::{Source, client_behind};
pub use token_bucket::TokenBucket;

/// What a limit says to one request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Go on; `remaining` more would pass right now. `u32::MAX` where there is no limit.
    Allow { remaining: u32 },
    /// Not now; at the earliest after `retry_after`.
    Deny { retry_after: Duration },
}

/// Where a requester stands with its limit: the `X-RateLimit-*` headers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Standing {
    /// `X-RateLimit-Limit`: requests that a rested requester may send at once.
    pub limit: u32,
    /// `X-RateLimit-Remaining`: requests that would pass right now.
    pub remaining: u32,
    /// `X-RateLimit-Reset`: seconds until `remaining` is `limit` again, rounded up.
    pub reset_seconds: u64,
}

impl Standing {
    /// The part of the limit that is used, from 0 to 1.
    pub(crate) fn used(self) -> f64 {
        1.0 - f64::from(self.remaining) / f64::from(self.limit.max(1))
    }
}
