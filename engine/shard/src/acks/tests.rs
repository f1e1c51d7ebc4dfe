//! Acknowledgements against a model that keeps every message for ever.

use std::time::Duration;

use proptest::prelude::*;

use super::*;

const MILLI: u64 = 1_000_000;

/// One message of the model.
#[derive(Clone, Debug)]
struct Sent {
    job: ModelJob,
    since: u64,
    due: u64,
    attempts: u8,
    carriers: [bool; 2],
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum ModelJob {
    Waiting,
    Flight,
    Acknowledged,
    Dead,
    Expired,
    Forgotten,
}

/// All messages of each lane; number n at n - 1.
#[derive(Default)]
struct Model {
    lanes: [Vec<Sent>; 4],
}

impl Model {
    fn pending(&self) -> usize {
        self.lanes.iter().flatten().filter(|sent| sent.job == ModelJob::Flight).count()
    }

    fn prefix(&self, lane: usize) -> u64 {
        let gone = |sent: &&Sent| matches!(sent.job, ModelJob::Acknowledged | ModelJob::Forgotten);
        self.lanes[lane].iter().take_while(gone).count() as u64
    }
}

#[derive(Clone, Debug)]
enum Step {
    Append(usize),
    /// Writes the message that far behind the head.
    Write(usize, usize, bool),
    Acknowledge(usize, usize),
    Single(usize, usize),
    SentOn(bool, [usize; 4]),
    Expire(usize, usize),
    Forget(usize, usize),
    /// Milliseconds; then all that is due is handled.
    Wait(u64),
}

fn step() -> impl Strategy<Value = Step> {
    let (lane, back) = (0_usize..4, 0_usize..12);
    prop_oneof![
        6 => lane.clone().prop_map(Step::Append),
        8 => (lane.clone(), back.clone(), any::<bool>()).prop_map(|(l, b, c)| Step::Write(l, b, c)),
        2 => (lane.clone(), back.clone()).prop_map(|(l, b)| Step::Acknowledge(l, b)),
        4 => (lane.clone(), back.clone()).prop_map(|(l, b)| Step::Single(l, b)),
        1 => (any::<bool>(), prop::array::uniform4(back.clone())).prop_map(|(c, b)| Step::SentOn(c, b)),
        1 => (lane.clone(), back.clone()).prop_map(|(l, b)| Step::Expire(l, b)),
        1 => (lane, 0_usize..30).prop_map(|(l, b)| Step::Forget(l, b)),
        3 => (0_u64..4_000).prop_map(Step::Wait),
    ]
}

fn carrier(sse: bool) -> Carrier {
    if sse { Carrier::Sse } else { Carrier::WebSocket }
}

/// The number that lies `back` behind the head; 0 for none.
fn behind(model: &Model, lane: usize, back: usize) -> u64 {
    model.lanes[lane].len().saturating_sub(back) as u64
}

struct Both {
    acks: Acks,
    model: Model,
    now: u64,
    delivery: Delivery,
    dead: usize,
    retried: usize,
}

impl Both {
    fn at(&self) -> Instant {
        Instant(self.now)
    }

    /// `random` 200 is the middle of the spread: exact waits.
    fn due(&self, attempts: u8) -> u64 {
        self.now + self.delivery.wait(attempts, 200).as_nanos() as u64
    }

    fn write(&mut self, lane: usize, sequence: u64, sse: bool) {
        let at = self.at();
        self.acks.written((Lane::ALL[lane], sequence), carrier(sse), at, &self.delivery, 200);
        let now = self.now;
        let first = self.due(1);
        let sent = &mut self.model.lanes[lane][sequence as usize - 1];
        match sent.job {
            ModelJob::Waiting => {
                let carriers = [!sse, sse];
                *sent = Sent { job: ModelJob::Flight, since: now, due: first, attempts: 1, carriers };
            }
            ModelJob::Flight => {
                sent.carriers[usize::from(sse)] = true;
                sent.due = now + self.delivery.wait(sent.attempts, 200).as_nanos() as u64;
            }
            _ => {}
        }
    }

    fn settle(&mut self, lane: usize, sequence: u64, job: Job, end: ModelJob) {
        let sent = &mut self.model.lanes[lane][sequence as usize - 1];
        let news = matches!(sent.job, ModelJob::Waiting | ModelJob::Flight);
        if news {
            sent.job = end;
        }
        assert_eq!(self.acks.settle(Lane::ALL[lane], sequence, job), news);
    }

