#![no_main]
//! Queries and path segments; a request that is written is read back as one, whatever its target and headers hold.

use weir_fuzz::{http1, lines, text};
use weir_transports::http1::{query, request};

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    let Some([target, name, value]) = lines(data) else { return };
    assert_eq!(query::get(target, name), query::pairs(target).find(|(key, _)| key == name).map(|(_, value)| value));
    let _ = query::path_segment(name);
    let write = |out: &mut Vec<u8>| request::write_head(out, "GET", &["/", target].concat(), "a", [("X", value)], None);
    let (head, seen) = (text(write), |head: &str| http1::requests(&[head.as_bytes()]));
    assert!(head.len() > 200 || value.contains(|c: char| c.is_control()) || seen(&head).len() == 2, "{head}");
    assert!(seen(&[&head, "!"].concat()).len() <= 3, "{head}");
});
