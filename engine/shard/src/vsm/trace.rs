//! Which messages are traced on a shard, as their client is followed or as they are sampled, and what of them is under way.

use std::collections::VecDeque;
use std::time::Duration;

use foldhash::quality::FixedState;
use hashbrown::HashMap;
use weir_ring::time::Instant;

use crate::lane::Lane;
use crate::limits::{Rate, Tracing};
use crate::operation::{Operation, Traced};
use crate::policy::{TokenBucket, Verdict};
use crate::span::{Journey, Recorder, Sampler, TraceContext};
use crate::stream::Sequence;

/// Clients that may be followed at a time.
const CLIENTS_MAX: usize = 1_000;

/// Messages to one client that are remembered until they are delivered or, if it is followed, acknowledged.
const SENT_MAX: usize = 256;

/// The same of sampled messages to all clients; more are not recorded to their end.
const SAMPLED_MAX: usize = 4_096;

/// How long a sampled message may wait for its client.
const SAMPLED_AGE_MAX: Duration = Duration::from_secs(600);

/// Refusals of clients that are not followed and are told all the same.
const ERRORS: Rate = Rate::new(100.0, 100);

/// Bytes of a message's type that are told.
const KIND_BYTES_MAX: usize = 128;

/// Traced messages.
#[derive(Debug)]
pub(crate) struct Tracer {
    shard: u16,
    /// Operations so far.
    count: u64,
    /// Clients that are followed, and until when.
    clients: HashMap<Box<str>, Instant, FixedState>,
    /// All others are followed, too, as far as they are told what they send and what is done with it.
    all: bool,
    /// Traced messages on their way to clients.
    sent: HashMap<Box<str>, VecDeque<Sent>, FixedState>,
    /// Sampled ones that were added to them since they were last swept.
    sampled: usize,
    /// The operation that the code at hand works on, if it is traced.
    pub(super) at_hand: Option<Box<Traced>>,
    errors: TokenBucket,
    pub(super) sampler: Sampler,
    pub(super) recorder: Recorder,
    /// Since when spans wait to be told.
    pub(super) waits_since: Option<Instant>,
}

/// A message to a client.
#[derive(Debug)]
struct Sent {
    at: Instant,
    lane: Lane,
    sequence: Sequence,
    traced: Box<Traced>,
    delivered: bool,
}

/// How far a client has got in each lane.
type Reached = [Sequence; Lane::ALL.len()];

impl Tracer {
    /// Nobody is followed. `seed` is of the shard's randomness.
    pub(crate) fn new(shard: u16, tracing: &Tracing, seed: u64) -> Tracer {
        Tracer {
            shard,
            count: 0,
            clients: HashMap::with_hasher(FixedState::with_seed(seed)),
            all: false,
            sent: HashMap::with_hasher(FixedState::with_seed(seed)),
            sampled: 0,
            at_hand: None,
            errors: TokenBucket::new(),
            sampler: Sampler::new(tracing, !seed),
            recorder: Recorder::new(seed.rotate_left(32)),
            waits_since: None,
        }
    }

    /// Follows a client from now on, for so long at least; zero: not any more. More than there may be are not followed.
    pub(crate) fn trace(&mut self, client: &str, time: Duration, now: Instant) {
        if time.is_zero() {
            self.clients.remove(client);
        } else if self.clients.len() < CLIENTS_MAX || self.clients.contains_key(client) {
            let until = self.clients.entry_ref(client).or_insert(now);
            *until = now.plus(time).max(*until);
        }
        self.sweep(now);
    }

    /// Forgets those whose time is over.
    pub(crate) fn sweep(&mut self, now: Instant) {
        let Tracer { clients, sent, sampled, .. } = self;
        clients.retain(|_, until| now < *until);
        *sampled = 0;
        sent.retain(|client, sent| {
            let followed = clients.contains_key(client);
            sent.retain(|it| {
                followed || !it.delivered && it.traced.journey.is_some() && now < it.at.plus(SAMPLED_AGE_MAX)
            });
            *sampled += sent.len();
            !sent.is_empty()
        });
    }

