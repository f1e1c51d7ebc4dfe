//! The scan held against serde_json, and strings there and back.

use proptest::prelude::*;
use serde::de::IgnoredAny;
use serde_json::Value;

use super::*;

/// Passes over the one value that `text` must be.
fn raw(text: &str) -> Result<Raw<'_>, Fault> {
    let mut scanner = Scanner::new(text);
    let value = scanner.value()?;
    scanner.finish().map(|()| value)
}

/// The value's text.
fn scan(text: &str) -> Result<&str, Fault> {
    raw(text).map(Raw::text)
}

/// Whether what the scan says of `text` is what serde_json says. It takes numbers for f64s; of a text with a number that
/// none holds it tells no more than whether it is well formed, and does not look for half surrogates.
fn agrees(text: &str) -> bool {
    let scanned = scan(text);
    match serde_json::from_str::<Value>(text) {
        Err(error) if error.to_string().starts_with("number out of range") => {
            let ours_alone = matches!(scanned, Err(Fault { why: Why::Surrogate, .. }));
            ours_alone || serde_json::from_str::<IgnoredAny>(text).is_ok() == scanned.is_ok()
        }
        parsed => parsed.is_ok() == scanned.is_ok(),
    }
}

/// Values of every type, at most six containers deep.
fn value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        ".{0,20}".prop_map(Value::from),
    ];
    leaf.prop_recursive(6, 40, 6, |inner| {
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..6).prop_map(Value::from),
            proptest::collection::vec((".{0,9}", inner), 0..6)
                .prop_map(|members| Value::Object(members.into_iter().collect())),
        ]
    })
}

/// What tends to matter to a JSON reader.
fn snippet() -> impl Strategy<Value = &'static str> {
    proptest::sample::select(vec![
        "", "{", "}", "[", "]", ",", ":", "\"", "\\", "\\\"", "\\u", "\\u0041", "\\ud83d", "\\ude00", "\\x",
        "\\n", " ", "\t", "\r\n", "\u{0}", "\u{1f}", "\u{7f}", "\u{a0}", "\u{feff}", "é", "😀", "0", "-",
        "01", "1.", ".5", "1.5", "e", "1e5", "1E+5", "1e-", "-0", "1e999", "true", "fals", "null", "nul",
        "NaN", "\"a\"", "\"k\":", "{}", "[]", "//", "'",
    ])
}

/// A text near JSON: some pieces of it replaced.
fn mutated() -> impl Strategy<Value = String> {
    let edits = proptest::collection::vec((any::<prop::sample::Index>(), 0usize..4, snippet()), 0..4);
    (value(), any::<bool>(), edits).prop_map(|(value, pretty, edits)| {
        let text = if pretty { serde_json::to_string_pretty(&value) } else { serde_json::to_string(&value) };
        let mut text: Vec<char> = text.unwrap().chars().collect();
        for (place, cut, snippet) in edits {
            let start = place.index(text.len() + 1);
            let end = (start + cut).min(text.len());
            text.splice(start..end, snippet.chars());
        }
        text.into_iter().collect()
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4096))]

    #[test]
    fn takes_exactly_what_serde_json_takes(text in mutated()) {
        prop_assert!(agrees(&text), "{:?}: {:?}", text, scan(&text));
    }

    #[test]
    fn takes_exactly_what_serde_json_takes_of_any_pieces(
        pieces in proptest::collection::vec(snippet(), 0..8),
    ) {
        let text = pieces.concat();
        prop_assert!(agrees(&text), "{:?}: {:?}", text, scan(&text));
    }

    #[test]
    fn lends_the_value_without_the_space_around(value in value()) {
        let text = value.to_string();
        let spaced = format!(" \t{text}\r\n");
        prop_assert_eq!(scan(&spaced), Ok(text.as_str()));
    }

    #[test]
    fn says_what_serde_json_says_of_strings(
        body in r#"([a-zé😀"/]|\\[\\"/bfnrtu]|\\u[0-9a-fA-F]{4}|\\ud83d\\ude0[0-9]){0,12}"#,
    ) {
        let text = format!("\"{body}\"");
        let said = raw(&text).ok().map(|raw| raw.string().unwrap().into_owned());
        prop_assert_eq!(said, serde_json::from_str::<String>(&text).ok());
    }

    #[test]
    fn a_written_string_reads_back(said in any::<String>(), before in any::<Vec<u8>>()) {
        let mut out = before.clone();
        write_str(&mut out, &said);
        let text = str::from_utf8(&out[before.len()..]).unwrap();
        prop_assert_eq!(&serde_json::from_str::<String>(text).unwrap(), &said);
        prop_assert_eq!(text, serde_json::to_string(&said).unwrap());
        prop_assert_eq!(raw(text).unwrap().string().unwrap(), said);
    }
}

