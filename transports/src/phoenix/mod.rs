//! Phoenix Channels as phoenix.js 1.8 speaks them: serializer 2.0.0 (arrays and binary frames) and
//! 1.0.0 (objects). Frames in and frames out; what they mean is the shard's business.

pub mod binary;
pub mod client;
mod decode;
mod encode;
mod error;
pub mod longpoll;

use std::borrow::Cow;
use std::fmt;

pub use decode::{decode_binary, decode_text};
pub use encode::{close, error, push, reply};
pub use error::{DecodeError, Field};

/// The serializer a socket speaks, fixed when it connects.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Version {
    /// 1.0.0: objects, text only.
    V1,
    /// 2.0.0: arrays, and binary frames.
    V2,
}

impl Version {
    /// From the query parameter `vsn`: any `1.x` or `2.x`. Without one Phoenix assumes 1.0.0.
    pub fn from_vsn(vsn: Option<&str>) -> Result<Version, UnknownVersion> {
        let Some(vsn) = vsn else { return Ok(Version::V1) };
        let (major, minor) = vsn.split_once('.').ok_or(UnknownVersion)?;
        let numeric = |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
        match major {
            "1" if minor.split('.').all(numeric) => Ok(Version::V1),
            "2" if minor.split('.').all(numeric) => Ok(Version::V2),
            _ => Err(UnknownVersion),
        }
    }
}

/// The client asked for a serializer that is not spoken here. Phoenix answers the upgrade with 403.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UnknownVersion;

impl fmt::Display for UnknownVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("unknown serializer version: connect with vsn=2.0.0 or vsn=1.0.0")
    }
}

impl std::error::Error for UnknownVersion {}

/// One frame, either way. Strings are borrowed unless they held escapes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Frame<'a> {
    /// The `ref` of the join that this frame belongs to.
    pub join_ref: Option<Cow<'a, str>>,
    /// Names a push so that its reply finds it.
    pub reference: Option<Cow<'a, str>>,
    /// The channel, or `phoenix` for heartbeats.
    pub topic: Cow<'a, str>,
    /// `phx_join`, `phx_leave`, `heartbeat` or the application's own.
    pub event: Cow<'a, str>,
    /// What is said.
    pub payload: Payload<'a>,
}

/// A frame's payload, untouched.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Payload<'a> {
    /// The text of one valid JSON value of any type.
    Json(&'a str),
    /// Opaque bytes.
    Binary(&'a [u8]),
}

/// How a push went, in its reply.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Status {
    /// `ok`.
    Ok,
    /// `error`.
    Error,
}

impl Status {
    /// As it stands in a frame.
    pub const fn as_str(self) -> &'static str {
        match self {
            Status::Ok => "ok",
            Status::Error => "error",
        }
    }
}
