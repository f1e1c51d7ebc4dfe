//! Which clients are traced on a shard, and what of theirs is under way.

use std::collections::VecDeque;
use std::time::Duration;

use foldhash::quality::FixedState;
use hashbrown::HashMap;
use weir_ring::time::Instant;

use crate::lane::Lane;
use crate::limits::Rate;
use crate::operation::{Operation, Traced};
use crate::policy::{TokenBucket, Verdict};
use crate::stream::Sequence;

/// Clients that may be traced at a time.
const CLIENTS_MAX: usize = 1_000;

/// Messages to one traced client that are remembered until they are acknowledged.
const SENT_MAX: usize = 256;

/// Refusals of clients that are not traced and are told all the same.
const ERRORS: Rate = Rate { per_second: 100.0, burst: 100 };

/// Traced clients.
#[derive(Debug)]
pub(crate) struct Tracer {
    shard: u16,
    /// Operations so far.
    count: u64,
    clients: HashMap<Box<str>, Trace, FixedState>,
    /// All others are followed, too, as far as they are told what they send and what is done with it.
    all: bool,
    /// The operation that the code at hand works on, if it is traced.
    at_hand: Option<Box<Traced>>,
    errors: TokenBucket,
}

#[derive(Debug)]
struct Trace {
    until: Instant,
    sent: VecDeque<Sent>,
}

/// A message to a traced client.
#[derive(Debug)]
struct Sent {
    lane: Lane,
    sequence: Sequence,
    traced: Box<Traced>,
    delivered: bool,
}

/// How far a client has got in each lane.
type Reached = [Sequence; Lane::ALL.len()];

impl Tracer {
    /// Nobody is traced. `seed` is of the shard's randomness.
    pub(crate) fn new(shard: u16, seed: u64) -> Tracer {
        let clients = HashMap::with_hasher(FixedState::with_seed(seed));
        Tracer { shard, count: 0, clients, all: false, at_hand: None, errors: TokenBucket::new() }
    }

    /// Traces a client from now on, or for longer or shorter than before; zero: not any more. More than there may be
    /// are not traced.
    pub(crate) fn trace(&mut self, client: &str, time: Duration, now: Instant) {
        self.sweep(now);
        if time.is_zero() {
            self.clients.remove(client);
        } else if self.clients.len() < CLIENTS_MAX || self.clients.contains_key(client) {
            let trace = self.clients.entry_ref(client);
            trace.or_insert_with(|| Trace { until: now, sent: VecDeque::new() }).until = now.plus(time);
        }
    }

    /// Forgets those whose time is over.
    pub(crate) fn sweep(&mut self, now: Instant) {
        self.clients.retain(|_, trace| now < trace.until);
    }

    /// A message was accepted, of `client` or for it: what is told of it, if that is traced. It is at hand.
    pub(crate) fn begin(&mut self, client: Option<&str>, kind: &str) -> Option<&Traced> {
        let operation = self.next();
        let follows =
            |client: &&str| self.all || !self.clients.is_empty() && self.clients.contains_key(*client);
        let client = client.filter(follows);
        self.at_hand =
            client.map(|client| Box::new(Traced { client: client.into(), operation, kind: kind.into() }));
        self.at_hand.as_deref()
    }

    /// An operation of a client that is not traced failed: whether it is told all the same.
    pub(crate) fn tells_errors(&mut self, now: Instant) -> bool {
        matches!(self.errors.take(&ERRORS, now), Verdict::Allow { .. })
    }

    /// The operation at hand, if it is traced.
    pub(crate) fn at_hand(&self) -> Option<&Traced> {
        self.at_hand.as_deref()
    }

    /// Takes up an operation again, or none; says which was at hand.
    pub(crate) fn take_up(&mut self, traced: Option<Box<Traced>>) -> Option<Box<Traced>> {
        std::mem::replace(&mut self.at_hand, traced)
    }

    /// The message at hand got this place in its client's stream.
    pub(crate) fn placed(&mut self, lane: Lane, sequence: Sequence) {
        let Some(traced) = self.at_hand.clone() else { return };
        let Some(trace) = self.clients.get_mut(&traced.client) else { return };
        if trace.sent.len() >= SENT_MAX {
            trace.sent.pop_front();
        }
        trace.sent.push_back(Sent { lane, sequence, traced, delivered: false });
    }

    /// Messages to `client` were written up to here: those of them that are new.
    pub(crate) fn delivered(&mut self, client: &str, reached: &Reached) -> Vec<Traced> {
        let sent = self.clients.get_mut(client).into_iter().flat_map(|trace| trace.sent.iter_mut());
        let fresh = sent.filter(|it| !it.delivered && it.sequence <= reached[it.lane as usize]);
        fresh
            .map(|it| {
                it.delivered = true;
                (*it.traced).clone()
            })
            .collect()
    }

