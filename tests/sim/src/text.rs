//! Bytes that print as text, so that a trace can be read.

use std::fmt;
use std::ops::Deref;

/// Prints its bytes as text, everything else escaped.
#[derive(Clone, PartialEq, Eq)]
pub struct Text<T>(pub T);

impl<T: Deref<Target = [u8]>> fmt::Debug for Text<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let shown = &self.0[..self.0.len().min(SHOWN_BYTES)];
        write!(f, "\"{}\"", shown.escape_ascii())?;
        if shown.len() < self.0.len() { write!(f, "... {} bytes", self.0.len()) } else { Ok(()) }
    }
}

impl<T> Deref for Text<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.0
    }
}

/// A longer text is cut in print.
const SHOWN_BYTES: usize = 600;
