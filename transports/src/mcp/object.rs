//! Objects and arrays inside of a text: their parts are lent as they stand there, so that they can be
//! passed on or spliced to the byte.
//!
//! Each function judges its whole text and reads one level of it; what lies deeper is a part's text, to
//! be read the same way. Nothing recurses.

use std::borrow::Cow;

use crate::json::{Fault, Scanner, Why};

pub use crate::json::write_str;

/// The members of one object: key, unescaped, and the text of the value, in order, duplicates too.
///
/// Ends after its first error.
///
/// # Errors
/// The text is not JSON, or no object.
pub fn members(text: &str) -> Members<'_> {
    Members(Walk::new(text, b'{'))
}

/// The texts of the elements of one array, in order. Ends after its first error.
///
/// # Errors
/// The text is not JSON, or no array.
pub fn elements(text: &str) -> Elements<'_> {
    Elements(Walk::new(text, b'['))
}

/// The texts of the values of `keys` in one object, in one pass; `None` where it has no such key.
///
/// # Errors
/// The text is not JSON, no object, or has one of `keys` twice: no one further on can then read another
/// value than was read here.
pub fn find<'a, const N: usize>(text: &'a str, keys: [&str; N]) -> Result<[Option<&'a str>; N], Fault> {
    let mut found = [None; N];
    for member in members(text) {
        let (key, value) = member?;
        let place = keys.iter().zip(&mut found).find(|(sought, _)| **sought == key);
        if let Some((_, slot)) = place
            && slot.replace(value).is_some()
        {
            return Err(Fault { at: place_of(text, value), why: Why::Duplicate });
        }
    }
    Ok(found)
}

/// What a string says; borrowed where it holds no escape. `None`: the text is not one JSON string.
pub fn string(text: &str) -> Option<Cow<'_, str>> {
    let mut scanner = Scanner::new(text);
    let value = scanner.value().ok()?;
    scanner.finish().ok()?;
    value.string()
}

/// Byte of `text` where `part`, a slice of it, begins.
fn place_of(text: &str, part: &str) -> usize {
    part.as_ptr().addr().wrapping_sub(text.as_ptr().addr())
}

/// See [`members`].
#[derive(Debug)]
pub struct Members<'a>(Walk<'a>);

/// See [`elements`].
#[derive(Debug)]
pub struct Elements<'a>(Walk<'a>);

impl<'a> Iterator for Members<'a> {
    type Item = Result<(Cow<'a, str>, &'a str), Fault>;

    #[inline]
    fn next(&mut self) -> Option<Self::Item> {
        self.0.step(|scanner| match scanner.next_member()? {
            Some(key) => Ok(Some((key, scanner.value()?.text()))),
            None => Ok(None),
        })
    }
}

impl<'a> Iterator for Elements<'a> {
    type Item = Result<&'a str, Fault>;

    #[inline]
    fn next(&mut self) -> Option<Self::Item> {
        self.0.step(|scanner| match scanner.next_element()? {
            true => Ok(Some(scanner.value()?.text())),
            false => Ok(None),
        })
    }
}

/// A walk through the container that a text is.
#[derive(Debug)]
struct Walk<'a> {
    scanner: Scanner<'a>,
    state: State,
}

#[derive(Debug)]
enum State {
    /// Before the container that opens with this bracket.
    Outside(u8),
    Inside,
    Over,
}

impl<'a> Walk<'a> {
    fn new(text: &'a str, bracket: u8) -> Walk<'a> {
        Walk { scanner: Scanner::new(text), state: State::Outside(bracket) }
    }

    /// The next item as `read` reads it; `None` once the text has come to its end or to an error.
    #[inline(always)]
    fn step<T>(
        &mut self,
        read: impl FnOnce(&mut Scanner<'a>) -> Result<Option<T>, Fault>,
    ) -> Option<Result<T, Fault>> {
        let item = match self.state {
            State::Over => return None,
            State::Inside => read(&mut self.scanner),
            State::Outside(bracket) => self.enter(bracket).and_then(|()| read(&mut self.scanner)),
        };
        // The container's end must be the text's.
        let item = item.and_then(|item| match item {
            Some(item) => Ok(Some(item)),
            None => self.scanner.finish().map(|()| None),
        });
        if !matches!(item, Ok(Some(_))) {
            self.state = State::Over;
        }
        item.transpose()
    }

    fn enter(&mut self, bracket: u8) -> Result<(), Fault> {
        self.state = State::Inside;
        if self.scanner.open(bracket) {
            return Ok(());
        }
        let at = self.scanner.at();
        self.scanner.value()?;
        self.scanner.finish()?;
        Err(Fault { at, why: if bracket == b'{' { Why::Object } else { Why::Array } })
    }
}
