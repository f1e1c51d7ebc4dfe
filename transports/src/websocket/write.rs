//! The server's frames: whole messages, unmasked, appended to a buffer.

use super::close::REASON_BYTES_MAX;
use super::deflate::{DeflateParams, Deflater};
use super::frame::{self, CONTROL_BYTES_MAX, FIN, Opcode, RSV1};

/// Appends a frame as it is. A control frame's payload is at most 125 bytes.
pub fn write_frame(out: &mut Vec<u8>, opcode: Opcode, payload: &[u8]) {
    debug_assert!(!opcode.is_control() || payload.len() <= CONTROL_BYTES_MAX);
    frame::encode(out, FIN | opcode as u8, payload.len(), false);
    out.extend_from_slice(payload);
}

/// Appends a text or binary message, compressed as agreed with the client if `deflate` is given and
/// it gets smaller by it.
pub fn write_message(
    out: &mut Vec<u8>,
    opcode: Opcode,
    payload: &[u8],
    deflate: Option<(&mut Deflater, DeflateParams)>,
) {
    debug_assert!(!opcode.is_control());
    match deflate.and_then(|(deflater, params)| deflater.deflate(payload, params)) {
        Some(smaller) => {
            frame::encode(out, FIN | RSV1 | opcode as u8, smaller.len(), false);
            out.extend_from_slice(smaller);
        }
        None => write_frame(out, opcode, payload),
    }
}

/// Appends a close frame. The reason is cut at [`REASON_BYTES_MAX`], between two characters. The
/// answer to a close without a code is an empty `Opcode::Close` frame.
pub fn write_close(out: &mut Vec<u8>, code: u16, reason: &str) {
    let reason = &reason[..reason.floor_char_boundary(REASON_BYTES_MAX)];
    frame::encode(out, FIN | Opcode::Close as u8, 2 + reason.len(), false);
    out.extend_from_slice(&code.to_be_bytes());
    out.extend_from_slice(reason.as_bytes());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_of_the_rfc() {
        let mut out = Vec::new();
        write_frame(&mut out, Opcode::Text, b"Hello");
        assert_eq!(out, b"\x81\x05Hello");
        out.clear();
        write_frame(&mut out, Opcode::Binary, &[7; 256]);
        assert_eq!(out[..4], *b"\x82\x7e\x01\x00");
        out.clear();
        write_frame(&mut out, Opcode::Binary, &[7; 65536]);
        assert_eq!(out[..10], *b"\x82\x7f\0\0\0\0\0\x01\0\0");
        out.clear();
        write_frame(&mut out, Opcode::Close, b"");
        assert_eq!(out, b"\x88\x00");
    }

    #[test]
    fn a_close_reason_is_cut_between_characters() {
        let mut out = Vec::new();
        write_close(&mut out, 1000, "bye");
        assert_eq!(out, b"\x88\x05\x03\xe8bye");
        out.clear();
        write_close(&mut out, 1011, &"é".repeat(80));
        assert_eq!(out.len(), 2 + 2 + 122);
        assert_eq!(std::str::from_utf8(&out[4..]), Ok("é".repeat(61).as_str()));
    }

    #[test]
    fn a_message_is_compressed_only_if_it_gets_smaller() {
        let mut deflater = Deflater::default();
        let params = DeflateParams::default();
        let mut out = Vec::new();
        write_message(&mut out, Opcode::Text, &[b'a'; 2000], Some((&mut deflater, params)));
        assert_eq!(out[0], 0xc1);
        assert!(out.len() < 100);
        for incompressible in [&b""[..], b"a", b"xyz"] {
            out.clear();
            write_message(&mut out, Opcode::Binary, incompressible, Some((&mut deflater, params)));
            assert_eq!(out[0], 0x82);
            assert_eq!(&out[2..], incompressible);
        }
    }
}
