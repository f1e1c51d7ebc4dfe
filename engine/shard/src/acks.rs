//! What a client that acknowledges has been sent and not acknowledged: when each message is written again,
//! and when it is given up. A client begins it by asking for it in its join, or with its first
//! acknowledgement.
//!
//! Times are the client's own (`Clock`).

mod flight;
mod ledger;
mod named;

use std::collections::VecDeque;

use weir_ring::time::Instant;

pub(crate) use self::flight::{Clock, Flight};
pub(crate) use self::ledger::{Ledger, Waiting};
pub use self::named::Ack;
pub(crate) use self::named::Named;
use crate::lane::Lane;
use crate::limits::Delivery;
use crate::policy::routing::Carrier;
use crate::stream::Sequence;

/// How a message of a client that acknowledges stands: always in exactly one of these ways.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Job {
    /// Not written yet.
    Waiting,
    /// Written and not acknowledged.
    Flight(Flight),
    /// The client has it.
    Acknowledged,
    /// Given up: a dead letter.
    Dead,
    /// Its time to live passed first.
    Expired,
}

impl Job {
    /// Whether nothing will become of it any more.
    pub(crate) fn is_settled(self) -> bool {
        matches!(self, Job::Acknowledged | Job::Dead | Job::Expired)
    }
}

/// A message whose acknowledgement is overdue.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Due {
    pub(crate) lane: Lane,
    pub(crate) sequence: Sequence,
    /// It was written as often as it may be.
    pub(crate) exhausted: bool,
}

/// All lanes of one client.
#[derive(Debug)]
pub(crate) struct Acks {
    lanes: [Window; Lane::ALL.len()],
    pending: usize,
}

/// The jobs of one lane: no more than its outbox keeps, as long as [`Acks::forget`] follows it.
#[derive(Debug)]
struct Window {
    /// Everything up to here is acknowledged or forgotten.
    prefix: Sequence,
    /// What follows; behind the last one everything waits. The first is not acknowledged.
    jobs: VecDeque<Job>,
}

impl Acks {
    /// A client that begins to acknowledge: up to `acknowledged` it is known to have everything, what
    /// was written beyond it, up to `delivered`, is pending from now on.
    pub(crate) fn new(
        acknowledged: [Sequence; Lane::ALL.len()],
        delivered: [Sequence; Lane::ALL.len()],
        mut flight: impl FnMut() -> Flight,
    ) -> Acks {
        let mut pending = 0;
        let mut window = |at: usize| {
            let written = delivered[at].saturating_sub(acknowledged[at]) as usize;
            pending += written;
            let jobs = (0..written).map(|_| Job::Flight(flight())).collect();
            Window { prefix: acknowledged[at], jobs }
        };
        let lanes = std::array::from_fn(&mut window);
        Acks { lanes, pending }
    }

    /// How a message stands.
    pub(crate) fn job(&self, lane: Lane, sequence: Sequence) -> Job {
        self.lanes[lane as usize].job(sequence)
    }

    /// Messages in flight.
    pub(crate) fn pending(&self) -> usize {
        self.pending
    }

    /// The number up to which everything in a lane is acknowledged or forgotten. What is dead or expired ends it, so
    /// that a client that comes back from before is told so.
    pub(crate) fn prefix(&self, lane: Lane) -> Sequence {
        self.lanes[lane as usize].prefix
    }

    /// The last message in flight of a lane.
    pub(crate) fn last_flight(&self, lane: Lane) -> Option<Sequence> {
        let Window { prefix, jobs } = &self.lanes[lane as usize];
        let at = jobs.iter().rposition(|job| matches!(job, Job::Flight(_)))?;
        Some(prefix + 1 + at as u64)
    }

    /// When the oldest message in flight was first written: of each lane the first counts.
    pub(crate) fn oldest(&self) -> Option<Instant> {
        let first = |window: &Window| window.flights().next().map(|(_, flight)| flight.since);
        self.lanes.iter().filter_map(first).min()
    }

    /// A message was written in its turn: for the first time, or once more because the client came back
    /// or has another connection, which begins its wait anew.
    pub(crate) fn written(
        &mut self,
        (lane, sequence): (Lane, Sequence),
        carrier: Carrier,
        at: Instant,
        delivery: &Delivery,
        random: u64,
    ) {
        let Some(job) = self.lanes[lane as usize].job_mut(sequence) else { return };
        match job {
            Job::Waiting => {
                *job = Job::Flight(Flight::new(Some(carrier), at, delivery, random));
                self.pending += 1;
            }
            Job::Flight(flight) => flight.wait(Some(carrier), at, delivery, random),
            Job::Acknowledged | Job::Dead | Job::Expired => {}
        }
    }

