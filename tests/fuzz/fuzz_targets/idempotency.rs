#![no_main]
//! A push's key is what the payload says; the log gives a key back as it was.

use serde_json::Value;
use weir_shard::fuzzing::{idempotency_key, logged_key};

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    assert!(logged_key(data).is_none_or(|again| again == data));
    let Ok(payload) = str::from_utf8(data) else { return };
    let Ok(Some(key)) = idempotency_key(payload) else { return };
    let value: Result<Value, _> = serde_json::from_str(payload);
    assert!(value.map_or(true, |value| value["idempotency_key"] == key), "{payload}: {key}");
});
