//! Server-sent events: the encoder's bytes, the decoder's reading, and the properties of both together.

use proptest::collection::vec;
use proptest::prelude::*;
use weir_transports::sse::{self, DecodeError, Decoder, Limits};

const LIMITS: Limits = Limits { line_bytes_max: 1 << 10, event_bytes_max: 2 << 10 };

/// id, name, data.
type Seen = (String, String, String);

/// What a client sees of `bytes` in pieces whose lengths follow `cuts`, over and over, and what it has
/// at the end: last event id and reconnection time.
fn decode(
    bytes: &[u8],
    cuts: &[usize],
    limits: Limits,
) -> (Vec<Seen>, Option<DecodeError>, (String, Option<u64>)) {
    let mut decoder = Decoder::new(limits);
    let mut seen = Vec::new();
    let mut error = None;
    let mut rest = bytes;
    for &cut in cuts.iter().cycle() {
        if rest.is_empty() || error.is_some() {
            break;
        }
        let (piece, after) = rest.split_at(cut.clamp(1, rest.len()));
        decoder.push(piece);
        rest = after;
        loop {
            match decoder.next() {
                Ok(Some(event)) => seen.push((event.id.into(), event.name.into(), event.data.into())),
                Ok(None) => break,
                Err(failure) => {
                    error = Some(failure);
                    break;
                }
            }
        }
    }
    let end = (decoder.last_event_id().to_owned(), decoder.retry());
    (seen, error, end)
}

#[track_caller]
fn events(bytes: &[u8], expected: &[(&str, &str, &str)]) {
    let (seen, error, _) = decode(bytes, &[usize::MAX], LIMITS);
    let seen: Vec<_> =
        seen.iter().map(|(id, name, data)| (id.as_str(), name.as_str(), data.as_str())).collect();
    assert_eq!((seen.as_slice(), error), (expected, None));
}

#[test]
fn encoded_bytes() {
    let mut out = Vec::new();
    sse::retry(&mut out, 1000);
    sse::comment(&mut out, "keep\nalive");
    sse::event(&mut out, Some("e-1"), Some("message"), "{\"a\":1}");
    sse::event(&mut out, None, None, "a\r\nb\rc\nd\n");
    sse::event(&mut out, Some("1\r\n2\0"), Some("\nx"), "");
    let expected = "retry: 1000\n\n: keep\n: alive\n\nid: e-1\nevent: message\ndata: {\"a\":1}\n\n\
        data: a\ndata: b\ndata: c\ndata: d\ndata: \n\nid: 12\nevent: x\ndata: \n\n";
    assert_eq!(String::from_utf8(out).unwrap(), expected);
}

/// The examples of WHATWG HTML section 9.2.6.
#[test]
fn examples_of_the_standard() {
    events(b"data: YHOO\ndata: +2\ndata: 10\n\n", &[("", "message", "YHOO\n+2\n10")]);
    events(
        b": test stream\n\ndata: first event\nid: 1\n\ndata:second event\nid\n\ndata:  third event\n\n",
        &[("1", "message", "first event"), ("", "message", "second event"), ("", "message", " third event")],
    );
    events(b"data\n\ndata\ndata\n\ndata:", &[("", "message", ""), ("", "message", "\n")]);
    events(b"data:test\n\ndata: test\n\n", &[("", "message", "test"), ("", "message", "test")]);
}

#[test]
fn lines_end_three_ways() {
    let expected = [("", "message", "a\nb"), ("", "message", "c")];
    events(b"data: a\rdata: b\r\rdata: c\r\r", &expected);
    events(b"data: a\r\ndata: b\r\n\r\ndata: c\r\n\r\n", &expected);
    events(b"data: a\ndata: b\r\n\ndata: c\n\r", &expected);
}

#[test]
fn a_final_carriage_return_does_not_delay_the_event() {
    events(b"data: a\r\r", &[("", "message", "a")]);
}

#[test]
fn one_byte_order_mark_is_dropped() {
    events("\u{feff}data: a\n\n".as_bytes(), &[("", "message", "a")]);
    events("\u{feff}\u{feff}data: a\n\n".as_bytes(), &[]);
    events("\n\u{feff}data: a\n\n".as_bytes(), &[]);
}

#[test]
fn fields() {
    events(b"event: x\ndata: a\n\ndata: b\n\n", &[("", "x", "a"), ("", "message", "b")]);
    events(b"event: x\n\ndata: b\n\n", &[("", "message", "b")]);
    events(b"id: 7\ndata: a\n\ndata: b\n\n", &[("7", "message", "a"), ("7", "message", "b")]);
    events(b"id: 7\nid: 8\0\ndata: a\n\n", &[("7", "message", "a")]);
    events(b"Data: a\n data: b\nunknown: c\ndata: d\n\n", &[("", "message", "d")]);
    events(b"data: \xff\xe2\x82\n\n", &[("", "message", "\u{fffd}\u{fffd}")]);
}

