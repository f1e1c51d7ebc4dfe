//! The mesh between shards and the control thread: one bounded queue per ordered pair, first in first
//! out, with letters that may wait under way.

use std::collections::VecDeque;

use weir_ring::token::Member;
use weir_shard::mail::Mail;

use crate::fault::{Fault, Faults};
use crate::options::Weather;
use crate::rng::Rng;

/// All queues.
#[derive(Debug)]
pub struct Mesh {
    members: usize,
    capacity: u32,
    /// `lanes[from * members + to]`.
    lanes: Vec<VecDeque<(u64, Mail)>>,
}

impl Mesh {
    /// Queues between `members`, each for `capacity` letters.
    pub fn new(members: usize, capacity: u32) -> Mesh {
        let lanes = (0..members * members).map(|_| VecDeque::new()).collect();
        Mesh { members, capacity, lanes }
    }

    /// How many letters each member can still take from `from`. A member has no queue to itself.
    pub fn room(&self, from: usize, room: &mut Vec<u32>, faults: &mut Faults) {
        room.clear();
        for to in 0..self.members {
            let free = self.capacity - self.lanes[from * self.members + to].len() as u32;
            if free == 0 {
                faults.count(Fault::MeshFull);
            }
            room.push(if to == from { 0 } else { free });
        }
    }

    /// Posts a letter and says when it arrives; `Err` with the reason when the sender may not.
    pub fn post(
        &mut self,
        from: usize,
        to: Member,
        mail: Mail,
        now: u64,
        weather: &Weather,
        chance: (&mut Rng, &mut Faults),
    ) -> Result<u64, String> {
        let to = usize::from(to.0);
        if to >= self.members || to == from {
            return Err(format!("shard {from} writes to member {to}, which it cannot: {mail:?}"));
        }
        let lane = &mut self.lanes[from * self.members + to];
        if lane.len() as u32 >= self.capacity {
            return Err(format!("shard {from} sends member {to} more letters than there is room for: {mail:?}"));
        }
        let (rng, faults) = chance;
        let mut due = now + rng.between(1, 20_000);
        if rng.chance(weather.mesh_delay) {
            faults.count(Fault::MeshDelay);
            due += rng.below(weather.mesh_delay_max);
        }
        let due = lane.back().map_or(due, |(last, _)| due.max(*last));
        lane.push_back((due, mail));
        Ok(due)
    }

    /// Moves what has arrived for `to` into `inbox`: senders mixed at random, each in its order.
    pub fn collect(&mut self, to: usize, now: u64, inbox: &mut Vec<Mail>, rng: &mut Rng) {
        let mut open: Vec<usize> = (0..self.members).map(|from| from * self.members + to).collect();
        while !open.is_empty() {
            let at = rng.index(open.len());
            let lane = &mut self.lanes[open[at]];
            match lane.front() {
                Some((due, _)) if *due <= now => inbox.extend(lane.pop_front().map(|(_, mail)| mail)),
                _ => drop(open.swap_remove(at)),
            }
        }
    }
}
