//! Which era a message belongs to (versioning, Backward Compatibility with Initialization-Based Versions).

use std::fmt;

use crate::jsonrpc::Message;
use crate::mcp::object::{string, write_str};
use crate::mcp::{Era, Meta, Method, SUPPORTED, Version, code, key};

/// A message that belongs to no era that is spoken. The client's fault.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum EraFault {
    /// No such revision is spoken.
    UnsupportedVersion(Box<str>),
    /// A request of 2026-07-28 must have this key in its `_meta`.
    MissingMeta(&'static str),
    /// Neither does it say of itself what 2026-07-28 wants, nor does it name a session, nor open one.
    NoSession,
}

/// The era of one message of a client.
///
/// `version` is the header `MCP-Protocol-Version`, `session` whether the message comes with a session: in
/// `Mcp-Session-Id` or by what carries it. Modern is what names a modern revision in its header or in its
/// `_meta`, whatever its method. Of the rest, the version is the header's and counts for no more than the
/// session's own, which `initialize` agreed on; without header 2025-03-26 (2025-11-25, Protocol Version
/// Header).
///
/// # Errors
/// See [`EraFault`]. A header that disagrees with the body is not looked for: [`super::check`] does.
pub fn era(
    version: Option<&str>,
    session: bool,
    message: &Message<'_>,
    meta: &Meta<'_>,
) -> Result<Era, EraFault> {
    let header = version.map(supported).transpose()?;
    let body = meta.protocol_version.and_then(string).filter(|body| Some(&**body) != version);
    // Before a header, a revision in the body that nobody speaks is a header that disagrees.
    let body = match (body, header) {
        (Some(body), None) => Some(supported(&body)?),
        (Some(body), Some(_)) => Version::parse(&body).or(Some(Version::V2026_07_28)),
        (None, _) => None,
    };
    let legacy = Era::Legacy(header.unwrap_or(Version::V2025_03_26));
    let modern = [header, body].into_iter().flatten().any(Version::is_modern);
    match message {
        Message::Request { .. } if modern => envelope(meta),
        _ if modern => Ok(Era::Modern),
        Message::Request { method, .. } if Method::of(method) == Method::Initialize => Ok(legacy),
        _ if session => Ok(legacy),
        _ => Err(EraFault::NoSession),
    }
}

fn supported(version: &str) -> Result<Version, EraFault> {
    Version::parse(version).ok_or_else(|| EraFault::UnsupportedVersion(version.into()))
}

/// What each request of 2026-07-28 must say of itself (basic/index, Per-request protocol fields).
fn envelope(meta: &Meta<'_>) -> Result<Era, EraFault> {
    let required = [
        (key::PROTOCOL_VERSION, meta.protocol_version),
        (key::CLIENT_CAPABILITIES, meta.client_capabilities),
    ];
    match required.into_iter().find(|(_, value)| value.is_none()) {
        Some((key, _)) => Err(EraFault::MissingMeta(key)),
        None => Ok(Era::Modern),
    }
}

impl EraFault {
    /// The status of the HTTP response that says it.
    pub const fn status(&self) -> u16 {
        400
    }

    /// The code of the JSON-RPC error that says it.
    pub const fn code(&self) -> i32 {
        match self {
            EraFault::UnsupportedVersion(_) => code::UNSUPPORTED_PROTOCOL_VERSION,
            EraFault::MissingMeta(_) => code::INVALID_PARAMS,
            EraFault::NoSession => code::INVALID_REQUEST,
        }
    }

    /// The `data` of the JSON-RPC error that says it: the text of a JSON value.
    pub fn data(&self) -> Option<Vec<u8>> {
        match self {
            EraFault::UnsupportedVersion(requested) => {
                let mut data = b"{\"supported\":[".to_vec();
                for (place, version) in SUPPORTED.into_iter().enumerate() {
                    if place > 0 {
                        data.push(b',');
                    }
                    write_str(&mut data, version.as_str());
                }
                data.extend_from_slice(b"],\"requested\":");
                write_str(&mut data, requested);
                data.push(b'}');
                Some(data)
            }
            EraFault::MissingMeta(_) | EraFault::NoSession => None,
        }
    }
}

impl fmt::Display for EraFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            EraFault::UnsupportedVersion(_) => f.write_str("Unsupported protocol version"),
            EraFault::MissingMeta(key) => write!(f, "params._meta must have {key}"),
            EraFault::NoSession => f.write_str(
                "no session: send initialize first and its Mcp-Session-Id with each request, \
                 or what 2026-07-28 wants in params._meta",
            ),
        }
    }
}

impl std::error::Error for EraFault {}