    /// A message was accepted, of `client` or for it, and `parent` says by which span it came: what is traced of it. It is
    /// at hand. `client` is told whether the message is sampled: if not, it need not name one that is not followed.
    pub(crate) fn begin<'a>(
        &mut self,
        client: impl FnOnce(bool) -> Option<&'a str>,
        kind: &str,
        parent: impl FnOnce() -> Option<TraceContext>,
        now: Instant,
    ) -> Option<&Traced> {
        let operation = self.next();
        self.close(None, now);
        let journey = self.sampler.decide(parent, now);
        if journey.is_none() && !self.follows_some() {
            return None;
        }
        self.take(client(journey.is_some()), kind, (operation, journey))
    }

    /// A message came from the shard that had taken it, which has begun its journey if it is sampled.
    pub(crate) fn resume(
        &mut self,
        client: &str,
        kind: &str,
        journey: Option<Box<Journey>>,
    ) -> Option<&Traced> {
        let operation = self.next();
        self.at_hand = None;
        if journey.is_none() && !self.follows_some() {
            return None;
        }
        self.take(Some(client), kind, (operation, journey))
    }

    /// The message at hand says itself by which span it comes, and that holds.
    pub(crate) fn adopt(&mut self, client: Option<&str>, kind: &str, context: TraceContext, now: Instant) {
        let begun = self.at_hand.as_mut().and_then(|traced| traced.journey.take());
        let journey = match begun {
            Some(journey) if context.parent.sampled => Some(Box::new(journey.join(context))),
            _ => self.sampler.decide(|| Some(context), now),
        };
        match &mut self.at_hand {
            Some(traced) => traced.journey = journey,
            None if journey.is_some() => self.at_hand = Some(Box::new(traced(client, kind, (None, journey)))),
            None => {}
        }
    }

    fn take(
        &mut self,
        client: Option<&str>,
        kind: &str,
        (operation, journey): (Operation, Option<Box<Journey>>),
    ) -> Option<&Traced> {
        let told = client.filter(|client| self.follows(client)).map(|_| operation);
        let either = told.is_some() || journey.is_some();
        self.at_hand = either.then(|| Box::new(traced(client, kind, (told, journey))));
        self.at_hand()
    }

    fn follows_some(&self) -> bool {
        self.all || !self.clients.is_empty()
    }

    /// Whether a client is told what it sends and what is done with it.
    pub(crate) fn follows(&self, client: &str) -> bool {
        self.all || self.clients.contains_key(client)
    }

    /// Whether that is so of everybody.
    pub(crate) fn follows_all(&self) -> bool {
        self.all
    }

    /// Follows everybody from now on, or only whom it was told to.
    pub(crate) fn follow_all(&mut self, all: bool) {
        self.all = all;
    }

    /// An operation of a client that is not followed failed: whether it is told all the same.
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

    /// The message at hand got this place in its client's stream: whether it is remembered.
    pub(crate) fn placed(&mut self, lane: Lane, sequence: Sequence, now: Instant) -> bool {
        let Some(traced) = self.at_hand.clone() else { return false };
        if traced.told.is_none() && self.sampled >= SAMPLED_MAX {
            return false;
        }
        self.sampled += usize::from(traced.journey.is_some());
        let sent = self.sent.entry_ref(&*traced.client).or_default();
        if sent.len() >= SENT_MAX {
            sent.pop_front();
        }
        sent.push_back(Sent { at: now, lane, sequence, traced, delivered: false });
        true
    }

    /// Messages to `client` were written up to here: those of them that are new.
    pub(crate) fn delivered(&mut self, client: &str, reached: &Reached) -> Vec<Traced> {
        let sent = self.sent.get_mut(client).into_iter().flat_map(|sent| sent.iter_mut());
        let fresh = sent.filter(|it| !it.delivered && it.sequence <= reached[it.lane as usize]);
        fresh
            .map(|it| {
                it.delivered = true;
                (*it.traced).clone()
            })
            .collect()
    }

    /// `client` has acknowledged what `has` says yes to: forgets those, and says which its follower is told of.
    pub(crate) fn acknowledged(&mut self, client: &str, has: impl Fn(Lane, Sequence) -> bool) -> Vec<Traced> {
        let Some(sent) = self.sent.get_mut(client) else { return Vec::new() };
        let (known, left): (Vec<Sent>, Vec<Sent>) =
            std::mem::take(sent).into_iter().partition(|it| has(it.lane, it.sequence));
        *sent = left.into();
        known.into_iter().map(|it| *it.traced).filter(|traced| traced.told.is_some()).collect()
    }

    /// Whether messages to `client` are remembered; those that were delivered to one that is not followed are forgotten.
    pub(crate) fn remembers(&mut self, client: &str) -> bool {
        let followed = self.clients.contains_key(client);
        let Some(sent) = self.sent.get_mut(client) else { return false };
        sent.retain(|it| followed || !it.delivered);
        let some = !sent.is_empty();
        if !some {
            self.sent.remove(client);
        }
        some
    }

    /// Operations so far.
    pub(crate) fn count(&self) -> u64 {
        self.count
    }

    /// Whether no message on its way to a client is traced.
    pub(crate) fn is_idle(&self) -> bool {
        self.sent.is_empty()
    }

    /// The next operation.
    pub(crate) fn next(&mut self) -> Operation {
        self.count += 1;
        Operation::new(self.shard, self.count)
    }
}

