//! The client's end of a connection: just enough for the simulator, the benches and the tests.

use super::frame;
use super::mask;

pub use super::frame::{FIN, RSV1};

/// Appends a masked frame. `first` is the header's first byte: [`FIN`], [`RSV1`] and an
/// [`Opcode`](super::Opcode), or 0 for a continuation. It is not checked, so that a test can send
/// what a client must not.
pub fn write_frame(out: &mut Vec<u8>, first: u8, payload: &[u8], mask: [u8; 4]) {
    frame::encode(out, first, payload.len(), true);
    out.extend_from_slice(&mask);
    let start = out.len();
    out.extend_from_slice(payload);
    mask::apply(&mut out[start..], mask);
}

/// A server's frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Frame<'a> {
    /// The header's first byte: [`FIN`], [`RSV1`] and an [`Opcode`](super::Opcode).
    pub first: u8,
    /// As sent: compressed, if `first` says so.
    pub payload: &'a [u8],
    /// Bytes of header and payload.
    pub bytes: usize,
}

/// A server's frame that is masked, or says its length in more bytes than it takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Malformed;

/// The frame at the start of `input`. `None`: it is not whole yet.
pub fn read_frame(input: &[u8]) -> Result<Option<Frame<'_>>, Malformed> {
    let [first, second, rest @ ..] = input else { return Ok(None) };
    let (header, length) = match second {
        0..=125 => (2, u64::from(*second)),
        126 => match rest.first_chunk() {
            Some(length) => (4, u16::from_be_bytes(*length).into()),
            None => return Ok(None),
        },
        127 => match rest.first_chunk() {
            Some(length) => (10, u64::from_be_bytes(*length)),
            None => return Ok(None),
        },
        _ => return Err(Malformed),
    };
    let length = usize::try_from(length).map_err(|_| Malformed)?;
    if header != frame::frame_header_len(length) {
        return Err(Malformed);
    }
    let bytes = header.checked_add(length).ok_or(Malformed)?;
    Ok(input.get(header..bytes).map(|payload| Frame { first: *first, payload, bytes }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::websocket::{Opcode, write_frame as write_server_frame};

    #[test]
    fn a_servers_frame_is_read_back() {
        for length in [0, 5, 125, 126, 65535, 65536] {
            let payload = vec![b'x'; length];
            let mut out = Vec::new();
            write_server_frame(&mut out, Opcode::Text, &payload);
            let frame = Frame { first: FIN | Opcode::Text as u8, payload: &payload, bytes: out.len() };
            assert_eq!(read_frame(&out), Ok(Some(frame)));
            assert_eq!(read_frame(&out[..out.len() - 1]), Ok(None));
        }
        assert_eq!(read_frame(b"\x81\x80mask"), Err(Malformed));
        assert_eq!(read_frame(b"\x81\x7e\x00\x05"), Err(Malformed));
    }

    #[test]
    fn the_masked_hello_of_the_rfc() {
        let mut out = Vec::new();
        write_frame(&mut out, FIN | Opcode::Text as u8, b"Hello", [0x37, 0xfa, 0x21, 0x3d]);
        assert_eq!(out, b"\x81\x85\x37\xfa\x21\x3d\x7f\x9f\x4d\x51\x58");
    }
}
