//! Canaries: a saboteur between the server's output and the clients breaks one invariant on purpose, and
//! the oracle must notice. An oracle that lets a canary live is blind in that eye.

mod kind;

use std::collections::BTreeMap;
use std::rc::Rc;

use serde_json::Value;
use weir_shard::limits::Drain;

pub use kind::{ALL, Canary};

use crate::access::Proof;
use crate::history::{Delivery, Fact, Gap, Stream};
use crate::mcp::{self, Outcome};
use crate::place::{Lane, Place, Position};
use crate::rng::Rng;
use crate::text::Text;

/// Messages that pass those of a lane that is starved.
const STARVES: u32 = 35;

/// Messages of other connections after which another is starved.
const PATIENCE: u32 = 10;

/// Stands between server and clients; without a canary it lets everything pass.
#[derive(Debug)]
pub struct Saboteur {
    canary: Option<Canary>,
    rng: Rng,
    held: Option<Fact>,
    victim: Option<Stream>,
    resumed: Option<(usize, Stream)>,
    /// Which connection has a lineage.
    holders: BTreeMap<usize, usize>,
    /// A connection whose place was taken, and who took it.
    taken: Option<(usize, usize)>,
    /// What waits in a lane of a connection, how many messages have passed it there, and how many came elsewhere.
    starved: (Vec<Fact>, u32, u32),
    /// The text of an earlier answer, or an earlier reply.
    earlier: Option<Rc<str>>,
    /// The server has been told to stop.
    pub stopping: bool,
    /// How often it struck.
    pub strikes: u64,
}

impl Saboteur {
    /// Does what `canary` says.
    pub fn new(canary: Option<Canary>, seed: u64) -> Saboteur {
        Saboteur {
            canary,
            rng: Rng::new(seed ^ 0xca),
            held: None,
            victim: None,
            resumed: None,
            holders: BTreeMap::new(),
            taken: None,
            starved: (Vec::new(), 0, 0),
            earlier: None,
            stopping: false,
            strikes: 0,
        }
    }

    /// The bound the oracle is to check instead of `limit`.
    pub fn bound(&self, limit: usize) -> usize {
        if self.canary == Some(Canary::Bound) { limit / 4 } else { limit }
    }

    /// The time that an MCP request may take instead of `limit`.
    pub fn patience(&self, limit: u64) -> u64 {
        if self.canary == Some(Canary::McpPatience) { 0 } else { limit }
    }

    /// How the shards stop instead of as `drain` says.
    pub fn drain(&self, drain: Drain) -> Drain {
        if self.canary == Some(Canary::Stampede) { Drain { batch: u32::MAX, ..drain } } else { drain }
    }

    /// A successor gets only what the first shard hands over.
    pub fn disinherits(&mut self) -> bool {
        let strikes = self.canary == Some(Canary::Disinherit);
        self.strikes += u64::from(strikes);
        strikes
    }

    /// What a successor is told of a connection, as JSON.
    pub fn misdirects(&mut self, emigrant: &mut Value) {
        if self.canary != Some(Canary::Misdirect) {
            return;
        }
        let lanes = emigrant["lanes"].as_array_mut().into_iter().flatten();
        for cursor in
            lanes.filter_map(|lane| Some(&mut lane["cursor"]).filter(|cursor| cursor.as_u64() > Some(0)))
        {
            *cursor = (cursor.as_u64().unwrap_or_default() - 1).into();
            self.strikes += 1;
        }
    }

    /// A log is lost with its process: all of it, or (false) only the end.
    pub fn robs(&mut self) -> Option<bool> {
        let all = match self.canary? {
            Canary::LoseLog => true,
            Canary::LieOfLog => false,
            _ => return None,
        };
        self.strikes += 1;
        Some(all)
    }

