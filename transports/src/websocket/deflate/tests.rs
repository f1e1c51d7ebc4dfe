use super::*;

fn accepted(offers: &str) -> Option<String> {
    let mut out = Vec::new();
    DeflateParams::accept(offers)?.write(&mut out);
    Some(String::from_utf8(out).unwrap())
}

const PLAIN: &str = "permessage-deflate; server_no_context_takeover; client_no_context_takeover";

#[test]
fn offers_that_are_accepted() {
    let table = [
        ("permessage-deflate", ""),
        ("permessage-deflate; client_max_window_bits", ""),
        ("permessage-deflate; client_max_window_bits=8", ""),
        ("permessage-deflate;server_no_context_takeover;client_no_context_takeover", ""),
        ("permessage-deflate; server_max_window_bits=9", "; server_max_window_bits=9"),
        ("permessage-deflate; server_max_window_bits = \"12\"", "; server_max_window_bits=12"),
        ("permessage-deflate; server_max_window_bits=15", "; server_max_window_bits=15"),
        ("x-webkit-deflate-frame, permessage-deflate", ""),
        ("permessage-deflate; server_max_window_bits=8, permessage-deflate", ""),
        (
            "permessage-deflate; later, permessage-deflate; server_max_window_bits=10, permessage-deflate",
            "; server_max_window_bits=10",
        ),
    ];
    for (offers, answer) in table {
        assert_eq!(accepted(offers), Some(format!("{PLAIN}{answer}")), "{offers}");
    }
}

#[test]
fn offers_that_are_declined() {
    let table = [
        "",
        "permessage-bzip2",
        "permessage-deflate; unknown",
        "permessage-deflate;",
        "permessage-deflate; server_no_context_takeover=1",
        "permessage-deflate; client_no_context_takeover; client_no_context_takeover",
        "permessage-deflate; server_max_window_bits",
        "permessage-deflate; server_max_window_bits=8",
        "permessage-deflate; server_max_window_bits=16",
        "permessage-deflate; server_max_window_bits=010",
        "permessage-deflate; server_max_window_bits=10; server_max_window_bits=10",
        "permessage-deflate; client_max_window_bits=7",
        "permessage-deflate; client_max_window_bits=",
        "permessage-deflate; client_max_window_bits=+9",
        "permessage-deflate; client_max_window_bits; client_max_window_bits=9",
    ];
    for offers in table {
        assert_eq!(accepted(offers), None, "{offers}");
    }
}

/// What RFC 7692 section 7.2.3 shows for "Hello": fixed Huffman, stored, with BFINAL, two blocks.
#[test]
fn examples_of_the_rfc() {
    let examples: [&[u8]; 4] = [
        &[0xf2, 0x48, 0xcd, 0xc9, 0xc9, 0x07, 0x00],
        &[0x00, 0x05, 0x00, 0xfa, 0xff, 0x48, 0x65, 0x6c, 0x6c, 0x6f, 0x00],
        &[0xf3, 0x48, 0xcd, 0xc9, 0xc9, 0x07, 0x00, 0x00],
        &[0xf2, 0x48, 0x05, 0x00, 0x00, 0x00, 0xff, 0xff, 0xca, 0xc9, 0xc9, 0x07, 0x00],
    ];
    let mut inflater = Inflater::default();
    for example in examples {
        assert_eq!(inflater.inflate(example, 5), Ok(&b"Hello"[..]), "{example:02x?}");
    }
    assert_eq!(inflater.inflate(&[0x00], 5), Ok(&b""[..]));
}

#[test]
fn broken_streams() {
    let table: &[&[u8]] = &[
        // Cut short inside a block.
        &[0xf2, 0x48, 0xcd],
        // No block of type 3 exists.
        &[0x07],
        // A stored block whose length is not its own complement.
        &[0x00, 0x05, 0x00, 0xfa, 0xfe, 0x48],
        // Something behind the last block.
        &[0xf3, 0x48, 0xcd, 0xc9, 0xc9, 0x07, 0x00, 0x01],
        // A reference to the message before.
        &[0xf2, 0x00, 0x11, 0x00, 0x00],
    ];
    let mut inflater = Inflater::default();
    for broken in table {
        inflater.inflate(&[0xf2, 0x48, 0xcd, 0xc9, 0xc9, 0x07, 0x00], 5).unwrap();
        assert_eq!(inflater.inflate(broken, 100), Err(Violation::NotDeflate), "{broken:02x?}");
    }
}

fn deflated(payload: &[u8], bits: Option<u8>) -> Vec<u8> {
    let params = DeflateParams { server_max_window_bits: bits };
    Deflater::default().deflate(payload, params).unwrap().to_vec()
}

#[test]
fn a_bomb_is_stopped_at_the_cap() {
    let mut inflater = Inflater::default();
    let bomb = deflated(&vec![0; 16 << 20], None);
    assert_eq!(inflater.inflate(&bomb, 1 << 20), Err(Violation::MessageTooBig));
    assert!(inflater.room.capacity() <= 2 << 20, "{}", inflater.room.capacity());

    let mut inflater = Inflater::default();
    let small = deflated(&vec![0; 200_000], None);
    assert!(small.len() * RATIO_MAX < 200_000);
    assert_eq!(inflater.inflate(&small, 1 << 20), Err(Violation::InflatesTooMuch));
    assert!(inflater.room.capacity() <= 256 << 10, "{}", inflater.room.capacity());
}

#[test]
fn the_caps_are_exact() {
    let mut inflater = Inflater::default();
    let exact = deflated(&vec![0; RATIO_FREE_BYTES], None);
    assert_eq!(inflater.inflate(&exact, 1 << 20).map(<[u8]>::len), Ok(RATIO_FREE_BYTES));
    assert_eq!(inflater.inflate(&exact, RATIO_FREE_BYTES).map(<[u8]>::len), Ok(RATIO_FREE_BYTES));
    assert_eq!(inflater.inflate(&exact, RATIO_FREE_BYTES - 1), Err(Violation::MessageTooBig));
    let over = deflated(&vec![0; RATIO_FREE_BYTES + 1], None);
    assert_eq!(inflater.inflate(&over, 1 << 20), Err(Violation::InflatesTooMuch));
}

/// Bytes in which nothing repeats, each of which takes eight bits in a fixed Huffman code.
fn noise(bytes: usize) -> Vec<u8> {
    let mut state = 1_u32;
    let next = || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 25) as u8
    };
    std::iter::repeat_with(next).take(bytes).collect()
}

#[test]
fn what_grows_is_inflated_back() {
    let (mut deflater, mut inflater) = (Deflater::default(), Inflater::default());
    for bytes in [0, 1, 2, 5, 100, 70_000] {
        let payload: Vec<u8> = noise(bytes).iter().map(|byte| byte | 0x80).collect();
        let made = deflater.deflate(&payload, DeflateParams::default()).unwrap();
        assert!(made.len() > payload.len());
        assert_eq!(inflater.inflate(made, 70_000), Ok(payload.as_slice()));
    }
}

#[test]
fn references_stay_inside_the_window() {
    for bits in WINDOW_BITS_MIN..WINDOW_BITS_MAX {
        let payload = noise((1 << bits) + 1).repeat(2);
        let made_bytes = |bits| deflated(&payload, Some(bits)).len();
        assert!(made_bytes(bits) >= payload.len(), "the repeat is out of reach, window bits {bits}");
        assert!(made_bytes(bits + 1) < payload.len() * 6 / 10, "window bits {}", bits + 1);
    }
}
