//! Headers held to bodies, and values that headers cannot hold as they are.

use std::borrow::Cow;

use proptest::prelude::*;
use weir_transports::jsonrpc::{self, Message};
use weir_transports::mcp::headers::{HeaderFault, Headers, check, decode, encode};
use weir_transports::mcp::{Method, Params};

const META: &str = r#""_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28"}"#;

fn checked(headers: &[(&str, &str)], message: &str) -> Result<(), HeaderFault> {
    let message = jsonrpc::decode(message).unwrap();
    let (Message::Request { method, params, .. } | Message::Notification { method, params }) = &message
    else {
        return check(&Headers::default(), &message, &Params::default());
    };
    let params = Params::read(Method::of(method), *params).unwrap();
    check(&headers.iter().copied().collect(), &message, &params)
}

fn request(method: &str, params: &str) -> String {
    format!(r#"{{"jsonrpc":"2.0","id":1,"method":"{method}","params":{{{params},{META}}}}}"#)
}

#[test]
fn headers_that_mirror_the_body() {
    let version = ("MCP-Protocol-Version", "2026-07-28");
    let call = request("tools/call", r#""name":"a""#);
    let all = [version, ("mcp-method", "tools/call"), ("MCP-NAME", "a"), ("X", "y")];
    assert_eq!(checked(&all, &call), Ok(()));
    let encoded = [version, ("Mcp-Method", "tools/call"), ("Mcp-Name", "=?base64?YQ==?=")];
    assert_eq!(checked(&encoded, &call), Ok(()));
    let read = request("resources/read", r#""uri":"file:///\u0061""#);
    assert_eq!(
        checked(&[version, ("Mcp-Method", "resources/read"), ("Mcp-Name", "file:///a")], &read),
        Ok(())
    );
    let list = request("tools/list", r#""cursor":"a""#);
    assert_eq!(checked(&[version, ("Mcp-Method", "tools/list")], &list), Ok(()));
    // A name where the body has none is nobody's mirror.
    assert_eq!(checked(&[version, ("Mcp-Method", "tools/list"), ("Mcp-Name", "x")], &list), Ok(()));
}

#[test]
fn headers_that_do_not() {
    let (version, method, name) =
        (("Mcp-Protocol-Version", "2026-07-28"), ("Mcp-Method", "tools/call"), ("Mcp-Name", "a"));
    let call = request("tools/call", r#""name":"a""#);
    let fault = |headers: &[_]| checked(headers, &call).unwrap_err();
    let missing = |name: &str| HeaderFault::Missing(name.into());
    let mismatch = |name: &str, says: &str| HeaderFault::Mismatch { name: name.into(), says: says.into() };
    assert_eq!(fault(&[method, name]), missing("MCP-Protocol-Version"));
    assert_eq!(fault(&[version, name]), missing("Mcp-Method"));
    assert_eq!(fault(&[version, method]), missing("Mcp-Name"));
    let old = ("MCP-Protocol-Version", "2025-11-25");
    assert_eq!(fault(&[old, method, name]), mismatch("MCP-Protocol-Version", "2025-11-25"));
    let upper = ("Mcp-Method", "TOOLS/CALL");
    assert_eq!(fault(&[version, upper, name]), mismatch("Mcp-Method", "TOOLS/CALL"));
    let other = ("Mcp-Name", "=?base64?Yg==?=");
    assert_eq!(fault(&[version, method, other]), mismatch("Mcp-Name", "b"));
    assert_eq!(fault(&[version, method, name, name]), HeaderFault::Repeated("Mcp-Name".into()));
    for value in ["=?base64?YQ?=", "=?base64?/w==?=", "=?base64?Y Q==?=", "é"] {
        assert_eq!(fault(&[version, method, ("Mcp-Name", value)]), HeaderFault::Malformed("Mcp-Name".into()));
    }
    let fault = fault(&[version, name]);
    assert_eq!((fault.status(), fault.code()), (400, -32020));
}

#[test]
fn a_notification_needs_no_headers_but_they_must_agree() {
    let note = r#"{"jsonrpc":"2.0","method":"notifications/x"}"#;
    assert_eq!(checked(&[], note), Ok(()));
    assert_eq!(checked(&[("Mcp-Method", "notifications/x")], note), Ok(()));
    assert!(checked(&[("Mcp-Method", "notifications/y")], note).is_err());
    assert_eq!(checked(&[], r#"{"jsonrpc":"2.0","id":1,"result":{}}"#), Ok(()));
}

#[test]
fn values_as_the_specification_writes_them() {
    let cases = [
        ("us-west1", "us-west1"),
        ("a b", "a b"),
        ("", ""),
        ("Hello, 世界", "=?base64?SGVsbG8sIOS4lueVjA==?="),
        (" padded ", "=?base64?IHBhZGRlZCA=?="),
        ("line1\nline2", "=?base64?bGluZTEKbGluZTI=?="),
        ("=?base64?literal?=", "=?base64?PT9iYXNlNjQ/bGl0ZXJhbD89?="),
        ("=?BASE64?YQ==?=", "=?BASE64?YQ==?="),
    ];
    for (text, value) in cases {
        assert_eq!(encode(text), value);
        assert_eq!(decode(value).as_deref(), Some(text));
    }
    assert_eq!(decode("a\tb").as_deref(), Some("a\tb"));
    assert_eq!(decode("a\u{7f}"), None);
}

proptest! {
    #[test]
    fn any_text_survives_a_header(text in prop_oneof![any::<String>(), "=\\?base64\\?.{0,6}\\?=", " ?[a-z\t]{0,3} ?"]) {
        let value = encode(&text);
        prop_assert!(value.bytes().all(|byte| (b' '..=b'~').contains(&byte)));
        prop_assert_eq!(value.trim(), &*value);
        prop_assert_eq!(decode(&value).map(Cow::into_owned), Some(text));
    }

    #[test]
    fn any_value_is_decoded_without_panic(value in ".{0,30}") {
        decode(&value);
        decode(&format!("=?base64?{value}?="));
    }
}
