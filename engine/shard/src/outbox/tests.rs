//! The outbox against a model that forgets nothing.

use std::time::Duration;

use proptest::prelude::*;

use super::*;

const MILLI: u64 = 1_000_000;

/// Every message ever appended, and how far the outbox may have forgotten them.
#[derive(Default)]
struct Model {
    /// Time and body; number n at n - 1.
    all: Vec<(u64, Vec<u8>)>,
    /// Numbers up to this one are dropped.
    dropped: u64,
    acknowledged: u64,
}

impl Model {
    fn retained(&self) -> &[(u64, Vec<u8>)] {
        &self.all[self.dropped as usize..]
    }

    fn bytes(&self) -> usize {
        self.retained().iter().map(|message| message.1.len()).sum()
    }

    fn trim_age(&mut self, now: u64, limits: &limits::Outbox) {
        let age_max = limits.age_max.as_nanos() as u64;
        while age_max > 0 && self.retained().first().is_some_and(|oldest| oldest.0 + age_max < now) {
            self.dropped += 1;
        }
    }

    fn append(&mut self, now: u64, body: Vec<u8>, limits: &limits::Outbox) {
        self.trim_age(now, limits);
        self.all.push((now, body));
        while self.retained().len() > 1
            && (self.retained().len() > limits.messages_max || self.bytes() > limits.bytes_max)
        {
            self.dropped += 1;
        }
    }
}

#[derive(Clone, Debug)]
enum Step {
    Append(usize),
    /// Milliseconds.
    Wait(u64),
    Trim,
    EvictOldest,
    /// A number near the head, sometimes beyond it; behind it by so many.
    Acknowledge(i64),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        6 => (0_usize..50).prop_map(Step::Append),
        2 => (0_u64..400).prop_map(Step::Wait),
        1 => Just(Step::Trim),
        1 => Just(Step::EvictOldest),
        1 => (-3_i64..30).prop_map(Step::Acknowledge),
    ]
}

fn limits() -> impl Strategy<Value = limits::Outbox> {
    (0_usize..40, 0_usize..600, 0_u64..2_000).prop_map(|(messages_max, bytes_max, age_max)| limits::Outbox {
        messages_max,
        bytes_max,
        age_max: Duration::from_millis(age_max),
    })
}

fn bodies(entries: Entries<'_>) -> Vec<(Sequence, Vec<u8>)> {
    entries.map(|(sequence, entry)| (sequence, entry.body.to_vec())).collect()
}

/// A replay of every cursor there can be is exact, or its gap covers exactly what is missing.
fn check_replays(outbox: &Outbox, model: &Model) -> Result<(), TestCaseError> {
    let head = model.all.len() as u64;
    for sequence in (0..=head + 2).chain([u64::MAX]) {
        let Replay { gap, entries } = outbox.replay(Position { epoch: outbox.epoch(), sequence });
        prop_assert_eq!(entries.len(), entries.clone().count());
        let delivered = bodies(entries);
        let missing = match gap {
            None => sequence..sequence,
            Some(Gap { from, to, reason: GapReason::Ahead }) => {
                prop_assert!(sequence > head);
                prop_assert_eq!((from, to, delivered.len()), (1, head, 0));
                continue;
            }
            Some(Gap { from, to, reason }) => {
                prop_assert!(from <= to && reason != GapReason::EpochChanged);
                prop_assert_eq!(reason == GapReason::Acknowledged, to <= model.acknowledged);
                from - 1..to
            }
        };
        prop_assert!(sequence <= head);
        prop_assert_eq!(missing.start, sequence);
        prop_assert!(missing.is_empty() || missing.end == model.dropped);
        let expected = (missing.end + 1..).zip(model.all[missing.end as usize..].iter().map(|m| m.1.clone()));
        prop_assert_eq!(delivered, expected.collect::<Vec<_>>());
    }
    Ok(())
}

