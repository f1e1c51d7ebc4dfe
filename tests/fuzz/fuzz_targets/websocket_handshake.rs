#![no_main]
//! The answer to an upgrade is one head in plain ASCII with none of the client's own words.

use weir_fuzz::{lines, text};
use weir_transports::websocket::handshake::{Request, negotiate, protocols, write_response};

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    let Some([key, version, names, extensions]) = lines(data) else { return };
    let known = protocols(names).find_map(|name| ["mcp", "phoenix"].into_iter().find(|known| *known == name));
    let Ok(upgrade) = negotiate(Request { key: Some(key), version: Some(version), extensions }) else {
        return;
    };
    let head = text(|out| write_response(out, &upgrade, known));
    assert_eq!(head.find("\r\n\r\n"), Some(head.len() - 4));
    assert!(head.replace("\r\n", "").bytes().all(|byte| byte == b' ' || byte.is_ascii_graphic()), "{head:?}");
    assert!(head.len() < 400);
});
