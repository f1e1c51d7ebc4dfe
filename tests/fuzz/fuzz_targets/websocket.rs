#![no_main]
//! Any cut of the bytes gives the same messages and the same violation, with and without compression.

use weir_fuzz::{cut, websocket};

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    let Some((bytes, pieces)) = cut(data) else { return };
    for deflate in [false, true] {
        assert_eq!(websocket::messages(&[bytes], deflate), websocket::messages(&pieces, deflate));
    }
});