    /// What the client learns instead of `fact`.
    pub fn pass(&mut self, fact: Fact) -> Vec<Fact> {
        let Some(canary) = self.canary else { return vec![fact] };
        let struck = match fact {
            Fact::Delivered { .. } => self.message(canary, &fact),
            Fact::Attached { .. } => self.attached(canary, &fact),
            Fact::Answered { .. } => self.reply(canary, &fact),
            Fact::Roster { conn, stream, ref keys } if canary == Canary::Hide => {
                Some(vec![Fact::Roster { conn, stream, keys: keys.iter().skip(1).cloned().collect() }])
            }
            Fact::AtRest { stream, place } if canary == Canary::Spill => {
                let seen = place.seen.map(|head| head.saturating_sub(1));
                Some(vec![Fact::AtRest { stream, place: Place { seen, ..place } }])
            }
            Fact::Lineage { conn, lineage, taken } if canary == Canary::Unfence => {
                let before = self.holders.insert(lineage, conn).filter(|before| taken && *before != conn);
                self.taken = before.map(|before| (before, conn)).or(self.taken);
                None
            }
            Fact::Accepted { uid, mut position } if canary == Canary::Misplace && self.rng.chance(50) => {
                position.sequence += 1;
                Some(vec![Fact::Accepted { uid, position }])
            }
            Fact::Dead { client, position, attempts } if canary == Canary::Insist => {
                Some(vec![Fact::Dead { client, position, attempts: attempts.saturating_add(1) }])
            }
            Fact::Counted { shard, queue_bytes_peak, outbox_bytes, connections, addressed }
                if canary == Canary::Miscount =>
            {
                let addressed = addressed + 1;
                Some(vec![Fact::Counted { shard, queue_bytes_peak, outbox_bytes, connections, addressed }])
            }
            Fact::Accepted { uid, position } if canary == Canary::Shed && position.lane == Lane::Urgent => {
                Some(vec![Fact::Refused { uid, status: 503, reason: "load_shed".into() }])
            }
            Fact::Refused { uid, status, .. } if canary == Canary::Mute => {
                Some(vec![Fact::Refused { uid, status, reason: "".into() }])
            }
            Fact::Controlled { shard, admission, load, .. } if canary == Canary::StayShut => {
                Some(vec![Fact::Controlled { shard, admission, shedding: 1, load }])
            }
            Fact::Brought { conn, proof: Proof::Good { until } } => {
                let proof = match canary {
                    Canary::LetIn if self.rng.chance(100) => Proof::Void,
                    Canary::Overstay => Proof::Good { until: 0 },
                    Canary::CutShort => Proof::Good { until: until.saturating_mul(2) },
                    _ => return vec![fact],
                };
                Some(vec![Fact::Brought { conn, proof }])
            }
            Fact::Warned { .. } if canary == Canary::Unwarned => Some(Vec::new()),
            Fact::Dismissed { .. } if canary == Canary::Stampede => Some(vec![fact.clone()]),
            Fact::Mcp(ref fact) => {
                self.mcp(canary, fact).map(|facts| facts.into_iter().map(Fact::Mcp).collect())
            }
            _ => None,
        };
        self.strikes += u64::from(struck.is_some());
        struck.unwrap_or_else(|| vec![fact])
    }

    fn message(&mut self, canary: Canary, fact: &Fact) -> Option<Vec<Fact>> {
        let Fact::Delivered { conn, client, stream, position, ref delivery } = *fact else { return None };
        if let Some(held) = self.held.take() {
            return Some(vec![fact.clone(), held]);
        }
        let after_resume = self.resumed.take_if(|resumed| *resumed == (conn, stream)).is_some();
        match canary {
            Canary::Seam => return after_resume.then(Vec::new),
            Canary::LoseTail if self.victim.is_some() => return (self.victim == Some(stream)).then(Vec::new),
            Canary::Unmark if delivery.again => {
                let delivery = Delivery { again: false, ..delivery.clone() };
                return Some(vec![Fact::Delivered { conn, client, stream, position, delivery }]);
            }
            Canary::Unfence => {
                let (from, _) = self.taken.filter(|(_, by)| *by == conn)?;
                let delivery = delivery.clone();
                return Some(vec![
                    fact.clone(),
                    Fact::Delivered { conn: from, client, stream, position, delivery },
                ]);
            }
            Canary::Starve => return self.starve(fact),
            _ => {}
        }
        if self.rng.chance(20) { self.spoil(canary, fact) } else { None }
    }

