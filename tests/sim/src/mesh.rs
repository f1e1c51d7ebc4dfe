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

    /// How many letters each member can still take from `from`, whose `outbox` holds what did not fit
    /// before. A member has no queue to itself.
    pub fn room(&self, from: usize, outbox: &[(Member, Mail)], room: &mut Vec<u32>, faults: &mut Faults) {
        room.clear();
        room.extend((0..self.members).map(|to| if to == from { 0 } else { self.free(from, to) }));
        for (to, _) in outbox {
            if let Some(room) = room.get_mut(usize::from(to.0)) {
                *room = room.saturating_sub(1);
            }
        }
        if (0..self.members).any(|to| to != from && room[to] == 0) {
            faults.count(Fault::MeshFull);
        }
    }

    /// All letters are lost.
    pub fn clear(&mut self) {
        self.lanes.iter_mut().for_each(VecDeque::clear);
    }

    fn free(&self, from: usize, to: usize) -> u32 {
        self.capacity - self.lanes[from * self.members + to].len() as u32
    }

    /// Puts the letters that fit on their way, in order per member; `arrives` gets each one's receiver and
    /// time. `Err` names the letter that has no such receiver.
    pub fn carry(
        &mut self,
        from: usize,
        outbox: &mut Vec<(Member, Mail)>,
        now: u64,
        weather: &Weather,
        chance: (&mut Rng, &mut Faults),
        mut arrives: impl FnMut(usize, u64),
    ) -> Result<(), String> {
        let (rng, faults) = chance;
        let mut full = vec![false; self.members];
        for (to, mail) in std::mem::take(outbox) {
            let at = usize::from(to.0);
            if at >= self.members || at == from {
                return Err(format!("member {from} writes to member {at}, which it cannot: {mail:?}"));
            }
            full[at] |= self.free(from, at) == 0;
            if full[at] {
                outbox.push((to, mail));
                continue;
            }
            let mut due = now + rng.between(1, 20_000);
            if rng.chance(weather.mesh_delay) {
                faults.count(Fault::MeshDelay);
                due += rng.below(weather.mesh_delay_max);
            }
            let lane = &mut self.lanes[from * self.members + at];
            let due = lane.back().map_or(due, |(last, _)| due.max(*last));
            lane.push_back((due, mail));
            arrives(at, due);
        }
        Ok(())
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
