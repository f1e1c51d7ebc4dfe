//! Phoenix frames against the wire as phoenix.js 1.8 writes and reads it.

use std::borrow::Cow;

use proptest::prelude::*;
use serde_json::{Value, json};
use weir_transports::json::{Fault, Why};
use weir_transports::phoenix::{
    self, DecodeError, Field, Frame, Payload, Status, Version, binary, client, decode_binary, decode_text,
};

/// A frame that holds borrowed strings only.
fn frame<'a>(refs: [Option<&'a str>; 2], topic: &'a str, event: &'a str, payload: &'a str) -> Frame<'a> {
    Frame {
        join_ref: refs[0].map(Cow::Borrowed),
        reference: refs[1].map(Cow::Borrowed),
        topic: topic.into(),
        event: event.into(),
        payload: Payload::Json(payload),
    }
}

/// What an encoder appends.
fn text(encode: impl FnOnce(&mut Vec<u8>)) -> String {
    let mut out = b"before".to_vec();
    encode(&mut out);
    String::from_utf8(out.split_off(6)).unwrap()
}

#[test]
fn vsn_chooses_the_serializer() {
    let cases = [
        (None, Ok(Version::V1)),
        (Some("1.0.0"), Ok(Version::V1)),
        (Some("1.7"), Ok(Version::V1)),
        (Some("2.0.0"), Ok(Version::V2)),
        (Some("2.1.0"), Ok(Version::V2)),
    ];
    for (vsn, version) in cases {
        assert_eq!(Version::from_vsn(vsn), version);
    }
    for vsn in ["", "2", "2.", "2..0", "3.0.0", "20.0", "x", "2.x", "2.0.0-rc", " 2.0.0", "02.0.0"] {
        assert_eq!(Version::from_vsn(Some(vsn)), Err(phoenix::UnknownVersion), "{vsn}");
    }
}

