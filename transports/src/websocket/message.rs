//! From a client's bytes to messages.

use std::ops::Range;

use super::assembly::Assembly;
use super::close::{self, Violation};
use super::deflate::Inflater;
use super::frame::{Decoded, Header, Opcode, decode};
use super::mask;

/// Bounds and the negotiated extension of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Largest payload of one data frame, bytes, as received.
    pub frame_bytes_max: usize,
    /// Largest data message, bytes, as received and inflated.
    pub message_bytes_max: usize,
    /// permessage-deflate is negotiated.
    pub deflate: bool,
}

/// One message, lent until the input or the scratch is used again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Message<'a> {
    /// A text message.
    Text(&'a str),
    /// A binary message.
    Binary(&'a [u8]),
    /// To be answered by a pong with the same payload, at most 125 bytes.
    Ping(&'a [u8]),
    /// At most 125 bytes.
    Pong(&'a [u8]),
    /// The client's last frame: code and reason, where given. Nothing is read after it.
    Close(Option<(u16, &'a str)>),
}

/// What one call of [`Reader::read`] did.
#[derive(Debug, PartialEq, Eq)]
pub struct Read<'a> {
    /// Bytes of the input that are used up: all, if there is no message.
    pub consumed: usize,
    /// The message that ended there.
    pub message: Option<Message<'a>>,
}

/// Room for messages that do not lie whole and plain in their input. One serves all readers of a
/// core; it keeps the last such message, so at most about `message_bytes_max` twice over.
#[derive(Debug, Default)]
pub struct Scratch {
    /// The last message that was assembled.
    assembled: Vec<u8>,
    inflater: Inflater,
}

/// Reads the frames of one connection. 8 bytes while no message is under way.
#[derive(Debug, Default)]
pub struct Reader {
    partial: Option<Box<Partial>>,
}

/// What has come of a message or a frame that is not whole yet.
#[derive(Debug, Default)]
struct Partial {
    /// The start of a header, or of a control frame: at most 131 bytes.
    pending: Vec<u8>,
    assembly: Option<Assembly>,
    /// After a close or a violation.
    done: bool,
}

/// A message, and where its payload lies.
struct Found {
    opcode: Opcode,
    compressed: bool,
    place: Place,
}

enum Place {
    Input(Range<usize>),
    Assembled,
}

impl Reader {
    /// Whether nothing of a message has come that is not whole yet, and more may come.
    pub fn is_between_messages(&self) -> bool {
        self.partial.is_none()
    }

    /// Reads up to the end of one message or control frame, or all of `input` when none ends in it.
    /// Call it again with the rest until the input is used up. `input` is changed: it is unmasked in
    /// place, and a message that lies whole in it is lent from there.
    ///
    /// # Errors
    /// The client's violation, as early as the bytes show it. Sizes are refused by the frame's
    /// header, before anything is kept. After an error, as after a close, everything that follows is
    /// consumed unread.
    pub fn read<'a>(
        &mut self,
        input: &'a mut [u8],
        limits: &Limits,
        scratch: &'a mut Scratch,
    ) -> Result<Read<'a>, Violation> {
        if self.partial.as_ref().is_some_and(|partial| partial.done) {
            return Ok(Read { consumed: input.len(), message: None });
        }
        let result = self.read_open(input, limits, scratch);
        if matches!(result, Err(_) | Ok(Read { message: Some(Message::Close(_)), .. })) {
            self.partial = Some(Box::new(Partial { done: true, ..Partial::default() }));
        }
        result
    }

    fn read_open<'a>(
        &mut self,
        input: &'a mut [u8],
        limits: &Limits,
        scratch: &'a mut Scratch,
    ) -> Result<Read<'a>, Violation> {
        let (consumed, found) = self.find(input, limits, &mut scratch.assembled)?;
        let message = match found {
            Some(found) => Some(found.message(input, limits, scratch)?),
            None => None,
        };
        Ok(Read { consumed, message })
    }

    /// The next message, and the bytes used up by then.
    #[inline]
    fn find(
        &mut self,
        input: &mut [u8],
        limits: &Limits,
        assembled: &mut Vec<u8>,
    ) -> Result<(usize, Option<Found>), Violation> {
        let mut at = 0;
        while at < input.len() {
            let rest = &mut input[at..];
            let (taken, found) = match &self.partial {
                Some(partial) if !partial.pending.is_empty() => self.resume(rest, limits, assembled)?,
                Some(partial) if partial.in_frame() => self.feed(rest, assembled)?,
                _ => self.start(rest, limits, assembled)?,
            };
            if let Some(found) = found {
                return Ok((at + taken, Some(found.shifted(at))));
            }
            at += taken;
        }
        Ok((at, None))
    }

    /// At the start of a frame. Lends what is whole, keeps what is not.
    #[inline]
    fn start(
        &mut self,
        input: &mut [u8],
        limits: &Limits,
        assembled: &mut Vec<u8>,
    ) -> Result<(usize, Option<Found>), Violation> {
        let Decoded::Header(header) = decode(input)? else { return Ok(self.keep(input)) };
        admit(&header, self.partial.as_ref().and_then(|partial| partial.assembly.as_ref()), limits)?;
        let range = header.bytes..header.bytes.saturating_add(header.payload_len());
        match (input.get_mut(range.clone()), header.opcode) {
            (Some(payload), Some(opcode)) if header.fin => {
                mask::apply(payload, header.mask);
                let found =
                    Found { opcode, compressed: header.compressed, place: Place::Input(range.clone()) };
                Ok((range.end, Some(found)))
            }
            (None, Some(opcode)) if opcode.is_control() => Ok(self.keep(input)),
            _ => {
                self.partial.get_or_insert_default().begin_frame(&header);
                let (fed, found) = self.feed(&mut input[header.bytes..], assembled)?;
                Ok((header.bytes + fed, found))
            }
        }
    }

    /// Keeps the start of a header or of a control frame.
    fn keep(&mut self, input: &[u8]) -> (usize, Option<Found>) {
        self.partial.get_or_insert_default().pending.extend_from_slice(input);
        (input.len(), None)
    }

    /// Goes on with the start of a header or of a control frame, taking no byte more than it needs.
    fn resume(
        &mut self,
        input: &mut [u8],
        limits: &Limits,
        assembled: &mut Vec<u8>,
    ) -> Result<(usize, Option<Found>), Violation> {
        let partial = self.partial.get_or_insert_default();
        let mut taken = 0;
        loop {
            let needs = match decode(&partial.pending)? {
                Decoded::Needs { bytes } => bytes,
                Decoded::Header(header) => match header.opcode.filter(|opcode| opcode.is_control()) {
                    None => {
                        admit(&header, partial.assembly.as_ref(), limits)?;
                        partial.pending = Vec::new();
                        partial.begin_frame(&header);
                        let (fed, found) = self.feed(&mut input[taken..], assembled)?;
                        return Ok((taken + fed, found));
                    }
                    Some(opcode) if partial.pending.len() == header.bytes + header.payload_len() => {
                        *assembled = std::mem::take(&mut partial.pending).split_off(header.bytes);
                        mask::apply(assembled, header.mask);
                        self.release();
                        return Ok((
                            taken,
                            Some(Found { opcode, compressed: false, place: Place::Assembled }),
                        ));
                    }
                    Some(_) => header.bytes + header.payload_len(),
                },
            };
            let more = (needs - partial.pending.len()).min(input.len() - taken);
            if more == 0 {
                return Ok((taken, None));
            }
            partial.pending.extend_from_slice(&input[taken..taken + more]);
            taken += more;
        }
    }

    /// Goes on with a data frame's payload.
    fn feed(
        &mut self,
        input: &mut [u8],
        assembled: &mut Vec<u8>,
    ) -> Result<(usize, Option<Found>), Violation> {
        let partial = self.partial.get_or_insert_default();
        let Some(assembly) = &mut partial.assembly else { return Ok((0, None)) };
        let (taken, whole) = assembly.feed(input)?;
        let Some(message) = partial.assembly.take_if(|_| whole) else { return Ok((taken, None)) };
        self.release();
        let (opcode, compressed) = (message.opcode(), message.compressed());
        *assembled = message.into_payload();
        Ok((taken, Some(Found { opcode, compressed, place: Place::Assembled })))
    }

    /// Back to 16 bytes, if nothing is under way.
    fn release(&mut self) {
        self.partial.take_if(|partial| partial.pending.is_empty() && partial.assembly.is_none());
    }
}

