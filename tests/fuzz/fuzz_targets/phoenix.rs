#![no_main]
//! A text frame of either serializer, written again in 2.0.0, is the same frame.

use weir_fuzz::text;
use weir_transports::phoenix::{Payload, Version, client, decode_text};

libfuzzer_sys::fuzz_target!(|data: &str| {
    for version in [Version::V1, Version::V2] {
        let Ok(frame) = decode_text(version, data) else { continue };
        let Payload::Json(payload) = frame.payload else { panic!("a text frame has a text payload") };
        let (join_ref, reference) = (frame.join_ref.as_deref(), frame.reference.as_deref());
        let write = |out: &mut _| {
            client::push(out, join_ref, reference, &frame.topic, &frame.event, payload.as_bytes())
        };
        assert_eq!(decode_text(Version::V2, &text(write)), Ok(frame.clone()));
    }
});
