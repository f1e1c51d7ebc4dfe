//! The reader from outside: the rules of RFC 6455 as tables, and its promise as properties.

use flate2::{Compress, Compression, FlushCompress};
use proptest::collection::vec;
use proptest::prelude::*;
use weir_transports::websocket::client::{self, FIN, RSV1};
use weir_transports::websocket::{Limits, Message, Opcode, Reader, Scratch, Violation};

const MASK: [u8; 4] = [0x37, 0xfa, 0x21, 0x3d];
const CONTINUATION: u8 = 0;
const TEXT: u8 = Opcode::Text as u8;
const BINARY: u8 = Opcode::Binary as u8;
const CLOSE: u8 = Opcode::Close as u8;
const PING: u8 = Opcode::Ping as u8;
const PONG: u8 = Opcode::Pong as u8;

const LIMITS: Limits = Limits { frame_bytes_max: 1000, message_bytes_max: 3000, deflate: true };

/// A message that outlives its input.
#[derive(Clone, Debug, PartialEq)]
enum Owned {
    Text(String),
    Binary(Vec<u8>),
    Ping(Vec<u8>),
    Pong(Vec<u8>),
    Close(Option<(u16, String)>),
}

impl From<Message<'_>> for Owned {
    fn from(message: Message<'_>) -> Owned {
        match message {
            Message::Text(text) => Owned::Text(text.into()),
            Message::Binary(bytes) => Owned::Binary(bytes.into()),
            Message::Ping(bytes) => Owned::Ping(bytes.into()),
            Message::Pong(bytes) => Owned::Pong(bytes.into()),
            Message::Close(close) => Owned::Close(close.map(|(code, reason)| (code, reason.into()))),
        }
    }
}

/// All that comes of `stream` when it arrives in pieces of `cuts` bytes, the last one repeated.
fn read_in_pieces(stream: &[u8], cuts: &[usize], limits: &Limits) -> (Vec<Owned>, Option<Violation>) {
    let (mut reader, mut scratch) = (Reader::default(), Scratch::default());
    let (mut messages, mut stream) = (Vec::new(), stream.to_vec());
    let (mut left, mut cuts) = (stream.as_mut_slice(), cuts.iter());
    let mut cut = usize::MAX;
    while !left.is_empty() {
        cut = cuts.next().copied().unwrap_or(cut).clamp(1, left.len());
        let (mut piece, rest) = left.split_at_mut(cut);
        left = rest;
        while !piece.is_empty() {
            let before = piece.len();
            let consumed = match reader.read(piece, limits, &mut scratch) {
                Ok(read) => {
                    assert!(read.consumed > 0 && (read.message.is_some() || read.consumed == before));
                    messages.extend(read.message.map(Owned::from));
                    read.consumed
                }
                Err(violation) => return (messages, Some(violation)),
            };
            piece = &mut piece[consumed..];
        }
    }
    (messages, None)
}

/// What comes of `stream`, whole and byte by byte, which must be the same.
fn read(stream: &[u8]) -> (Vec<Owned>, Option<Violation>) {
    let whole = read_in_pieces(stream, &[], &LIMITS);
    assert_eq!(whole, read_in_pieces(stream, &[1], &LIMITS), "byte by byte");
    whole
}

/// First byte and payload.
type Frame<'a> = (u8, &'a [u8]);

