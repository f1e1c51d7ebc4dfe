#![no_main]
//! What a server says stays JSON when it is shown under other names and in the words of the other era.

use weir_fuzz::{is_json, lines, text};
use weir_transports::mcp::show::{self, Shown};
use weir_transports::mcp::{Method, about::About, hints, list::Page};

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    let Some([method, result]) = lines(data).filter(|[_, result]| is_json(result)) else { return };
    let (method, shown) = (Method::of(method), Shown { upstream: "u", names: true, uris: true });
    let _ = (Page::read(method, result), About::read(result));
    let shown = text(|out| show::write(out, method, result, shown));
    let modern = text(|out| hints::to_modern(out, method, &shown, None));
    let legacy = text(|out| hints::to_legacy(out, &modern));
    assert!(is_json(&shown) && is_json(&modern) && is_json(&legacy), "{shown}\n{modern}\n{legacy}");
});
