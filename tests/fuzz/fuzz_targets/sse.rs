#![no_main]
//! Any cut of the bytes gives the same events; an event that is written is read back as one.

use weir_fuzz::{cut, sse, text};

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    let Some((bytes, pieces)) = cut(data) else { return };
    assert_eq!(sse::events(&[bytes]), sse::events(&pieces));
    let said = String::from_utf8_lossy(bytes.get(..50).unwrap_or(bytes));
    let written = text(|out| weir_transports::sse::event(out, Some(&said), Some(&said), &said));
    assert_eq!(sse::events(&[written.as_bytes()]).len(), 2, "{written:?}");
});