#[test]
fn reads_what_phoenix_js_sends() {
    let lobby = "room:lobby";
    let cases = [
        (
            r#"["6","6","room:lobby","phx_join",{"user":"u1"}]"#,
            frame([Some("6"), Some("6")], lobby, "phx_join", r#"{"user":"u1"}"#),
        ),
        (
            r#"["6","7","room:lobby","echo",{"a":1}]"#,
            frame([Some("6"), Some("7")], lobby, "echo", r#"{"a":1}"#),
        ),
        (
            r#"["11","11","room:denied","phx_join",{}]"#,
            frame([Some("11"), Some("11")], "room:denied", "phx_join", "{}"),
        ),
        (r#"[null,"13","phoenix","heartbeat",{}]"#, frame([None, Some("13")], "phoenix", "heartbeat", "{}")),
        (
            r#"["6","15","room:lobby","phx_leave",{}]"#,
            frame([Some("6"), Some("15")], lobby, "phx_leave", "{}"),
        ),
    ];
    for (text, expected) in cases {
        let read = decode_text(Version::V2, text).unwrap();
        assert_eq!(read, expected);
        let borrowed = [&read.topic, &read.event].map(|field| matches!(field, Cow::Borrowed(_)));
        assert_eq!(borrowed, [true; 2]);
        let Payload::Json(payload) = expected.payload else { unreachable!("a text frame") };
        let written = self::text(|out| {
            client::push(
                out,
                expected.join_ref.as_deref(),
                expected.reference.as_deref(),
                &expected.topic,
                &expected.event,
                payload.as_bytes(),
            );
        });
        assert_eq!(written, text);
    }
}

#[test]
fn a_join_is_its_own_join_ref() {
    let written = text(|out| client::join(out, "6", "room:lobby", br#"{"user":"u1"}"#));
    assert_eq!(written, r#"["6","6","room:lobby","phx_join",{"user":"u1"}]"#);
}

#[test]
fn payloads_come_through_untouched() {
    for payload in [r#"{ "a" : 1.0e0 , "a": [ ] }"#, "null", "-0", r#""\u00e9 é""#, "[1e999]", "true"] {
        let text = format!(" [ null , 5,\"t\",\"e\" ,\n{payload} , 6, [7] ] ");
        let expected = frame([None, Some("5")], "t", "e", payload);
        assert_eq!(decode_text(Version::V2, &text), Ok(expected.clone()));
        let received = client::decode(&text).unwrap();
        assert_eq!((received.frame, received.meta), (expected.clone(), Some("6")));
        let text = format!(r#"{{"x":[],"payload": {payload} ,"event":"e","ref":5,"topic":"t"}}"#);
        assert_eq!(decode_text(Version::V1, &text), Ok(expected));
    }
}

#[test]
fn escapes_are_read() {
    let read = decode_text(Version::V2, r#"["\u0036","\"","t\/\n","\ud83d\ude00",0]"#).unwrap();
    assert_eq!(read, frame([Some("6"), Some("\"")], "t/\n", "😀", "0"));
    let read = decode_text(Version::V1, r#"{"t\u006fpic":"t","event":"e","ref":null,"payload":0}"#).unwrap();
    assert_eq!(read, frame([None, None], "t", "e", "0"));
}

#[test]
fn refuses_arrays_that_are_no_frames() {
    use DecodeError::{Json, Missing, NotArray, Type};
    let cases = [
        ("", NotArray),
        ("{}", NotArray),
        ("[]", Missing(Field::JoinRef)),
        ("[null]", Missing(Field::Ref)),
        ("[null,null]", Missing(Field::Topic)),
        (r#"[null,null,"t"]"#, Missing(Field::Event)),
        (r#"[null,null,"t","e"]"#, Missing(Field::Payload)),
        (r#"[true,null,"t","e",{}]"#, Type(Field::JoinRef)),
        (r#"[null,{},"t","e",{}]"#, Type(Field::Ref)),
        (r#"[null,null,null,"e",{}]"#, Type(Field::Topic)),
        (r#"[null,null,"t",5,{}]"#, Type(Field::Event)),
        (r#"[null,null,"t","e",]"#, Json(Fault { at: 19, why: Why::Value })),
        (r#"[null,null,"t","e",{}"#, Json(Fault { at: 21, why: Why::CommaOrClose })),
        (r#"[null,null,"t","e",{}]]"#, Json(Fault { at: 22, why: Why::Trailing })),
        (r#"[null,null,"t","e",{},tru]"#, Json(Fault { at: 22, why: Why::Value })),
        (r#"[null,null,"\ud800","e",{}]"#, Json(Fault { at: 12, why: Why::Surrogate })),
    ];
    for (text, error) in cases {
        assert_eq!(decode_text(Version::V2, text), Err(error), "{text}");
        assert!(!error.to_string().is_empty());
    }
}

#[test]
fn refuses_objects_that_are_no_frames() {
    use DecodeError::{Duplicate, Missing, NotObject, Type};
    let cases = [
        ("[]", NotObject),
        (r#"{"event":"e","payload":{},"ref":"1"}"#, Missing(Field::Topic)),
        (r#"{"topic":"t","payload":{},"ref":"1"}"#, Missing(Field::Event)),
        (r#"{"topic":"t","event":"e","ref":"1"}"#, Missing(Field::Payload)),
        (r#"{"topic":"t","event":"e","payload":{}}"#, Missing(Field::Ref)),
        (r#"{"topic":1,"event":"e","payload":{},"ref":"1"}"#, Type(Field::Topic)),
        (r#"{"topic":"t","event":"e","payload":{},"ref":[]}"#, Type(Field::Ref)),
        (r#"{"topic":"t","event":"e","payload":{},"ref":"1","join_ref":false}"#, Type(Field::JoinRef)),
        (r#"{"topic":"t","event":"e","payload":{},"ref":"1","topi\u0063":"u"}"#, Duplicate(Field::Topic)),
        (r#"{"topic":"t","event":"e","payload":{},"payload":{},"ref":"1"}"#, Duplicate(Field::Payload)),
        (r#"{"ref":null,"ref":"1"}"#, Duplicate(Field::Ref)),
    ];
    for (text, error) in cases {
        assert_eq!(decode_text(Version::V1, text), Err(error), "{text}");
        assert!(!error.to_string().is_empty());
    }
}

#[test]
fn writes_what_phoenix_js_expects() {
    use Version::V2;
    let (jr, lobby) = (Some("6"), "room:lobby");
    let cases = [
        (
            text(|out| phoenix::reply(V2, out, jr, jr, lobby, Status::Ok, b"{}")),
            r#"["6","6","room:lobby","phx_reply",{"status":"ok","response":{}}]"#,
        ),
        (
            text(|out| phoenix::reply(V2, out, None, Some("13"), "phoenix", Status::Ok, b"{}")),
            r#"[null,"13","phoenix","phx_reply",{"status":"ok","response":{}}]"#,
        ),
        (
            text(|out| {
                let refused = br#"{"reason":"unauthorized"}"#;
                phoenix::reply(V2, out, Some("11"), Some("11"), "room:denied", Status::Error, refused);
            }),
            r#"["11","11","room:denied","phx_reply",{"status":"error","response":{"reason":"unauthorized"}}]"#,
        ),
        (
            text(|out| phoenix::push(V2, out, None, lobby, "news", br#"{"n":1}"#, None)),
            r#"[null,null,"room:lobby","news",{"n":1}]"#,
        ),
        (
            text(|out| phoenix::push(V2, out, jr, "a\"b", "é\n", b"1", Some(br#"{"sequence":1}"#))),
            r#"["6",null,"a\"b","é\n",1,{"sequence":1}]"#,
        ),
        (text(|out| phoenix::close(V2, out, "6", lobby)), r#"["6","6","room:lobby","phx_close",{}]"#),
        (
            text(|out| phoenix::error(V2, out, "6", lobby, "say \"no\"")),
            r#"["6","6","room:lobby","phx_error",{"reason":"say \"no\""}]"#,
        ),
    ];
    for (written, expected) in cases {
        assert_eq!(written, expected);
    }
}

#[test]
fn writes_what_clients_of_the_first_serializer_expect() {
    use Version::V1;
    let (jr, topic) = (Some("6"), "t");
    let cases = [
        (
            text(|out| phoenix::reply(V1, out, jr, Some("7"), topic, Status::Ok, b"[]")),
            json!({"topic": "t", "event": "phx_reply", "ref": "7", "payload": {"status": "ok", "response": []}}),
        ),
        (
            text(|out| phoenix::push(V1, out, jr, topic, "news", b"1", None)),
            json!({"topic": "t", "event": "news", "ref": null, "payload": 1}),
        ),
        (
            text(|out| phoenix::push(V1, out, jr, topic, "news", b"1", Some(b"{}"))),
            json!({"topic": "t", "event": "news", "ref": null, "payload": 1, "meta": {}}),
        ),
        (
            text(|out| phoenix::close(V1, out, "6", topic)),
            json!({"topic": "t", "event": "phx_close", "ref": "6", "payload": {}}),
        ),
        (
            text(|out| phoenix::error(V1, out, "6", topic, "r")),
            json!({"topic": "t", "event": "phx_error", "ref": "6", "payload": {"reason": "r"}}),
        ),
    ];
    for (written, expected) in cases {
        assert_eq!(serde_json::from_str::<Value>(&written).unwrap(), expected);
    }
}

/// The binary push that phoenix.js was seen to send.
const PUSH: &[u8] = b"\x00\x01\x01\x0a\x0368room:lobbybin\x01\x02\xff";

#[test]
fn reads_a_binary_push() {
    let mut expected = frame([Some("6"), Some("8")], "room:lobby", "bin", "");
    expected.payload = Payload::Binary(&[1, 2, 255]);
    assert_eq!(decode_binary(PUSH), Ok(expected));
    let mut expected = frame([None, None], "t", "e", "");
    expected.payload = Payload::Binary(&[]);
    assert_eq!(decode_binary(b"\0\0\0\x01\x01te"), Ok(expected));
}

#[test]
fn refuses_binary_that_is_no_push() {
    let needed = PUSH.len() - 3;
    for len in 0..needed {
        let needed = if len < 5 { 5 } else { needed };
        assert_eq!(decode_binary(&PUSH[..len]), Err(DecodeError::Truncated { needed, len }));
    }
    for kind in 1..=255 {
        assert_eq!(decode_binary(&[kind]), Err(DecodeError::Kind(kind)));
        assert_eq!(decode_binary(&[&[kind], &PUSH[1..]].concat()), Err(DecodeError::Kind(kind)));
    }
    assert_eq!(decode_binary(b"\0\0\0\x01\x01t\xff"), Err(DecodeError::NotUtf8(Field::Event)));
}

#[test]
fn writes_binary_frames() {
    let mut out = b"before".to_vec();
    binary::push(&mut out, Some("6"), "t", "ev", &[1]).unwrap();
    binary::reply(&mut out, Some("6"), Some("10"), "t", Status::Ok, &[2]).unwrap();
    binary::broadcast(&mut out, "to", "e", &[3]).unwrap();
    binary::push(&mut out, None, "t", "e", &[]).unwrap();
    let expected: [&[u8]; 5] = [
        b"before",
        b"\x00\x01\x01\x026tev\x01",
        b"\x01\x01\x02\x01\x02610tok\x02",
        b"\x02\x02\x01toe\x03",
        b"\x00\x00\x01\x01te",
    ];
    assert_eq!(out, expected.concat());
}

#[test]
fn binary_fields_have_255_bytes_at_most() {
    let (most, over) = ("x".repeat(255), "é".repeat(128));
    let mut out = Vec::new();
    let too_long = |field| Err(binary::FieldTooLong { field, len: 256 });
    assert_eq!(binary::broadcast(&mut out, &over, "e", b"p"), too_long(Field::Topic));
    assert_eq!(binary::push(&mut out, Some(&over), "t", "e", b"p"), too_long(Field::JoinRef));
    assert_eq!(binary::push(&mut out, None, "t", &over, b"p"), too_long(Field::Event));
    assert_eq!(binary::reply(&mut out, None, Some(&over), "t", Status::Error, b"p"), too_long(Field::Ref));
    assert!(out.is_empty());
    binary::reply(&mut out, Some(&most), Some(&most), &most, Status::Error, b"p").unwrap();
    assert_eq!(out.len(), 5 + 3 * 255 + "error".len() + 1);
}

/// What the array in `value` is by the book, given that it is valid JSON.
fn is_frame(value: &Value) -> bool {
    let reference = |value: &Value| value.is_null() || value.is_string() || value.is_number();
    matches!(value.as_array().map(Vec::as_slice), Some([join_ref, own, topic, event, _, ..])
        if reference(join_ref) && reference(own) && topic.is_string() && event.is_string())
}

/// Elements of a frame, right and wrong.
fn element() -> impl Strategy<Value = &'static str> {
    proptest::sample::select(vec![
        "null",
        "\"6\"",
        "6",
        "-1.5e3",
        "\"room:lobby\"",
        "\"\\u0041\\ud83d\\ude00\"",
        "{}",
        "[]",
        "true",
        "{\"a\":[1,{}]}",
        "\"",
        "{",
        "]",
        "\"\\ud800\"",
        "01",
        "",
    ])
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2048))]

    #[test]
    fn takes_exactly_the_frames(
        start in proptest::sample::select(vec!["[", "[[", "{", "", " ["]),
        elements in proptest::collection::vec(element(), 4..7),
        right in any::<bool>(),
    ) {
        let head = if right { "[\"1\",null,\"t\",\"e\"," } else { start };
        let text = format!("{head}{}]", elements.join(","));
        let by_the_book = serde_json::from_str::<Value>(&text).is_ok_and(|value| is_frame(&value));
        prop_assert_eq!(decode_text(Version::V2, &text).is_ok(), by_the_book, "{}", text);
    }

    #[test]
    fn frames_survive_the_way_there_and_back(
        join_ref in any::<Option<String>>(),
        reference in any::<Option<String>>(),
        topic in any::<String>(),
        event in any::<String>(),
        said in any::<String>(),
        meta in any::<Option<i64>>(),
    ) {
        let payload = json!({ "said": said }).to_string();
        let mut expected = frame([join_ref.as_deref(), reference.as_deref()], &topic, &event, &payload);
        let mut out = Vec::new();
        client::push(&mut out, join_ref.as_deref(), reference.as_deref(), &topic, &event, payload.as_bytes());
        let sent = String::from_utf8(out).unwrap();
        prop_assert_eq!(decode_text(Version::V2, &sent), Ok(expected.clone()));

        let meta = meta.map(|meta| meta.to_string());
        expected.reference = None;
        let sent = text(|out| {
            let meta = meta.as_ref().map(String::as_bytes);
            phoenix::push(Version::V2, out, join_ref.as_deref(), &topic, &event, payload.as_bytes(), meta);
        });
        let received = client::decode(&sent).unwrap();
        prop_assert_eq!((&received.frame, received.meta), (&expected, meta.as_deref()));

        expected.join_ref = None;
        let sent = text(|out| {
            phoenix::push(Version::V1, out, join_ref.as_deref(), &topic, &event, payload.as_bytes(), None);
        });
        prop_assert_eq!(decode_text(Version::V1, &sent), Ok(expected));
    }

    #[test]
    fn any_cut_of_a_text_frame_is_refused(said in any::<String>()) {
        let sent = text(|out| client::push(out, Some("1"), Some("2"), &said, "e", b"[1,{\"a\":2}]"));
        for len in (0..sent.len()).filter(|&len| sent.is_char_boundary(len)) {
            prop_assert!(decode_text(Version::V2, &sent[..len]).is_err());
        }
    }

    #[test]
    fn binary_frames_take_any_bytes(
        refs in ".{0,80}",
        topic in ".{0,80}",
        event in ".{0,80}",
        payload in any::<Vec<u8>>(),
        noise in any::<Vec<u8>>(),
    ) {
        let _ = decode_binary(&noise);
        let _ = decode_binary(&[&[0], &noise[..]].concat());
        let fields = [refs.as_str(), refs.as_str(), topic.as_str(), event.as_str()];
        let Ok(sizes) = fields.iter().map(|field| u8::try_from(field.len())).collect::<Result<Vec<u8>, _>>()
        else { return Ok(()) };
        let bytes = [&[0], &sizes[..], fields.concat().as_bytes(), &payload].concat();
        let named = (!refs.is_empty()).then_some(refs.as_str());
        let mut expected = frame([named; 2], &topic, &event, "");
        expected.payload = Payload::Binary(&payload);
        prop_assert_eq!(decode_binary(&bytes), Ok(expected));
        for len in 0..bytes.len() - payload.len() {
            let truncated = matches!(decode_binary(&bytes[..len]), Err(DecodeError::Truncated { .. }));
            prop_assert!(truncated, "cut at {}", len);
        }
    }

    #[test]
    fn any_text_is_judged_without_a_panic(text in any::<String>(), json in r#"[\[\]{}",:0-9a-z\\ ]{0,40}"#) {
        for text in [text, json] {
            let _ = (decode_text(Version::V1, &text), decode_text(Version::V2, &text), client::decode(&text));
        }
    }
}
