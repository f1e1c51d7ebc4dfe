//! Keys against a list that forgets nothing.

use std::collections::BTreeSet;
use std::time::Duration;

use proptest::prelude::*;

use super::*;

const WINDOW: Duration = Duration::from_secs(10);

fn keys(keys_max: usize) -> Keys {
    Keys::new(&limits::Idempotency { window: WINDOW, keys_max }, 1)
}

fn key(text: u8, content: u8) -> Key {
    let content: &[u8] = &[content];
    Key::new(Scope::Client("u1"), &text.to_string(), [content]).expect("a key")
}

fn at(seconds: u64) -> Instant {
    Instant(seconds * 1_000_000_000)
}

proptest! {
    #[test]
    fn nothing_is_done_twice_in_the_window(
        keys_max in 1..6usize,
        tries in proptest::collection::vec((0..8u8, 0..2u8, 0..4u64), 1..100),
    ) {
        let mut keys = keys(keys_max);
        let mut now = 0;
        // Everything ever done: key, content, when, what was answered.
        let mut done: Vec<(u8, u8, u64, u32)> = Vec::new();
        for (text, content, wait) in tries {
            now += wait;
            let inside = |(_, _, when, _): &&(u8, u8, u64, u32)| at(now).since(at(*when)) < WINDOW;
            let held = done.iter().filter(inside).count();
            let before = done.iter().filter(inside).find(|before| before.0 == text).copied();
            let found = keys.find(&key(text, content), at(now));
            match before {
                Some((_, same, _, handlers)) if same == content => {
                    prop_assert_eq!(found, Ok(Some(Reply::Pushed { handlers })));
                }
                Some(_) => prop_assert_eq!(found, Err(Refusal::Conflict)),
                None if held >= keys_max => prop_assert_eq!(found, Err(Refusal::Full)),
                None => {
                    prop_assert_eq!(found, Ok(None));
                    let handlers = done.len() as u32;
                    keys.note(&key(text, content), Reply::Pushed { handlers }, at(now));
                    done.push((text, content, now, handlers));
                }
            }
            prop_assert!(keys.len() <= keys_max);
        }
        keys.forget_old(at(now + 10));
        prop_assert_eq!((keys.len(), keys.order.len()), (0, 0));
    }
}

#[test]
fn a_key_is_valid_for_one_scope() {
    let scopes = [
        Scope::Client("a"),
        Scope::Client("topic:a"),
        Scope::Topic("topic:a"),
        Scope::Event { topic: "topic:a", client: "u1" },
        Scope::Event { topic: "topic:a", client: "u2" },
        Scope::Push { client: "a" },
    ];
    let name = |scope| Key::new(scope, "k", []).expect("a key").name;
    assert_eq!(scopes.map(name).into_iter().collect::<BTreeSet<_>>().len(), scopes.len());
}

#[test]
fn content_is_its_parts() {
    let content = |parts: &[&'static str]| {
        let parts = parts.iter().map(|part| part.as_bytes());
        Key::new(Scope::Client("a"), "k", parts).expect("a key").content
    };
    assert_eq!(content(&["ab", "c"]), content(&["ab", "c"]));
    assert_ne!(content(&["ab", "c"]), content(&["a", "bc"]));
    assert_ne!(content(&["ab", "c"]), content(&["ab", "d"]));
}

#[test]
fn a_key_has_1_to_128_bytes() {
    let key = |text: &str| Key::new(Scope::Client("a"), text, []).is_ok();
    assert!(key("k") && key(&"k".repeat(128)));
    assert!(!key("") && !key(&"k".repeat(129)));
}

#[test]
fn a_push_has_its_key_on_top() {
    assert_eq!(key_in(r#"{"n":1}"#), Ok(None));
    assert_eq!(key_in(r#"{"data":{"idempotency_key":"k"}}"#), Ok(None));
    assert_eq!(key_in(r#"[{"idempotency_key":"k"}]"#), Ok(None));
    assert_eq!(key_in(r#" {"n":1,"idempotency_key":"k\n"}"#), Ok(Some("k\n".into())));
    assert!(key_in(r#"{"idempotency_key":7}"#).is_err());
}