fn frames(frames: &[Frame<'_>]) -> Vec<u8> {
    let mut out = Vec::new();
    for (first, payload) in frames {
        client::write_frame(&mut out, *first, payload, MASK);
    }
    out
}

fn deflated(payload: &[u8]) -> Vec<u8> {
    let mut room = vec![0; payload.len() * 2 + 100];
    let mut stream = Compress::new(Compression::default(), false);
    stream.compress(payload, &mut room, FlushCompress::Sync).unwrap();
    room.truncate(stream.total_out() as usize);
    room.strip_suffix(&[0, 0, 0xff, 0xff]).unwrap().to_vec()
}

#[test]
fn messages_of_every_kind() {
    let stream = frames(&[
        (FIN | TEXT, "köln".as_bytes()),
        (FIN | BINARY, b"\xff\x00"),
        (FIN | TEXT, b""),
        (FIN | PING, b"are you there"),
        (TEXT, b"one "),
        (FIN | PONG, b""),
        (CONTINUATION, b""),
        (CONTINUATION, b"two "),
        (FIN | PING, &[7; 125]),
        (FIN | CONTINUATION, b"three"),
        (BINARY, b""),
        (FIN | CONTINUATION, b""),
        (FIN | CLOSE, b"\x03\xe8bye"),
        (FIN | TEXT, b"after the close"),
        (FIN, b"no frame at all"),
    ]);
    let expected = [
        Owned::Text("köln".into()),
        Owned::Binary(vec![0xff, 0]),
        Owned::Text(String::new()),
        Owned::Ping(b"are you there".into()),
        Owned::Pong(vec![]),
        Owned::Ping(vec![7; 125]),
        Owned::Text("one two three".into()),
        Owned::Binary(vec![]),
        Owned::Close(Some((1000, "bye".into()))),
    ];
    assert_eq!(read(&stream), (expected.to_vec(), None));
}

#[test]
fn a_close_may_come_inside_a_message_and_without_a_code() {
    let stream = frames(&[(TEXT, b"never finished"), (FIN | CLOSE, b"")]);
    assert_eq!(read(&stream), (vec![Owned::Close(None)], None));
}

#[test]
fn compressed_messages() {
    let text = "the same again, ".repeat(100);
    let compressed = deflated(text.as_bytes());
    let (first, second) = compressed.split_at(compressed.len() / 2);
    let stream = frames(&[
        (FIN | RSV1 | TEXT, &compressed),
        (RSV1 | TEXT, first),
        (FIN | PING, b""),
        (FIN | CONTINUATION, second),
        (FIN | BINARY, b"plain"),
        (FIN | RSV1 | BINARY, &deflated(b"")),
    ]);
    let expected = [
        Owned::Text(text.clone()),
        Owned::Ping(vec![]),
        Owned::Text(text),
        Owned::Binary(b"plain".into()),
        Owned::Binary(vec![]),
    ];
    assert_eq!(read(&stream), (expected.to_vec(), None));
}

#[test]
fn violations() {
    let table: &[(Violation, u16, &[Frame<'_>])] = &[
        (Violation::ReservedBits, 1002, &[(FIN | 0x20 | TEXT, b"")]),
        (Violation::ReservedBits, 1002, &[(FIN | 0x10 | PING, b"")]),
        (Violation::ReservedBits, 1002, &[(FIN | RSV1 | PING, b"")]),
        (Violation::ReservedBits, 1002, &[(RSV1 | TEXT, b""), (FIN | RSV1, b"")]),
        (Violation::ReservedOpcode, 1002, &[(FIN | 3, b"")]),
        (Violation::ReservedOpcode, 1002, &[(FIN | 11, b"")]),
        (Violation::FragmentedControl, 1002, &[(PING, b"")]),
        (Violation::LongControl, 1002, &[(FIN | PING, &[0; 126])]),
        (Violation::LongControl, 1002, &[(FIN | CLOSE, &[0; 70000])]),
        (Violation::NothingToContinue, 1002, &[(FIN, b"x")]),
        (Violation::NothingToContinue, 1002, &[(FIN | TEXT, b"x"), (CONTINUATION, b"x")]),
        (Violation::MessageInMessage, 1002, &[(TEXT, b"x"), (FIN | TEXT, b"x")]),
        (Violation::MessageInMessage, 1002, &[(TEXT, b"x"), (FIN | PING, b""), (BINARY, b"x")]),
        (Violation::CloseLength, 1002, &[(FIN | CLOSE, b"\x03")]),
        (Violation::CloseCode, 1002, &[(FIN | CLOSE, b"\x03\xed")]),
        (Violation::NotUtf8, 1007, &[(FIN | CLOSE, b"\x03\xe8\xff")]),
        (Violation::NotUtf8, 1007, &[(FIN | TEXT, b"\xce")]),
        (Violation::NotUtf8, 1007, &[(FIN | TEXT, b"\xed\xa0\x80")]),
        (Violation::NotUtf8, 1007, &[(TEXT, b"\xce"), (FIN, b"x")]),
        (Violation::NotUtf8, 1007, &[(TEXT, b"\xce"), (CONTINUATION, b"\xba"), (FIN, b"\xe1")]),
        (Violation::NotUtf8, 1007, &[(FIN | RSV1 | TEXT, &[0x00, 0x01, 0x00, 0xfe, 0xff, 0xff, 0x00])]),
        (Violation::NotDeflate, 1007, &[(FIN | RSV1 | BINARY, b"\x07")]),
        (Violation::FrameTooBig, 1009, &[(FIN | TEXT, &[b'x'; 1001])]),
        (Violation::FrameTooBig, 1009, &[(FIN | TEXT, &[b'x'; 66000])]),
        (
            Violation::MessageTooBig,
            1009,
            &[(TEXT, &[b'x'; 1000]), (0, &[b'x'; 1000]), (0, &[b'x'; 1000]), (0, b"x")],
        ),
        (Violation::MessageTooBig, 1009, &[(FIN | RSV1 | TEXT, &deflated(&[b'x'; 3001]))]),
    ];
    for (violation, code, sent) in table {
        let (_, found) = read(&frames(sent));
        assert_eq!(found, Some(*violation), "{sent:02x?}");
        assert_eq!(violation.code(), *code);
        assert!((1..=123).contains(&violation.reason().len()));
    }
    assert_eq!(read(b"\x81\x05Hello").1, Some(Violation::Unmasked));
    assert_eq!(read(b"\x82\xfe\x00\x05").1, Some(Violation::LengthNotMinimal));
    assert_eq!(read(b"\x82\xff\xff\xff\xff\xff\xff\xff\xff\xff").1, Some(Violation::LengthNegative));
}

#[test]
fn compression_must_be_negotiated() {
    let stream = frames(&[(FIN | RSV1 | TEXT, &deflated(b"hello"))]);
    let plain = Limits { deflate: false, ..LIMITS };
    assert_eq!(read_in_pieces(&stream, &[], &plain), (vec![], Some(Violation::ReservedBits)));
}

#[test]
fn a_bomb_is_refused() {
    let limits = Limits { frame_bytes_max: 1 << 16, message_bytes_max: 1 << 20, deflate: true };
    let over_the_message = frames(&[(FIN | RSV1 | BINARY, &deflated(&vec![0; 8 << 20]))]);
    let over_the_ratio = frames(&[(FIN | RSV1 | BINARY, &deflated(&vec![0; 500_000]))]);
    let under_both = frames(&[(FIN | RSV1 | BINARY, &deflated(&vec![0; 1 << 16]))]);
    let refused = |stream: &[u8]| read_in_pieces(stream, &[], &limits).1;
    assert!(refused(&over_the_message).is_some_and(|violation| violation.code() == 1009));
    assert_eq!(refused(&over_the_ratio), Some(Violation::InflatesTooMuch));
    assert_eq!(refused(&under_both), None);
}

#[test]
fn text_is_refused_as_soon_as_it_cannot_become_utf8() {
    // The cases of Autobahn 6.4: the fourth byte is beyond U+10FFFF, the rest of the frame is to come.
    let whole =
        frames(&[(FIN | TEXT, b"\xce\xba\xe1\xbd\xb9\xcf\x83\xce\xbc\xce\xb5\xf4\x90\x80\x80edited")]);
    let header = 6;
    for (sent, refused) in [(header + 12, false), (header + 13, true), (header + 14, true)] {
        let found = read_in_pieces(&whole[..sent], &[header + 5], &LIMITS).1;
        assert_eq!(found, refused.then_some(Violation::NotUtf8), "after {sent} bytes");
    }
}

#[test]
fn a_frame_too_big_is_refused_by_its_header() {
    let stream = frames(&[(FIN | BINARY, &[0; 70_000])]);
    assert_eq!(read_in_pieces(&stream[..13], &[], &LIMITS).1, None);
    assert_eq!(read_in_pieces(&stream[..14], &[], &LIMITS).1, Some(Violation::FrameTooBig));
}

#[test]
fn a_message_whole_in_its_input_is_lent_from_there() {
    let mut input = frames(&[(FIN | TEXT, b"in place"), (FIN | PING, b"here")]);
    let place = input.as_ptr_range();
    let (mut reader, mut scratch) = (Reader::default(), Scratch::default());
    let read = reader.read(&mut input, &LIMITS, &mut scratch).unwrap();
    let Some(Message::Text(text)) = read.message else { panic!("{read:?}") };
    assert_eq!((text, read.consumed), ("in place", 14));
    assert!(place.contains(&text.as_ptr()));
    let read = reader.read(&mut input[14..], &LIMITS, &mut scratch).unwrap();
    let Some(Message::Ping(payload)) = read.message else { panic!("{read:?}") };
    assert_eq!(payload, b"here");
    assert!(place.contains(&payload.as_ptr()));
}

#[test]
fn nothing_is_read_after_a_violation() {
    let (mut reader, mut scratch) = (Reader::default(), Scratch::default());
    reader.read(&mut frames(&[(FIN | 3, b"")]), &LIMITS, &mut scratch).unwrap_err();
    let mut more = frames(&[(FIN | TEXT, b"ignored")]);
    let read = reader.read(&mut more, &LIMITS, &mut scratch).unwrap();
    assert_eq!((read.consumed, read.message), (13, None));
}

/// One data message as it is sent, and pings inside it.
#[derive(Clone, Debug)]
struct Sent {
    message: Owned,
    compressed: bool,
    /// Where it is cut into fragments, as parts of its size, and whether a ping follows the cut.
    fragments: Vec<(prop::sample::Index, bool)>,
    mask: [u8; 4],
}

impl Sent {
    fn write(&self, out: &mut Vec<u8>, expected: &mut Vec<Owned>) {
        let (opcode, plain) = match &self.message {
            Owned::Text(text) => (TEXT, text.as_bytes()),
            Owned::Binary(bytes) => (BINARY, bytes.as_slice()),
            other => unreachable!("{other:?} is no data message"),
        };
        let payload = if self.compressed { deflated(plain) } else { plain.to_vec() };
        let mut cuts: Vec<(usize, bool)> =
            self.fragments.iter().map(|(index, ping)| (index.index(payload.len() + 1), *ping)).collect();
        cuts.sort_unstable();
        let mut first = if self.compressed { RSV1 | opcode } else { opcode };
        let mut start = 0;
        for (end, ping) in cuts {
            client::write_frame(out, first, &payload[start..end], self.mask);
            (first, start) = (CONTINUATION, end);
            if ping {
                client::write_frame(out, FIN | PING, &end.to_be_bytes(), self.mask);
                expected.push(Owned::Ping(end.to_be_bytes().into()));
            }
        }
        client::write_frame(out, FIN | first, &payload[start..], self.mask);
        expected.push(self.message.clone());
    }
}

fn sent() -> impl Strategy<Value = Sent> {
    let message = prop_oneof![
        "\\PC{0,150}".prop_map(Owned::Text),
        vec(any::<u8>(), 0..600).prop_map(Owned::Binary),
        ("\\PC{1,5}", 1..60_usize).prop_map(|(text, times)| Owned::Text(text.repeat(times))),
    ];
    let fragments = vec((any::<prop::sample::Index>(), any::<bool>()), 0..4);
    (message, any::<bool>(), fragments, any::<[u8; 4]>())
        .prop_map(|(message, compressed, fragments, mask)| Sent { message, compressed, fragments, mask })
}

fn written(sent: &[Sent]) -> (Vec<u8>, Vec<Owned>) {
    let (mut stream, mut expected) = (Vec::new(), Vec::new());
    for sent in sent {
        sent.write(&mut stream, &mut expected);
    }
    (stream, expected)
}

proptest! {
    #[test]
    fn any_cut_gives_the_same_messages(sent in vec(sent(), 0..6), cuts in vec(1..300_usize, 0..40)) {
        let (stream, expected) = written(&sent);
        prop_assert_eq!(&read_in_pieces(&stream, &cuts, &LIMITS), &(expected, None));
    }

    #[test]
    fn any_cut_gives_the_same_violation(
        sent in vec(sent(), 1..4),
        changes in vec((any::<prop::sample::Index>(), any::<u8>()), 1..4),
        cuts in vec(1..300_usize, 0..40),
    ) {
        let (mut stream, _) = written(&sent);
        for (place, byte) in changes {
            *place.get_mut(&mut stream) = byte;
        }
        let whole = read_in_pieces(&stream, &[], &LIMITS);
        prop_assert_eq!(&whole, &read_in_pieces(&stream, &cuts, &LIMITS));
        prop_assert_eq!(&whole, &read_in_pieces(&stream, &[1], &LIMITS));
    }

    #[test]
    fn any_bytes_are_read_without_a_panic(stream in vec(any::<u8>(), 0..400), cuts in vec(1..50_usize, 0..20)) {
        let whole = read_in_pieces(&stream, &[], &LIMITS);
        prop_assert_eq!(whole, read_in_pieces(&stream, &cuts, &LIMITS));
    }

    #[test]
    fn any_compressed_payload_is_read_without_a_panic(payload in vec(any::<u8>(), 0..400)) {
        let stream = frames(&[(FIN | RSV1 | BINARY, &payload)]);
        let (messages, violation) = read_in_pieces(&stream, &[], &LIMITS);
        prop_assert!(messages.len() == 1 || violation.is_some());
    }
}
