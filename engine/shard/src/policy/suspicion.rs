//! How odd somebody behaves: a score for each offence, half of which is forgotten every minute. Who reaches the
//! threshold is refused for a while. Nothing is kept of those who never offended.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv6Addr};
use std::time::Duration;

use foldhash::quality::FixedState;
use hashbrown::HashMap;
use weir_ring::time::Instant;

use crate::limits;

/// Half of a score is forgotten in this time.
const HALF_LIFE: Duration = Duration::from_secs(60);

/// Scores of one kind that are kept; beyond, the lowest go.
const SCORES_MAX: usize = 8_192;

/// A score below this is as good as none.
const NOTHING: f32 = 0.1;

/// What makes somebody suspicious.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Offence {
    /// Came back less than a second after it had gone.
    RapidReconnect,
    /// Holds very many connections and opens another, or opens them faster than its limit. Counted once a second.
    Hoarding,
    /// Sent what cannot be read.
    Malformed,
    /// Sent what a rule forbids.
    Forbidden,
    /// Sends faster than its limit. Counted once a second.
    Limited,
}

impl Offence {
    const ALL: [Offence; 5] = [
        Offence::RapidReconnect,
        Offence::Hoarding,
        Offence::Malformed,
        Offence::Forbidden,
        Offence::Limited,
    ];

    const fn weight(self) -> f32 {
        match self {
            Offence::RapidReconnect | Offence::Limited => 0.5,
            Offence::Hoarding | Offence::Malformed | Offence::Forbidden => 1.0,
        }
    }

    /// What it is called in the audit log.
    pub const fn name(self) -> &'static str {
        match self {
            Offence::RapidReconnect => "rapid_reconnect",
            Offence::Hoarding => "connection_hoarding",
            Offence::Malformed => "malformed_input",
            Offence::Forbidden => "forbidden_message",
            Offence::Limited => "rate_limited",
        }
    }
}

/// Who behaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Who<'a> {
    /// A client by its name.
    Client(&'a str),
    /// Whoever comes from an address; from an IPv6 address, whoever has the same 64 leading bits.
    Address(IpAddr),
}

/// Somebody with a score.
#[derive(Clone, Debug, PartialEq, serde::Serialize)]
pub struct Suspect {
    /// A client's name or a network address; of an IPv6 address, the network of 64 bits.
    pub who: Box<str>,
    /// `client` or `address`.
    pub kind: &'static str,
    /// Half of it is forgotten each minute.
    pub score: f32,
    /// It is refused for as long, seconds; 0: it is not.
    pub refused_for: u64,
    /// What it did since it was last forgotten, and how often that was counted.
    pub offences: BTreeMap<&'static str, u16>,
}

/// The scores of one shard.
#[derive(Debug)]
pub struct Suspicion {
    clients: Scores<Box<str>>,
    addresses: Scores<IpAddr>,
}

type Scores<K> = HashMap<K, Score, FixedState>;

#[derive(Clone, Copy, Debug, Default)]
struct Score {
    /// What it was when it was counted.
    points: f32,
    counted: Instant,
    /// No further `Limited` and `Hoarding` are counted before this.
    limited: Instant,
    /// Who has it is refused until then.
    refused: Instant,
    /// How often each offence was counted, in the order of [`Offence::ALL`].
    offences: [u16; Offence::ALL.len()],
}

impl Suspicion {
    /// Nobody is suspicious.
    pub fn new(seed: u64) -> Suspicion {
        let hasher = FixedState::with_seed(seed);
        Suspicion { clients: HashMap::with_hasher(hasher.clone()), addresses: HashMap::with_hasher(hasher) }
    }

    /// Somebody did something odd. True if that makes it refused from now on: to be told once.
    pub fn offends(
        &mut self,
        who: Who<'_>,
        offence: Offence,
        limits: &limits::Suspicion,
        now: Instant,
    ) -> bool {
        if limits.threshold <= 0.0 {
            return false;
        }
        let score = match who {
            Who::Client(client) => {
                make_room(&mut self.clients, now);
                self.clients.entry_ref(client).or_default()
            }
            Who::Address(address) => {
                make_room(&mut self.addresses, now);
                self.addresses.entry(neighbourhood(address)).or_default()
            }
        };
        score.add(offence, limits, now)
    }

    /// How long somebody is still refused, if it is.
    pub fn refuses(&self, who: Who<'_>, now: Instant) -> Option<Duration> {
        let left = self.find(who).map(|score| score.refused.since(now));
        left.filter(|left| !left.is_zero())
    }

    /// The points somebody has.
    pub fn score(&self, who: Who<'_>, now: Instant) -> f32 {
        self.find(who).map_or(0.0, |score| score.now(now))
    }

