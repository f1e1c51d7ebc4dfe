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

/// How a message may be compressed.
#[derive(Debug)]
pub struct Deflate<'a> {
    /// The core's.
    pub deflater: &'a mut Deflater,
    /// What was agreed with the client.
    pub params: DeflateParams,
    /// Even if the message does not get smaller: for conformance suites, which expect compressed
    /// messages once compression is agreed.
    pub always: bool,
}

/// Appends a text or binary message, compressed if `deflate` is given and makes it smaller.
pub fn write_message(out: &mut Vec<u8>, opcode: Opcode, payload: &[u8], deflate: Option<Deflate<'_>>) {
    debug_assert!(!opcode.is_control());
    let Some(Deflate { deflater, params, always }) = deflate else {
        return write_frame(out, opcode, payload);
    };
    match deflater.deflate(payload, params) {
        Some(compressed) if always || compressed.len() < payload.len() => {
            frame::encode(out, FIN | RSV1 | opcode as u8, compressed.len(), false);
            out.extend_from_slice(compressed);
        }
        _ => write_frame(out, opcode, payload),
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
    fn a_message_is_compressed_if_it_gets_smaller_or_always() {
        let mut deflater = Deflater::default();
        let mut written = |payload: &[u8], always| {
            let deflate = Deflate { deflater: &mut deflater, params: DeflateParams::default(), always };
            let mut out = Vec::new();
            write_message(&mut out, Opcode::Binary, payload, Some(deflate));
            out
        };
        let compressed = written(&[b'a'; 2000], false);
        assert!(compressed[0] == 0xc2 && compressed.len() < 100);
        for incompressible in [&b""[..], b"a", b"xyz"] {
            let plain = written(incompressible, false);
            assert_eq!((plain[0], &plain[2..]), (0x82, incompressible));
            assert_eq!(written(incompressible, true)[0], 0xc2);
        }
    }
}