    /// Everything up to `through` ends, whatever it was.
    fn through(&mut self, lane: usize, through: u64, end: ModelJob) {
        for sent in &mut self.model.lanes[lane][..through as usize] {
            sent.job = end;
        }
    }

    /// What the shard does with what is due, and what the model says is due.
    fn handle_due(&mut self) {
        let due = self.acks.due(self.at(), &self.delivery);
        let mut expected = Vec::new();
        for (lane, sents) in self.model.lanes.iter().enumerate() {
            for (sequence, sent) in (1..).zip(sents) {
                if sent.job == ModelJob::Flight && sent.due <= self.now {
                    let exhausted = sent.attempts >= self.delivery.attempts_max;
                    expected.push(Due { lane: Lane::ALL[lane], sequence, exhausted });
                }
            }
        }
        assert_eq!(due, expected);
        for Due { lane, sequence, exhausted } in due {
            if exhausted {
                self.dead += 1;
                self.settle(lane as usize, sequence, Job::Dead, ModelJob::Dead);
                continue;
            }
            self.retried += 1;
            let at = self.at();
            let flight = self.acks.flight(lane, sequence).expect("it is due");
            flight.again(Carrier::WebSocket, at, &self.delivery, 200);
            let attempts = flight.attempts;
            assert!(attempts <= self.delivery.attempts_max);
            let due = self.due(attempts);
            let sent = &mut self.model.lanes[lane as usize][sequence as usize - 1];
            (sent.attempts, sent.due, sent.carriers[0]) = (attempts, due, true);
        }
    }

    fn step(&mut self, step: &Step) {
        match *step {
            Step::Append(lane) => {
                let sent =
                    Sent { job: ModelJob::Waiting, since: 0, due: 0, attempts: 0, carriers: [false; 2] };
                self.model.lanes[lane].push(sent);
            }
            Step::Wait(millis) => {
                self.now += millis * MILLI;
                self.handle_due();
            }
            Step::SentOn(sse, backs) => {
                let cursor = std::array::from_fn(|lane| behind(&self.model, lane, backs[lane]));
                for (lane, sequence) in self.acks.sent_on(carrier(sse), &cursor) {
                    assert!(self.acks.settle(lane, sequence, Job::Acknowledged));
                }
                for (sents, through) in self.model.lanes.iter_mut().zip(cursor) {
                    for sent in &mut sents[..through as usize] {
                        if sent.job == ModelJob::Flight && sent.carriers[usize::from(sse)] {
                            sent.job = ModelJob::Acknowledged;
                        }
                    }
                }
            }
            Step::Write(lane, back, _)
            | Step::Acknowledge(lane, back)
            | Step::Single(lane, back)
            | Step::Expire(lane, back)
            | Step::Forget(lane, back) => {
                let sequence = behind(&self.model, lane, back);
                if sequence > 0 {
                    self.numbered(step, lane, sequence);
                }
            }
        }
    }

    fn numbered(&mut self, step: &Step, lane: usize, sequence: u64) {
        match step {
            Step::Write(_, _, sse) => self.write(lane, sequence, *sse),
            Step::Acknowledge(..) => {
                self.acks.acknowledge(Lane::ALL[lane], sequence);
                self.through(lane, sequence, ModelJob::Acknowledged);
            }
            Step::Single(..) => self.settle(lane, sequence, Job::Acknowledged, ModelJob::Acknowledged),
            Step::Expire(..) => self.settle(lane, sequence, Job::Expired, ModelJob::Expired),
            _ => {
                let flights = self.model.lanes[lane].iter().zip(1..=sequence);
                let mut lost = flights.filter(|(sent, _)| sent.job == ModelJob::Flight).map(|(_, n)| n);
                let first = lost.next();
                let expected = first.map(|first| (first, lost.last().unwrap_or(first)));
                assert_eq!(self.acks.forget(Lane::ALL[lane], sequence), expected);
                self.through(lane, sequence, ModelJob::Forgotten);
            }
        }
    }

