//! Passing over JSON (RFC 8259): each function starts at a byte of the text, judges what begins there
//! and returns where it ends. No recursion, no copies.

use super::string::{hex, plain_end};
use super::{DEPTH_MAX, Fault, Why};

/// Passes over space.
#[inline]
pub(super) fn space(bytes: &[u8], mut at: usize) -> usize {
    while let Some(b' ' | b'\n' | b'\r' | b'\t') = bytes.get(at) {
        at += 1;
    }
    at
}

/// Passes over one value of any type.
#[inline(never)]
pub(super) fn value(bytes: &[u8], mut at: usize) -> Result<usize, Fault> {
    let mut open = Nesting::default();
    loop {
        at = match bytes.get(at) {
            Some(b'"') => string(bytes, at)?.0,
            Some(b'{') => {
                open.push(true).ok_or(Fault { at, why: Why::Depth })?;
                let first = space(bytes, at + 1);
                if bytes.get(first) != Some(&b'}') {
                    at = colon(bytes, string(bytes, first)?.0)?;
                    continue;
                }
                first
            }
            Some(b'[') => {
                open.push(false).ok_or(Fault { at, why: Why::Depth })?;
                let first = space(bytes, at + 1);
                if bytes.get(first) != Some(&b']') {
                    at = first;
                    continue;
                }
                first
            }
            _ => scalar(bytes, at)?,
        };
        // Close what ends here, until another value is due.
        loop {
            let Some(object) = open.innermost() else { return Ok(at) };
            at = space(bytes, at);
            match (object, bytes.get(at)) {
                (true, Some(b',')) => {
                    at = colon(bytes, string(bytes, space(bytes, at + 1))?.0)?;
                    break;
                }
                (false, Some(b',')) => {
                    at = space(bytes, at + 1);
                    break;
                }
                (true, Some(b'}')) | (false, Some(b']')) => open.pop(),
                _ => return Err(Fault { at, why: Why::CommaOrClose }),
            }
            at += 1;
        }
    }
}

/// Where a plain integer ends that begins at `at`, as most ids are. `None`: what begins there is for [`value`].
#[inline(always)]
pub(super) fn integer(bytes: &[u8], mut at: usize) -> Option<usize> {
    if !matches!(bytes.get(at), Some(b'1'..=b'9')) {
        return None;
    }
    while let Some(b'0'..=b'9') = bytes.get(at) {
        at += 1;
    }
    (!matches!(bytes.get(at), Some(b'.' | b'e' | b'E'))).then_some(at)
}

/// Containers that the scan is in: a bit each, set for objects, the innermost lowest.
#[derive(Default)]
struct Nesting {
    objects: u128,
    depth: u32,
}

impl Nesting {
    /// Enters a container; `None` at the bound.
    #[inline]
    fn push(&mut self, object: bool) -> Option<()> {
        self.objects = self.objects << 1 | u128::from(object);
        self.depth += 1;
        (self.depth <= DEPTH_MAX).then_some(())
    }

    #[inline]
    fn pop(&mut self) {
        self.objects >>= 1;
        self.depth -= 1;
    }

    /// Whether the innermost container is an object; `None` outside of all.
    #[inline]
    fn innermost(&self) -> Option<bool> {
        (self.depth > 0).then_some(self.objects & 1 == 1)
    }
}

/// Passes over the colon that follows a key, and over the space around it.
#[inline]
pub(super) fn colon(bytes: &[u8], at: usize) -> Result<usize, Fault> {
    let at = space(bytes, at);
    match bytes.get(at) {
        Some(b':') => Ok(space(bytes, at + 1)),
        _ => Err(Fault { at, why: Why::Colon }),
    }
}

/// Passes over a string, section 7, and tells whether it holds an escape.
#[inline(always)]
pub(super) fn string(bytes: &[u8], at: usize) -> Result<(usize, bool), Fault> {
    if bytes.get(at) != Some(&b'"') {
        return Err(Fault { at, why: Why::Key });
    }
    let end = plain_end(bytes, at + 1);
    match bytes.get(end) {
        Some(b'"') => Ok((end + 1, false)),
        _ => Ok((escaped(bytes, end)?, true)),
    }
}

/// Passes over the rest of a string from its first byte that does not stand for itself.
#[cold]
fn escaped(bytes: &[u8], mut at: usize) -> Result<usize, Fault> {
    loop {
        at = match bytes.get(at) {
            Some(b'"') => return Ok(at + 1),
            Some(b'\\') => escape(bytes, at)?,
            Some(_) => return Err(Fault { at, why: Why::Control }),
            None => return Err(Fault { at, why: Why::Unterminated }),
        };
        at = plain_end(bytes, at);
    }
}

/// Passes over one escape, or over both halves of a surrogate pair.
fn escape(bytes: &[u8], at: usize) -> Result<usize, Fault> {
    match bytes.get(at + 1) {
        Some(b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't') => return Ok(at + 2),
        Some(b'u') => {}
        _ => return Err(Fault { at, why: Why::Escape }),
    }
    match unicode(bytes, at)? {
        0xd800..=0xdbff if bytes.get(at + 6..at + 8) == Some(b"\\u") => match unicode(bytes, at + 6)? {
            0xdc00..=0xdfff => Ok(at + 12),
            _ => Err(Fault { at, why: Why::Surrogate }),
        },
        0xd800..=0xdfff => Err(Fault { at, why: Why::Surrogate }),
        _ => Ok(at + 6),
    }
}

/// The code unit of the `\uXXXX` that stands at `at`.
fn unicode(bytes: &[u8], at: usize) -> Result<u32, Fault> {
    bytes.get(at + 2..at + 6).and_then(hex).ok_or(Fault { at, why: Why::Escape })
}

/// Passes over a number or a literal.
#[inline]
fn scalar(bytes: &[u8], at: usize) -> Result<usize, Fault> {
    let literal: &[u8] = match bytes.get(at) {
        Some(b'-' | b'0'..=b'9') => return number(bytes, at),
        Some(b't') => b"true",
        Some(b'f') => b"false",
        Some(b'n') => b"null",
        _ => return Err(Fault { at, why: Why::Value }),
    };
    let end = at + literal.len();
    if bytes.get(at..end) == Some(literal) { Ok(end) } else { Err(Fault { at, why: Why::Value }) }
}

/// Passes over a number, section 6.
#[inline]
fn number(bytes: &[u8], mut at: usize) -> Result<usize, Fault> {
    at += usize::from(bytes.get(at) == Some(&b'-'));
    at = if bytes.get(at) == Some(&b'0') { at + 1 } else { digits(bytes, at)? };
    if bytes.get(at) == Some(&b'.') {
        at = digits(bytes, at + 1)?;
    }
    if let Some(b'e' | b'E') = bytes.get(at) {
        at += 1;
        at += usize::from(matches!(bytes.get(at), Some(b'+' | b'-')));
        at = digits(bytes, at)?;
    }
    Ok(at)
}

/// Passes over one digit or more.
#[inline]
fn digits(bytes: &[u8], start: usize) -> Result<usize, Fault> {
    let mut at = start;
    while let Some(b'0'..=b'9') = bytes.get(at) {
        at += 1;
    }
    if at == start { Err(Fault { at, why: Why::Digit }) } else { Ok(at) }
}
