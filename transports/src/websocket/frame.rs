//! Frame headers, RFC 6455 section 5.2.

use super::close::Violation;

/// Largest payload of a control frame, bytes (section 5.5).
pub(super) const CONTROL_BYTES_MAX: usize = 125;

/// FIN, the highest bit of a header: the message's last frame.
pub const FIN: u8 = 0x80;
/// RSV1: the message is compressed (RFC 7692 section 6).
pub const RSV1: u8 = 0x40;
/// RSV2 and RSV3, which nothing here gives a meaning.
const RSV2_RSV3: u8 = 0x30;
/// The opcode of a frame that continues a message.
const CONTINUATION: u8 = 0;
/// MASK, the highest bit of the second byte.
const MASKED: u8 = 0x80;

/// What a frame begins; a continuation begins nothing and has none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Opcode {
    /// A text message.
    Text = 1,
    /// A binary message.
    Binary = 2,
    /// The last frame of a direction.
    Close = 8,
    /// Asks for a pong.
    Ping = 9,
    /// Answers a ping, or nothing.
    Pong = 10,
}

impl Opcode {
    /// Close, ping and pong: whole in one frame, never compressed, allowed between fragments.
    pub(super) fn is_control(self) -> bool {
        matches!(self, Opcode::Close | Opcode::Ping | Opcode::Pong)
    }
}

/// The header of a client's frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Header {
    pub(super) fin: bool,
    pub(super) compressed: bool,
    /// `None`: continuation.
    pub(super) opcode: Option<Opcode>,
    pub(super) mask: [u8; 4],
    /// Bytes of the header itself.
    pub(super) bytes: usize,
    /// Bytes of the payload, under 2^63.
    pub(super) payload_bytes: u64,
}

impl Header {
    /// The payload's bytes as a length in memory.
    pub(super) fn payload_len(&self) -> usize {
        usize::try_from(self.payload_bytes).unwrap_or(usize::MAX)
    }

    pub(super) fn is_control(&self) -> bool {
        self.opcode.is_some_and(Opcode::is_control)
    }
}

/// What [`decode`] makes of the bytes at hand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Decoded {
    Header(Header),
    /// No violation so far; it takes at least `bytes` in all to say more.
    Needs {
        bytes: usize,
    },
}

/// Reads the header at the start of `input`. A violation is reported with the byte that makes it one.
#[inline]
pub(super) fn decode(input: &[u8]) -> Result<Decoded, Violation> {
    let Some(&first) = input.first() else { return Ok(Decoded::Needs { bytes: 2 }) };
    let (fin, compressed, opcode) = decode_first(first)?;
    let Some(&second) = input.get(1) else { return Ok(Decoded::Needs { bytes: 2 }) };
    if second & MASKED == 0 {
        return Err(Violation::Unmasked);
    }
    let short = second & !MASKED;
    if usize::from(short) > CONTROL_BYTES_MAX && opcode.is_some_and(Opcode::is_control) {
        return Err(Violation::LongControl);
    }
    let (bytes, payload_bytes) = match short {
        126 => match chunk_at(input, 2) {
            Some(length) => (8, minimal(u16::from_be_bytes(length).into(), 126)?),
            None => return Ok(Decoded::Needs { bytes: 8 }),
        },
        127 => match chunk_at(input, 2) {
            Some(length) => (14, minimal(u64::from_be_bytes(length), 1 << 16)?),
            None => return Ok(Decoded::Needs { bytes: 14 }),
        },
        length => (6, length.into()),
    };
    let Some(mask) = chunk_at(input, bytes - 4) else { return Ok(Decoded::Needs { bytes }) };
    Ok(Decoded::Header(Header { fin, compressed, opcode, mask, bytes, payload_bytes }))
}

#[inline]
fn decode_first(first: u8) -> Result<(bool, bool, Option<Opcode>), Violation> {
    let (fin, compressed) = (first & FIN != 0, first & RSV1 != 0);
    if first & RSV2_RSV3 != 0 {
        return Err(Violation::ReservedBits);
    }
    let opcode = match first & 0x0f {
        CONTINUATION => None,
        1 => Some(Opcode::Text),
        2 => Some(Opcode::Binary),
        8 => Some(Opcode::Close),
        9 => Some(Opcode::Ping),
        10 => Some(Opcode::Pong),
        _ => return Err(Violation::ReservedOpcode),
    };
    // Only the first frame of a data message says whether it is compressed (RFC 7692 section 6.1).
    if compressed && opcode.is_none_or(Opcode::is_control) {
        return Err(Violation::ReservedBits);
    }
    if !fin && opcode.is_some_and(Opcode::is_control) {
        return Err(Violation::FragmentedControl);
    }
    Ok((fin, compressed, opcode))
}

