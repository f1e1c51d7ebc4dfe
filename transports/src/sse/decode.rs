//! The client's side: an event stream taken apart as it arrives.

use memchr::{memchr, memchr2};

/// Bounds of what a decoder holds, in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// One line, without its end.
    pub line_bytes_max: usize,
    /// The data of one event.
    pub event_bytes_max: usize,
}

/// One event, borrowed from its decoder until the next call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Event<'a> {
    /// The stream's last event id, which an earlier event may have set. Empty if none did.
    pub id: &'a str,
    /// `message` if the event has no name.
    pub name: &'a str,
    /// Its lines, joined by LF.
    pub data: &'a str,
}

/// A stream that exceeds the decoder's bounds. The server's fault; the decoder is of no more use and says
/// so at every call.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum DecodeError {
    /// A line is longer than [`Limits::line_bytes_max`].
    LineTooLong,
    /// An event's data are longer than [`Limits::event_bytes_max`].
    EventTooLong,
}

impl std::fmt::Display for DecodeError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            DecodeError::LineTooLong => {
                "the server sent a line over the limit; raise it or send less per line"
            }
            DecodeError::EventTooLong => {
                "the server sent an event over the limit; raise it or send less per event"
            }
        })
    }
}

impl std::error::Error for DecodeError {}

/// Decodes the body of one `text/event-stream` response.
///
/// [`Decoder::push`] what arrives, then call [`Decoder::next`] until it has no more. Bytes that are not
/// UTF-8 become U+FFFD, as the standard says.
#[derive(Clone, Debug)]
pub struct Decoder {
    limits: Limits,
    lines: Lines,
    block: Block,
    /// The block's event has been handed out and its fields are to be forgotten.
    dispatched: bool,
    failed: Option<DecodeError>,
}

impl Decoder {
    /// A decoder at the start of a stream.
    pub fn new(limits: Limits) -> Decoder {
        Decoder {
            limits,
            lines: Lines { bytes: Vec::new(), at: 0, searched: 0, first: true, after_cr: false },
            block: Block::default(),
            dispatched: false,
            failed: None,
        }
    }

    /// Takes received bytes.
    pub fn push(&mut self, bytes: &[u8]) {
        self.lines.push(bytes);
    }

    /// The next event, or `None` until more bytes are pushed. An event without its closing blank line is
    /// not one.
    #[expect(clippy::should_implement_trait, reason = "an iterator cannot lend its items")]
    pub fn next(&mut self) -> Result<Option<Event<'_>>, DecodeError> {
        if let Some(error) = self.failed {
            return Err(error);
        }
        if std::mem::take(&mut self.dispatched) {
            self.block.clear();
        }
        self.dispatched = self.advance().inspect_err(|&error| self.failed = Some(error))?;
        Ok(self.dispatched.then(|| self.block.event()))
    }

    /// The id to resume from: what a reconnecting client sends as `Last-Event-ID`. Empty if none was set.
    pub fn last_event_id(&self) -> &str {
        &self.block.last_event_id
    }

    /// The stream's latest reconnection time, in milliseconds.
    pub fn retry(&self) -> Option<u64> {
        self.block.retry
    }

    /// Reads lines up to the end of an event; `false` if the received bytes end before it does.
    fn advance(&mut self) -> Result<bool, DecodeError> {
        while let Some(line) = self.lines.next(self.limits.line_bytes_max)? {
            if line.is_empty() {
                if self.block.end() {
                    return Ok(true);
                }
            } else {
                self.block.field(line, self.limits.event_bytes_max)?;
            }
        }
        Ok(false)
    }
}

/// Splits the stream into lines that end in CR, LF or CR LF.
#[derive(Clone, Debug)]
struct Lines {
    /// Received; from `at` on not yet split.
    bytes: Vec<u8>,
    at: usize,
    /// Bytes from `at` on that are known to hold no line end.
    searched: usize,
    /// The next line is the stream's first and may begin with a BOM.
    first: bool,
    /// The last line ended in CR: a LF that follows belongs to it.
    after_cr: bool,
}

impl Lines {
    fn push(&mut self, bytes: &[u8]) {
        self.bytes.drain(..self.at);
        self.at = 0;
        self.bytes.extend_from_slice(bytes);
    }

    /// The next line without its end, if it is complete.
    fn next(&mut self, line_bytes_max: usize) -> Result<Option<&[u8]>, DecodeError> {
        let mut rest = self.bytes.get(self.at..).unwrap_or_default();
        if self.after_cr
            && let Some((&byte, after)) = rest.split_first()
        {
            self.after_cr = false;
            if byte == b'\n' {
                self.at += 1;
                rest = after;
            }
        }
        let unsearched = rest.get(self.searched..).unwrap_or_default();
        let end = memchr2(b'\r', b'\n', unsearched).map(|at| at + self.searched);
        let (line, after) = rest.split_at(end.unwrap_or(rest.len()));
        if line.len() > line_bytes_max {
            return Err(DecodeError::LineTooLong);
        }
        if end.is_none() {
            self.searched = line.len();
            return Ok(None);
        }
        self.after_cr = after.starts_with(b"\r");
        self.at += line.len() + 1;
        self.searched = 0;
        let starts_stream = std::mem::take(&mut self.first);
        Ok(Some(if starts_stream { line.strip_prefix(BOM).unwrap_or(line) } else { line }))
    }
}

const BOM: &[u8] = "\u{feff}".as_bytes();

/// The event under construction, and what outlasts it.
#[derive(Clone, Debug, Default)]
struct Block {
    name: String,
    /// Each line of it ends in LF until the event is complete.
    data: String,
    id: String,
    /// The id as of the last complete block.
    last_event_id: String,
    retry: Option<u64>,
}

impl Block {
    /// Takes one line that is not empty.
    fn field(&mut self, line: &[u8], event_bytes_max: usize) -> Result<(), DecodeError> {
        let (field, value) = match memchr(b':', line) {
            Some(at) => (line.get(..at).unwrap_or_default(), line.get(at + 1..).unwrap_or_default()),
            None => (line, b"".as_slice()),
        };
        let value = String::from_utf8_lossy(value.strip_prefix(b" ").unwrap_or(value));
        match field {
            b"data" if self.data.len() + value.len() > event_bytes_max => {
                return Err(DecodeError::EventTooLong);
            }
            b"data" => {
                self.data.push_str(&value);
                self.data.push('\n');
            }
            b"event" => value.as_ref().clone_into(&mut self.name),
            b"id" if !value.contains('\0') => value.as_ref().clone_into(&mut self.id),
            b"retry" if value.bytes().all(|byte| byte.is_ascii_digit()) => {
                self.retry = value.parse().ok().or(self.retry);
            }
            // Comments have an empty name; unknown fields are ignored.
            _ => {}
        }
        Ok(())
    }

    /// Takes the blank line that ends a block. Whether it is an event: without data it is none.
    fn end(&mut self) -> bool {
        self.last_event_id.clone_from(&self.id);
        let is_event = self.data.pop().is_some();
        if !is_event {
            self.clear();
        }
        is_event
    }

    fn event(&self) -> Event<'_> {
        let name = if self.name.is_empty() { "message" } else { &self.name };
        Event { id: &self.last_event_id, name, data: &self.data }
    }

    fn clear(&mut self) {
        self.name.clear();
        self.data.clear();
    }
}
