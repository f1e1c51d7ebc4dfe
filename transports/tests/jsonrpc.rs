//! JSON-RPC envelopes as MCP sends and expects them.

use std::borrow::Cow;

use proptest::prelude::*;
use serde_json::{Value, json};
use weir_transports::json::{Fault, Why};
use weir_transports::jsonrpc::{Body, DecodeError, Id, Kind, Message, decode, error, result, sniff};

/// What an encoder appends.
fn text(encode: impl FnOnce(&mut Vec<u8>)) -> String {
    let mut out = b"before".to_vec();
    encode(&mut out);
    String::from_utf8(out.split_off(6)).unwrap()
}

/// The id of a request, by way of one.
fn with_id<T>(id: &str, then: impl FnOnce(Id<'_>) -> T) -> T {
    let text = format!(r#"{{"jsonrpc":"2.0","method":"m","id":{id}}}"#);
    match decode(&text) {
        Ok(Message::Request { id, .. }) => then(id),
        other => panic!("{other:?}"),
    }
}

#[test]
fn reads_requests() {
    let ping = r#"{"jsonrpc":"2.0","id":1,"method":"ping"}"#;
    let Ok(Message::Request { id, method, params }) = decode(ping) else { panic!("a request") };
    assert_eq!((id.as_json(), params), ("1", None));
    assert!(matches!(method, Cow::Borrowed("ping")));

    let call = r#" {"params" : { "name":"a" ,"n":1.0 } ,"m":0,
        "method":"tools\/call","id":"\u0061","jsonrpc":"2.0"} "#;
    let Ok(Message::Request { id, method, params }) = decode(call) else { panic!("a request") };
    assert_eq!((id.as_json(), &*method), (r#""\u0061""#, "tools/call"));
    assert_eq!(params, Some("{ \"name\":\"a\" ,\"n\":1.0 }"));
}

#[test]
fn reads_notifications() {
    let text = r#"{"jsonrpc":"2.0","method":"notifications/initialized","params":[]}"#;
    let method = "notifications/initialized".into();
    assert_eq!(decode(text), Ok(Message::Notification { method, params: Some("[]") }));
}

#[test]
fn reads_responses() {
    for body in [r#"{"a" : 1}"#, "null", "[]", "\"\""] {
        let text = format!(r#"{{"jsonrpc":"2.0","id":7,"result": {body} }}"#);
        let Ok(Message::Response { id: Some(id), body: read }) = decode(&text) else { panic!("{text}") };
        assert_eq!((id.as_json(), read), ("7", Body::Result(body)));
    }
    let body = r#"{"code":-32601,"message":"no"}"#;
    for id in [r#","id":null"#, ""] {
        let text = format!(r#"{{"jsonrpc":"2.0","error":{body}{id}}}"#);
        assert_eq!(decode(&text), Ok(Message::Response { id: None, body: Body::Error(body) }));
    }
    let text = format!(r#"{{"jsonrpc":"2.0","error":{body},"id":"x"}}"#);
    let Ok(Message::Response { id: Some(id), body: read }) = decode(&text) else { panic!("{text}") };
    assert_eq!((id.as_json(), read), ("\"x\"", Body::Error(body)));
}

#[test]
fn ids_keep_their_type_and_text() {
    for id in ["1", "\"1\"", "0", "-5", "12345678901234567890123", "\"\"", "\"\\\"\"", "\"é\""] {
        with_id(id, |read| {
            assert_eq!(read.as_json(), id);
            let answer = text(|out| result(out, &read, b"{}"));
            assert_eq!(answer, format!(r#"{{"jsonrpc":"2.0","id":{id},"result":{{}}}}"#));
        });
    }
    for id in ["null", "true", "{}", "[1]", "1.0", "1e3", "1E3"] {
        for member in [r#""method":"m""#, r#""result":1"#] {
            let text = format!(r#"{{"jsonrpc":"2.0","id":{id},{member}}}"#);
            assert_eq!(decode(&text).map_err(|refused| refused.error), Err(DecodeError::Id), "{text}");
        }
    }
}

#[test]
fn refuses_what_is_no_message() {
    use DecodeError::{Batch, Duplicate, Error, Id, Json, Method, NotObject, Params, Shape, Version};
    let cases = [
        ("", Json(Fault { at: 0, why: Why::Value }), -32700),
        ("x", Json(Fault { at: 0, why: Why::Value }), -32700),
        ("[1,", Json(Fault { at: 3, why: Why::Value }), -32700),
        ("1 1", Json(Fault { at: 2, why: Why::Trailing }), -32700),
        (r#"{"jsonrpc":"2.0","method":"m""#, Json(Fault { at: 29, why: Why::CommaOrClose }), -32700),
        (r#"{"jsonrpc":"2.0","method":"m"}}"#, Json(Fault { at: 30, why: Why::Trailing }), -32700),
        (r#"{"jsonrpc":"2.0","method":"\ud800"}"#, Json(Fault { at: 27, why: Why::Surrogate }), -32700),
        (r#"[{"jsonrpc":"2.0","method":"m"}]"#, Batch, -32600),
        ("5", NotObject, -32600),
        ("{}", Version, -32600),
        (r#"{"jsonrpc":2.0,"method":"m"}"#, Version, -32600),
        (r#"{"jsonrpc":"1.0","method":"m"}"#, Version, -32600),
        (r#"{"jsonrpc":"2.0"}"#, Shape, -32600),
        (r#"{"jsonrpc":"2.0","id":1}"#, Shape, -32600),
        (r#"{"jsonrpc":"2.0","id":1,"result":1,"error":{}}"#, Shape, -32600),
        (r#"{"jsonrpc":"2.0","id":1,"result":1,"method":"m"}"#, Shape, -32600),
        (r#"{"jsonrpc":"2.0","id":1,"error":{},"method":"m"}"#, Shape, -32600),
        (r#"{"jsonrpc":"2.0","id":1,"method":5}"#, Method, -32600),
        (r#"{"jsonrpc":"2.0","method":"m","params":null}"#, Params, -32600),
        (r#"{"jsonrpc":"2.0","method":"m","params":"p"}"#, Params, -32600),
        (r#"{"jsonrpc":"2.0","result":1}"#, Id, -32600),
        (r#"{"jsonrpc":"2.0","error":{},"id":[]}"#, Id, -32600),
        (r#"{"jsonrpc":"2.0","error":"no","id":1}"#, Error, -32600),
        (r#"{"jsonrpc":"2.0","jsonrpc":"2.0","method":"m"}"#, Duplicate("jsonrpc"), -32600),
        (r#"{"jsonrpc":"2.0","method":"m","m\u0065thod":"n"}"#, Duplicate("method"), -32600),
        (r#"{"jsonrpc":"2.0","method":"m","id":1,"id":1}"#, Duplicate("id"), -32600),
        (r#"{"jsonrpc":"2.0","method":"m","params":{},"params":{}}"#, Duplicate("params"), -32600),
        (r#"{"jsonrpc":"2.0","id":1,"result":{},"result":{}}"#, Duplicate("result"), -32600),
        (r#"{"jsonrpc":"2.0","id":1,"error":{},"error":{}}"#, Duplicate("error"), -32600),
    ];
    for (text, error, code) in cases {
        assert_eq!(decode(text).map_err(|refused| refused.error), Err(error), "{text}");
        assert_eq!(error.code(), code, "{text}");
        assert!(!error.to_string().is_empty());
    }
}

#[test]
fn writes_errors() {
    let written = text(|out| error(out, None, -32700, "not \"JSON\"", None));
    let expected = r#"{"jsonrpc":"2.0","id":null,"error":{"code":-32700,"message":"not \"JSON\""}}"#;
    assert_eq!(written, expected);
    let written = with_id("\"a\"", |id| text(|out| error(out, Some(&id), 1, "m", Some(b"[1]"))));
    let expected = r#"{"jsonrpc":"2.0","id":"a","error":{"code":1,"message":"m","data":[1]}}"#;
    assert_eq!(written, expected);
}

#[test]
fn the_first_telling_key_says_which_protocol() {
    let cases = [
        (r#"{"jsonrpc":"2.0","id":1,"method":"ping"}"#, Some(Kind::JsonRpc)),
        (r#" {"id":{"topic":"t"},"method":"ping","jsonrpc":"2.0"}"#, Some(Kind::JsonRpc)),
        (r#"{"topic":"t","event":"e","payload":{"jsonrpc":"2.0"},"ref":"1"}"#, Some(Kind::Phoenix)),
        (r#"{"payload":{"jsonrpc":"2.0"},"ref":"1","\u0074opic":"t"}"#, Some(Kind::Phoenix)),
        (r#"{"event":"e","payload":{}}"#, None),
        (r#"{"payload":tru,"topic":"t"}"#, None),
        (r#"[null,"1","phoenix","heartbeat",{}]"#, None),
        (r#""topic""#, None),
        ("{", None),
        ("", None),
    ];
    for (text, kind) in cases {
        assert_eq!(sniff(text), kind, "{text}");
    }
}

/// Whether `text` is a message by the book, its keys given once.
fn is_message(text: &str) -> bool {
    let Ok(Value::Object(message)) = serde_json::from_str::<Value>(text) else { return false };
    let id = |value: &Value| value.is_string() || value.is_i64() || value.is_u64();
    let [method, result, error] = ["method", "result", "error"].map(|key| message.get(key));
    let shape = match (method, result, error) {
        (Some(method), None, None) => {
            let params = message.get("params").is_none_or(|params| params.is_object() || params.is_array());
            method.is_string() && params && message.get("id").is_none_or(id)
        }
        (None, Some(_), None) => message.get("id").is_some_and(id),
        (None, None, Some(error)) => {
            error.is_object() && message.get("id").is_none_or(|value| value.is_null() || id(value))
        }
        _ => false,
    };
    shape && message.get("jsonrpc") == Some(&json!("2.0"))
}

/// Members of a message, right and wrong, each at most once and in any order.
fn members() -> impl Strategy<Value = Vec<String>> {
    let value = |values: &[&'static str]| proptest::sample::select(values.to_vec());
    let member = |key: &'static str, values: &[&'static str]| {
        proptest::option::of(value(values).prop_map(move |value| format!("\"{key}\":{value}")))
    };
    let any = ["null", "\"a\"", "1", "-7", "2.5", "{}", "[{}]", "true", "{\"id\":1}", "\"\\u0061\"", "tru"];
    (
        value(&["\"2.0\"", "\"2.0\"", "\"2.0\"", "\"\\u0032.0\"", "2.0"]),
        member("id", &any),
        member("method", &["\"m\"", "\"m\"", "null"]),
        member("params", &any),
        member("result", &any),
        member("error", &["{}", "{\"code\":1}", "null"]),
        member("more", &any),
    )
        .prop_map(|(version, id, method, params, result, error, more)| {
            let version = Some(format!("\"jsonrpc\":{version}"));
            [version, id, method, params, result, error, more].into_iter().flatten().collect::<Vec<_>>()
        })
        .prop_shuffle()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4096))]

    #[test]
    fn takes_exactly_the_messages(
        members in members(),
        tail in proptest::sample::select(vec!["}", "}", " } ", "", "},"]),
    ) {
        let text = format!("{{{}{tail}", members.join(", "));
        prop_assert_eq!(decode(&text).is_ok(), is_message(&text), "{}", text);
    }

    #[test]
    fn requests_come_through_untouched(
        method in any::<String>(),
        said in any::<String>(),
        id in any::<i64>(),
    ) {
        let said = json!([said]).to_string();
        let text = format!(r#"{{"id":{id},"params":{said},"jsonrpc":"2.0","method":{}}}"#, json!(method));
        let Ok(Message::Request { id: read, method: named, params }) = decode(&text) else {
            return Err(TestCaseError::fail(text));
        };
        prop_assert_eq!((read.as_json(), &*named, params), (&*id.to_string(), &*method, Some(&*said)));
        prop_assert_eq!(sniff(&text), Some(Kind::JsonRpc));
        for len in (0..text.len()).filter(|&len| text.is_char_boundary(len)) {
            let error = decode(&text[..len]).map_err(|refused| refused.error);
            prop_assert!(matches!(error, Err(DecodeError::Json(_))));
        }
    }

    #[test]
    fn what_is_written_reads_back(
        id in any::<String>(),
        code in any::<i32>(),
        message in any::<String>(),
        data in any::<Option<u8>>(),
    ) {
        let data = data.map(|data| data.to_string());
        let written = with_id(&json!(id).to_string(), |id| {
            text(|out| error(out, Some(&id), code, &message, data.as_ref().map(String::as_bytes)))
        });
        let Ok(Message::Response { id: Some(read), body: Body::Error(body) }) = decode(&written) else {
            return Err(TestCaseError::fail(written));
        };
        prop_assert_eq!(read.as_json(), json!(id).to_string());
        let body = serde_json::from_str::<Value>(body).unwrap();
        prop_assert_eq!((&body["code"], &body["message"]), (&json!(code), &json!(message)));
        prop_assert_eq!(body.get("data").map(Value::to_string), data);
    }

    #[test]
    fn any_text_is_judged_without_a_panic(text in any::<String>(), json in r#"[\[\]{}",:0-9a-z\\ ]{0,40}"#) {
        for text in [text, json] {
            let _ = (decode(&text), sniff(&text));
        }
    }
}

#[test]
fn a_refused_text_keeps_the_id_it_has() {
    let id = |text: &str| decode(text).unwrap_err().id.map(|id| id.as_json().to_owned());
    assert_eq!(id(r#"{"jsonrpc":"1.0","id":"a","method":"ping"}"#).as_deref(), Some("\"a\""));
    assert_eq!(id(r#"{"jsonrpc":"2.0","id":5}"#).as_deref(), Some("5"));
    assert_eq!(id(r#"{"jsonrpc":"2.0","id":null,"method":"ping"}"#), None);
    assert_eq!(id("{"), None);
}