#[test]
fn what_a_client_resumes_with() {
    let end = |bytes: &[u8]| decode(bytes, &[usize::MAX], LIMITS).2;
    assert_eq!(end(b"retry: 1000\n\nid: 7\n\n"), ("7".into(), Some(1000)));
    assert_eq!(end(b"id: 7\ndata: a\n\nid: 8\ndata: cut off\n"), ("7".into(), None));
    assert_eq!(end(b"retry: 5\nretry: 1s\nretry:\nretry: 99999999999999999999\n"), ("".into(), Some(5)));
}

#[test]
fn bounds() {
    let small = Limits { line_bytes_max: 10, event_bytes_max: 7 };
    let error = |bytes: &[u8], cuts: &[usize]| decode(bytes, cuts, small).1;
    for cuts in [&[1][..], &[3], &[usize::MAX]] {
        assert_eq!(error(b"data: 4567\n\n", cuts), None);
        assert_eq!(error(b"data: 45678\n\n", cuts), Some(DecodeError::LineTooLong));
        assert_eq!(error(b"data: 45678", cuts), Some(DecodeError::LineTooLong));
        assert_eq!(error(b"data: 123\ndata: 567\n\n", cuts), None);
        assert_eq!(error(b"data: 123\ndata: 5678\n\n", cuts), Some(DecodeError::EventTooLong));
        assert_eq!(error(b"data: 123\n\ndata: 5678\n\n", cuts), None);
    }
}

#[test]
fn a_failed_decoder_stays_failed() {
    let mut decoder = Decoder::new(Limits { line_bytes_max: 10, event_bytes_max: 2 });
    decoder.push(b"data: 123\n\ndata: 1\n\n");
    assert_eq!(decoder.next(), Err(DecodeError::EventTooLong));
    assert_eq!(decoder.next(), Err(DecodeError::EventTooLong));
}

fn cuts() -> impl Strategy<Value = Vec<usize>> {
    vec(1..30_usize, 1..20)
}

/// Bytes that are an event stream often enough.
fn almost_sse() -> impl Strategy<Value = Vec<u8>> {
    const PIECES: &[&[u8]] = &[
        b"data: a",
        b"data",
        b"id: 1",
        b"event:x",
        b"retry: 5",
        b": c",
        b"\xef\xbb\xbf",
        b"\xef",
        b"\r",
        b"\n",
        b"\r\n",
        b"\n\n",
        b"\0",
    ];
    vec(prop_oneof![6 => proptest::sample::select(PIECES).prop_map(<[u8]>::to_vec), 1 => vec(any::<u8>(), 0..6)], 0..40)
        .prop_map(|pieces| pieces.concat())
}

/// What `text` is after a trip through `data:` lines.
fn with_line_feeds(text: &str) -> String {
    text.replace("\r\n", "\n").replace('\r', "\n")
}

/// What `text` is after a trip through a field of one line.
fn on_one_line(text: &str) -> String {
    text.replace(['\r', '\n', '\0'], "")
}

proptest! {
    #[test]
    fn what_is_encoded_is_decoded(
        sent in vec((any::<String>(), any::<String>(), "(\\PC|[\r\n\0]){0,40}"), 1..8),
        cuts in cuts(),
    ) {
        let mut bytes = Vec::new();
        let mut expected = Vec::new();
        for (id, name, data) in &sent {
            sse::comment(&mut bytes, data);
            sse::event(&mut bytes, Some(id), Some(name), data);
            let name = on_one_line(name);
            let name = if name.is_empty() { "message".to_owned() } else { name };
            expected.push((on_one_line(id), name, with_line_feeds(data)));
        }
        let (seen, error, _) = decode(&bytes, &cuts, LIMITS);
        prop_assert_eq!((seen, error), (expected, None));
    }

    #[test]
    fn any_cut_gives_the_same_events(bytes in almost_sse(), cuts in cuts(), line_bytes_max in 4..40_usize) {
        let limits = Limits { line_bytes_max, event_bytes_max: 12 };
        let whole = decode(&bytes, &[usize::MAX], limits);
        prop_assert_eq!(&decode(&bytes, &[1], limits), &whole);
        prop_assert_eq!(&decode(&bytes, &cuts, limits), &whole);
    }
}
