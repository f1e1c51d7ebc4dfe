#![no_main]
//! A publish that is taken is JSON, and its data are passed on to the byte.

use weir_fuzz::is_json;
use weir_shard::message::{Publish, Receiver};

libfuzzer_sys::fuzz_target!(|data: &str| {
    for receiver in [Receiver::Client("c"), Receiver::Topic("room:7"), Receiver::Named] {
        let Ok(publish) = Publish::parse(receiver, None, data.as_bytes()) else { continue };
        let Publish::Client(publish) = publish else { continue };
        assert!(is_json(data) && data.contains(publish.data.get()) && !publish.kind.is_empty());
    }
});
