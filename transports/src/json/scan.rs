//! The scan: judges every byte once, without recursion, and lends what it passed over.

use std::borrow::Cow;

use super::{DEPTH_MAX, Fault, Why};

/// Walks one text. It enters the outermost container on request and passes over whole values
/// otherwise.
#[derive(Debug)]
pub(crate) struct Scanner<'a> {
    text: &'a str,
    at: usize,
    /// The container was just entered: no comma is due before its first item.
    fresh: bool,
}

impl<'a> Scanner<'a> {
    pub(crate) fn new(text: &'a str) -> Scanner<'a> {
        Scanner { text, at: 0, fresh: false }
    }

    /// Enters the container that opens with `bracket`. False, and nothing taken, when the text goes on
    /// otherwise.
    pub(crate) fn open(&mut self, bracket: u8) -> bool {
        self.fresh = self.peek() == Some(bracket);
        self.at += usize::from(self.fresh);
        self.fresh
    }

    /// Goes to the next element of the entered array. False: the array is closed.
    pub(crate) fn next_element(&mut self) -> Result<bool, Fault> {
        self.next_item(b']')
    }

    /// Goes to the value of the next member of the entered object and yields its key. `None`: the
    /// object is closed.
    pub(crate) fn next_member(&mut self) -> Result<Option<Cow<'a, str>>, Fault> {
        if !self.next_item(b'}')? {
            return Ok(None);
        }
        self.peek();
        let start = self.at;
        self.key()?;
        let quoted = &self.text[start..self.at];
        self.colon()?;
        Ok(unquote(quoted))
    }

    fn next_item(&mut self, close: u8) -> Result<bool, Fault> {
        let fresh = std::mem::take(&mut self.fresh);
        match self.peek() {
            Some(byte) if byte == close => {
                self.at += 1;
                Ok(false)
            }
            Some(b',') if !fresh => {
                self.at += 1;
                Ok(true)
            }
            _ if fresh => Ok(true),
            _ => Err(self.fault(Why::CommaOrClose)),
        }
    }

    /// Passes over one value of any type and lends its text, without the space around it.
    pub(crate) fn value(&mut self) -> Result<&'a str, Fault> {
        self.peek();
        let start = self.at;
        self.pass_value()?;
        Ok(&self.text[start..self.at])
    }

    /// Holds the text to its end: only space may follow.
    pub(crate) fn finish(&mut self) -> Result<(), Fault> {
        match self.peek() {
            None => Ok(()),
            Some(_) => Err(self.fault(Why::Trailing)),
        }
    }

    /// Passes over one value of any type. `self` must stand at its first byte or at space before it.
    fn pass_value(&mut self) -> Result<(), Fault> {
        let mut open = Nesting::default();
        loop {
            match self.peek() {
                Some(b'"') => self.string()?,
                Some(bracket @ (b'{' | b'[')) => {
                    open.push(bracket == b'{').map_err(|why| self.fault(why))?;
                    self.at += 1;
                    self.fresh = true;
                }
                Some(first) => self.scalar(first)?,
                None => return Err(self.fault(Why::Value)),
            }
            // Close what ends here, until another value is due.
            loop {
                let Some(object) = open.innermost() else { return Ok(()) };
                if self.next_item(if object { b'}' } else { b']' })? {
                    if object {
                        self.peek();
                        self.key()?;
                        self.colon()?;
                    }
                    break;
                }
                open.pop();
            }
        }
    }

    fn key(&mut self) -> Result<(), Fault> {
        if self.byte() == Some(b'"') { self.string() } else { Err(self.fault(Why::Key)) }
    }

    fn colon(&mut self) -> Result<(), Fault> {
        if self.peek() != Some(b':') {
            return Err(self.fault(Why::Colon));
        }
        self.at += 1;
        Ok(())
    }

    /// Passes over a number or a literal that begins with `first`.
    fn scalar(&mut self, first: u8) -> Result<(), Fault> {
        let literal: &[u8] = match first {
            b'-' | b'0'..=b'9' => return self.number(),
            b't' => b"true",
            b'f' => b"false",
            b'n' => b"null",
            _ => return Err(self.fault(Why::Value)),
        };
        if !self.rest().starts_with(literal) {
            return Err(self.fault(Why::Value));
        }
        self.at += literal.len();
        Ok(())
    }

    /// RFC 8259 section 6.
    fn number(&mut self) -> Result<(), Fault> {
        self.at += usize::from(self.byte() == Some(b'-'));
        if self.byte() == Some(b'0') {
            self.at += 1;
        } else {
            self.digits()?;
        }
        if self.byte() == Some(b'.') {
            self.at += 1;
            self.digits()?;
        }
        if let Some(b'e' | b'E') = self.byte() {
            self.at += 1;
            self.at += usize::from(matches!(self.byte(), Some(b'+' | b'-')));
            self.digits()?;
        }
        Ok(())
    }

    /// One digit or more.
    fn digits(&mut self) -> Result<(), Fault> {
        let start = self.at;
        while let Some(b'0'..=b'9') = self.byte() {
            self.at += 1;
        }
        if self.at == start { Err(self.fault(Why::Digit)) } else { Ok(()) }
    }

    /// RFC 8259 section 7. `self` stands at the opening quote.
    fn string(&mut self) -> Result<(), Fault> {
        self.at += 1;
        loop {
            self.at += plain_len(self.rest());
            match self.byte() {
                Some(b'"') => {
                    self.at += 1;
                    return Ok(());
                }
                Some(b'\\') => self.escape()?,
                Some(_) => return Err(self.fault(Why::Control)),
                None => return Err(self.fault(Why::Unterminated)),
            }
        }
    }

    /// Passes over one escape, or over both halves of a surrogate pair.
    fn escape(&mut self) -> Result<(), Fault> {
        match self.rest() {
            [_, b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't', ..] => self.at += 2,
            [_, b'u', ..] => match self.unicode()? {
                0xdc00..=0xdfff => return Err(self.fault(Why::Surrogate)),
                0xd800..=0xdbff => {
                    let lead = self.at;
                    self.at += 6;
                    if !self.rest().starts_with(b"\\u") || !(0xdc00..=0xdfff).contains(&self.unicode()?) {
                        return Err(Fault { at: lead, why: Why::Surrogate });
                    }
                    self.at += 6;
                }
                _ => self.at += 6,
            },
            _ => return Err(self.fault(Why::Escape)),
        }
        Ok(())
    }

    /// The code unit of the `\uXXXX` that `self` stands at.
    fn unicode(&self) -> Result<u32, Fault> {
        let digits = self.rest().get(2..6).ok_or_else(|| self.fault(Why::Escape))?;
        hex(digits).ok_or_else(|| self.fault(Why::Escape))
    }

    /// Passes over space; the byte that follows.
    #[inline]
    fn peek(&mut self) -> Option<u8> {
        loop {
            match self.byte() {
                Some(b' ' | b'\n' | b'\r' | b'\t') => self.at += 1,
                other => return other,
            }
        }
    }

    #[inline]
    fn byte(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    #[inline]
    fn rest(&self) -> &'a [u8] {
        self.text.as_bytes().get(self.at..).unwrap_or_default()
    }

    #[cold]
    fn fault(&self, why: Why) -> Fault {
        Fault { at: self.at, why }
    }
}

