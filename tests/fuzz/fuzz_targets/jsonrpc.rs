#![no_main]
//! A message is JSON, and written again of its parts it is the same message.

use weir_fuzz::{is_json, text};
use weir_transports::jsonrpc::{Body, Message, decode, result, sniff};
use weir_transports::mcp::object::write_str;

libfuzzer_sys::fuzz_target!(|data: &str| {
    let _ = sniff(data);
    let Ok(message) = decode(data).inspect(|_| assert!(is_json(data))) else { return };
    let again = match &message {
        Message::Request { id, method, params: Some(params) } => {
            text(|out| write_str(out, method)) + r#","id":"# + id.as_json() + r#","params":"# + params
        }
        Message::Response { id: Some(id), body: Body::Result(body) } => {
            return assert_eq!(decode(&text(|out| result(out, id, body.as_bytes()))), Ok(message));
        }
        _ => return,
    };
    assert_eq!(decode(&format!(r#"{{"jsonrpc":"2.0","method":{again}}}"#)), Ok(message));
});
