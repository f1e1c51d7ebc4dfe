#![no_main]
//! The scan takes what another parser takes, and nothing that one refuses; strings are read as they were meant.

use serde_json::Value;
use weir_fuzz::{is_json, text};
use weir_transports::mcp::object;

libfuzzer_sys::fuzz_target!(|data: &str| {
    let read = object::members(data).collect::<Result<Vec<_>, _>>().ok();
    let read = read.or_else(|| {
        object::elements(data)
            .map(|item| item.map(|value| ("".into(), value)))
            .collect::<Result<Vec<_>, _>>()
            .ok()
    });
    assert!(read.iter().flatten().all(|(_, value)| is_json(value)) && (read.is_none() || is_json(data)));
    match serde_json::from_str::<Value>(data) {
        Ok(Value::String(said)) => assert_eq!(object::string(data).as_deref(), Some(&*said)),
        Ok(value) => assert_eq!(read.is_some(), value.is_object() || value.is_array()),
        Err(_) => assert!(object::string(data).is_none()),
    }
    assert_eq!(object::string(&text(|out| object::write_str(out, data))).as_deref(), Some(data));
});
