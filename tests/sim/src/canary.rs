//! Canaries: a saboteur between the server's output and the clients breaks one invariant on purpose, and
//! the oracle must notice. An oracle that lets a canary live is blind in that eye.

use crate::history::{Delivery, Fact, Stream};
use crate::rng::Rng;
use crate::text::Text;

/// One kind of sabotage.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Canary {
    /// Changes a byte of a message.
    AlterBytes,
    /// Invents a message.
    Fabricate,
    /// Delivers a message twice.
    Duplicate,
    /// Delivers a message after its successor.
    Swap,
    /// Loses a message in the middle.
    Drop,
    /// Loses every message of one stream from some point on, cursor's replay included.
    LoseTail,
    /// Moves a message to another epoch.
    AlterEpoch,
    /// Says `recovered: true` for a cursor that is worth nothing.
    ClaimRecovered,
    /// Says `recovered: false` although all was there.
    DenyRecovered,
    /// Loses the first message after a resume.
    Seam,
    /// Answers twice.
    ReplyTwice,
    /// Answers in another join's name.
    ForeignJoin,
    /// Pretends that queues may hold only a quarter of what they may.
    Bound,
}

/// All canaries with their names on the command line and the invariant each breaks.
pub const ALL: [(Canary, &str, u8); 13] = [
    (Canary::AlterBytes, "alter-bytes", 1),
    (Canary::Fabricate, "fabricate", 1),
    (Canary::Duplicate, "duplicate", 2),
    (Canary::Swap, "swap", 2),
    (Canary::Drop, "drop", 3),
    (Canary::LoseTail, "lose-tail", 4),
    (Canary::AlterEpoch, "alter-epoch", 5),
    (Canary::ClaimRecovered, "claim-recovered", 5),
    (Canary::DenyRecovered, "deny-recovered", 5),
    (Canary::Seam, "seam", 6),
    (Canary::ReplyTwice, "reply-twice", 10),
    (Canary::ForeignJoin, "foreign-join", 10),
    (Canary::Bound, "bound", 11),
];

/// Stands between server and clients; without a canary it lets everything pass.
#[derive(Debug)]
pub struct Saboteur {
    canary: Option<Canary>,
    rng: Rng,
    held: Option<Fact>,
    victim: Option<Stream>,
    resumed: Option<(usize, Stream)>,
    /// How often it struck.
    pub strikes: u64,
}

impl Saboteur {
    /// Does what `canary` says.
    pub fn new(canary: Option<Canary>, seed: u64) -> Saboteur {
        Saboteur { canary, rng: Rng::new(seed ^ 0xca), held: None, victim: None, resumed: None, strikes: 0 }
    }

    /// The bound the oracle is to check instead of `limit`.
    pub fn bound(&self, limit: usize) -> usize {
        if self.canary == Some(Canary::Bound) { limit / 4 } else { limit }
    }

    /// What the client learns instead of `fact`.
    pub fn pass(&mut self, fact: Fact) -> Vec<Fact> {
        let Some(canary) = self.canary else { return vec![fact] };
        let struck = match fact {
            Fact::Delivered { .. } => self.message(canary, &fact),
            Fact::Attached { .. } => self.attached(canary, &fact),
            Fact::Answered { .. } => self.reply(canary, &fact),
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
            _ if !self.rng.chance(20) => return None,
            _ => {}
        }
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
            Canary::AlterEpoch => {
                let mut other = position;
                other.epoch ^= 1;
                Some(vec![with(other, delivery.clone())])
            }
            _ => None,
        }
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
