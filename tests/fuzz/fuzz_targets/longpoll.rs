#![no_main]
//! A body taken apart; texts that are written into an answer are read back.

use weir_transports::phoenix::longpoll::{Item, frames, items, write_frame};

libfuzzer_sys::fuzz_target!(|data: &str| {
    for ndjson in [false, true] {
        let mut written = Vec::new();
        let texts: Vec<String> = items(data, ndjson)
            .filter_map(|item| match item.into_owned() {
                Item::Text(text) => Some(text.into_owned()),
                Item::Binary(_) | Item::Garbage => None,
            })
            .collect();
        texts.iter().for_each(|text| write_frame(&mut written, text));
        assert_eq!(frames(&written), texts);
    }
});
