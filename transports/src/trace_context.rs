//! W3C Trace Context (Recommendation of 2021-11-23): which trace a message is part of, and by which span of it. HTTP has it
//! in the header `traceparent`, MCP under the same key of `_meta` (SEP-414).

use std::fmt;
use std::num::{NonZeroU64, NonZeroU128};

/// The header, and the key of `_meta`.
pub const TRACEPARENT: &str = "traceparent";

/// The header, and the key of `_meta`, of what vendors add.
pub const TRACESTATE: &str = "tracestate";

/// Bytes of the `tracestate` that everybody must pass on (section 3.3.1.5); a longer one is dropped.
const STATE_BYTES_MAX: usize = 512;

/// Bytes of a `traceparent` of version 00.
const BYTES: usize = 55;

/// The flag that says that the caller records the trace.
const SAMPLED: u8 = 1;

/// Names a trace.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct TraceId(NonZeroU128);

/// Names a span in its trace.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct SpanId(NonZeroU64);

/// A span, as whoever is called from it is told of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct TraceParent {
    /// The trace.
    pub trace: TraceId,
    /// The span.
    pub span: SpanId,
    /// Whoever sent it records it.
    pub sampled: bool,
}

impl TraceId {
    /// The trace of this number, which should be random. 0 names none and becomes 1.
    pub fn new(number: u128) -> TraceId {
        TraceId(NonZeroU128::new(number).unwrap_or(NonZeroU128::MIN))
    }

    /// As OTLP has it.
    pub fn to_bytes(self) -> [u8; 16] {
        self.0.get().to_be_bytes()
    }
}

impl SpanId {
    /// The span of this number, which should be random. 0 names none and becomes 1.
    pub fn new(number: u64) -> SpanId {
        SpanId(NonZeroU64::new(number).unwrap_or(NonZeroU64::MIN))
    }

    /// As OTLP has it.
    pub fn to_bytes(self) -> [u8; 8] {
        self.0.get().to_be_bytes()
    }
}

impl TraceParent {
    /// Reads a `traceparent`. Of a version that is not known yet the part is read that all versions have (section 4.3).
    /// `None`: it names no span, and the trace begins anew.
    pub fn parse(text: &str) -> Option<TraceParent> {
        let text = text.trim_ascii();
        let known = text.get(..BYTES)?;
        let rest = &text[BYTES..];
        let mut fields = known.split('-');
        let (version, trace) = (hex(fields.next()?, 2)?, hex(fields.next()?, 32)?);
        let (span, flags) = (hex(fields.next()?, 16)?, hex(fields.next()?, 2)?);
        let whole = if version == 0 { rest.is_empty() } else { rest.is_empty() || rest.starts_with('-') };
        if version == 0xff || !whole || fields.next().is_some() {
            return None;
        }
        Some(TraceParent {
            trace: TraceId(NonZeroU128::new(trace)?),
            span: SpanId(NonZeroU64::new(span as u64)?),
            sampled: flags as u8 & SAMPLED != 0,
        })
    }
}

/// The `tracestate` that goes on with a span: `None` if it is longer than has to be passed on, or no text of a header.
pub fn state(text: &str) -> Option<&str> {
    let text = text.trim_ascii();
    let fits = (1..=STATE_BYTES_MAX).contains(&text.len());
    (fits && text.bytes().all(|byte| matches!(byte, b' '..=b'~'))).then_some(text)
}

/// So many lower-case hexadecimal digits.
fn hex(text: &str, digits: usize) -> Option<u128> {
    let lower = |byte: u8| matches!(byte, b'0'..=b'9' | b'a'..=b'f');
    (text.len() == digits && text.bytes().all(lower)).then(|| u128::from_str_radix(text, 16).ok())?
}

impl fmt::Display for TraceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", self.0)
    }
}

impl fmt::Display for SpanId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

/// The `traceparent`, version 00.
impl fmt::Display for TraceParent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "00-{}-{}-{:02x}", self.trace, self.span, u8::from(self.sampled))
    }
}
