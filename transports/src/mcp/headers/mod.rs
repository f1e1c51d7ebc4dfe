//! What 2026-07-28 mirrors from bodies into headers, so that who stands between can route without parsing
//! (streamable-http, Request Metadata). Who parses must see that both say the same.

mod era;
mod param;
mod value;

use std::fmt;

pub use era::{EraFault, era};
pub use param::{ParamHeader, SchemaFault};
pub use value::{decode, encode};

use crate::jsonrpc::Message;
use crate::mcp::object::string;
use crate::mcp::{Method, Params, code};

/// Names of headers.
pub const PROTOCOL_VERSION: &str = "MCP-Protocol-Version";
/// The body's `method`.
pub const METHOD: &str = "Mcp-Method";
/// The body's `params.name`, `params.uri` or `params.taskId`.
pub const NAME: &str = "Mcp-Name";
/// What precedes the name in a header that mirrors an argument of a tool.
pub const PARAM_PREFIX: &str = "Mcp-Param-";

/// The mirroring headers of one request, as they came.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Headers<'a> {
    /// [`PROTOCOL_VERSION`]
    pub version: Option<&'a str>,
    /// [`METHOD`]
    pub method: Option<&'a str>,
    /// [`NAME`]
    pub name: Option<&'a str>,
    /// Each [`PARAM_PREFIX`] header: what follows the prefix, and the value.
    pub params: Vec<(&'a str, &'a str)>,
    /// One of the first three is there more than once: its first value counts, and [`check`] refuses it.
    repeated: Option<&'static str>,
}

impl<'a> FromIterator<(&'a str, &'a str)> for Headers<'a> {
    /// From all headers of a head, names in any case.
    fn from_iter<T: IntoIterator<Item = (&'a str, &'a str)>>(all: T) -> Headers<'a> {
        let mut headers = Headers::default();
        for (name, value) in all {
            headers.note(name, value);
        }
        headers
    }
}

impl<'a> Headers<'a> {
    fn note(&mut self, name: &'a str, value: &'a str) {
        // Most headers are none of these.
        if !name.get(..4).is_some_and(|start| start.eq_ignore_ascii_case("mcp-")) {
            return;
        }
        if let Some((prefix, name)) = name.split_at_checked(PARAM_PREFIX.len())
            && prefix.eq_ignore_ascii_case(PARAM_PREFIX)
        {
            self.params.push((name, value));
        }
        let slots =
            [(PROTOCOL_VERSION, &mut self.version), (METHOD, &mut self.method), (NAME, &mut self.name)];
        for (known, slot) in slots {
            if name.eq_ignore_ascii_case(known) {
                match slot {
                    Some(_) => self.repeated = Some(known),
                    None => *slot = Some(value),
                }
            }
        }
    }
}

/// Holds the headers of a modern message to its body. A request must have those that mirror it; of a
/// notification, for which the specification says nothing, those that are there must agree.
///
/// `method` and `params` are the message's. Arguments are not looked at: see [`ParamHeader::check`].
///
/// # Errors
/// A header is missing, repeated, malformed or says something else than the body.
pub fn check(headers: &Headers<'_>, message: &Message<'_>, params: &Params<'_>) -> Result<(), HeaderFault> {
    let (method, required) = match message {
        Message::Request { method, .. } => (method, true),
        Message::Notification { method, .. } => (method, false),
        Message::Response { .. } => return Ok(()),
    };
    if let Some(name) = headers.repeated {
        return Err(HeaderFault::Repeated(name.into()));
    }
    let agree = |name: &str, header: Option<&str>, body: Option<&str>| match (header, body) {
        (None, Some(_)) if required => Err(HeaderFault::Missing(name.into())),
        (Some(header), Some(body)) if header != body => Err(HeaderFault::mismatch(name, header)),
        _ => Ok(()),
    };
    let version = params.meta.protocol_version.and_then(string);
    agree(PROTOCOL_VERSION, headers.version, version.as_deref())?;
    agree(METHOD, headers.method, Some(method))?;
    let says = headers.name.map(|value| decode(value).ok_or_else(|| HeaderFault::Malformed(NAME.into())));
    let body = params.header_name(Method::of(method)).and_then(string);
    agree(NAME, says.transpose()?.as_deref(), body.as_deref())
}

/// Headers that do not mirror the body. The client's fault: status 400, code -32020.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum HeaderFault {
    /// The body has what this header must mirror.
    Missing(Box<str>),
    /// This header is there more than once.
    Repeated(Box<str>),
    /// The header holds bytes it may not hold, or what is not Base64 of UTF-8 between the markers.
    Malformed(Box<str>),
    /// The header says something else than the body.
    Mismatch {
        /// The header's name.
        name: Box<str>,
        /// What it says.
        says: Box<str>,
    },
}

impl HeaderFault {
    fn mismatch(name: &str, says: &str) -> HeaderFault {
        HeaderFault::Mismatch { name: name.into(), says: says.into() }
    }

    /// The status of the HTTP response that says it.
    pub const fn status(&self) -> u16 {
        400
    }

    /// The code of the JSON-RPC error that says it.
    pub const fn code(&self) -> i32 {
        code::HEADER_MISMATCH
    }
}

impl fmt::Display for HeaderFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            HeaderFault::Missing(name) => {
                write!(f, "Header mismatch: the body has what {name} must mirror, but it is missing")
            }
            HeaderFault::Repeated(name) => write!(f, "Header mismatch: {name} is repeated; send it once"),
            HeaderFault::Malformed(name) => write!(
                f,
                "Header mismatch: {name} is malformed; send visible ASCII or =?base64?...?= of UTF-8"
            ),
            HeaderFault::Mismatch { name, says } => {
                write!(f, "Header mismatch: {name} says '{says}' and the body does not")
            }
        }
    }
}

impl std::error::Error for HeaderFault {}
