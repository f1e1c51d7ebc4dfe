#![no_main]
//! One text for each cursor: what is read is what would be written.

use weir_transports::mcp::cursor::Cursor;

libfuzzer_sys::fuzz_target!(|data: &str| {
    if let Ok(cursor) = Cursor::decode(data) {
        assert_eq!(cursor.encode().as_deref(), Some(data));
    }
});
