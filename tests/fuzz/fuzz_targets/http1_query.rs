#![no_main]
//! Queries and path segments; a request that is written is one request, whatever its target and headers hold.

use weir_fuzz::{http1, lines, text};
use weir_transports::http1::{query, request};

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    let Some([target, name, value]) = lines(data) else { return };
    let _ = (query::get(target, name), query::path_segment(name));
    let path = ["/", target].concat();
    let head = text(|out| request::write_head(out, "GET", &path, "a", [("X", value)], None));
    let seen = http1::requests(&[head.as_bytes()]);
    let fits = head.len() < 200 && !target.contains('#') && !value.contains(char::is_control);
    assert!(seen.len() <= 2 && (!fits || seen.len() == 2), "{head:?}: {seen:?}");
});
