#![no_main]
//! What is added to the `_meta` of params that were read is there, once, and all else is what it was.

use weir_fuzz::{is_json, lines, text};
use weir_transports::mcp::{Filter, Method, Params, object::find, splice::with_meta};

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    let Some([method, params]) = lines(data) else { return };
    let Ok(read) = Params::read(Method::of(method), Some(params)) else { return };
    let _ = read.notifications.map(Filter::read);
    let added = text(|out| with_meta(out, Some(params), &[("weir/fuzz", "7")], &["progressToken"]));
    let Ok(again) = Params::read(Method::of(method), Some(&added)) else { panic!("{added}") };
    assert!(is_json(&added) && again.name == read.name && again.uri == read.uri, "{added}");
    assert_eq!(
        again.meta.text.map(|meta| find(meta, ["weir/fuzz", "progressToken"])),
        Some(Ok([Some("7"), None]))
    );
});