/// What is traced of a message.
pub(super) fn traced(
    client: Option<&str>,
    kind: &str,
    (told, journey): (Option<Operation>, Option<Box<Journey>>),
) -> Traced {
    let kind = &kind[..kind.floor_char_boundary(KIND_BYTES_MAX)];
    Traced { client: client.unwrap_or_default().into(), told, kind: kind.into(), journey }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: u64) -> Instant {
        Instant(seconds * 1_000_000_000)
    }

    fn tracer() -> Tracer {
        Tracer::new(3, &Tracing::default(), 1)
    }

    fn begin<'t>(tracer: &'t mut Tracer, client: Option<&str>) -> Option<&'t Traced> {
        tracer.begin(|_| client, "chat", || None, at(0))
    }

    fn names(traced: &[Traced]) -> Vec<String> {
        let told = traced.iter().filter_map(|it| it.told);
        told.map(|operation| operation.to_string()).collect()
    }

    #[test]
    fn who_is_not_followed_costs_a_number() {
        let mut tracer = tracer();
        assert_eq!(tracer.begin(|_| unreachable!("nobody asks"), "chat", || None, at(0)), None);
        tracer.trace("u1", Duration::from_secs(10), at(0));
        assert_eq!(begin(&mut tracer, Some("u2")), None);
        assert_eq!(begin(&mut tracer, None), None);
        let traced = begin(&mut tracer, Some("u1")).expect("followed");
        assert_eq!(traced.told.map(|operation| operation.to_string()).as_deref(), Some("0003000000000004"));
        assert_eq!(tracer.count(), 4);
        tracer.follow_all(true);
        assert!(begin(&mut tracer, Some("u2")).is_some() && begin(&mut tracer, None).is_none());
        tracer.follow_all(false);
        assert_eq!(begin(&mut tracer, Some("u2")), None);
        tracer.trace("u1", Duration::ZERO, at(1));
        assert_eq!(begin(&mut tracer, Some("u1")), None);
    }

    #[test]
    fn following_ends_by_itself_and_there_are_not_too_many() {
        let mut tracer = tracer();
        for client in 0..CLIENTS_MAX + 10 {
            tracer.trace(&client.to_string(), Duration::from_secs(10), at(0));
        }
        assert_eq!(tracer.clients.len(), CLIENTS_MAX);
        tracer.trace("0", Duration::from_secs(30), at(1));
        tracer.sweep(at(10));
        assert!(tracer.clients.len() == 1 && begin(&mut tracer, Some("0")).is_some());
    }

    #[test]
    fn a_message_is_delivered_once_and_acknowledged_once() {
        let mut tracer = tracer();
        tracer.trace("u1", Duration::from_secs(10), at(0));
        for sequence in 1..=3 {
            begin(&mut tracer, Some("u1"));
            assert!(tracer.placed(Lane::Normal, sequence, at(0)));
        }
        tracer.take_up(None);
        assert!(!tracer.placed(Lane::Normal, 4, at(0)));
        let mut reached = Reached::default();
        reached[Lane::Normal as usize] = 2;
        let (one, two, three) = ("0003000000000001", "0003000000000002", "0003000000000003");
        assert_eq!(names(&tracer.delivered("u1", &reached)), [one, two]);
        assert_eq!(names(&tracer.delivered("u1", &reached)), [""; 0]);
        assert_eq!(names(&tracer.acknowledged("u1", |_, sequence| sequence == 1)), [one]);
        reached[Lane::Normal as usize] = 9;
        assert_eq!(names(&tracer.delivered("u1", &reached)), [three]);
        assert!(tracer.remembers("u1"));
        assert_eq!(names(&tracer.acknowledged("u1", |_, _| true)), [two, three]);
        assert!(!tracer.remembers("u1") && tracer.is_idle());
    }

    #[test]
    fn what_is_never_acknowledged_is_bounded() {
        let mut tracer = tracer();
        tracer.trace("u1", Duration::from_secs(10), at(0));
        for sequence in 1..=2 * SENT_MAX as u64 {
            begin(&mut tracer, Some("u1"));
            tracer.placed(Lane::Normal, sequence, at(0));
        }
        assert_eq!(tracer.acknowledged("u1", |_, _| true).len(), SENT_MAX);
    }

    #[test]
    fn sampled_messages_wait_for_their_clients_only_so_long_and_only_so_many() {
        let mut tracer = Tracer::new(3, &Tracing { on: true, rate: 1.0, most: 0 }, 1);
        let mut remembered = 0;
        for client in 0..SAMPLED_MAX + 10 {
            let client = client.to_string();
            assert!(begin(&mut tracer, Some(&client)).is_some_and(|traced| traced.told.is_none()));
            remembered += usize::from(tracer.placed(Lane::Normal, 1, at(0)));
        }
        assert_eq!(remembered, SAMPLED_MAX);
        let mut reached = Reached::default();
        reached[Lane::Normal as usize] = 1;
        assert_eq!(tracer.delivered("0", &reached).len(), 1);
        assert!(!tracer.remembers("0"), "nobody wants to know whether it is acknowledged");
        tracer.sweep(at(599));
        assert!(!tracer.is_idle());
        tracer.sweep(at(600));
        assert!(tracer.is_idle());
    }
}
