//! Bodies: delimited by length, chunked or by the connection's end (RFC 9112 sections 6 and 7), decoded
//! incrementally.

use super::is_token;

/// Bytes that the extensions of all chunks of one body may take together.
const EXTENSION_BYTES_MAX: usize = 1024;
/// Bytes that the trailer section of one body may take.
const TRAILER_BYTES_MAX: usize = 4096;
/// Digits of a chunk size, leading zeros included: what a `u64` holds.
const SIZE_DIGITS_MAX: u8 = 16;

/// How a body is delimited.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BodyKind {
    None,
    /// `Content-Length`, in bytes.
    Length(u64),
    /// `Transfer-Encoding: chunked`.
    Chunked,
    /// By the end of the connection. Responses only.
    UntilClose,
}

impl BodyKind {
    /// Whether no byte of a body follows the head.
    pub const fn is_empty(self) -> bool {
        matches!(self, BodyKind::None | BodyKind::Length(0))
    }
}

/// What one call of [`BodyReader::read`] did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BodyProgress {
    /// Bytes taken from the front of the input: all of it unless `done`.
    pub consumed: usize,
    /// The body is complete; the next byte begins another message.
    pub done: bool,
}

/// A body that is refused. The sender's fault; it ends the connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum BodyError {
    TooLarge,
    ChunkSize,
    ChunkExtension,
    ChunkExtensionsTooLong,
    ChunkEnd,
    Trailer,
    TrailersTooLong,
}

impl BodyError {
    /// The status that answers a request with such a body.
    pub const fn status(self) -> u16 {
        match self {
            BodyError::TooLarge => 413,
            BodyError::ChunkSize
            | BodyError::ChunkExtension
            | BodyError::ChunkExtensionsTooLong
            | BodyError::ChunkEnd
            | BodyError::Trailer
            | BodyError::TrailersTooLong => 400,
        }
    }

    /// What is wrong and how to mend it, one sentence for the sender's developer.
    pub const fn reason(self) -> &'static str {
        match self {
            BodyError::TooLarge => "the body is too large; send less in one message",
            BodyError::ChunkSize => {
                "a chunk size is not 1 to 16 hexadecimal digits followed by `;` or CR LF; send no sign or blank"
            }
            BodyError::ChunkExtension => {
                "a chunk extension is malformed; send `;name=value` and CR LF, or none"
            }
            BodyError::ChunkExtensionsTooLong => "the chunk extensions take more than 1,024 bytes; send none",
            BodyError::ChunkEnd => "a chunk is longer or shorter than its size says; end its data with CR LF",
            BodyError::Trailer => "a trailer is malformed; send `name: value` and CR LF, or none",
            BodyError::TrailersTooLong => "the trailers take more than 4,096 bytes; send none",
        }
    }
}

impl std::fmt::Display for BodyError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.reason())
    }
}

impl std::error::Error for BodyError {}

/// Decodes one body from the bytes that follow its head.
#[derive(Clone, Debug)]
pub struct BodyReader {
    kind: BodyKind,
    state: State,
    /// Bytes of the present chunk, or of a body with a length, that are still to come.
    left: u64,
    /// Bytes of all chunks announced so far, or taken of a body that ends with the connection.
    announced: u64,
    extension_bytes: usize,
    trailer_bytes: usize,
}

/// Where in the body the next byte falls.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// Data of a body with a length.
    Whole,
    /// Data of a body that ends with the connection.
    UntilClose,
    /// In a chunk size of which so many digits are read.
    Size(u8),
    Extension(Extension),
    /// The LF of a chunk-size line.
    SizeLf,
    Data,
    /// The CR, then the LF, after a chunk's data.
    DataCr,
    DataLf,
    /// The first byte of a trailer line.
    TrailerStart,
    TrailerName,
    TrailerValue,
    TrailerLf,
    /// The LF that ends the body.
    EndLf,
    Done,
}