    /// The flight of an overdue message, to be begun anew (`again`) or to be waited for (`wait`).
    pub(crate) fn flight(&mut self, lane: Lane, sequence: Sequence) -> Option<&mut Flight> {
        match self.lanes[lane as usize].job_mut(sequence)? {
            Job::Flight(flight) => Some(flight),
            _ => None,
        }
    }

    /// The client has everything of a lane up to `through`, which was appended.
    pub(crate) fn acknowledge(&mut self, lane: Lane, through: Sequence) {
        self.pending -= self.lanes[lane as usize].drop_through(through);
    }

    /// What nobody waits for any more: acknowledged, dead or expired. False if it was settled before.
    pub(crate) fn settle(&mut self, lane: Lane, sequence: Sequence, end: Job) -> bool {
        let window = &mut self.lanes[lane as usize];
        let Some(job) = window.job_mut(sequence) else { return false };
        if job.is_settled() {
            return false;
        }
        self.pending -= usize::from(matches!(job, Job::Flight(_)));
        *job = end;
        window.close();
        true
    }

    /// What is in flight up to `through`, a number for each lane, and was written to connections of one kind.
    pub(crate) fn sent_on(
        &self,
        carrier: Carrier,
        through: &[Sequence; Lane::ALL.len()],
    ) -> Vec<(Lane, Sequence)> {
        let mut all = Vec::new();
        for (lane, through) in Lane::ALL.into_iter().zip(through) {
            let flights = self.lanes[lane as usize].flights().take_while(|(sequence, _)| sequence <= through);
            let sent = flights.filter(|(_, flight)| flight.went_by(carrier));
            all.extend(sent.map(|(sequence, _)| (lane, sequence)));
        }
        all
    }

    /// The outbox keeps nothing up to `through` any more. Answers which numbers that takes out of flight,
    /// from the first to the last.
    pub(crate) fn forget(&mut self, lane: Lane, through: Sequence) -> Option<(Sequence, Sequence)> {
        let window = &mut self.lanes[lane as usize];
        let mut lost = window.flights().map(|(sequence, _)| sequence).take_while(|n| *n <= through);
        let first = lost.next();
        let lost = first.map(|first| (first, lost.last().unwrap_or(first)));
        self.pending -= window.drop_through(through);
        lost
    }

    /// When the next message is due.
    pub(crate) fn next_due(&self) -> Option<Instant> {
        self.lanes.iter().flat_map(Window::flights).map(|(_, flight)| flight.due).min()
    }

    /// What is due, in order within each lane, the most urgent lane first.
    pub(crate) fn due(&self, at: Instant, delivery: &Delivery) -> Vec<Due> {
        let mut all = Vec::new();
        for lane in Lane::ALL {
            for (sequence, flight) in self.lanes[lane as usize].flights() {
                if flight.due <= at {
                    all.push(Due { lane, sequence, exhausted: flight.attempts >= delivery.attempts_max });
                }
            }
        }
        all
    }
}

impl Window {
    fn job(&self, sequence: Sequence) -> Job {
        match sequence.checked_sub(self.prefix + 1) {
            None => Job::Acknowledged,
            Some(at) => self.jobs.get(at as usize).copied().unwrap_or(Job::Waiting),
        }
    }

    /// Beyond the prefix only.
    fn job_mut(&mut self, sequence: Sequence) -> Option<&mut Job> {
        let at = sequence.checked_sub(self.prefix + 1)? as usize;
        if at >= self.jobs.len() {
            self.jobs.resize(at + 1, Job::Waiting);
        }
        self.jobs.get_mut(at)
    }

    fn flights(&self) -> impl Iterator<Item = (Sequence, &Flight)> {
        let numbered = (self.prefix + 1..).zip(&self.jobs);
        numbered.filter_map(|(sequence, job)| match job {
            Job::Flight(flight) => Some((sequence, flight)),
            _ => None,
        })
    }

    /// Everything up to `through` is acknowledged or forgotten. Answers how many of it were in flight.
    fn drop_through(&mut self, through: Sequence) -> usize {
        if through <= self.prefix {
            return 0;
        }
        let count = (through - self.prefix).min(self.jobs.len() as u64) as usize;
        let flights = self.jobs.drain(..count).filter(|job| matches!(job, Job::Flight(_))).count();
        self.prefix = through;
        self.close();
        flights
    }

    /// The prefix goes on over what is acknowledged.
    fn close(&mut self) {
        while self.jobs.front() == Some(&Job::Acknowledged) {
            self.jobs.pop_front();
            self.prefix += 1;
        }
    }
}

#[cfg(test)]
mod tests;
