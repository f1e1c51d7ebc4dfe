//! The turn: everything a shard does, in a fixed order, as one function of its arguments.

use std::sync::Arc;

use weir_ring::op::{Completions, Output};
use weir_ring::time::{Instant, Now};
use weir_ring::token::Member;

use crate::limits::Config;
use crate::mail::Mail;

/// Letters of one turn. The pump fills `inbox` and `room` before the turn and carries `outbox` away
/// after it.
#[derive(Debug, Default)]
pub struct Post {
    /// Received since the last turn, in order per sender. The turn takes all of it.
    pub inbox: Vec<Mail>,
    /// To be sent, in order.
    pub outbox: Vec<(Member, Mail)>,
    /// How many letters each member's queue can still take from this shard.
    pub room: Vec<u32>,
}

/// One core's state.
#[derive(Debug)]
pub struct Shard {
    config: Arc<Config>,
    me: Member,
}

impl Shard {
    /// A shard that is member `me` of the mesh. All randomness comes from `seed`. Its first turn asks
    /// to accept on every listener.
    pub fn new(config: Arc<Config>, me: Member, seed: u64) -> Shard {
        let _ = seed;
        Shard { config, me }
    }

    /// Takes everything from `completions` and `post.inbox`, writes operations and letters, and says
    /// when the next turn is due even if nothing happens.
    pub fn turn(
        &mut self,
        now: Now,
        completions: &mut impl Completions,
        post: &mut Post,
        out: &mut Output,
    ) -> Instant {
        let _ = (&self.config, self.me, out);
        while completions.next().is_some() {}
        post.inbox.clear();
        now.mono.plus(std::time::Duration::from_secs(1))
    }
}
