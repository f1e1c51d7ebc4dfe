#![no_main]
//! A binary frame is its fields, to the byte; a broadcast that is written is read back.

use weir_transports::phoenix::{Payload, binary, client, decode_binary};

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    let _ = client::decode_broadcast(data);
    let Ok(frame) = decode_binary(data) else { return };
    let Payload::Binary(payload) = frame.payload else { panic!("a binary frame has a binary payload") };
    let (refs, names) = ([frame.join_ref, frame.reference], [&*frame.topic, &*frame.event]);
    let fields =
        [refs[0].as_deref().unwrap_or_default(), refs[1].as_deref().unwrap_or_default(), names[0], names[1]];
    assert_eq!([&data[..5], fields.concat().as_bytes(), payload].concat(), data);
    let mut written = Vec::new();
    binary::broadcast(&mut written, names[0], names[1], payload).expect("names that came in a frame fit one");
    assert_eq!(
        client::decode_broadcast(&written).map(|read| (read.topic, read.data)),
        Some((names[0], payload))
    );
});
