#![no_main]
//! One text for each place in a stream: what is read is what would be written.

use weir_fuzz::text;
use weir_shard::stream::{Cursor, Position};

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    if let Some(cursor) = Cursor::parse(data) {
        assert_eq!(cursor.text().as_bytes(), data);
    }
    if let Some((lane, position)) = Position::parse(data) {
        assert_eq!(text(|out| position.write(lane, out)).as_bytes(), data);
    }
});