    /// `client` has acknowledged what `has` says yes to: forgets those.
    pub(crate) fn acknowledged(&mut self, client: &str, has: impl Fn(Lane, Sequence) -> bool) -> Vec<Traced> {
        let Some(trace) = self.clients.get_mut(client) else { return Vec::new() };
        let (known, left) =
            std::mem::take(&mut trace.sent).into_iter().partition(|it: &Sent| has(it.lane, it.sequence));
        trace.sent = left;
        let known: VecDeque<Sent> = known;
        known.into_iter().map(|it| *it.traced).collect()
    }

    /// Operations so far.
    pub(crate) fn count(&self) -> u64 {
        self.count
    }

    /// Whether nobody is traced.
    pub(crate) fn is_idle(&self) -> bool {
        self.clients.is_empty() && !self.all
    }

    /// Follows everybody from now on, or only who is traced.
    pub(crate) fn follow_all(&mut self, all: bool) {
        self.all = all;
    }

    /// The next operation.
    pub(crate) fn next(&mut self) -> Operation {
        self.count += 1;
        Operation::new(self.shard, self.count)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: u64) -> Instant {
        Instant(seconds * 1_000_000_000)
    }

    fn names(traced: &[Traced]) -> Vec<String> {
        traced.iter().map(|it| it.operation.to_string()).collect()
    }

    #[test]
    fn who_is_not_traced_costs_a_number() {
        let mut tracer = Tracer::new(3, 1);
        assert_eq!(tracer.begin(Some("u1"), "chat"), None);
        tracer.trace("u1", Duration::from_secs(10), at(0));
        assert_eq!(tracer.begin(Some("u2"), "chat"), None);
        assert_eq!(tracer.begin(None, "chat"), None);
        let traced = tracer.begin(Some("u1"), "chat").expect("traced");
        assert_eq!(traced.operation.to_string(), "0003000000000004");
        assert_eq!(tracer.count(), 4);
        tracer.follow_all(true);
        assert!(tracer.begin(Some("u2"), "chat").is_some() && tracer.begin(None, "chat").is_none());
        tracer.follow_all(false);
        assert_eq!(tracer.begin(Some("u2"), "chat"), None);
        tracer.trace("u1", Duration::ZERO, at(1));
        assert!(tracer.is_idle());
    }

    #[test]
    fn a_trace_ends_by_itself_and_there_are_not_too_many() {
        let mut tracer = Tracer::new(0, 1);
        for client in 0..CLIENTS_MAX + 10 {
            tracer.trace(&client.to_string(), Duration::from_secs(10), at(0));
        }
        assert_eq!(tracer.clients.len(), CLIENTS_MAX);
        tracer.trace("0", Duration::from_secs(30), at(1));
        tracer.sweep(at(10));
        assert!(tracer.clients.len() == 1 && tracer.begin(Some("0"), "").is_some());
    }

    #[test]
    fn a_message_is_delivered_once_and_acknowledged_once() {
        let mut tracer = Tracer::new(0, 1);
        tracer.trace("u1", Duration::from_secs(10), at(0));
        for sequence in 1..=3 {
            tracer.begin(Some("u1"), "chat");
            tracer.placed(Lane::Normal, sequence);
        }
        tracer.take_up(None);
        tracer.placed(Lane::Normal, 4);
        let mut reached = Reached::default();
        reached[Lane::Normal as usize] = 2;
        let (one, two, three) = ("0000000000000001", "0000000000000002", "0000000000000003");
        assert_eq!(names(&tracer.delivered("u1", &reached)), [one, two]);
        assert_eq!(names(&tracer.delivered("u1", &reached)), [""; 0]);
        assert_eq!(names(&tracer.acknowledged("u1", |_, sequence| sequence == 1)), [one]);
        reached[Lane::Normal as usize] = 9;
        assert_eq!(names(&tracer.delivered("u1", &reached)), [three]);
        assert_eq!(names(&tracer.acknowledged("u1", |_, _| true)), [two, three]);
    }

    #[test]
    fn what_is_never_acknowledged_is_bounded() {
        let mut tracer = Tracer::new(0, 1);
        tracer.trace("u1", Duration::from_secs(10), at(0));
        for sequence in 1..=2 * SENT_MAX as u64 {
            tracer.begin(Some("u1"), "chat");
            tracer.placed(Lane::Normal, sequence);
        }
        assert_eq!(tracer.acknowledged("u1", |_, _| true).len(), SENT_MAX);
    }
}
