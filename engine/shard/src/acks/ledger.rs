//! What is kept of a client that acknowledges, beside its stream; most clients have none of it.

use std::time::Duration;

use weir_ring::time::Instant;
use weir_ring::token::Member;

use super::{Acks, Clock, Flight, Job};
use crate::dead::MessageId;
use crate::lane::Lane;
use crate::limits::{Backpressure, Config, Delivery};
use crate::message::State;
use crate::policy::routing::Carrier;
use crate::policy::{Pace, Status};
use crate::reply_to::ReplyTo;
use crate::stream::Sequence;

/// The shortest time: a lag is too long only beyond its limit.
const INSTANT: Duration = Duration::from_nanos(1);

/// One client's acknowledgements and all that depends on them.
#[derive(Debug)]
pub(crate) struct Ledger {
    pub(crate) clock: Clock,
    /// Nothing until it acknowledges, or says that it will.
    pub(crate) acks: Option<Acks>,
    /// Its dead letters that are on their way again, in the order somebody asked for it.
    pub(crate) redriven: Vec<(MessageId, Flight)>,
    pub(crate) pace: Pace,
    /// Publishers that wait for an acknowledgement.
    pub(crate) waiting: Vec<Waiting>,
    /// What its connections were told of its pace.
    pub(crate) told: Status,
    /// When the next look is due.
    pub(crate) wake: Option<Instant>,
    /// Something has changed in this turn.
    pub(crate) changed: bool,
}

/// A publisher that waits until its message is acknowledged.
#[derive(Debug)]
pub(crate) struct Waiting {
    pub(crate) lane: Lane,
    pub(crate) sequence: Sequence,
    /// Where it is connected.
    pub(crate) from: Member,
    pub(crate) reply_to: ReplyTo,
    /// How long it waits.
    pub(crate) until: Instant,
    /// It says the same again, under an idempotency key.
    pub(crate) duplicate: bool,
}

impl Ledger {
    /// Nothing is tracked yet.
    pub(crate) fn new(connected: bool, now: Instant) -> Ledger {
        let mut clock = Clock::default();
        if !connected {
            clock.stop(now);
        }
        Ledger {
            clock,
            acks: None,
            redriven: Vec::new(),
            pace: Pace::default(),
            waiting: Vec::new(),
            told: Status::Normal,
            wake: None,
            changed: false,
        }
    }

    /// How a message stands, if the client acknowledges.
    pub(crate) fn job(&self, lane: Lane, sequence: Sequence) -> Option<Job> {
        Some(self.acks.as_ref()?.job(lane, sequence))
    }

    /// Whether a message may be written in its turn, however much is pending: what is in flight already makes it no
    /// more, what stands before something in flight is acknowledged with it or not at all, and a client that comes
    /// back may wait for nothing else.
    pub(crate) fn may_go(&self, lane: Lane, sequence: Sequence) -> bool {
        let is_awaited = |acks: &Acks| {
            acks.job(lane, sequence) != Job::Waiting
                || acks.last_flight(lane).is_some_and(|last| sequence < last)
        };
        lane <= self.pace.least() || self.acks.as_ref().is_some_and(is_awaited)
    }

    /// When the next message may be written, if not now.
    pub(crate) fn wait(&mut self, config: &Config, now: Instant) -> Option<Instant> {
        self.pace.wait(&config.client_rate, now, &config.backpressure)
    }

    /// A message was written in its turn. Answers how many more are pending.
    pub(crate) fn written(
        &mut self,
        place: (Lane, Sequence),
        carrier: Carrier,
        now: Instant,
        delivery: &Delivery,
        random: u64,
    ) -> u64 {
        let at = self.clock.read(now);
        let Some(acks) = &mut self.acks else { return 0 };
        let before = acks.pending();
        acks.written(place, carrier, at, delivery, random);
        (acks.pending() - before) as u64
    }

