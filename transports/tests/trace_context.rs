//! `traceparent`, as the specification's own examples and tests have it.

use proptest::prelude::*;
use weir_transports::trace_context::{SpanId, TraceId, TraceParent, state};

const EXAMPLE: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

#[test]
fn the_example_is_read() {
    let parent = TraceParent::parse(EXAMPLE).expect("valid");
    assert_eq!(parent.trace.to_string(), "0af7651916cd43dd8448eb211c80319c");
    assert_eq!(parent.span.to_bytes(), [0xb7, 0xad, 0x6b, 0x71, 0x69, 0x20, 0x33, 0x31]);
    assert!(parent.sampled);
}

#[test]
fn what_names_no_span_is_none() {
    let [trace, span] = ["0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"];
    for bad in [
        String::new(),
        format!("00-{trace}-{span}"),
        format!("00-{trace}-{span}-1"),
        format!("00-{trace}-{span}-01-extra"),
        format!("00-{trace}-{span}-01x"),
        format!("ff-{trace}-{span}-01"),
        format!("00-{}-{span}-01", "0".repeat(32)),
        format!("00-{trace}-{}-01", "0".repeat(16)),
        format!("00-{}-{span}-01", trace.to_uppercase()),
        format!("00_{trace}_{span}_01"),
        format!("00-{trace}{span}-01-----------------"),
        "é".repeat(40),
    ] {
        assert_eq!(TraceParent::parse(&bad), None, "{bad:?}");
    }
}

#[test]
fn later_versions_may_say_more() {
    let later = EXAMPLE.replacen("00", "cc", 1);
    assert_eq!(TraceParent::parse(&later), TraceParent::parse(EXAMPLE));
    assert_eq!(TraceParent::parse(&format!("{later}-what-comes")), TraceParent::parse(EXAMPLE));
    assert_eq!(TraceParent::parse(&format!("{later}.what-comes")), None);
}

#[test]
fn other_flags_are_not_looked_at() {
    for (flags, sampled) in [("00", false), ("02", false), ("03", true), ("ff", true)] {
        let text = format!("{}{flags}", &EXAMPLE[..53]);
        assert_eq!(TraceParent::parse(&text).map(|parent| parent.sampled), Some(sampled), "{flags}");
    }
}

#[test]
fn a_state_is_the_text_of_a_header() {
    assert_eq!(
        state(" congo=t61rcWkgMzE,rojo=00f067aa0ba902b7 "),
        Some("congo=t61rcWkgMzE,rojo=00f067aa0ba902b7")
    );
    assert_eq!((state(""), state("a=b\r\nX: y"), state("a=é")), (None, None, None));
    assert!(state(&"x".repeat(512)).is_some() && state(&"x".repeat(513)).is_none());
}

proptest! {
    #[test]
    fn what_is_written_is_read(trace: u128, span: u64, sampled: bool) {
        let parent = TraceParent { trace: TraceId::new(trace), span: SpanId::new(span), sampled };
        prop_assert_eq!(TraceParent::parse(&parent.to_string()), Some(parent));
    }

    #[test]
    fn no_text_is_too_odd(text in "\\PC{0,80}") {
        let _ = TraceParent::parse(&text);
    }
}
