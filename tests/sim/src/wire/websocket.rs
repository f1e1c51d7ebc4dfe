//! WebSocket frames (RFC 6455 section 5) as a client reads and writes them.

use crate::rng::Rng;

/// The key of every upgrade here: the example of RFC 6455 section 1.3.
pub const KEY: &str = "dGhlIHNhbXBsZSBub25jZQ==";

/// What the server must answer to [`KEY`].
pub const ACCEPT: &str = "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=";

/// Opcode of a text frame.
pub const TEXT: u8 = 1;
/// Opcode of a binary frame.
pub const BINARY: u8 = 2;
/// Opcode of a close frame.
pub const CLOSE: u8 = 8;
/// Opcode of a ping.
pub const PING: u8 = 9;
/// Opcode of a pong.
pub const PONG: u8 = 10;

/// A whole message from the server.
#[derive(Debug, PartialEq, Eq)]
pub enum Message {
    /// Valid UTF-8.
    Text(Vec<u8>),
    /// Any bytes.
    Binary(Vec<u8>),
    /// To be answered with the same bytes.
    Ping(Vec<u8>),
    /// An answer.
    Pong,
    /// Close code; 1005 if the frame has none.
    Close(u16),
}

/// Puts messages together from a server's bytes.
#[derive(Debug, Default)]
pub struct Reader {
    bytes: Vec<u8>,
    partial: Option<(u8, Vec<u8>)>,
}

impl Reader {
    /// More input.
    pub fn push(&mut self, bytes: &[u8]) {
        self.bytes.extend_from_slice(bytes);
    }

    /// The next message, or what the server did wrong.
    pub fn read(&mut self) -> Result<Option<Message>, String> {
        while let Some((last, opcode, payload)) = self.frame()? {
            if opcode >= CLOSE {
                return control(last, opcode, payload).map(Some);
            }
            let (kind, mut message) = match (opcode, self.partial.take()) {
                (0, Some(partial)) => partial,
                (TEXT | BINARY, None) => (opcode, Vec::new()),
                (opcode, partial) => return Err(format!("opcode {opcode} after {partial:?}")),
            };
            message.extend_from_slice(&payload);
            if !last {
                self.partial = Some((kind, message));
            } else if kind == BINARY {
                return Ok(Some(Message::Binary(message)));
            } else if std::str::from_utf8(&message).is_ok() {
                return Ok(Some(Message::Text(message)));
            } else {
                return Err("text that is not UTF-8".into());
            }
        }
        Ok(None)
    }

    fn frame(&mut self) -> Result<Option<(bool, u8, Vec<u8>)>, String> {
        let [first, second, rest @ ..] = self.bytes.as_slice() else { return Ok(None) };
        if first & 0x70 != 0 || second & 0x80 != 0 {
            return Err(format!("frame starts with {first:02x} {second:02x}"));
        }
        let (extra, len) = match (second & 0x7f, rest) {
            (126, [a, b, ..]) => (2, u64::from(u16::from_be_bytes([*a, *b]))),
            (127, [a, b, c, d, e, f, g, h, ..]) => (8, u64::from_be_bytes([*a, *b, *c, *d, *e, *f, *g, *h])),
            (126 | 127, _) => return Ok(None),
            (len, _) => (0, u64::from(len)),
        };
        if (extra == 2 && len < 126) || (extra == 8 && len < 65_536) || len > 1 << 30 {
            return Err(format!("length {len} in {extra} bytes"));
        }
        let (first, end) = (*first, 2 + extra + len as usize);
        if self.bytes.len() < end {
            return Ok(None);
        }
        let payload = self.bytes[2 + extra..end].to_vec();
        self.bytes.drain(..end);
        Ok(Some((first & 0x80 != 0, first & 0x0f, payload)))
    }
}

fn control(last: bool, opcode: u8, payload: Vec<u8>) -> Result<Message, String> {
    if !last || payload.len() > 125 {
        return Err("control frame in parts or too long".into());
    }
    match (opcode, payload.as_slice()) {
        (PING, _) => Ok(Message::Ping(payload)),
        (PONG, _) => Ok(Message::Pong),
        (CLOSE, []) => Ok(Message::Close(1005)),
        (CLOSE, [high, low, ..]) => Ok(Message::Close(u16::from_be_bytes([*high, *low]))),
        _ => Err(format!("control frame {opcode} {payload:?}")),
    }
}

/// Writes a masked frame.
pub fn write_frame(out: &mut Vec<u8>, last: bool, opcode: u8, payload: &[u8], rng: &mut Rng) {
    out.push(opcode | if last { 0x80 } else { 0 });
    match payload.len() {
        len @ 0..126 => out.push(0x80 | len as u8),
        len @ 126..65_536 => {
            out.push(0x80 | 126);
            out.extend_from_slice(&(len as u16).to_be_bytes());
        }
        len => {
            out.push(0x80 | 127);
            out.extend_from_slice(&(len as u64).to_be_bytes());
        }
    }
    let mask = (rng.draw() as u32).to_be_bytes();
    out.extend_from_slice(&mask);
    out.extend(payload.iter().enumerate().map(|(i, byte)| byte ^ mask[i % 4]));
}

/// Writes a message, sometimes in fragments with a pong between.
pub fn write_message(out: &mut Vec<u8>, opcode: u8, payload: &[u8], rng: &mut Rng) {
    if payload.len() < 2 || !rng.chance(50) {
        return write_frame(out, true, opcode, payload, rng);
    }
    let at = rng.between(1, payload.len() as u64 - 1) as usize;
    write_frame(out, false, opcode, &payload[..at], rng);
    if rng.chance(500) {
        write_frame(out, true, PONG, b"", rng);
    }
    write_frame(out, true, 0, &payload[at..], rng);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_come_out_however_the_bytes_are_cut() {
        let bytes = [
            &[0x01, 1, b'a', 0x89, 1, b'p', 0x80, 1, b'b'][..],
            &[0x82, 126, 0, 126],
            &[7; 126],
            &[0x88, 2, 3, 0xe9],
        ]
        .concat();
        for cut in 1..bytes.len() {
            let mut reader = Reader::default();
            let mut messages = Vec::new();
            for part in bytes.chunks(cut) {
                reader.push(part);
                while let Some(message) = reader.read().unwrap() {
                    messages.push(message);
                }
            }
            let (ping, text) = (Message::Ping(b"p".to_vec()), Message::Text(b"ab".to_vec()));
            assert_eq!(messages, [ping, text, Message::Binary(vec![7; 126]), Message::Close(1001)]);
        }
    }

    #[test]
    fn wrong_frames_are_named() {
        for wrong in
            [&[0xc1, 0][..], &[0x81, 0x80], &[0x80, 0], &[0x81, 1, 0xff], &[0x09, 0], &[0x81, 126, 0, 5]]
        {
            let mut reader = Reader::default();
            reader.push(wrong);
            assert!(reader.read().is_err(), "{wrong:?}");
        }
    }
}
