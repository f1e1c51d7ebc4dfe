//! What everyone in a run shares: the clock, the agenda, chance, and the records.

use std::cmp::Reverse;
use std::collections::{BTreeSet, BinaryHeap};

use weir_ring::time::Wall;

use crate::canary::Saboteur;
use crate::control::Heard;
use crate::fault::{Fault, Faults};
use crate::history::History;
use crate::mesh::Mesh;
use crate::net::Net;
use crate::options::{MS, Options, Weather};
use crate::rng::Rng;

/// Place of an agent in the world's list.
pub type AgentId = usize;

/// Something that is due.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Event {
    /// A shard's turn.
    Turn { shard: usize },
    /// Bytes or the end arrive at the server.
    ArriveUp { conn: usize },
    /// Bytes or the end arrive at the client.
    ArriveDown { conn: usize },
    /// A shard's connect has come through.
    Opened { conn: usize },
    /// A slow client reads again.
    Read { conn: usize },
    /// The new mode of a socket takes effect.
    Settle { shard: usize, socket: u32, life: u32 },
    /// A completion that took its time is there.
    Finish { shard: usize, job: usize },
    /// A listener looks at its backlog.
    Accept { shard: usize },
    /// A vanished client's connection times out in the kernel.
    TimeOut { conn: usize },
    /// An agent's own appointment.
    Timer { agent: AgentId },
    /// A shard's pump tries again to post what the mesh did not take.
    Carry { shard: usize },
    /// The control thread looks at its mail.
    Control,
    /// The next phase of the run begins.
    Next,
}

/// Shared state of a run.
#[derive(Debug)]
pub struct Stage {
    /// Simulated monotonic time, ns.
    pub now: u64,
    /// Wall clock minus monotonic clock, ms.
    pub wall_offset: i64,
    /// Drawn from the seed.
    pub options: Options,
    /// The present weather: the seed's, or calm.
    pub weather: Weather,
    /// Faults are over.
    pub healed: bool,
    /// The world's chance.
    pub rng: Rng,
    /// Connections, sockets, completions.
    pub net: Net,
    /// Letters under way.
    pub mesh: Mesh,
    /// What happened.
    pub history: History,
    /// What shards told the bus.
    pub heard: Heard,
    /// What went wrong on purpose.
    pub faults: Faults,
    /// Stands between server and clients.
    pub saboteur: Saboteur,
    agenda: BinaryHeap<Reverse<(u64, u64, Event)>>,
    entered: u64,
    half_moved: BTreeSet<u64>,
}

impl Stage {
    /// An empty stage.
    pub fn new(options: Options, rng: Rng, saboteur: Saboteur) -> Stage {
        let shards = options.config.shards as usize;
        Stage {
            now: MONO_START,
            wall_offset: WALL_START_MS,
            weather: options.weather.clone(),
            healed: false,
            rng,
            net: Net::new(shards, options.config.connections_max),
            mesh: Mesh::new(shards + 1, options.weather.mesh_room),
            history: History::default(),
            heard: Heard::default(),
            faults: Faults::default(),
            saboteur,
            agenda: BinaryHeap::new(),
            entered: 0,
            half_moved: BTreeSet::new(),
            options,
        }
    }

    /// Puts `event` on the agenda; what is due at the same time happens in the order it was entered.
    pub fn at(&mut self, time: u64, event: Event) {
        self.entered += 1;
        self.agenda.push(Reverse((time.max(self.now), self.entered, event)));
    }

    /// Goes on to the next event.
    pub fn advance(&mut self) -> Option<Event> {
        let Reverse((time, _, event)) = self.agenda.pop()?;
        self.now = time;
        Some(event)
    }

    /// One half of a hand-over has come to the shard that takes it; counts `fault` if it is the first.
    pub fn half_moved(&mut self, transfer: u64, fault: Fault) {
        if !self.half_moved.remove(&transfer) {
            self.half_moved.insert(transfer);
            self.faults.count(fault);
        }
    }

    /// The shards that hand connections over are no more.
    pub fn forget_moves(&mut self) {
        self.half_moved.clear();
    }

    /// The wall clock.
    pub fn wall(&self) -> Wall {
        Wall(((self.now / MS) as i64 + self.wall_offset) as u64)
    }

    /// A time up to `span` ns from now.
    pub fn soon(&mut self, span: u64) -> u64 {
        self.now + self.rng.below(span.max(1))
    }
}

/// Where the monotonic clock starts: not zero, as on a machine that has run for a while.
const MONO_START: u64 = 1_000_000_000;

/// 2026-01-01T00:00:00Z.
const WALL_START_MS: i64 = 1_767_225_600_000;