/// Where in `;name=value` the next byte falls (RFC 9112 section 7.1.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Extension {
    /// The first byte of a name.
    Start,
    Name,
    /// The first byte of a value.
    Value,
    Token,
    Quoted,
    /// After a backslash in a quoted value.
    Escaped,
    /// After the closing quote.
    Closed,
}

impl BodyReader {
    /// A reader at the first byte of a body.
    pub fn new(kind: BodyKind) -> BodyReader {
        let (state, left) = match kind {
            BodyKind::None | BodyKind::Length(0) => (State::Done, 0),
            BodyKind::Length(length) => (State::Whole, length),
            BodyKind::Chunked => (State::Size(0), 0),
            BodyKind::UntilClose => (State::UntilClose, 0),
        };
        BodyReader { kind, state, left, announced: 0, extension_bytes: 0, trailer_bytes: 0 }
    }

    /// The whole body, borrowed, if `input` (what follows the head) holds it undivided and it is at most
    /// `bytes_max` long. Ask before the first [`BodyReader::read`]; the next message then begins after
    /// the returned bytes.
    pub fn whole<'a>(&self, input: &'a [u8], bytes_max: usize) -> Option<&'a [u8]> {
        let length = match self.kind {
            BodyKind::None => 0,
            BodyKind::Length(length) if self.left == length => usize::try_from(length).ok()?,
            BodyKind::Length(_) | BodyKind::Chunked | BodyKind::UntilClose => return None,
        };
        if length > bytes_max { None } else { input.get(..length) }
    }

    /// Takes from `input` what belongs to the body and appends its data to `out`.
    ///
    /// `bytes_max` bounds the body's data and is checked against what the client announces, so an
    /// oversized body is refused before it is read; a call with an empty `input` does so before a
    /// `100 Continue`. Give the same bound at every call. After an error the reader is of no more use.
    pub fn read(
        &mut self,
        input: &[u8],
        out: &mut Vec<u8>,
        bytes_max: usize,
    ) -> Result<BodyProgress, BodyError> {
        let bytes_max = bytes_max as u64;
        if let BodyKind::Length(length) = self.kind
            && length > bytes_max
        {
            return Err(BodyError::TooLarge);
        }
        let mut rest = input;
        while self.state != State::Done
            && let Some((&byte, after)) = rest.split_first()
        {
            rest = match self.state {
                State::Whole | State::Data => self.take_data(rest, out),
                State::UntilClose => self.take_all(rest, out, bytes_max)?,
                _ => {
                    self.state = self.step(byte, bytes_max)?;
                    after
                }
            };
        }
        Ok(BodyProgress { consumed: input.len() - rest.len(), done: self.state == State::Done })
    }

    /// Whether nothing is lost if the connection ends now.
    pub const fn may_end(&self) -> bool {
        matches!(self.state, State::Done | State::UntilClose)
    }

    /// Appends `input` to `out`; nothing follows it.
    fn take_all<'a>(
        &mut self,
        input: &'a [u8],
        out: &mut Vec<u8>,
        bytes_max: u64,
    ) -> Result<&'a [u8], BodyError> {
        self.announced = self.announced.saturating_add(input.len() as u64);
        if self.announced > bytes_max {
            return Err(BodyError::TooLarge);
        }
        out.extend_from_slice(input);
        Ok(&[])
    }

    /// Appends the data at the front of `input` to `out` and returns what follows it.
    fn take_data<'a>(&mut self, input: &'a [u8], out: &mut Vec<u8>) -> &'a [u8] {
        let len = usize::try_from(self.left).map_or(input.len(), |left| left.min(input.len()));
        let (data, rest) = input.split_at(len);
        out.extend_from_slice(data);
        self.left -= len as u64;
        if self.left == 0 {
            self.state = if self.state == State::Whole { State::Done } else { State::DataCr };
        }
        rest
    }

    /// The state after one byte of chunked framing.
    fn step(&mut self, byte: u8, bytes_max: u64) -> Result<State, BodyError> {
        match (self.state, byte) {
            (State::Size(digits), _) => self.size(digits, byte),
            (State::Extension(extension), _) => self.extension(extension, byte),
            (State::SizeLf, b'\n') => self.chunk(bytes_max),
            (State::SizeLf, _) => Err(BodyError::ChunkSize),
            (State::DataCr, b'\r') => Ok(State::DataLf),
            (State::DataLf, b'\n') => {
                self.left = 0;
                Ok(State::Size(0))
            }
            (State::DataCr | State::DataLf, _) => Err(BodyError::ChunkEnd),
            (State::EndLf, b'\n') => Ok(State::Done),
            (State::TrailerStart, b'\r') => Ok(State::EndLf),
            (State::TrailerStart | State::TrailerName | State::TrailerValue | State::TrailerLf, _) => {
                self.trailer(byte)
            }
            (State::EndLf, _) => Err(BodyError::Trailer),
            // Data is taken in runs, and nothing follows the end.
            (State::Whole | State::UntilClose | State::Data | State::Done, _) => Ok(self.state),
        }
    }

    fn size(&mut self, digits: u8, byte: u8) -> Result<State, BodyError> {
        match (byte, char::from(byte).to_digit(16)) {
            (_, Some(digit)) if digits < SIZE_DIGITS_MAX => {
                self.left = self.left << 4 | u64::from(digit);
                Ok(State::Size(digits + 1))
            }
            (b'\r', None) if digits > 0 => Ok(State::SizeLf),
            (b';', None) if digits > 0 => Ok(State::Extension(Extension::Start)),
            _ => Err(BodyError::ChunkSize),
        }
    }

    /// Begins the chunk whose size has been read.
    fn chunk(&mut self, bytes_max: u64) -> Result<State, BodyError> {
        self.announced = self.announced.saturating_add(self.left);
        if self.announced > bytes_max {
            return Err(BodyError::TooLarge);
        }
        Ok(if self.left == 0 { State::TrailerStart } else { State::Data })
    }

    /// Extensions are checked, bounded and ignored.
    fn extension(&mut self, extension: Extension, byte: u8) -> Result<State, BodyError> {
        use Extension::{Closed, Escaped, Name, Quoted, Start, Token, Value};
        self.extension_bytes += 1;
        if self.extension_bytes > EXTENSION_BYTES_MAX {
            return Err(BodyError::ChunkExtensionsTooLong);
        }
        let next = match (extension, byte) {
            (Name | Token | Closed, b'\r') => return Ok(State::SizeLf),
            (Name | Token | Closed, b';') => Start,
            (Name, b'=') => Value,
            (Start | Name, _) if is_token(byte) => Name,
            (Value, b'"') => Quoted,
            (Value | Token, _) if is_token(byte) => Token,
            (Quoted, b'"') => Closed,
            (Quoted, b'\\') => Escaped,
            (Quoted | Escaped, _) if is_text(byte) => Quoted,
            _ => return Err(BodyError::ChunkExtension),
        };
        Ok(State::Extension(next))
    }

    /// Trailers are checked, bounded and discarded.
    fn trailer(&mut self, byte: u8) -> Result<State, BodyError> {
        self.trailer_bytes += 1;
        if self.trailer_bytes > TRAILER_BYTES_MAX {
            return Err(BodyError::TrailersTooLong);
        }
        match (self.state, byte) {
            (State::TrailerName, b':') => Ok(State::TrailerValue),
            (State::TrailerStart | State::TrailerName, _) if is_token(byte) => Ok(State::TrailerName),
            (State::TrailerValue, b'\r') => Ok(State::TrailerLf),
            (State::TrailerValue, _) if is_text(byte) => Ok(State::TrailerValue),
            (State::TrailerLf, b'\n') => Ok(State::TrailerStart),
            _ => Err(BodyError::Trailer),
        }
    }
}

/// RFC 9110 section 5.5: the bytes of a field value, and of quoted text.
const fn is_text(byte: u8) -> bool {
    byte == b'\t' || !byte.is_ascii_control()
}
