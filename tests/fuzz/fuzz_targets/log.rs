#![no_main]
//! A whole log has no damage; a log cut anywhere has none but at its end; no damage harms who reads it.

use weir_fuzz::cut;
use weir_shard::durable::{Segment, recover};
use weir_shard::{
    fuzzing::{log, records},
    limits::Config,
};

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    let Some((payload, pieces)) = cut(data) else { return };
    assert!(records(payload).is_none_or(|again| records(&again) == Some(again.clone())));
    let (mut bytes, outbox, now) = (log(&pieces), Config::default().outbox, weir_ring::time::Wall(1 << 40));
    let read = |bytes: &[u8]| recover(&[Segment { series: 0, number: 1, bytes }], &outbox, now).report;
    assert_eq!((read(&bytes).batches, read(&bytes).damaged_bytes), (1 + pieces.len() as u64, 0));
    let at = usize::from(data[0]) * bytes.len() / 256;
    assert_eq!(read(&bytes[..at]).damaged_bytes, 0);
    bytes.get_mut(at).map(|byte| *byte ^= data[1] | 1).map(|()| read(&bytes));
});