    fn find(&self, who: Who<'_>) -> Option<&Score> {
        match who {
            Who::Client(_) if self.clients.is_empty() => None,
            Who::Client(client) => self.clients.get(client),
            Who::Address(_) if self.addresses.is_empty() => None,
            Who::Address(address) => self.addresses.get(&neighbourhood(address)),
        }
    }

    /// The `most` highest scores, the highest first.
    pub fn worst(&self, most: usize, now: Instant) -> Vec<Suspect> {
        let clients = self.clients.iter().map(|(client, score)| score.suspect(client.clone(), "client", now));
        let named = |address: &IpAddr| address.to_string().into_boxed_str();
        let addresses =
            self.addresses.iter().map(|(address, score)| score.suspect(named(address), "address", now));
        let mut suspects: Vec<Suspect> =
            clients.chain(addresses).filter(|suspect| suspect.score >= NOTHING).collect();
        suspects.sort_by(|one, other| other.score.total_cmp(&one.score).then(one.who.cmp(&other.who)));
        suspects.truncate(most);
        suspects
    }

    /// Forgets scores that have become nothing.
    pub fn sweep(&mut self, now: Instant) {
        self.clients.retain(|_, score| score.counts(NOTHING, now));
        self.addresses.retain(|_, score| score.counts(NOTHING, now));
    }
}

/// Where there are too many, at least half of them go, the lowest first.
fn make_room<K>(scores: &mut Scores<K>, now: Instant) {
    if scores.len() < SCORES_MAX {
        return;
    }
    let mut least = NOTHING;
    while scores.len() > SCORES_MAX / 2 {
        scores.retain(|_, score| score.counts(least, now));
        least *= 2.0;
    }
}

impl Score {
    /// What is left of it.
    fn now(&self, now: Instant) -> f32 {
        let lives = now.since(self.counted).as_secs_f32() / HALF_LIFE.as_secs_f32();
        self.points * (-lives).exp2()
    }

    fn counts(&self, least: f32, now: Instant) -> bool {
        self.now(now) >= least
    }

    fn suspect(&self, who: Box<str>, kind: &'static str, now: Instant) -> Suspect {
        let named = Offence::ALL.map(Offence::name).into_iter().zip(self.offences);
        Suspect {
            who,
            kind,
            score: self.now(now),
            refused_for: self.refused.since(now).as_secs(),
            offences: named.filter(|(_, count)| *count > 0).collect(),
        }
    }

    /// True if it is refused from now on.
    fn add(&mut self, offence: Offence, limits: &limits::Suspicion, now: Instant) -> bool {
        if let Offence::Limited | Offence::Hoarding = offence {
            if now < self.limited {
                return false;
            }
            self.limited = now.plus(Duration::from_secs(1));
        }
        // No more than twice the threshold, or it would be remembered for hours.
        let points = (self.now(now) + offence.weight()).min(2.0 * limits.threshold);
        (self.points, self.counted) = (points, now);
        let count = &mut self.offences[offence as usize];
        *count = count.saturating_add(1);
        let crossed = points >= limits.threshold && self.refused <= now;
        if crossed {
            self.refused = now.plus(limits.refused_for);
        }
        crossed
    }
}

