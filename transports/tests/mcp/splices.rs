//! What changes is changed, and all else stays to the byte.

use proptest::prelude::*;
use serde_json::{Map, Value};
use weir_transports::mcp::object::{elements, find, members};
use weir_transports::mcp::splice::{insert_member, splice, with_meta};

use crate::{object, text, value};

fn written(write: impl FnOnce(&mut Vec<u8>)) -> String {
    let mut out = b"before".to_vec();
    write(&mut out);
    String::from_utf8(out.split_off(6)).unwrap()
}

/// The texts of all values in `text`, itself included.
fn slices<'a>(text: &'a str, into: &mut Vec<&'a str>) {
    into.push(text);
    let members = members(text).map_while(Result::ok).map(|(_, value)| value);
    for inner in members.chain(elements(text).map_while(Result::ok)) {
        slices(inner, into);
    }
}

proptest! {
    #[test]
    fn a_slice_replaced_by_itself_changes_nothing(value in value(), pretty: bool) {
        let text = text(&value, pretty);
        let mut all = Vec::new();
        slices(&text, &mut all);
        for slice in all {
            let same = written(|out| splice(out, &text, &[(slice, slice.as_bytes())]));
            prop_assert_eq!(&same, &text);
        }
    }

    #[test]
    fn members_are_replaced_each_in_its_place(object in object(value()), with in value(), pretty: bool) {
        let text = text(&Value::Object(object.clone()), pretty);
        let with = with.to_string();
        let edits: Vec<_> =
            members(&text).map(|member| (member.unwrap().1, with.as_bytes())).collect();
        let changed = written(|out| splice(out, &text, &edits));
        let expected: Map<_, Value> =
            object.into_iter().map(|(key, _)| (key, serde_json::from_str(&with).unwrap())).collect();
        prop_assert_eq!(serde_json::from_str::<Value>(&changed).unwrap(), Value::Object(expected));
    }

    #[test]
    fn a_member_is_added(object in object(value()), added in value(), pretty: bool) {
        let text = text(&Value::Object(object.clone()), pretty);
        let longer = written(|out| insert_member(out, &text, "new\n", added.to_string().as_bytes()));
        let mut expected = object;
        expected.insert("new\n".into(), added);
        prop_assert_eq!(serde_json::from_str::<Value>(&longer).unwrap(), Value::Object(expected));
    }

    #[test]
    fn meta_is_changed_as_a_map_is(
        mut params in object(value()),
        meta in proptest::option::of(prop_oneof![3 => object(value()).prop_map(Value::Object), 1 => value()]),
        additions in proptest::collection::vec(("[a-c]", value()), 0..3),
        removals in proptest::collection::vec("[a-c\"é]{0,2}", 0..3),
        pretty: bool,
    ) {
        let additions: Map<_, _> = additions.into_iter().collect();
        params.extend(meta.map(|meta| ("_meta".to_owned(), meta)));
        let text = text(&Value::Object(params.clone()), pretty);
        let texts: Vec<_> = additions.iter().map(|(key, value)| (key.clone(), value.to_string())).collect();
        let borrowed: Vec<_> = texts.iter().map(|(key, value)| (key.as_str(), value.as_str())).collect();
        let removed: Vec<_> = removals.iter().map(String::as_str).collect();
        let changed = written(|out| with_meta(out, Some(&text), &borrowed, &removed));

        let had = params.contains_key("_meta");
        let mut expected = params.get("_meta").and_then(Value::as_object).cloned().unwrap_or_default();
        expected.retain(|key, _| !removals.contains(key));
        expected.extend(additions);
        if had || !expected.is_empty() {
            params.insert("_meta".into(), Value::Object(expected));
        }
        prop_assert_eq!(serde_json::from_str::<Value>(&changed).unwrap(), Value::Object(params));
    }
}

#[test]
fn all_else_stays_to_the_byte() {
    let params =
        r#"{ "name" : "a" , "_meta" : { "k" : 1.0 , "progressToken":7 } , "arguments": {"x" : 1e2} }"#;
    assert_eq!(
        written(|out| with_meta(out, Some(params), &[("progressToken", "99")], &["none"])),
        r#"{ "name" : "a" , "_meta" : {"k":1.0,"progressToken":99} , "arguments": {"x" : 1e2} }"#
    );
    assert_eq!(
        written(|out| with_meta(out, Some(params), &[], &["progressToken", "k"])),
        r#"{ "name" : "a" , "_meta" : {} , "arguments": {"x" : 1e2} }"#
    );
    assert_eq!(written(|out| with_meta(out, Some("{ }"), &[("a", "1")], &[])), r#"{"_meta":{"a":1} }"#);
    assert_eq!(written(|out| with_meta(out, None, &[("a", "1")], &[])), r#"{"_meta":{"a":1}}"#);
    assert_eq!(written(|out| with_meta(out, None, &[], &["a"])), "{}");
    let [name, arguments] = find(params, ["name", "arguments"]).unwrap().map(Option::unwrap);
    assert_eq!(
        written(|out| splice(out, params, &[(name, b"\"longer\""), (arguments, b"0")])),
        r#"{ "name" : "longer" , "_meta" : { "k" : 1.0 , "progressToken":7 } , "arguments": 0 }"#
    );
}

#[test]
fn an_empty_slice_is_a_place_to_insert_at() {
    let text = "ab";
    let edits: [(&str, &[u8]); 3] = [(&text[..0], b"1"), (&text[1..1], b"2"), (&text[2..], b"3")];
    assert_eq!(written(|out| splice(out, text, &edits)), "1a2b3");
}
