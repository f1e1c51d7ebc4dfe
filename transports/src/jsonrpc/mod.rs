//! The envelope of JSON-RPC 2.0 as MCP uses it: one message per text, no batches, ids are strings or
//! integers. Parameters and results pass through untouched.

mod decode;
mod encode;
mod error;
mod sniff;

use std::borrow::Cow;

pub use decode::decode;
pub use encode::{begin_error, begin_result, error, result};
pub use error::DecodeError;
pub use sniff::{Kind, sniff};

/// One message, borrowed from its text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Message<'a> {
    /// Asks for a response.
    Request {
        /// Goes back with the response.
        id: Id<'a>,
        /// What is asked for.
        method: Cow<'a, str>,
        /// The text of an object or array.
        params: Option<&'a str>,
    },
    /// Wants no response.
    Notification {
        /// What happened.
        method: Cow<'a, str>,
        /// The text of an object or array.
        params: Option<&'a str>,
    },
    /// Answers a request.
    Response {
        /// The request's; `None` in an error that could not tell which request it is about.
        id: Option<Id<'a>>,
        /// How it went.
        body: Body<'a>,
    },
}

/// A text that is no message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Refused<'a> {
    /// What is wrong.
    pub error: DecodeError,
    /// The id it has all the same: the answer's. `None`: answer with null.
    pub id: Option<Id<'a>>,
}

/// What a response carries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Body<'a> {
    /// The text of `result`: any JSON value.
    Result(&'a str),
    /// The text of `error`: an object.
    Error(&'a str),
}

/// A request's id: the text of a JSON string, quotes included, or of an integer, exactly as it came.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Id<'a>(&'a str);

impl<'a> Id<'a> {
    /// From the text of one JSON value. `None`: neither a string nor an integer.
    pub fn from_json(text: &'a str) -> Option<Id<'a>> {
        let (first, rest) = text.as_bytes().split_first()?;
        let id = match first {
            b'"' => true,
            b'-' | b'0'..=b'9' => rest.iter().all(u8::is_ascii_digit),
            _ => false,
        };
        id.then_some(Id(text))
    }

    /// Its JSON text.
    pub fn as_json(self) -> &'a str {
        self.0
    }
}