#[test]
fn finds_the_first_special_byte_wherever_it_stands() {
    for len in 0..90 {
        for at in 0..len {
            for (special, neighbour) in [(b'"', b'#'), (b'\\', b']'), (0x1f, b' '), (0, 0xff), (b'"', b'!')] {
                let mut bytes = vec![neighbour; len];
                bytes[..at.min(9)].fill(special);
                let start = at.min(9);
                assert_eq!(string::plain_end(&bytes, start), len);
                bytes[at..].fill(special);
                assert_eq!(string::plain_end(&bytes, start), at);
            }
        }
    }
}

#[test]
fn nests_to_the_bound_and_not_deeper() {
    let nested = |depth: usize| {
        let open = (0..depth).map(|level| ["[", "{\"a\":"][level % 2]).collect::<String>();
        let close = (0..depth).rev().map(|level| ["]", "}"][level % 2]).collect::<String>();
        open + "0" + &close
    };
    let max = DEPTH_MAX as usize;
    for depth in [1, 2, max - 1, max] {
        assert_eq!(scan(&nested(depth)), Ok(nested(depth).as_str()));
    }
    assert_eq!(scan(&nested(max + 1)).unwrap_err().why, Why::Depth);
    assert_eq!(scan(&"[".repeat(1 << 20)), Err(Fault { at: max, why: Why::Depth }));
    assert!(Fault { at: 0, why: Why::Depth }.to_string().contains(&DEPTH_MAX.to_string()));
}

#[test]
fn reads_escapes_to_their_edges() {
    let said = r#""\ud7ff\ue000\uffff\ud800\udc00\udbff\udfff\u0000\/""#;
    let expected = "\u{d7ff}\u{e000}\u{ffff}\u{10000}\u{10ffff}\0/";
    assert_eq!(raw(said).unwrap().string().unwrap(), expected);
}

#[test]
fn says_where_and_why() {
    let cases = [
        ("", 0, Why::Value),
        ("tru", 0, Why::Value),
        ("[1,]", 3, Why::Value),
        ("{a:1}", 1, Why::Key),
        ("{\"a\":1,}", 7, Why::Key),
        ("{\"a\"}", 4, Why::Colon),
        ("[1 2]", 3, Why::CommaOrClose),
        ("[1}", 2, Why::CommaOrClose),
        ("{\"a\":1]", 6, Why::CommaOrClose),
        ("1 2", 2, Why::Trailing),
        ("\"abc", 4, Why::Unterminated),
        ("\"a\nb\"", 2, Why::Control),
        ("\"\\x\"", 1, Why::Escape),
        ("\"\\u12g4\"", 1, Why::Escape),
        ("\"\\ud800\"", 1, Why::Surrogate),
        ("\"\\ud800\\u0041\"", 1, Why::Surrogate),
        ("\"\\ud800\\ue000\"", 1, Why::Surrogate),
        ("\"\\udbff\\udbff\"", 1, Why::Surrogate),
        ("\"\\udc00\"", 1, Why::Surrogate),
        ("-", 1, Why::Digit),
        ("1.e", 2, Why::Digit),
        ("1e+", 3, Why::Digit),
        ("01", 1, Why::Trailing),
    ];
    for (text, at, why) in cases {
        assert_eq!(scan(text), Err(Fault { at, why }), "{text}");
    }
}
