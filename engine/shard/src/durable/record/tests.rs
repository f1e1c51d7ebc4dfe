use proptest::prelude::*;

use super::*;

fn number() -> impl Strategy<Value = u64> {
    prop_oneof![0..300_u64, 0..=SEQUENCE_MAX]
}

fn numbers() -> impl Strategy<Value = Numbers> {
    [number(), number(), number(), number()]
}

/// What a record is made of; `parts` picks which.
type Parts = (u8, (bool, String, u64, Lane, u64), (u64, u32, u8, Vec<u8>, Vec<u8>), (Numbers, Numbers));

fn parts() -> impl Strategy<Value = Parts> {
    let bytes = || prop::collection::vec(any::<u8>(), 0..40);
    (
        0..8_u8,
        (any::<bool>(), "[ -~ä]{0,20}", any::<u64>(), prop::sample::select(&Lane::ALL), number()),
        (any::<u64>(), any::<u32>(), any::<u8>(), bytes(), bytes()),
        (numbers(), numbers()),
    )
}

fn record(parts: &Parts) -> Record<'_> {
    let (
        which,
        (topic, name, epoch, lane, sequence),
        (wall, ttl_ms, class, key, body),
        (heads, acknowledged),
    ) = parts;
    let kind = if *topic { Kind::Topic } else { Kind::Client };
    let (stream, epoch) = (Name { kind, text: name }, Epoch::from_random(*epoch));
    let at = Place { stream, epoch, lane: *lane, sequence: *sequence };
    let message = Message { wall: Wall(*wall), ttl_ms: *ttl_ms, class: *class, key, body };
    match which {
        0 => Record::Opened { stream, epoch },
        1 => {
            Record::Message { at: Place { sequence: (*sequence).max(1), ..at }, lanes: *class & 15, message }
        }
        2 => Record::Acknowledged { at },
        3 => Record::Forgotten { stream, epoch },
        4 => Record::Dead { at, attempts: *ttl_ms, message },
        5 => Record::Gone { at },
        6 => Record::Checkpoint { stream, epoch, heads: *heads, acknowledged: *acknowledged },
        _ => Record::Ends { series: *ttl_ms as u16, segment: *ttl_ms, offset: *wall },
    }
}

proptest! {
    #[test]
    fn what_is_written_is_read_back(all in prop::collection::vec(parts(), 0..10)) {
        let mut bytes = Vec::new();
        all.iter().for_each(|parts| record(parts).write(&mut bytes));
        let read: Vec<_> = Records::new(&bytes).collect();
        let written: Vec<_> = all.iter().map(|parts| Ok(record(parts))).collect();
        prop_assert_eq!(read, written);
    }

    /// A cut leaves the records before it, and at most one finding that says so.
    #[test]
    fn a_cut_is_seen(all in prop::collection::vec(parts(), 1..6), at in any::<prop::sample::Index>()) {
        let mut bytes = Vec::new();
        let mut ends = Vec::new();
        for parts in &all {
            record(parts).write(&mut bytes);
            ends.push(bytes.len());
        }
        let cut = at.index(bytes.len());
        let whole = ends.iter().filter(|end| **end <= cut).count();
        let read: Vec<_> = Records::new(&bytes[..cut]).collect();
        prop_assert_eq!(read.iter().take(whole).filter(|record| record.is_ok()).count(), whole);
        prop_assert!(read[whole..].iter().all(Result::is_err));
        let between = whole == 0 && cut > 0 || whole > 0 && ends[whole - 1] < cut;
        prop_assert_eq!(read.len(), whole + usize::from(between));
    }

    #[test]
    fn nothing_makes_it_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        prop_assert!(Records::new(&bytes).count() <= bytes.len());
    }
}
