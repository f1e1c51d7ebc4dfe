//! What the JSON codecs share: one strict scan (RFC 8259) that copies nothing, and strings written out.
//!
//! The scan judges a text and lends its parts as they stand, so that what Weir forwards is byte for
//! byte what it got.

mod pass;
mod scan;
mod string;
#[cfg(test)]
mod tests;
mod write;

use std::fmt;

pub(crate) use scan::{Raw, Scanner};
pub use write::write_str;

/// Containers that may lie in one another within one value. Deeper text is refused: readers further
/// on may recurse.
pub const DEPTH_MAX: u32 = 128;

/// Where and why a text is not JSON, or not the JSON that is read here. Always the sender's fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fault {
    /// Byte of the text, from 0; the text's length where it ended too early.
    pub at: usize,
    /// What is wrong there.
    pub why: Why,
}

/// Ways of not being the JSON that is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Why {
    /// No value begins here.
    Value,
    /// An object's key must begin here.
    Key,
    /// A colon must stand between key and value.
    Colon,
    /// A comma or the container's closing bracket must follow.
    CommaOrClose,
    /// Something follows the value that is the text.
    Trailing,
    /// A string has no closing quote.
    Unterminated,
    /// A control character stands bare in a string.
    Control,
    /// No such escape.
    Escape,
    /// Half of a UTF-16 surrogate pair.
    Surrogate,
    /// A digit must stand here.
    Digit,
    /// More than [`DEPTH_MAX`] containers in one another.
    Depth,
    /// An object must begin here, and JSON of another type does.
    Object,
    /// An array must begin here, and JSON of another type does.
    Array,
    /// A key that readers look for is there before already.
    Duplicate,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let what = match self.why {
            Why::Value => "a value must begin here",
            Why::Key => "a key in double quotes must begin here",
            Why::Colon => "a colon must follow the key",
            Why::CommaOrClose => "a comma or the closing bracket must follow",
            Why::Trailing => "nothing may follow the value",
            Why::Unterminated => "the string has no closing quote",
            Why::Control => "write control characters in strings as \\u00XX",
            Why::Escape => "no such escape; there are \\\" \\\\ \\/ \\b \\f \\n \\r \\t \\uXXXX",
            Why::Surrogate => "a surrogate must be followed by its other half",
            Why::Digit => "a digit must stand here",
            Why::Depth => "nested too deep, over 128 arrays and objects in one another",
            Why::Object => "an object must stand here",
            Why::Array => "an array must stand here",
            Why::Duplicate => "this object has the key before already; send it once",
        };
        write!(f, "not JSON at byte {}: {what}", self.at)
    }
}

impl std::error::Error for Fault {}