impl Partial {
    /// Whether the next bytes are a data frame's payload.
    fn in_frame(&self) -> bool {
        self.assembly.as_ref().is_some_and(Assembly::in_frame)
    }

    /// A data frame that has been admitted.
    fn begin_frame(&mut self, header: &Header) {
        if let Some(opcode) = header.opcode {
            self.assembly = Some(Assembly::new(opcode, header.compressed));
        }
        if let Some(assembly) = &mut self.assembly {
            assembly.begin_frame(header);
        }
    }
}

impl Found {
    /// The same, for an input that begins `by` bytes earlier.
    fn shifted(self, by: usize) -> Found {
        let place = match self.place {
            Place::Input(range) => Place::Input(range.start + by..range.end + by),
            Place::Assembled => Place::Assembled,
        };
        Found { place, ..self }
    }

    /// Lends the message. This is where it is inflated, and checked as a whole.
    #[inline]
    fn message<'a>(
        self,
        input: &'a [u8],
        limits: &Limits,
        scratch: &'a mut Scratch,
    ) -> Result<Message<'a>, Violation> {
        let mut payload = match self.place {
            Place::Input(range) => &input[range],
            Place::Assembled => scratch.assembled.as_slice(),
        };
        if self.compressed {
            payload = scratch.inflater.inflate(payload, limits.message_bytes_max)?;
        }
        Ok(match self.opcode {
            Opcode::Text => {
                Message::Text(simdutf8::basic::from_utf8(payload).map_err(|_| Violation::NotUtf8)?)
            }
            Opcode::Binary => Message::Binary(payload),
            Opcode::Ping => Message::Ping(payload),
            Opcode::Pong => Message::Pong(payload),
            Opcode::Close => Message::Close(close::parse(payload)?),
        })
    }
}

