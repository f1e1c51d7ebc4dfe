#![no_main]
//! Only what was sealed here opens, and what opens says all that was sealed.

use weir_shard::fuzzing::{opens, recovery};

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    assert!(!str::from_utf8(data).is_ok_and(opens));
    let client = data.get(24..).and_then(|name| str::from_utf8(name).ok()).unwrap_or_default();
    assert!(recovery(data, client).is_none_or(|again| again == data));
    assert_eq!(recovery(data, &[client, "x"].concat()), None, "another client's");
});
