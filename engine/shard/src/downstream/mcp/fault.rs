//! Refusals of HTTP requests, with JSON-RPC errors as their bodies.

use std::borrow::Cow;

use weir_ring::token::Token;
use weir_transports::http1::response;
use weir_transports::json;
use weir_transports::jsonrpc::{DecodeError, Id, Refused};
use weir_transports::mcp::code;

use crate::downstream::exchange::Outcome;
use crate::downstream::reply::Terms;
use crate::error::Error;
use crate::turn::{Cx, Shard};

/// What servers of the official SDKs call everything that HTTP has a status for. A code of the range that
/// older revisions leave to servers.
const BAD_REQUEST: i32 = -32000;

/// Their code for a session that is not there.
const SESSION_NOT_FOUND: i32 = -32001;

/// Why an HTTP request is refused.
#[derive(Debug)]
pub(crate) struct Fault<'a> {
    /// Of the response.
    pub(crate) status: u16,
    /// Of the error.
    pub(crate) code: i32,
    /// What is wrong and what to do.
    pub(crate) message: Cow<'static, str>,
    /// More of it: a JSON value.
    pub(crate) data: Option<Vec<u8>>,
    /// The request's, where one could be read.
    pub(crate) id: Option<Id<'a>>,
    /// The error of the table that it is, if it is one.
    pub(crate) error: Option<Error>,
}

impl<'a> Fault<'a> {
    /// A fault of an HTTP request as such.
    pub(crate) fn http(status: u16, message: impl Into<Cow<'static, str>>) -> Fault<'a> {
        Fault { status, code: BAD_REQUEST, message: message.into(), data: None, id: None, error: None }
    }

    /// A body that is no message, or none that belongs here.
    pub(crate) fn invalid(message: impl Into<Cow<'static, str>>) -> Fault<'a> {
        Fault { code: code::INVALID_REQUEST, ..Fault::http(400, message) }
    }

    /// No session of this id, or none any more.
    pub(crate) fn no_session() -> Fault<'a> {
        let message = "There is no such session, or it has ended; initialize a new one.";
        Fault { code: SESSION_NOT_FOUND, ..Fault::http(404, message) }
    }

    /// A text that is not JSON-RPC.
    pub(crate) fn undecodable(refused: Refused<'a>) -> Fault<'a> {
        let Refused { error, id } = refused;
        let message = match error {
            DecodeError::Json(_) => format!("The body is not JSON: {error}."),
            _ => format!("The body is no JSON-RPC message: {error}."),
        };
        Fault { code: error.code(), id, ..Fault::http(400, message) }
    }

    /// An error of the table. Its code lies outside of the ranges that JSON-RPC and MCP reserve: the status.
    pub(crate) fn of(error: &Error, id: Option<Id<'a>>) -> Fault<'a> {
        let status = error.http_status();
        let code = if status == 400 { code::INVALID_PARAMS } else { i32::from(status) };
        let mut data = Vec::new();
        error.write_json(&mut data);
        let message = error.message().into_owned().into();
        Fault { status, code, message, data: Some(data), id, error: Some(error.clone()) }
    }

    /// With the request's id.
    pub(crate) fn to(self, id: Option<Id<'a>>) -> Fault<'a> {
        Fault { id, ..self }
    }

    /// Appends the error. One that answers no message has no id (MCP, basic/transports).
    pub(crate) fn write(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(b"{\"jsonrpc\":\"2.0\",");
        if let Some(id) = self.id {
            out.extend_from_slice(b"\"id\":");
            out.extend_from_slice(id.as_json().as_bytes());
            out.push(b',');
        }
        out.extend_from_slice(b"\"error\":{\"code\":");
        out.extend_from_slice(itoa::Buffer::new().format(self.code).as_bytes());
        out.extend_from_slice(b",\"message\":");
        json::write_str(out, &self.message);
        if let Some(data) = &self.data {
            out.extend_from_slice(b",\"data\":");
            out.extend_from_slice(data);
        }
        out.extend_from_slice(b"}}");
    }
}

impl Shard {
    /// Answers with a fault, and goes on where the connection may.
    pub(crate) fn refuse_mcp(
        &mut self,
        token: Token,
        fault: &Fault<'_>,
        terms: Terms,
        cx: &mut Cx<'_>,
    ) -> Outcome {
        self.stats.http_requests += 1;
        let mut body = Vec::new();
        fault.write(&mut body);
        let mut own = vec![("Content-Type", "application/json")];
        let error = fault.error.as_ref();
        if let Some(error) = error {
            self.stats.refuse(error);
        }
        let retry_after = error.and_then(Error::retry_after_seconds).map(|seconds| seconds.to_string());
        own.extend(retry_after.as_deref().map(|seconds| ("Retry-After", seconds)));
        let challenge = error.and_then(|error| self.challenge(error));
        own.extend(challenge.as_deref().map(|challenge| ("WWW-Authenticate", challenge)));
        if fault.status == 405 {
            own.push(("Allow", "GET, POST, DELETE"));
        }
        self.put_head(token, &own, &terms, cx, |out, headers| {
            response::write(out, fault.status, headers, &body, terms.keep_alive);
        });
        if terms.keep_alive {
            return Outcome::Done;
        }
        self.finish(token, cx);
        Outcome::Gone
    }
}
