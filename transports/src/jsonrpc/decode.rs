//! Messages in.

use super::{Body, DecodeError, Id, Message, Refused};
use crate::json::{Fault, Raw, Scanner};

/// What every message says, as nearly all of them write it, and where in it the value begins.
const VERSION: &str = r#""jsonrpc":"2.0""#;
const VERSION_VALUE: usize = 10;

/// A member that is read.
#[derive(Clone, Copy)]
enum Key {
    Jsonrpc,
    Id,
    Method,
    Params,
    Result,
    Error,
}

impl Key {
    /// The most frequent first.
    const ALL: [Key; 6] = [Key::Id, Key::Method, Key::Params, Key::Result, Key::Error, Key::Jsonrpc];

    /// As nearly everybody writes it.
    #[inline(always)]
    const fn usual(self) -> &'static str {
        match self {
            Key::Jsonrpc => r#""jsonrpc":"#,
            Key::Id => r#""id":"#,
            Key::Method => r#""method":"#,
            Key::Params => r#""params":"#,
            Key::Result => r#""result":"#,
            Key::Error => r#""error":"#,
        }
    }

    /// What stands between the quotes.
    fn name(self) -> &'static str {
        self.usual().trim_matches(['"', ':'])
    }

    /// The one that is due; `None`: one that is not read.
    #[inline(always)]
    fn read(scanner: &mut Scanner<'_>) -> Result<Option<Key>, Fault> {
        for key in Key::ALL {
            if scanner.usual_key(key.usual()) {
                return Ok(Some(key));
            }
        }
        let written = scanner.key()?;
        Ok(Key::ALL.into_iter().find(|key| key.name() == written))
    }
}

/// The texts of a message's members.
#[derive(Default)]
struct Members<'a> {
    jsonrpc: Option<Raw<'a>>,
    id: Option<Raw<'a>>,
    method: Option<Raw<'a>>,
    params: Option<Raw<'a>>,
    result: Option<Raw<'a>>,
    error: Option<Raw<'a>>,
}

/// Reads one message. Keys that JSON-RPC does not know are ignored; those it knows may be there once,
/// so that no one further on can read another message than was judged here.
///
/// # Errors
/// What is wrong, and the id to answer it with where the text has one.
pub fn decode(text: &str) -> Result<Message<'_>, Refused<'_>> {
    let mut members = Members::default();
    members.read(text).map_err(|error| Refused { error, id: None })?;
    let id = members.id.and_then(id);
    message(&members, id).map_err(|error| Refused { error, id })
}

/// The id that a value is, if it can be one.
fn id(raw: Raw<'_>) -> Option<Id<'_>> {
    if raw.is_integer() { Some(Id(raw.text())) } else { Id::from_json(raw.text()) }
}

/// `id` is that of the members, if it can be one.
fn message<'a>(members: &Members<'a>, id: Option<Id<'a>>) -> Result<Message<'a>, DecodeError> {
    if !members.jsonrpc.is_some_and(|version| version.says("2.0")) {
        return Err(DecodeError::Version);
    }
    match (members.method, members.result, members.error) {
        (Some(method), None, None) => call(method, members.id.map(|_| id), members.params),
        (None, Some(result), None) => {
            let id = id.ok_or(DecodeError::Id)?;
            Ok(Message::Response { id: Some(id), body: Body::Result(result.text()) })
        }
        (None, None, Some(error)) => {
            let id = match members.id.map(Raw::text) {
                None | Some("null") => None,
                Some(_) => Some(id.ok_or(DecodeError::Id)?),
            };
            if !error.text().starts_with('{') {
                return Err(DecodeError::Error);
            }
            Ok(Message::Response { id, body: Body::Error(error.text()) })
        }
        _ => Err(DecodeError::Shape),
    }
}

/// A request, or without a member `id` a notification.
fn call<'a>(
    method: Raw<'a>,
    id: Option<Option<Id<'a>>>,
    params: Option<Raw<'a>>,
) -> Result<Message<'a>, DecodeError> {
    let method = method.string().ok_or(DecodeError::Method)?;
    let params = params.map(Raw::text);
    if params.is_some_and(|params| !params.starts_with(['{', '['])) {
        return Err(DecodeError::Params);
    }
    match id {
        None => Ok(Message::Notification { method, params }),
        Some(id) => Ok(Message::Request { id: id.ok_or(DecodeError::Id)?, method, params }),
    }
}

impl<'a> Members<'a> {
    #[inline(always)]
    fn slot(&mut self, key: Key) -> &mut Option<Raw<'a>> {
        match key {
            Key::Jsonrpc => &mut self.jsonrpc,
            Key::Id => &mut self.id,
            Key::Method => &mut self.method,
            Key::Params => &mut self.params,
            Key::Result => &mut self.result,
            Key::Error => &mut self.error,
        }
    }

    /// Finds them in a text.
    #[inline(always)]
    fn read(&mut self, text: &'a str) -> Result<(), DecodeError> {
        let mut scanner = Scanner::new(text);
        if !scanner.open(b'{') {
            return Err(no_object(scanner));
        }
        while scanner.next_key()? {
            let (key, value) = match scanner.usual_member(VERSION, VERSION_VALUE) {
                Some(version) => (Some(Key::Jsonrpc), version),
                None => (Key::read(&mut scanner)?, scanner.value()?),
            };
            let Some(key) = key else { continue };
            let slot = self.slot(key);
            if slot.is_some() {
                return Err(DecodeError::Duplicate(key.name()));
            }
            *slot = Some(value);
        }
        Ok(scanner.finish()?)
    }
}

/// What is wrong with a text that does not begin as an object: code -32700 wants it not to be JSON.
fn no_object(mut scanner: Scanner<'_>) -> DecodeError {
    match scanner.value().and_then(|value| scanner.finish().map(|()| value)) {
        Err(fault) => DecodeError::Json(fault),
        Ok(value) if value.text().starts_with('[') => DecodeError::Batch,
        Ok(_) => DecodeError::NotObject,
    }
}