    fn compare(&self) {
        assert_eq!(self.acks.pending(), self.model.pending());
        let flights = || self.model.lanes.iter().flatten().filter(|sent| sent.job == ModelJob::Flight);
        assert_eq!(self.acks.next_due(), flights().map(|sent| Instant(sent.due)).min());
        for (at, lane) in Lane::ALL.into_iter().enumerate() {
            let prefix = self.model.prefix(at);
            assert_eq!(self.acks.prefix(lane), prefix);
            let flies = |sent: &Sent| sent.job == ModelJob::Flight;
            let last = self.model.lanes[at].iter().rposition(flies).map(|index| index as u64 + 1);
            assert_eq!(self.acks.last_flight(lane), last);
            for (sequence, sent) in (1..).zip(&self.model.lanes[at]) {
                let job = self.acks.job(lane, sequence);
                match sent.job {
                    _ if sequence <= prefix => assert_eq!(job, Job::Acknowledged),
                    ModelJob::Waiting => assert_eq!(job, Job::Waiting),
                    ModelJob::Acknowledged => assert_eq!(job, Job::Acknowledged),
                    ModelJob::Dead => assert_eq!(job, Job::Dead),
                    ModelJob::Expired => assert_eq!(job, Job::Expired),
                    ModelJob::Forgotten => unreachable!("always below the prefix"),
                    ModelJob::Flight => {
                        let Job::Flight(flight) = job else { panic!("{job:?} instead of {sent:?}") };
                        assert_eq!((flight.since.0, flight.due.0), (sent.since, sent.due));
                        assert_eq!(flight.attempts, sent.attempts);
                        let by = [Carrier::WebSocket, Carrier::Sse].map(|carrier| flight.went_by(carrier));
                        assert_eq!(by, sent.carriers);
                    }
                }
            }
        }
    }
}

proptest! {
    /// Whatever happens, each message stands as the model says: in exactly one way.
    #[test]
    fn agrees_with_a_list(steps in prop::collection::vec(step(), 0..200), attempts_max in 1_u8..5) {
        let delivery = Delivery { attempts_max, ..Delivery::default() };
        let acks = Acks::new([0; 4], [0; 4], || unreachable!("nothing was written"));
        let now = 5_000 * MILLI;
        let mut both = Both { acks, model: Model::default(), now, delivery, dead: 0, retried: 0 };
        for step in steps {
            both.step(&step);
            both.compare();
        }
        // Left alone, everything in flight ends as a dead letter after as many attempts as it may have.
        while let Some(due) = both.acks.next_due() {
            both.now = both.now.max(due.0);
            both.handle_due();
        }
        both.compare();
        prop_assert_eq!(both.acks.pending(), 0);
    }
}

#[test]
fn what_was_written_before_the_first_acknowledgement_is_pending() {
    let delivery = Delivery::default();
    let flight = || Flight::new(None, Instant(7), &delivery, 200);
    let mut acks = Acks::new([0, 0, 2, 0], [0, 1, 5, 0], flight);
    assert_eq!((acks.pending(), acks.oldest()), (4, Some(Instant(7))));
    assert_eq!(acks.sent_on(Carrier::Sse, &[0, 1, 5, 0]), [], "nobody knows how they went");
    acks.acknowledge(Lane::Normal, 5);
    assert!(acks.settle(Lane::High, 1, Job::Acknowledged));
    assert_eq!((acks.pending(), acks.oldest(), acks.prefix(Lane::Normal)), (0, None, 5));
}

#[test]
fn the_prefix_closes_over_what_came_out_of_order() {
    let delivery = Delivery { ack_timeout: Duration::from_secs(1), ..Delivery::default() };
    let mut acks = Acks::new([0; 4], [0; 4], || unreachable!("nothing was written"));
    for sequence in 1..=4 {
        acks.written((Lane::Normal, sequence), Carrier::WebSocket, Instant(0), &delivery, 200);
    }
    let steps =
        [(4, Job::Acknowledged, 0), (1, Job::Acknowledged, 1), (2, Job::Dead, 1), (3, Job::Expired, 1)];
    for (sequence, end, prefix) in steps {
        assert!(acks.settle(Lane::Normal, sequence, end));
        assert!(!acks.settle(Lane::Normal, sequence, Job::Acknowledged));
        assert_eq!(acks.prefix(Lane::Normal), prefix);
    }
    assert_eq!(
        (acks.pending(), acks.job(Lane::Normal, 2), acks.job(Lane::Normal, 9)),
        (0, Job::Dead, Job::Waiting)
    );
    acks.acknowledge(Lane::Normal, 3);
    assert_eq!((acks.prefix(Lane::Normal), acks.lanes[2].jobs.len()), (4, 0));
}
