#![no_main]
//! Any cut of a connection's bytes gives the same responses, bodies and refusals.

use weir_fuzz::{cut, http1};

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    let Some((bytes, pieces)) = cut(data) else { return };
    assert_eq!(http1::responses(&[bytes]), http1::responses(&pieces));
});