    /// Messages in flight.
    pub(crate) fn pending(&self) -> usize {
        self.acks.as_ref().map_or(0, Acks::pending)
    }

    /// The status that the connections must be told, if it is another one.
    pub(crate) fn news(&mut self, now: Instant, limits: &Backpressure) -> Option<Status> {
        let acks = self.acks.as_ref()?;
        let lag = acks.oldest().map(|since| self.clock.read(now).since(since));
        let status = self.pace.judge(acks.pending(), lag.unwrap_or_default(), limits);
        (std::mem::replace(&mut self.told, status) != status).then_some(status)
    }

    /// A connection is up. It takes the pace for the usual one.
    pub(crate) fn connected(&mut self, now: Instant) {
        self.clock.go(now);
        self.told = Status::Normal;
    }

    /// When it must be looked at again, if nothing happens: for what is overdue then, for the lag that will have
    /// grown by then, for publishers that will have waited enough.
    pub(crate) fn next_look(&self, limits: &Backpressure) -> Option<Instant> {
        let acks = self.acks.as_ref();
        let overdue = acks.and_then(Acks::next_due);
        let lagging = acks.and_then(Acks::oldest).map(|since| since.plus(limits.lag).plus(INSTANT));
        let lagging = lagging.filter(|_| self.pace.status() < Status::Bundled);
        let redriven = self.redriven.iter().map(|(_, flight)| flight.due).min();
        let own = [overdue, lagging, redriven].into_iter().flatten().min();
        let patience = self.waiting.iter().map(|waiting| waiting.until).min();
        own.and_then(|at| self.clock.instant(at)).into_iter().chain(patience).min()
    }

    /// Dead letters that must be written once more, or have died once more.
    pub(crate) fn redriven_due(&self, at: Instant, delivery: &Delivery) -> Vec<(MessageId, bool)> {
        let due = self.redriven.iter().filter(|(_, flight)| flight.due <= at);
        due.map(|(id, flight)| (*id, flight.attempts >= delivery.attempts_max)).collect()
    }

    /// The flight of a dead letter on its way.
    pub(crate) fn redrive(&mut self, id: MessageId) -> Option<&mut Flight> {
        self.redriven.iter_mut().find_map(|(other, flight)| (*other == id).then_some(flight))
    }

    /// A dead letter is on its way no more. `None` if it was not.
    pub(crate) fn end_redrive(&mut self, id: MessageId) -> Option<Flight> {
        let at = self.redriven.iter().position(|(other, _)| *other == id)?;
        Some(self.redriven.remove(at).1)
    }

    /// Takes out the publishers for whose message `end` knows one.
    pub(crate) fn answer(&mut self, end: impl Fn(&Waiting) -> Option<State>) -> Vec<(Waiting, State)> {
        let mut answers = Vec::new();
        for one in std::mem::take(&mut self.waiting) {
            match end(&one) {
                Some(state) => answers.push((one, state)),
                None => self.waiting.push(one),
            }
        }
        answers
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Two transports write ahead of one another, and acknowledgements are cumulative.
    #[test]
    fn what_stands_before_something_in_flight_may_go_however_much_is_pending() {
        let now = Instant(0);
        let mut ledger = Ledger::new(true, now);
        let flight = || Flight::due(now);
        ledger.acks = Some(Acks::new([0; Lane::ALL.len()], [0; Lane::ALL.len()], flight));
        let limits = Backpressure { slow_down: 0, critical_only: 0, ..Backpressure::default() };
        ledger.written((Lane::Normal, 3), Carrier::Sse, now, &Delivery::default(), 0);
        assert_eq!(ledger.news(now, &limits), Some(Status::CriticalOnly));
        assert!(ledger.may_go(Lane::Normal, 2), "3 cannot be acknowledged without it");
        assert!(ledger.may_go(Lane::Normal, 3));
        assert!(!ledger.may_go(Lane::Normal, 4));
    }
}
