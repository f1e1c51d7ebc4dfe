//! permessage-deflate, RFC 7692, without context takeover: every message stands for itself, so one
//! inflater and one deflater serve all connections of a core.

use flate2::{Compress, Compression, Decompress, FlushCompress, FlushDecompress, Status};

use super::close::Violation;

/// Name of the extension.
const EXTENSION: &str = "permessage-deflate";

/// LZ77 windows a raw deflate stream can be made with, as powers of two. RFC 7692 also knows 8,
/// which zlib cannot do; an offer that demands it is declined.
const WINDOW_BITS_MIN: u8 = 9;
const WINDOW_BITS_MAX: u8 = 15;

/// The empty stored block that ends a flush; the sender leaves it out (section 7.2.1).
const FLUSH_TAIL: [u8; 4] = [0x00, 0x00, 0xff, 0xff];
/// What was left out, then an empty last block. A stream that was cut short does not end with it.
const END: [u8; 9] = [0x00, 0x00, 0xff, 0xff, 0x01, 0x00, 0x00, 0xff, 0xff];

/// Output that is never refused for its ratio, bytes.
const RATIO_FREE_BYTES: usize = 64 << 10;
/// How many times its size a message may inflate to, beyond that.
const RATIO_MAX: usize = 100;

/// Room beside the payload's, more than a flush takes; with less, zlib would flush twice.
const FLUSH_ROOM_BYTES: usize = 16;

/// First room for inflated output, bytes; doubled as needed.
const ROOM_BYTES_MIN: usize = 4 << 10;

/// What was agreed with one client, beside no context takeover in both directions.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct DeflateParams {
    /// The window the client asked the server to keep to, 9 to 15. `None`: not asked.
    server_max_window_bits: Option<u8>,
}

impl DeflateParams {
    /// The first acceptable offer in the value of `Sec-WebSocket-Extensions`; several such headers
    /// are joined with commas. An offer with an unknown, repeated or malformed parameter is declined
    /// (section 7.1). A parameter's value may be quoted, but holds no delimiter even so (RFC 6455
    /// section 9.1), so splitting at commas and semicolons is exact.
    pub(super) fn accept(extensions: &str) -> Option<DeflateParams> {
        extensions.split(',').find_map(DeflateParams::accept_offer)
    }

    fn accept_offer(offer: &str) -> Option<DeflateParams> {
        let mut parts = offer.split(';').map(str::trim);
        if parts.next() != Some(EXTENSION) {
            return None;
        }
        let mut params = DeflateParams::default();
        let mut seen: [bool; 4] = [false; 4];
        for part in parts {
            let (name, value) = match part.split_once('=') {
                Some((name, value)) => (name.trim_end(), Some(unquoted(value.trim_start()))),
                None => (part, None),
            };
            let place = match (name, value) {
                ("server_no_context_takeover", None) => 0,
                ("client_no_context_takeover", None) => 1,
                ("server_max_window_bits", Some(value)) => {
                    let bits = window_bits(value).filter(|bits| *bits >= WINDOW_BITS_MIN)?;
                    params.server_max_window_bits = Some(bits);
                    2
                }
                // A hint. Not answered: the inflater holds the largest window.
                ("client_max_window_bits", None) => 3,
                ("client_max_window_bits", Some(value)) => {
                    window_bits(value)?;
                    3
                }
                _ => return None,
            };
            if std::mem::replace(&mut seen[place], true) {
                return None;
            }
        }
        Some(params)
    }

    /// What was agreed on elsewhere; `None`: no client can have asked for such a window.
    pub fn of_window(server_max_window_bits: Option<u8>) -> Option<DeflateParams> {
        let known = server_max_window_bits.is_none_or(|bits| (WINDOW_BITS_MIN..=15).contains(&bits));
        known.then_some(DeflateParams { server_max_window_bits })
    }

    /// The window the client asked the server to keep to, 9 to 15.
    pub const fn window(self) -> Option<u8> {
        self.server_max_window_bits
    }

    /// Appends the value of the response's `Sec-WebSocket-Extensions`.
    pub(super) fn write(self, out: &mut Vec<u8>) {
        out.extend_from_slice(EXTENSION.as_bytes());
        out.extend_from_slice(b"; server_no_context_takeover; client_no_context_takeover");
        if let Some(bits) = self.server_max_window_bits {
            out.extend_from_slice(b"; server_max_window_bits=");
            out.extend_from_slice(itoa::Buffer::new().format(bits).as_bytes());
        }
    }
}

fn unquoted(value: &str) -> &str {
    value.strip_prefix('"').and_then(|value| value.strip_suffix('"')).unwrap_or(value)
}

/// A window size, 8 to 15, in decimal without leading zeros (section 7.1.2).
fn window_bits(value: &str) -> Option<u8> {
    match value {
        "8" => Some(8),
        "9" => Some(9),
        "10" => Some(10),
        "11" => Some(11),
        "12" => Some(12),
        "13" => Some(13),
        "14" => Some(14),
        "15" => Some(15),
        _ => None,
    }
}