/// Containers the scan is in: a bit each, set for objects, the innermost lowest.
#[derive(Default)]
struct Nesting {
    objects: u128,
    depth: u32,
}

impl Nesting {
    fn push(&mut self, object: bool) -> Result<(), Why> {
        if self.depth == DEPTH_MAX {
            return Err(Why::Depth);
        }
        self.objects = self.objects << 1 | u128::from(object);
        self.depth += 1;
        Ok(())
    }

    fn pop(&mut self) {
        self.objects >>= 1;
        self.depth -= 1;
    }

    /// Whether the innermost container is an object; `None` outside of all.
    fn innermost(&self) -> Option<bool> {
        (self.depth > 0).then_some(self.objects & 1 == 1)
    }
}

/// Length of the run before the first quote, backslash or control character, eight bytes at a time.
#[inline]
pub(super) fn plain_len(bytes: &[u8]) -> usize {
    const ONES: u64 = u64::from_ne_bytes([1; 8]);
    const HIGH: u64 = ONES << 7;
    // The high bit of each byte below `bound`; bytes after the first such byte may be wrong.
    let below = |word: u64, bound: u64| word.wrapping_sub(ONES * bound) & !word & HIGH;

    let mut len = 0;
    while let Some(chunk) = bytes.get(len..).and_then(<[u8]>::first_chunk::<8>) {
        let word = u64::from_le_bytes(*chunk);
        let quote = below(word ^ (ONES * u64::from(b'"')), 1);
        let backslash = below(word ^ (ONES * u64::from(b'\\')), 1);
        let special = below(word, 0x20) | quote | backslash;
        if special != 0 {
            return len + special.trailing_zeros() as usize / 8;
        }
        len += 8;
    }
    let tail = bytes.get(len..).unwrap_or_default();
    len + tail.iter().take_while(|&&byte| byte >= 0x20 && byte != b'"' && byte != b'\\').count()
}

/// What the scanned string `quoted` says, borrowed where it holds no escape. `None`: not a string.
pub(crate) fn unquote(quoted: &str) -> Option<Cow<'_, str>> {
    let inner = quoted.strip_prefix('"')?.strip_suffix('"')?;
    let Some(first) = inner.bytes().position(|byte| byte == b'\\') else {
        return Some(Cow::Borrowed(inner));
    };
    let mut said = String::with_capacity(inner.len());
    let (plain, mut rest) = inner.split_at(first);
    said.push_str(plain);
    while let Some(escape) = rest.strip_prefix('\\') {
        let (character, after) = unescape(escape)?;
        said.push(character);
        let (plain, next) = after.split_at(after.find('\\').unwrap_or(after.len()));
        said.push_str(plain);
        rest = next;
    }
    Some(Cow::Owned(said))
}

/// The character of the escape whose backslash is already taken, and what follows it.
fn unescape(escape: &str) -> Option<(char, &str)> {
    let (kind, rest) = escape.split_at_checked(1)?;
    let character = match kind {
        "b" => '\u{8}',
        "f" => '\u{c}',
        "n" => '\n',
        "r" => '\r',
        "t" => '\t',
        "u" => {
            let (first, rest) = rest.split_at_checked(4)?;
            let unit = hex(first.as_bytes())?;
            let Some(low) = (0xd800..0xdc00).contains(&unit).then(|| rest.get(2..6)).flatten() else {
                return Some((char::from_u32(unit)?, rest));
            };
            let code = 0x1_0000 + ((unit - 0xd800) << 10 | hex(low.as_bytes())?.checked_sub(0xdc00)?);
            return Some((char::from_u32(code)?, rest.get(6..)?));
        }
        other => other.chars().next()?,
    };
    Some((character, rest))
}

/// The number that hexadecimal `digits` say, at most eight of them.
fn hex(digits: &[u8]) -> Option<u32> {
    digits.iter().try_fold(0, |number, &digit| Some(number << 4 | char::from(digit).to_digit(16)?))
}
