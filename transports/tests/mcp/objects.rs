//! Objects and arrays, held against serde_json.

use std::borrow::Cow;

use proptest::prelude::*;
use serde_json::{Value, json};
use weir_transports::json::{Fault, Why};
use weir_transports::mcp::object::{elements, find, members, string};

use crate::{object, text, value};

proptest! {
    #[test]
    fn members_are_what_serde_json_reads(object in object(value()), pretty: bool) {
        let text = text(&Value::Object(object.clone()), pretty);
        let read: Vec<_> = members(&text).map(|member| {
            let (key, value) = member.unwrap();
            (key.into_owned(), serde_json::from_str::<Value>(value).unwrap())
        }).collect();
        prop_assert_eq!(read, object.into_iter().collect::<Vec<_>>());
    }

    #[test]
    fn elements_are_what_serde_json_reads(array in proptest::collection::vec(value(), 0..6), pretty: bool) {
        let text = text(&Value::from(array.clone()), pretty);
        let read: Vec<Value> =
            elements(&text).map(|element| serde_json::from_str(element.unwrap()).unwrap()).collect();
        prop_assert_eq!(read, array);
    }

    #[test]
    fn found_is_what_serde_json_finds(object in object(value()), pretty: bool) {
        let text = text(&Value::Object(object.clone()), pretty);
        let keys = ["a", "b\"", "é", "zz"];
        let found = find(&text, keys).unwrap();
        for (key, value) in keys.into_iter().zip(found) {
            let value = value.map(|value| serde_json::from_str::<Value>(value).unwrap());
            prop_assert_eq!(value.as_ref(), object.get(key));
        }
    }

    #[test]
    fn walks_end_with_the_text_or_its_first_fault(bytes in "[\\[\\]{},:\"a\\\\0 ]{0,24}") {
        let json = serde_json::from_str::<Value>(&bytes);
        let walked = |faults: Vec<Fault>| (faults.len() <= 1).then_some(faults.is_empty());
        let object = walked(members(&bytes).filter_map(Result::err).collect());
        let array = walked(elements(&bytes).filter_map(Result::err).collect());
        prop_assert_eq!(object, Some(json.as_ref().is_ok_and(Value::is_object)));
        prop_assert_eq!(array, Some(json.as_ref().is_ok_and(Value::is_array)));
    }

    #[test]
    fn strings_say_what_serde_json_says(said: String, other in value()) {
        let text = json!(said).to_string();
        prop_assert_eq!(string(&text), Some(Cow::Borrowed(said.as_str())));
        prop_assert_eq!(string(&other.to_string()).map(Cow::into_owned), other.as_str().map(str::to_owned));
    }
}

#[test]
fn faults() {
    let first = |text| members(text).find_map(Result::err);
    assert_eq!(first("[]"), Some(Fault { at: 0, why: Why::Object }));
    assert_eq!(first(" 1"), Some(Fault { at: 1, why: Why::Object }));
    assert_eq!(first("{} 1"), Some(Fault { at: 3, why: Why::Trailing }));
    assert_eq!(first("[1"), Some(Fault { at: 2, why: Why::CommaOrClose }));
    assert_eq!(elements("{}").find_map(Result::err), Some(Fault { at: 0, why: Why::Array }));
    assert_eq!(find(r#"{"a":1,"\u0061":2}"#, ["a"]), Err(Fault { at: 16, why: Why::Duplicate }));
    assert_eq!(find(r#"{"a":1,"b":2,"b":3}"#, ["a"]), Ok([Some("1")]));
    assert_eq!(string(r#""a" "b""#), None);
}
