use proptest::prelude::*;

use super::*;

const WRITER: Writer = Writer { run: 3, salt: 0x5eed_5a17 };

/// Payloads; those behind the first may hold a header of another writer, as messages could.
fn payloads() -> impl Strategy<Value = Vec<Vec<u8>>> {
    let random = prop::collection::vec(any::<u8>(), 0..100);
    let mut forged = vec![0; HEADER + 5];
    seal(&mut forged, Writer { run: 3, salt: 1 }, 2);
    let first = "[ -~]{0,60}".prop_map(String::into_bytes);
    let later = prop_oneof![4 => random, 1 => Just(forged), 1 => Just(MAGIC.to_vec())];
    (first, prop::collection::vec(later, 0..8)).prop_map(|(first, mut all)| {
        all.insert(0, first);
        all
    })
}

/// The segment of these batches, and where each ends.
fn segment(payloads: &[Vec<u8>]) -> (Vec<u8>, Vec<usize>) {
    let (mut bytes, mut ends) = (Vec::new(), Vec::new());
    for (at, payload) in payloads.iter().enumerate() {
        let mut batch = vec![0; HEADER];
        batch.extend_from_slice(payload);
        seal(&mut batch, WRITER, at as u64 + 1);
        bytes.extend_from_slice(&batch);
        ends.push(bytes.len());
    }
    (bytes, ends)
}

/// The whole batches found, and the bytes reported as damaged.
fn read(bytes: &[u8]) -> (Vec<(u64, Vec<u8>)>, usize, usize, usize) {
    let mut batches = Batches::new(bytes);
    let (mut whole, mut damaged) = (Vec::new(), 0);
    for found in batches.by_ref() {
        match found {
            Found::Batch { lsn, payload } => whole.push((lsn, payload.to_vec())),
            Found::Damaged { bytes } => damaged += bytes,
        }
    }
    (whole, damaged, batches.end(), batches.torn())
}

fn expected(payloads: &[Vec<u8>], keep: impl Fn(usize) -> bool) -> Vec<(u64, Vec<u8>)> {
    let all = payloads.iter().enumerate().filter(|(at, _)| keep(*at));
    all.map(|(at, payload)| (at as u64 + 1, payload.clone())).collect()
}

proptest! {
    /// Cut anywhere, and padded with what was reserved: the batches before are read, nothing else.
    #[test]
    fn a_torn_end_is_cut(payloads in payloads(), at in any::<prop::sample::Index>(), zeros in 0..50_usize) {
        let (bytes, ends) = segment(&payloads);
        let cut = at.index(bytes.len() + 1);
        let mut torn = bytes[..cut].to_vec();
        torn.resize(cut + zeros, 0);
        let (whole, damaged, end, rest) = read(&torn);
        let count = ends.iter().filter(|end| **end <= cut).count();
        // Zeros may be just what was cut off.
        let count = if whole.len() > count { count + 1 } else { count };
        prop_assert_eq!(whole, expected(&payloads, |at| at < count));
        prop_assert_eq!(damaged, 0);
        prop_assert_eq!(end, count.checked_sub(1).map_or(0, |last| ends[last]));
        prop_assert!(rest <= torn.len() - end);
    }

    /// One flipped bit costs the batch it is in, and no other.
    #[test]
    fn a_flipped_bit_costs_one_batch(payloads in payloads(), at in any::<prop::sample::Index>(), bit in 0..8_u8) {
        let (mut bytes, ends) = segment(&payloads);
        let at = at.index(bytes.len());
        bytes[at] ^= 1 << bit;
        let hit = ends.iter().filter(|end| **end <= at).count();
        let (whole, damaged, end, _) = read(&bytes);
        prop_assert_eq!(whole, expected(&payloads, |at| at != hit));
        let start = hit.checked_sub(1).map_or(0, |before| ends[before]);
        if hit + 1 < payloads.len() {
            prop_assert_eq!((damaged, end), (ends[hit] - start, bytes.len()));
        } else {
            prop_assert_eq!((damaged, end), (0, start));
        }
    }

    /// A range of garbage behind the first batch costs what it touches.
    #[test]
    fn garbage_costs_what_it_touches(
        payloads in payloads(),
        at in any::<prop::sample::Index>(),
        garbage in prop::collection::vec(any::<u8>(), 1..150),
    ) {
        let (mut bytes, ends) = segment(&payloads);
        let original = bytes.clone();
        let from = ends[0] + at.index(bytes.len() - ends[0] + 1);
        let to = (from + garbage.len()).min(bytes.len());
        bytes[from..to].copy_from_slice(&garbage[..to - from]);
        let start = |at: usize| at.checked_sub(1).map_or(0, |before: usize| ends[before]);
        let intact = |at: usize| bytes[start(at)..ends[at]] == original[start(at)..ends[at]];
        prop_assert_eq!(read(&bytes).0, expected(&payloads, intact));
    }

    #[test]
    fn nothing_makes_it_panic(bytes in prop::collection::vec(prop_oneof![any::<u8>(), Just(b'W'), Just(0xff)], 0..200)) {
        let (whole, damaged, end, torn) = read(&bytes);
        prop_assert!(whole.is_empty() && damaged == 0 && end == 0 && torn <= bytes.len());
    }
}

#[test]
fn an_empty_segment_is_one() {
    assert_eq!(read(&[]), (Vec::new(), 0, 0, 0));
    assert_eq!(read(&[0; 100]), (Vec::new(), 0, 0, 0));
    assert_eq!(Batches::new(&[]).writer(), None);
}
