//! Messages in.

use super::{Body, DecodeError, Id, Message};
use crate::json::{Scanner, unquote};

/// The texts of a message's members.
#[derive(Default)]
struct Members<'a> {
    jsonrpc: Option<&'a str>,
    id: Option<&'a str>,
    method: Option<&'a str>,
    params: Option<&'a str>,
    result: Option<&'a str>,
    error: Option<&'a str>,
}

/// Reads one message. Keys that JSON-RPC does not know are ignored; those it knows may be there once,
/// so that no one further on can read another message than was judged here.
pub fn decode(text: &str) -> Result<Message<'_>, DecodeError> {
    let members = members(text)?;
    if members.jsonrpc.and_then(unquote).as_deref() != Some("2.0") {
        return Err(DecodeError::Version);
    }
    match (members.method, members.result, members.error) {
        (Some(method), None, None) => call(method, members.id, members.params),
        (None, Some(result), None) => {
            let id = members.id.and_then(Id::from_json).ok_or(DecodeError::Id)?;
            Ok(Message::Response { id: Some(id), body: Body::Result(result) })
        }
        (None, None, Some(error)) => {
            let id = match members.id {
                None | Some("null") => None,
                Some(id) => Some(Id::from_json(id).ok_or(DecodeError::Id)?),
            };
            if !error.starts_with('{') {
                return Err(DecodeError::Error);
            }
            Ok(Message::Response { id, body: Body::Error(error) })
        }
        _ => Err(DecodeError::Shape),
    }
}

/// A request, or without `id` a notification.
fn call<'a>(
    method: &'a str,
    id: Option<&'a str>,
    params: Option<&'a str>,
) -> Result<Message<'a>, DecodeError> {
    let method = unquote(method).ok_or(DecodeError::Method)?;
    if params.is_some_and(|params| !params.starts_with(['{', '['])) {
        return Err(DecodeError::Params);
    }
    match id {
        None => Ok(Message::Notification { method, params }),
        Some(id) => {
            let id = Id::from_json(id).ok_or(DecodeError::Id)?;
            Ok(Message::Request { id, method, params })
        }
    }
}

fn members(text: &str) -> Result<Members<'_>, DecodeError> {
    let mut scanner = Scanner::new(text);
    if !scanner.open(b'{') {
        return Err(no_object(scanner));
    }
    let mut members = Members::default();
    while let Some(key) = scanner.next_member()? {
        let value = scanner.value()?;
        let (key, slot) = match key.as_ref() {
            "jsonrpc" => ("jsonrpc", &mut members.jsonrpc),
            "id" => ("id", &mut members.id),
            "method" => ("method", &mut members.method),
            "params" => ("params", &mut members.params),
            "result" => ("result", &mut members.result),
            "error" => ("error", &mut members.error),
            _ => continue,
        };
        if slot.replace(value).is_some() {
            return Err(DecodeError::Duplicate(key));
        }
    }
    scanner.finish()?;
    Ok(members)
}

/// What is wrong with a text that does not begin as an object: code -32700 wants it not to be JSON.
fn no_object(mut scanner: Scanner<'_>) -> DecodeError {
    match scanner.value().and_then(|value| scanner.finish().map(|()| value)) {
        Err(fault) => DecodeError::Json(fault),
        Ok(value) if value.starts_with('[') => DecodeError::Batch,
        Ok(_) => DecodeError::NotObject,
    }
}