    /// Does something to a message, whichever it is.
    fn spoil(&mut self, canary: Canary, fact: &Fact) -> Option<Vec<Fact>> {
        let Fact::Delivered { conn, client, stream, position, ref delivery } = *fact else { return None };
        let with = |position, delivery| Fact::Delivered { conn, client, stream, position, delivery };
        match canary {
            Canary::AlterBytes => {
                let mut data = delivery.data.to_vec();
                *data.last_mut()? ^= 1;
                Some(vec![with(position, Delivery { data: Text(data.into()), ..delivery.clone() })])
            }
            Canary::Fabricate => {
                let mut next = position;
                next.sequence += 1;
                let data = Text(br#"{"u":999999999}"#[..].into());
                Some(vec![fact.clone(), with(next, Delivery { data, ..delivery.clone() })])
            }
            Canary::Duplicate => Some(vec![fact.clone(), fact.clone()]),
            Canary::Swap => {
                self.held = Some(fact.clone());
                Some(Vec::new())
            }
            Canary::Drop => Some(Vec::new()),
            Canary::LoseTail => {
                self.victim = Some(stream);
                Some(Vec::new())
            }
            Canary::Mark if !delivery.again => {
                Some(vec![with(position, Delivery { again: true, ..delivery.clone() })])
            }
            Canary::Relane if position.lane != Lane::Normal => {
                Some(vec![with(Position { lane: Lane::Normal, ..position }, delivery.clone())])
            }
            Canary::Stray => {
                let stream = match stream {
                    Stream::Own(client) => Stream::Own(client + 1),
                    Stream::Topic(topic) => Stream::Topic(topic + 1),
                };
                let delivery = delivery.clone();
                Some(vec![Fact::Delivered { conn, client, stream, position, delivery }])
            }
            Canary::Expire | Canary::Evict => {
                let Position { epoch, lane, sequence } = position;
                let reason = if canary == Canary::Expire { "expired" } else { "evicted" }.into();
                let gap = Gap { epoch, lane, from: sequence, to: sequence, reason };
                Some(vec![Fact::Gap { conn, client, stream, gap }])
            }
            Canary::AlterEpoch => {
                let mut other = position;
                other.epoch ^= 1;
                Some(vec![with(other, delivery.clone())])
            }
            _ => None,
        }
    }

    /// Holds the messages of one lane of a connection back until many others have come there.
    fn starve(&mut self, fact: &Fact) -> Option<Vec<Fact>> {
        // Of all clients the first gets most messages.
        let Fact::Delivered { conn, client: 0, position, .. } = *fact else { return None };
        let (held, passed, elsewhere) = &mut self.starved;
        let (on, lane) = match held.first() {
            Some(Fact::Delivered { conn, position, .. }) => (*conn, position.lane),
            _ if position.lane == Lane::Normal => return None,
            _ => (conn, position.lane),
        };
        if conn != on {
            // It has ended, or nothing more comes there.
            *elsewhere += 1;
            if *elsewhere > PATIENCE {
                self.starved = (Vec::new(), 0, 0);
            }
            return None;
        }
        if position.lane == lane {
            held.push(fact.clone());
            return Some(Vec::new());
        }
        *passed += 1;
        if *passed < STARVES {
            return None;
        }
        (*passed, *elsewhere) = (0, 0);
        Some(std::iter::once(fact.clone()).chain(held.drain(..)).collect())
    }

    fn attached(&mut self, canary: Canary, fact: &Fact) -> Option<Vec<Fact>> {
        let Fact::Attached { conn, client, stream, cursor, mut attachment } = *fact else { return None };
        if canary == Canary::Seam && attachment.recovered {
            self.resumed = Some((conn, stream));
        }
        attachment.recovered = match canary {
            Canary::ClaimRecovered if !attachment.recovered => true,
            Canary::DenyRecovered if attachment.recovered => false,
            _ => return None,
        };
        Some(vec![Fact::Attached { conn, client, stream, cursor, attachment }])
    }

    fn reply(&mut self, canary: Canary, fact: &Fact) -> Option<Vec<Fact>> {
        let Fact::Answered { conn, reference, join_ref } = *fact else { return None };
        if !self.rng.chance(20) {
            return None;
        }
        match (canary, join_ref) {
            (Canary::ReplyTwice, _) => Some(vec![fact.clone(), fact.clone()]),
            (Canary::ForeignJoin, Some(join_ref)) => {
                let join_ref = Some(Some(join_ref.map_or(77, |join_ref| join_ref + 1)));
                Some(vec![Fact::Answered { conn, reference, join_ref }])
            }
            _ => None,
        }
    }
}

impl Saboteur {
    fn mcp(&mut self, canary: Canary, fact: &mcp::Fact) -> Option<Vec<mcp::Fact>> {
        use mcp::Fact;
        let strikes = self.rng.chance(100);
        match (canary, fact.clone()) {
            (Canary::HangUp, Fact::Answered { client, conn, id, .. }) if self.stopping => {
                Some(vec![Fact::Unanswered { client, conn, id }])
            }
            (Canary::McpLose, Fact::Answered { .. }) if strikes => Some(Vec::new()),
            (Canary::McpTwice, Fact::Answered { .. }) if strikes => Some(vec![fact.clone(), fact.clone()]),
            (Canary::McpSwap, Fact::Answered { client, conn, id, outcome: Outcome::Result(Some(text)) }) => {
                let outcome = Outcome::Result(self.earlier.replace(text));
                Some(vec![Fact::Answered { client, conn, id, outcome }])
            }
            (Canary::McpRetype, Fact::Answered { client, conn, id, outcome }) if strikes => {
                let bare = id.trim_matches('"');
                let id = if bare.len() < id.len() { bare.into() } else { format!("\"{bare}\"").into() };
                Some(vec![Fact::Answered { client, conn, id, outcome }])
            }
            (Canary::McpElsewhere, Fact::Answered { client, conn, id, outcome }) if strikes => {
                Some(vec![Fact::Answered { client, conn: conn + 1, id, outcome }])
            }
            (Canary::McpRevive, Fact::Unanswered { client, conn, id }) => {
                let answer = Fact::Answered { client, conn, id, outcome: Outcome::Error(0) };
                Some(vec![fact.clone(), answer])
            }
            (Canary::McpStray, Fact::Questioned { client, call }) => {
                Some(vec![Fact::Questioned { client: client + 1, call }])
            }
            (Canary::McpMishear, Fact::Heard { server, call, reply }) => {
                let reply = self.earlier.replace(reply)?;
                Some(vec![Fact::Heard { server, call, reply }])
            }
            (Canary::McpRerun, Fact::Ran { .. }) if strikes => Some(vec![fact.clone(), fact.clone()]),
            (Canary::McpLeak, Fact::Held { shard, mut held }) => {
                held.leases += 1;
                Some(vec![Fact::Held { shard, held }])
            }
            _ => None,
        }
    }
}