/// Inflates messages, one at a time.
#[derive(Debug)]
pub(super) struct Inflater {
    stream: Decompress,
    /// The last message; its room is kept and never cleared.
    room: Vec<u8>,
}

impl Default for Inflater {
    fn default() -> Inflater {
        Inflater { stream: Decompress::new(false), room: Vec::new() }
    }
}

impl Inflater {
    /// The message that `compressed` holds. Room for output grows in steps and never beyond what the
    /// message may have: `bytes_max`, and 100 times its size if that is over 64 KiB.
    pub(super) fn inflate(&mut self, compressed: &[u8], bytes_max: usize) -> Result<&[u8], Violation> {
        let ratio_max = compressed.len().saturating_mul(RATIO_MAX).max(RATIO_FREE_BYTES);
        let excess =
            if bytes_max <= ratio_max { Violation::MessageTooBig } else { Violation::InflatesTooMuch };
        let mut output = Output { room: &mut self.room, len: 0, max: bytes_max.min(ratio_max), excess };
        self.stream.reset(false);
        let (taken, ended) = output.fill(&mut self.stream, compressed)?;
        if ended {
            // A last block may only be followed by the byte that section 7.2.3.4 adds.
            if !matches!(compressed.get(taken..), Some([] | [0])) {
                return Err(Violation::NotDeflate);
            }
        } else if output.fill(&mut self.stream, &END)? != (END.len(), true) {
            return Err(Violation::NotDeflate);
        }
        let len = output.len;
        Ok(&self.room[..len])
    }
}

/// Where a message is inflated to.
struct Output<'a> {
    room: &'a mut Vec<u8>,
    /// Bytes of `room` that hold the message so far.
    len: usize,
    /// Largest message, bytes.
    max: usize,
    /// What a larger one is.
    excess: Violation,
}

impl Output<'_> {
    /// Inflates all of `input`, or up to the stream's end. Answers the bytes taken and whether that
    /// was the end.
    fn fill(&mut self, stream: &mut Decompress, input: &[u8]) -> Result<(usize, bool), Violation> {
        let mut taken = 0;
        loop {
            let room = self.free_room();
            let room_bytes = room.len();
            let (total_in, total_out) = (stream.total_in(), stream.total_out());
            let status = stream
                .decompress(&input[taken..], room, FlushDecompress::None)
                .map_err(|_| Violation::NotDeflate)?;
            taken += (stream.total_in() - total_in) as usize;
            let made = (stream.total_out() - total_out) as usize;
            self.len += made;
            if self.len > self.max {
                return Err(self.excess);
            }
            if status == Status::StreamEnd {
                return Ok((taken, true));
            }
            // Room that is left means that all input is taken and nothing is held back.
            if made < room_bytes {
                return Ok((taken, false));
            }
        }
    }

    /// Room for the next step, never empty: it ends one byte beyond the largest message.
    fn free_room(&mut self) -> &mut [u8] {
        let end = self.max.saturating_add(1);
        if self.len == self.room.len() {
            self.room.resize((self.len * 2).max(ROOM_BYTES_MIN).min(end), 0);
        }
        let end = self.room.len().min(end);
        &mut self.room[self.len..end]
    }
}

/// Deflates messages, one at a time; one serves all connections of a core. A window's state, up to
/// some 300 KiB, is made when the first client asks for that window.
#[derive(Debug, Default)]
pub struct Deflater {
    streams: [Option<Compress>; (WINDOW_BITS_MAX - WINDOW_BITS_MIN + 1) as usize],
    /// The last message; its room is kept and never cleared.
    room: Vec<u8>,
}

impl Deflater {
    /// The payload of a compressed frame. `None`: the compressor failed, which it has no cause for.
    pub(super) fn deflate(&mut self, payload: &[u8], params: DeflateParams) -> Option<&[u8]> {
        let bits = params.server_max_window_bits.unwrap_or(WINDOW_BITS_MAX);
        let stream = self.streams.get_mut(usize::from(bits.checked_sub(WINDOW_BITS_MIN)?))?;
        let stream =
            stream.get_or_insert_with(|| Compress::new_with_window_bits(Compression::fast(), false, bits));
        stream.reset();
        loop {
            let (taken, made) = (stream.total_in() as usize, stream.total_out() as usize);
            // Enough for what does not grow. A flush is complete when it leaves room.
            let room_bytes = made + (payload.len() - taken) + FLUSH_ROOM_BYTES;
            if self.room.len() < room_bytes {
                self.room.resize(room_bytes, 0);
            }
            stream.compress(&payload[taken..], &mut self.room[made..], FlushCompress::Sync).ok()?;
            let made = stream.total_out() as usize;
            if made < self.room.len() {
                return self.room[..made].strip_suffix(&FLUSH_TAIL);
            }
        }
    }
}

#[cfg(test)]
mod tests;
