#![no_main]
//! What is sent in fragments, or compressed, is what is read.

use weir_fuzz::{cut, websocket};

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    let Some((bytes, pieces)) = cut(data).filter(|(bytes, _)| !bytes.is_empty()) else { return };
    assert_eq!(websocket::fragmented(&pieces), bytes);
    assert_eq!(websocket::compressed(bytes), bytes);
});