proptest! {
    #[test]
    fn agrees_with_a_list(limits in limits(), steps in prop::collection::vec(step(), 0..150)) {
        let mut outbox = Outbox::new(Epoch::from_random(77));
        let mut model = Model::default();
        let mut now = 5_000 * MILLI;
        for step in steps {
            let held = outbox.bytes();
            match step {
                Step::Append(size) => {
                    let body = vec![model.all.len() as u8; size];
                    let entry = Entry { at: Instant(now), body: body.clone().into(), class: 0, ttl_ms: 0 };
                    let appended = outbox.append(&limits, entry);
                    outbox.settle(appended.sequence);
                    model.append(now, body, &limits);
                    prop_assert_eq!(appended.sequence, model.all.len() as u64);
                    prop_assert_eq!(held + size - appended.evicted_bytes, outbox.bytes());
                    prop_assert!(outbox.len() == 1 || outbox.len() <= limits.messages_max);
                    prop_assert!(outbox.len() == 1 || outbox.bytes() <= limits.bytes_max);
                }
                Step::Wait(millis) => now += millis * MILLI,
                Step::Trim => {
                    prop_assert_eq!(held - outbox.trim_age(Instant(now), &limits), outbox.bytes());
                    model.trim_age(now, &limits);
                }
                Step::EvictOldest => {
                    prop_assert_eq!(held - outbox.evict_oldest(), outbox.bytes());
                    model.dropped += u64::from(!model.retained().is_empty());
                }
                Step::Acknowledge(behind) => {
                    let sequence = (model.all.len() as u64).saturating_add_signed(-behind);
                    let position = Position { epoch: outbox.epoch(), sequence };
                    if sequence > model.all.len() as u64 {
                        prop_assert_eq!(outbox.acknowledge(position), Err(AckError::Ahead));
                    } else {
                        let freed = outbox.acknowledge(position).expect("a sent message");
                        prop_assert_eq!(held - freed, outbox.bytes());
                        model.acknowledged = model.acknowledged.max(sequence);
                        model.dropped = model.dropped.max(sequence);
                    }
                }
            }
            prop_assert_eq!(outbox.head(), model.all.len() as u64);
            prop_assert_eq!(outbox.floor(), model.dropped + 1);
            prop_assert_eq!(outbox.len(), model.retained().len());
            prop_assert_eq!(outbox.bytes(), model.bytes());
            prop_assert_eq!(outbox.acknowledged(), model.acknowledged);
        }
        check_replays(&outbox, &model)?;
    }
}

fn filled(messages: usize) -> Outbox {
    let limits = limits::Outbox { messages_max: messages, bytes_max: usize::MAX, age_max: Duration::ZERO };
    let mut outbox = Outbox::new(Epoch::from_random(1));
    for n in 0..messages {
        let entry = Entry { at: Instant(n as u64), body: Arc::from([0; 8]), class: 0, ttl_ms: 0 };
        outbox.append(&limits, entry);
        outbox.settle(n as u64 + 1);
    }
    outbox
}

#[test]
fn a_cursor_of_another_epoch_gets_a_gap_and_the_live_end() {
    for messages in [0, 3] {
        let outbox = filled(messages);
        for sequence in 0..5 {
            let replay = outbox.replay(Position { epoch: Epoch::from_random(2), sequence });
            let gap = Gap { from: 1, to: messages as u64, reason: GapReason::EpochChanged };
            assert_eq!(replay.gap, Some(gap));
            assert_eq!(replay.entries.len(), 0);
        }
    }
}

#[test]
fn an_acknowledgement_of_another_epoch_is_refused() {
    let mut outbox = filled(3);
    let position = Position { epoch: Epoch::from_random(2), sequence: 2 };
    assert_eq!(outbox.acknowledge(position), Err(AckError::ForeignEpoch));
    assert_eq!((outbox.len(), outbox.acknowledged()), (3, 0));
}

#[test]
fn an_emptied_outbox_gives_its_memory_back() {
    let mut outbox = filled(1_000);
    let position = Position { epoch: outbox.epoch(), sequence: 1_000 };
    assert_eq!(outbox.acknowledge(position), Ok(8_000));
    assert!(outbox.entries.capacity() <= CAPACITY_KEPT, "{}", outbox.entries.capacity());
    assert!(size_of::<Outbox>() <= 72 && size_of::<Entry>() <= 32);
}

#[test]
fn nobody_hears_of_what_is_not_durable() {
    let mut outbox = filled(3);
    let limits = limits::Outbox { messages_max: 2, bytes_max: 0, age_max: Duration::from_nanos(1) };
    for at in 10..14 {
        let entry = Entry { at: Instant(at * 1_000), body: Arc::from([1; 8]), class: 0, ttl_ms: 0 };
        outbox.append(&limits, entry);
    }
    assert_eq!(
        (outbox.head(), outbox.durable(), outbox.floor()),
        (7, 3, 4),
        "bounds drop what is durable only"
    );
    let position = |sequence| Position { epoch: Epoch::from_random(1), sequence };
    let (fourth, third) = (position(4), position(3));
    assert_eq!(outbox.replay(third).entries.len(), 0);
    assert_eq!(outbox.replay(fourth).gap.map(|gap| gap.reason), Some(GapReason::Ahead));
    assert!(outbox.get(4).is_none());
    assert_eq!(outbox.acknowledge(fourth), Err(AckError::Ahead));
    outbox.settle(5);
    assert_eq!(bodies(outbox.replay(third).entries).len(), 2);
    assert!(outbox.get(5).is_some() && outbox.get(6).is_none());
}

#[test]
fn a_message_is_worth_sending_for_its_time() {
    let mut entry = Entry { at: Instant(MILLI), body: Arc::from([0; 1]), class: 0, ttl_ms: 2 };
    assert!(!entry.is_expired(Instant(3 * MILLI)) && entry.is_expired(Instant(3 * MILLI + 1)));
    entry.ttl_ms = 0;
    assert!(!entry.is_expired(Instant(u64::MAX)));
}
