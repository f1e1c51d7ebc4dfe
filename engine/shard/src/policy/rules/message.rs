//! Messages, as rules see them.

use std::borrow::Cow;
use std::collections::BTreeMap;

use regex::Regex;
use serde::Deserialize;
use serde_json::value::RawValue;

/// The event whose payload says type and data, as an envelope does.
const ENVELOPED: &str = "message";

/// One message.
#[derive(Clone, Copy, Debug)]
pub enum Message<'a> {
    /// An event of a client with a JSON payload.
    Event { event: &'a str, payload: &'a str },
    /// An event of a client with bytes of any kind, which nobody reads.
    Binary { event: &'a str, payload: &'a [u8] },
    /// What is published as a type and JSON data.
    Envelope { kind: &'a str, data: &'a str },
    /// The parameters of an MCP request, and what of them is data: the arguments where there are some.
    Call { params: &'a str, data: &'a str },
}

impl<'a> Message<'a> {
    /// What it is called: the type in the payload of an event `message`, else the event's name; nothing if it is MCP's.
    pub fn kind(&self) -> Cow<'a, str> {
        self.envelope().0
    }

    /// Its type, and its data as JSON; none of bytes. Rules mean the same whichever way a message comes.
    pub(super) fn envelope(&self) -> (Cow<'a, str>, Option<&'a str>) {
        #[derive(Deserialize)]
        struct Enveloped<'a> {
            #[serde(borrow, rename = "type")]
            kind: Cow<'a, str>,
            #[serde(borrow)]
            data: Option<&'a RawValue>,
        }
        match *self {
            Message::Envelope { kind, data } => (kind.into(), Some(data)),
            Message::Call { data, .. } => ("".into(), Some(data)),
            Message::Binary { event, .. } => (event.into(), None),
            Message::Event { event, payload } if event == ENVELOPED => {
                match serde_json::from_str::<Enveloped<'a>>(payload) {
                    Ok(Enveloped { kind, data }) => (kind, data.map(RawValue::get)),
                    Err(_) => (event.into(), Some(payload)),
                }
            }
            Message::Event { event, payload } => (event.into(), Some(payload)),
        }
    }

    /// What of it is text that somebody may show.
    pub(super) fn texts(&self) -> impl Iterator<Item = &'a str> {
        let (name, text) = match *self {
            Message::Event { event, payload } => (event, payload),
            Message::Binary { event, .. } => (event, ""),
            Message::Envelope { kind, data } => (kind, data),
            Message::Call { params, .. } => ("", params),
        };
        [text, name].into_iter()
    }

    pub(super) fn payload_bytes(&self) -> usize {
        match self {
            Message::Event { payload, .. } => payload.len(),
            Message::Binary { payload, .. } => payload.len(),
            Message::Envelope { data, .. } => data.len(),
            Message::Call { params, .. } => params.len(),
        }
    }

    /// Whether a pattern is in its JSON, where characters are not written as `\u`.
    pub(super) fn matches(&self, pattern: &Regex) -> bool {
        match self {
            Message::Event { payload: text, .. }
            | Message::Envelope { data: text, .. }
            | Message::Call { params: text, .. } => pattern.is_match(&readable(text)),
            Message::Binary { .. } => false,
        }
    }
}

/// Whether JSON has a field that is not null; each dot of `path` leads into an object.
pub(super) fn has_field(json: &str, path: &str) -> bool {
    let mut value = json;
    for name in path.split('.') {
        let Ok(members) = serde_json::from_str::<BTreeMap<String, &RawValue>>(value) else { return false };
        let Some(member) = members.get(name) else { return false };
        value = member.get();
    }
    value != "null"
}

/// JSON with the characters that stand in it as `\u` escapes; other escapes stay, and with them the JSON.
fn readable(json: &str) -> Cow<'_, str> {
    if !json.contains("\\u") {
        return Cow::Borrowed(json);
    }
    let mut out = String::with_capacity(json.len());
    let mut rest = json;
    while let Some(at) = rest.find('\\') {
        let (plain, escape) = rest.split_at(at);
        out.push_str(plain);
        rest = match character(escape) {
            Some((character, rest)) => {
                out.push(character);
                rest
            }
            // Both together: a backslash that is escaped escapes nothing.
            None => {
                let (escape, rest) = escape.split_at_checked(2).unwrap_or((escape, ""));
                out.push_str(escape);
                rest
            }
        };
    }
    out.push_str(rest);
    Cow::Owned(out)
}

/// The character of the `\u` escape, or pair of them, that `escape` begins with, and what follows it.
fn character(escape: &str) -> Option<(char, &str)> {
    let (first, rest) = unit(escape)?;
    let alone = char::decode_utf16([first]).next()?.ok();
    if let Some(character) = alone {
        // Quotes and backslashes would end what they are in.
        return Some((character, rest)).filter(|_| !matches!(character, '"' | '\\'));
    }
    let (second, rest) = unit(rest)?;
    Some((char::decode_utf16([first, second]).next()?.ok()?, rest))
}

fn unit(escape: &str) -> Option<(u16, &str)> {
    let (digits, rest) = escape.strip_prefix("\\u")?.split_at_checked(4)?;
    Some((u16::from_str_radix(digits, 16).ok()?, rest))
}