/// What stands for an address: whoever has one IPv6 address has 2^64 of them (RFC 6177).
fn neighbourhood(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(address) => IpAddr::V6(Ipv6Addr::from_bits(address.to_bits() >> 64 << 64)),
        address => address,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const SECOND: u64 = 1_000_000_000;

    fn offence() -> impl Strategy<Value = Offence> {
        prop::sample::select(Offence::ALL.to_vec())
    }

    proptest! {
        /// Nobody is refused whose offences do not add up to the threshold, and whoever has so many at once is;
        /// each time it is told once, and ends in time.
        #[test]
        fn who_reaches_the_threshold_is_refused(
            steps in prop::collection::vec((offence(), 0..30 * SECOND), 1..200),
            threshold in 1_u8..20,
        ) {
            let limits = limits::Suspicion { threshold: threshold.into(), ..limits::Suspicion::default() };
            let (mut suspicion, mut now) = (Suspicion::new(1), Instant(1));
            let mut weights = 0.0;
            let mut until = Instant(0);
            for (offence, step) in steps {
                now = now.plus(Duration::from_nanos(step));
                weights += offence.weight();
                let crossed = suspicion.offends(Who::Client("a"), offence, &limits, now);
                prop_assert!(!crossed || weights >= limits.threshold);
                prop_assert!(!crossed || now >= until, "told twice");
                if crossed {
                    until = now.plus(limits.refused_for);
                }
                let left = suspicion.refuses(Who::Client("a"), now);
                prop_assert_eq!(left, Some(until.since(now)).filter(|left| !left.is_zero()));
                prop_assert_eq!(suspicion.refuses(Who::Client("b"), now), None);
                let score = suspicion.clients.get("a").expect("it has offended").now(now);
                prop_assert!(score <= 2.0 * limits.threshold);
                let counted = !matches!(offence, Offence::Limited | Offence::Hoarding);
                prop_assert!(!counted || score < limits.threshold || until > now, "at the threshold and not refused");
            }
            let later = now.plus(Duration::from_secs(3_600));
            suspicion.sweep(later);
            prop_assert!(suspicion.clients.is_empty(), "forgotten in an hour");
        }
    }

    #[test]
    fn half_is_forgotten_in_a_minute() {
        let limits = limits::Suspicion::default();
        let mut suspicion = Suspicion::new(1);
        for _ in 0..8 {
            suspicion.offends(Who::Client("a"), Offence::Malformed, &limits, Instant(0));
        }
        assert_eq!(suspicion.score(Who::Client("a"), Instant(0)), 8.0);
        assert_eq!(suspicion.score(Who::Client("a"), Instant(120 * SECOND)), 2.0);
        assert_eq!(suspicion.score(Who::Client("b"), Instant(0)), 0.0);
    }

    #[test]
    fn the_worst_are_named_with_what_they_did() {
        let limits = limits::Suspicion::default();
        let mut suspicion = Suspicion::new(1);
        let address = Who::Address("10.0.0.1".parse().expect("an address"));
        suspicion.offends(Who::Client("a"), Offence::Malformed, &limits, Instant(1));
        suspicion.offends(Who::Client("a"), Offence::RapidReconnect, &limits, Instant(1));
        (0..3).for_each(|_| _ = suspicion.offends(address, Offence::Forbidden, &limits, Instant(1)));
        suspicion.offends(Who::Client("b"), Offence::Limited, &limits, Instant(1));
        let worst = suspicion.worst(2, Instant(1));
        let named: Vec<_> =
            worst.iter().map(|suspect| (&*suspect.who, suspect.kind, suspect.score)).collect();
        assert_eq!(named, [("10.0.0.1", "address", 3.0), ("a", "client", 1.5)]);
        assert_eq!(worst[1].offences, [("malformed_input", 1), ("rapid_reconnect", 1)].into());
        assert_eq!(suspicion.worst(9, Instant(3_600 * SECOND)), []);
    }

    #[test]
    fn a_flood_of_requests_counts_once_a_second() {
        let limits = limits::Suspicion::default();
        let mut suspicion = Suspicion::new(1);
        let refused = (0..)
            .map(|millis| Instant(millis * 1_000_000))
            .find(|now| suspicion.offends(Who::Client("a"), Offence::Limited, &limits, *now));
        let seconds = refused.expect("in the end").as_secs();
        assert!((20..40).contains(&seconds), "{seconds}");
    }

    #[test]
    fn neighbours_in_ipv6_are_one() {
        let limits = limits::Suspicion { threshold: 1.0, ..limits::Suspicion::default() };
        let mut suspicion = Suspicion::new(1);
        let address = |text: &str| Who::Address(text.parse().expect("an address"));
        assert!(suspicion.offends(address("2001:db8::1"), Offence::Malformed, &limits, Instant(1)));
        assert!(suspicion.refuses(address("2001:db8::2"), Instant(1)).is_some());
        assert!(suspicion.refuses(address("2001:db8:0:1::1"), Instant(1)).is_none());
        assert!(suspicion.offends(address("10.0.0.1"), Offence::Malformed, &limits, Instant(1)));
        assert!(suspicion.refuses(address("::ffff:10.0.0.1"), Instant(1)).is_some());
        assert!(suspicion.refuses(address("10.0.0.2"), Instant(1)).is_none());
    }

    #[test]
    fn the_worst_are_kept() {
        let limits = limits::Suspicion::default();
        let mut suspicion = Suspicion::new(1);
        for _ in 0..20 {
            suspicion.offends(Who::Client("worst"), Offence::Malformed, &limits, Instant(1));
        }
        for n in 0..3 * SCORES_MAX {
            suspicion.offends(Who::Client(&n.to_string()), Offence::Malformed, &limits, Instant(1));
            assert!(suspicion.clients.len() <= SCORES_MAX);
        }
        assert!(suspicion.refuses(Who::Client("worst"), Instant(1)).is_some());
        let off = limits::Suspicion { threshold: 0.0, ..limits };
        assert!(!suspicion.offends(Who::Client("x"), Offence::Malformed, &off, Instant(1)));
    }
}
