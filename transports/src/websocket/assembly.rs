//! A data message that is not whole yet.

use super::close::Violation;
use super::frame::{Header, Opcode};
use super::mask;

/// What has come of a message, and of the frame that is under way.
#[derive(Debug)]
pub(super) struct Assembly {
    /// `Text` or `Binary`.
    opcode: Opcode,
    compressed: bool,
    /// Unmasked.
    payload: Vec<u8>,
    /// Bytes of `payload` known to be UTF-8, a whole number of characters; counted for plain text.
    utf8_bytes: usize,
    /// `None` between two fragments.
    frame: Option<Frame>,
}

/// The rest of a frame's payload.
#[derive(Debug)]
struct Frame {
    /// Bytes still to come.
    left: usize,
    /// Turned so that its first byte masks the next one to come.
    mask: [u8; 4],
    fin: bool,
}

impl Assembly {
    /// For the message that begins with an `opcode` frame.
    pub(super) fn new(opcode: Opcode, compressed: bool) -> Assembly {
        Assembly { opcode, compressed, payload: Vec::new(), utf8_bytes: 0, frame: None }
    }

    /// Bytes so far, as received.
    pub(super) fn bytes(&self) -> usize {
        self.payload.len()
    }

    /// Whether the next bytes are a frame's payload, not a header.
    pub(super) fn in_frame(&self) -> bool {
        self.frame.is_some()
    }

    /// The next frame, whose size has been admitted.
    pub(super) fn begin_frame(&mut self, header: &Header) {
        self.frame = Some(Frame { left: header.payload_len(), mask: header.mask, fin: header.fin });
    }

    /// Takes the frame's payload from the start of `input`, as far as it has come. Answers how much
    /// that was and whether the message is whole. Text that cannot become UTF-8 any more is refused
    /// at once, not at its end.
    pub(super) fn feed(&mut self, input: &mut [u8]) -> Result<(usize, bool), Violation> {
        let Some(frame) = &mut self.frame else { return Ok((0, false)) };
        let taken = frame.left.min(input.len());
        let part = &mut input[..taken];
        mask::apply(part, frame.mask);
        self.payload.extend_from_slice(part);
        frame.left -= taken;
        frame.mask.rotate_left(taken % 4);
        if frame.left == 0 {
            let fin = frame.fin;
            self.frame = None;
            if fin {
                return Ok((taken, true));
            }
        }
        if self.opcode == Opcode::Text && !self.compressed {
            self.check_utf8()?;
        }
        Ok((taken, false))
    }

    /// Checks what has come since the last time, but for a character that is not whole yet.
    fn check_utf8(&mut self) -> Result<(), Violation> {
        match simdutf8::compat::from_utf8(&self.payload[self.utf8_bytes..]) {
            Ok(text) => self.utf8_bytes += text.len(),
            Err(error) if error.error_len().is_none() => self.utf8_bytes += error.valid_up_to(),
            Err(_) => return Err(Violation::NotUtf8),
        }
        Ok(())
    }

    /// `Text` or `Binary`.
    pub(super) fn opcode(&self) -> Opcode {
        self.opcode
    }

    /// Whether the payload is to be inflated.
    pub(super) fn compressed(&self) -> bool {
        self.compressed
    }

    /// The payload. Its last part has not been checked for UTF-8.
    pub(super) fn into_payload(self) -> Vec<u8> {
        self.payload
    }
}
