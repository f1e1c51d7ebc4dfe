//! The walk through the outermost container of a text.
//!
//! `inline(always)`: a `Raw` that returns through memory is stored in parts and loaded whole, which
//! stalls the load; inlined it stays in registers. A frame of 63 bytes takes 50 ns instead of 74.

use std::borrow::Cow;

use super::string::unescape;
use super::{Fault, Why, pass};

/// Walks one text. It enters the outermost container on request and passes over whole values
/// otherwise.
#[derive(Debug)]
pub(crate) struct Scanner<'a> {
    text: &'a str,
    at: usize,
    /// The container was just entered: no comma is due before its first item.
    fresh: bool,
}

/// One value that a scanner has passed over.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Raw<'a> {
    text: &'a str,
    kind: Kind,
}

/// What a scanner has seen of a value in passing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    /// A string that holds escapes.
    Escaped,
    /// An integer without a sign, other than 0.
    Integer,
    /// Nothing of note.
    Other,
}

impl<'a> Raw<'a> {
    /// Its text, without the space around it.
    #[inline(always)]
    pub(crate) fn text(self) -> &'a str {
        self.text
    }

    /// Whether it is surely an integer: 0 and those with a sign are not told from other numbers.
    #[inline(always)]
    pub(crate) fn is_integer(self) -> bool {
        self.kind == Kind::Integer
    }

    /// What it says, if it is a string; borrowed where that holds no escape.
    #[inline(always)]
    pub(crate) fn string(self) -> Option<Cow<'a, str>> {
        if !self.text.starts_with('"') {
            return None;
        }
        // What begins with a quote was passed over as a string, and ends with one.
        let inner = self.text.get(1..self.text.len() - 1)?;
        if self.kind == Kind::Escaped { unescape(inner).map(Cow::Owned) } else { Some(Cow::Borrowed(inner)) }
    }

    /// Whether it is a string that says `text`, of which no character must be escaped.
    #[inline(always)]
    pub(crate) fn says(self, text: &str) -> bool {
        let plain = self.text.strip_prefix('"').and_then(|rest| rest.strip_suffix('"'));
        plain == Some(text) || self.kind == Kind::Escaped && self.string().as_deref() == Some(text)
    }
}

impl<'a> Scanner<'a> {
    pub(crate) fn new(text: &'a str) -> Scanner<'a> {
        Scanner { text, at: pass::space(text.as_bytes(), 0), fresh: false }
    }

    /// Enters the container that opens with `bracket`. False, and nothing taken, when the text goes on
    /// otherwise.
    #[inline(always)]
    pub(crate) fn open(&mut self, bracket: u8) -> bool {
        self.fresh = self.byte() == Some(bracket);
        if self.fresh {
            self.advance(self.at + 1);
        }
        self.fresh
    }

    /// Goes to the next element of the entered array. False: the array is closed.
    #[inline(always)]
    pub(crate) fn next_element(&mut self) -> Result<bool, Fault> {
        self.next_item(b']')
    }

    /// Goes to the value of the next member of the entered object and yields its key. `None`: the
    /// object is closed.
    #[inline(always)]
    pub(crate) fn next_member(&mut self) -> Result<Option<Cow<'a, str>>, Fault> {
        if self.next_key()? { self.key().map(Some) } else { Ok(None) }
    }

    /// Goes to the next member of the entered object, of which nothing is taken yet. False: the object is closed.
    #[inline(always)]
    pub(crate) fn next_key(&mut self) -> Result<bool, Fault> {
        self.next_item(b'}')
    }

    /// Takes the member that is due if it reads exactly as `usual`, in which the value begins at `value`: one comparison
    /// in place of a walk.
    #[inline(always)]
    pub(crate) fn usual_member(&mut self, usual: &str, value: usize) -> Option<Raw<'a>> {
        let end = self.at + usual.len();
        if self.text.as_bytes().get(self.at..end)? != usual.as_bytes() {
            return None;
        }
        self.at += value;
        Some(self.lend(end, Kind::Other))
    }

    /// Takes the key of the member that is due if it reads exactly as `usual`, which ends with the colon; its value is due
    /// then.
    #[inline(always)]
    pub(crate) fn usual_key(&mut self, usual: &str) -> bool {
        let end = self.at + usual.len();
        let is_usual = self.text.as_bytes().get(self.at..end) == Some(usual.as_bytes());
        if is_usual {
            self.advance(end);
        }
        is_usual
    }

    /// The key of the member that is due; its value is due then.
    #[inline(always)]
    pub(crate) fn key(&mut self) -> Result<Cow<'a, str>, Fault> {
        let key = self.string()?;
        self.at = pass::colon(self.text.as_bytes(), self.at)?;
        // What was scanned as a string is one.
        Ok(key.string().unwrap_or_default())
    }

    /// Passes over one value of any type.
    #[inline(always)]
    pub(crate) fn value(&mut self) -> Result<Raw<'a>, Fault> {
        if self.byte() == Some(b'"') {
            return self.string();
        }
        let bytes = self.text.as_bytes();
        if let Some(end) = pass::integer(bytes, self.at) {
            return Ok(self.lend(end, Kind::Integer));
        }
        let end = pass::value(bytes, self.at)?;
        Ok(self.lend(end, Kind::Other))
    }

    /// Holds the text to its end: only space may follow.
    #[inline(always)]
    pub(crate) fn finish(&self) -> Result<(), Fault> {
        if self.at == self.text.len() { Ok(()) } else { Err(Fault { at: self.at, why: Why::Trailing }) }
    }

    /// Byte of the text where it goes on.
    #[inline(always)]
    pub(crate) fn at(&self) -> usize {
        self.at
    }

    /// Goes to the next item of the container that ends with `close`. False: it ended.
    #[inline(always)]
    fn next_item(&mut self, close: u8) -> Result<bool, Fault> {
        let fresh = std::mem::take(&mut self.fresh);
        match self.byte() {
            Some(byte) if byte == close => {
                self.advance(self.at + 1);
                Ok(false)
            }
            _ if fresh => Ok(true),
            Some(b',') => {
                self.advance(self.at + 1);
                Ok(true)
            }
            _ => Err(Fault { at: self.at, why: Why::CommaOrClose }),
        }
    }

    #[inline(always)]
    fn string(&mut self) -> Result<Raw<'a>, Fault> {
        let (end, escaped) = pass::string(self.text.as_bytes(), self.at)?;
        Ok(self.lend(end, if escaped { Kind::Escaped } else { Kind::Other }))
    }

    /// What lies between here and `end`, and goes on behind it.
    #[inline(always)]
    fn lend(&mut self, end: usize, kind: Kind) -> Raw<'a> {
        // A value begins and ends with ASCII, so both are character boundaries.
        let text = &self.text[self.at..end];
        self.advance(end);
        Raw { text, kind }
    }

    /// Goes on at `at` or after the space there.
    #[inline(always)]
    fn advance(&mut self, at: usize) {
        self.at = pass::space(self.text.as_bytes(), at);
    }

    #[inline(always)]
    fn byte(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }
}