/// Whether the frame may come after what has come of its message, and both are small enough.
#[inline]
fn admit(header: &Header, assembly: Option<&Assembly>, limits: &Limits) -> Result<(), Violation> {
    if header.is_control() {
        return Ok(());
    }
    let before = match (assembly, header.opcode) {
        (None, None) => return Err(Violation::NothingToContinue),
        (Some(_), Some(_)) => return Err(Violation::MessageInMessage),
        (None, Some(_)) => 0,
        (Some(assembly), None) => assembly.bytes() as u64,
    };
    if header.compressed && !limits.deflate {
        return Err(Violation::ReservedBits);
    }
    if header.payload_bytes > limits.frame_bytes_max as u64 {
        return Err(Violation::FrameTooBig);
    }
    if before + header.payload_bytes > limits.message_bytes_max as u64 {
        return Err(Violation::MessageTooBig);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::websocket::client::{self, FIN};

    #[test]
    fn a_reader_is_small_and_keeps_nothing_between_messages() {
        assert_eq!(size_of::<Reader>(), 8);
        let limits = Limits { frame_bytes_max: 100, message_bytes_max: 100, deflate: false };
        let (mut reader, mut scratch) = (Reader::default(), Scratch::default());
        let mut stream = Vec::new();
        client::write_frame(&mut stream, Opcode::Text as u8, b"in two ", [1, 2, 3, 4]);
        client::write_frame(&mut stream, FIN, b"parts", [5, 6, 7, 8]);
        client::write_frame(&mut stream, FIN | Opcode::Ping as u8, b"ping", [5, 6, 7, 8]);
        let mut kept = Vec::new();
        for byte in stream.chunks_mut(1) {
            if reader.read(byte, &limits, &mut scratch).is_ok_and(|read| read.message.is_some()) {
                kept.push(reader.partial.is_some());
            }
        }
        assert_eq!(kept, [false, false]);
    }
}