fn chunk_at<const N: usize>(input: &[u8], at: usize) -> Option<[u8; N]> {
    input.get(at..)?.first_chunk().copied()
}

fn minimal(length: u64, least: u64) -> Result<u64, Violation> {
    if length >> 63 != 0 {
        Err(Violation::LengthNegative)
    } else if length < least {
        Err(Violation::LengthNotMinimal)
    } else {
        Ok(length)
    }
}

/// Bytes of the header of a server's frame that carries `payload_bytes`: 2, 4 or 10.
pub fn frame_header_len(payload_bytes: usize) -> usize {
    match payload_bytes {
        0..=125 => 2,
        126..=0xffff => 4,
        _ => 10,
    }
}

/// Appends a header up to where a mask would follow. `first` is its first byte.
pub(super) fn encode(out: &mut Vec<u8>, first: u8, payload_bytes: usize, masked: bool) {
    let mask_bit = if masked { MASKED } else { 0 };
    match payload_bytes {
        0..=125 => out.extend_from_slice(&[first, mask_bit | payload_bytes as u8]),
        126..=0xffff => {
            out.extend_from_slice(&[first, mask_bit | 126]);
            out.extend_from_slice(&(payload_bytes as u16).to_be_bytes());
        }
        _ => {
            out.extend_from_slice(&[first, mask_bit | 127]);
            out.extend_from_slice(&(payload_bytes as u64).to_be_bytes());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn violation(input: &[u8]) -> Option<Violation> {
        decode(input).err()
    }

    #[test]
    fn violations_are_seen_at_the_byte_that_makes_them() {
        let table: &[(&[u8], Violation)] = &[
            (b"\xa1", Violation::ReservedBits),
            (b"\x91", Violation::ReservedBits),
            (b"\xc9", Violation::ReservedBits),
            (b"\xc0", Violation::ReservedBits),
            (b"\x83", Violation::ReservedOpcode),
            (b"\x87", Violation::ReservedOpcode),
            (b"\x8b", Violation::ReservedOpcode),
            (b"\x8f", Violation::ReservedOpcode),
            (b"\x09", Violation::FragmentedControl),
            (b"\x08", Violation::FragmentedControl),
            (b"\x81\x05", Violation::Unmasked),
            (b"\x89\xfe", Violation::LongControl),
            (b"\x88\xff", Violation::LongControl),
            (b"\x82\xfe\x00\x7d", Violation::LengthNotMinimal),
            (b"\x82\xff\0\0\0\0\0\0\xff\xff", Violation::LengthNotMinimal),
            (b"\x82\xff\x80\0\0\0\0\0\0\0", Violation::LengthNegative),
        ];
        for (bytes, expected) in table {
            assert_eq!(violation(bytes), Some(*expected), "{bytes:02x?}");
            let before = &bytes[..bytes.len() - 1];
            assert!(
                matches!(decode(before), Ok(Decoded::Needs { bytes: n }) if n > before.len()),
                "{bytes:02x?}"
            );
        }
    }

    #[test]
    fn what_is_encoded_is_decoded() {
        for payload_bytes in [0, 1, 125, 126, 127, 0xffff, 0x1_0000, 5_000_000] {
            let mut out = Vec::new();
            encode(&mut out, FIN | RSV1 | Opcode::Binary as u8, payload_bytes, true);
            assert_eq!(out.len(), frame_header_len(payload_bytes));
            out.extend_from_slice(b"mask");
            let expected = Header {
                fin: true,
                compressed: true,
                opcode: Some(Opcode::Binary),
                mask: *b"mask",
                bytes: out.len(),
                payload_bytes: payload_bytes as u64,
            };
            assert_eq!(decode(&out), Ok(Decoded::Header(expected)));
            for cut in 0..out.len() {
                assert!(matches!(decode(&out[..cut]), Ok(Decoded::Needs { bytes }) if bytes > cut));
            }
        }
    }
}
