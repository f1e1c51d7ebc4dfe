//! Frames from a client.

use std::borrow::Cow;

use super::{DecodeError, Field, Frame, Payload, Version};
use crate::json::{Raw, Scanner};

/// Reads the text frame of a client that speaks `version`.
///
/// 2.0.0: an array of `join_ref, ref, topic, event, payload`; further elements are ignored, as Phoenix
/// does. 1.0.0: an object with `topic`, `event`, `payload` and `ref`, perhaps `join_ref`; other keys
/// are ignored. References are strings or null; a number counts as its text.
pub fn decode_text(version: Version, text: &str) -> Result<Frame<'_>, DecodeError> {
    match version {
        Version::V1 => object(text),
        Version::V2 => array(text).map(|(frame, _)| frame),
    }
}

/// Reads an array frame; the second value is its sixth element, if any.
pub(super) fn array(text: &str) -> Result<(Frame<'_>, Option<&str>), DecodeError> {
    let mut scanner = Scanner::new(text);
    if !scanner.open(b'[') {
        return Err(DecodeError::NotArray);
    }
    let frame = Frame {
        join_ref: reference(Field::JoinRef, element(&mut scanner, Field::JoinRef)?)?,
        reference: reference(Field::Ref, element(&mut scanner, Field::Ref)?)?,
        topic: string(Field::Topic, element(&mut scanner, Field::Topic)?)?,
        event: string(Field::Event, element(&mut scanner, Field::Event)?)?,
        payload: Payload::Json(element(&mut scanner, Field::Payload)?.text()),
    };
    let mut sixth = None;
    while scanner.next_element()? {
        let value = scanner.value()?.text();
        sixth.get_or_insert(value);
    }
    scanner.finish()?;
    Ok((frame, sixth))
}

/// The next element, which is `field`. Inlined, with all that hands on a `Raw`, as in `json`.
#[inline(always)]
fn element<'a>(scanner: &mut Scanner<'a>, field: Field) -> Result<Raw<'a>, DecodeError> {
    if scanner.next_element()? { Ok(scanner.value()?) } else { Err(DecodeError::Missing(field)) }
}

/// Reads an object frame.
fn object(text: &str) -> Result<Frame<'_>, DecodeError> {
    let mut scanner = Scanner::new(text);
    if !scanner.open(b'{') {
        return Err(DecodeError::NotObject);
    }
    let (mut join_ref, mut reference_text, mut topic, mut event, mut payload) =
        (None, None, None, None, None);
    while let Some(key) = scanner.next_member()? {
        let value = scanner.value()?;
        let (field, slot) = match key.as_ref() {
            "join_ref" => (Field::JoinRef, &mut join_ref),
            "ref" => (Field::Ref, &mut reference_text),
            "topic" => (Field::Topic, &mut topic),
            "event" => (Field::Event, &mut event),
            "payload" => (Field::Payload, &mut payload),
            _ => continue,
        };
        if slot.replace(value).is_some() {
            return Err(DecodeError::Duplicate(field));
        }
    }
    scanner.finish()?;
    Ok(Frame {
        join_ref: join_ref.map_or(Ok(None), |value| reference(Field::JoinRef, value))?,
        reference: reference(Field::Ref, required(Field::Ref, reference_text)?)?,
        topic: string(Field::Topic, required(Field::Topic, topic)?)?,
        event: string(Field::Event, required(Field::Event, event)?)?,
        payload: Payload::Json(required(Field::Payload, payload)?.text()),
    })
}

fn required(field: Field, value: Option<Raw<'_>>) -> Result<Raw<'_>, DecodeError> {
    value.ok_or(DecodeError::Missing(field))
}

/// A reference: a string, null, or a number as its text.
#[inline(always)]
fn reference(field: Field, value: Raw<'_>) -> Result<Option<Cow<'_, str>>, DecodeError> {
    match value.text().as_bytes() {
        b"null" => Ok(None),
        [b'-' | b'0'..=b'9', ..] => Ok(Some(Cow::Borrowed(value.text()))),
        _ => string(field, value).map(Some),
    }
}

#[inline(always)]
fn string(field: Field, value: Raw<'_>) -> Result<Cow<'_, str>, DecodeError> {
    value.string().ok_or(DecodeError::Type(field))
}

/// Reads the binary frame of a client that speaks 2.0.0: kind 0, the sizes of `join_ref`, `ref`,
/// `topic` and `event` in a byte each, these four, then the payload. A reference of no bytes is null.
pub fn decode_binary(bytes: &[u8]) -> Result<Frame<'_>, DecodeError> {
    const HEAD: usize = 5;
    let truncated = |needed| DecodeError::Truncated { needed, len: bytes.len() };
    let &kind = bytes.first().ok_or(truncated(HEAD))?;
    if kind != 0 {
        return Err(DecodeError::Kind(kind));
    }
    let (head, mut rest) = bytes.split_first_chunk::<HEAD>().ok_or(truncated(HEAD))?;
    let needed = HEAD + head.iter().map(|&size| usize::from(size)).sum::<usize>();
    let mut take = |field, size: u8| {
        let (taken, after) = rest.split_at_checked(size.into()).ok_or(truncated(needed))?;
        rest = after;
        str::from_utf8(taken).map(Cow::Borrowed).map_err(|_| DecodeError::NotUtf8(field))
    };
    let [_, join_ref, reference, topic, event] = *head;
    Ok(Frame {
        join_ref: Some(take(Field::JoinRef, join_ref)?).filter(|name| !name.is_empty()),
        reference: Some(take(Field::Ref, reference)?).filter(|name| !name.is_empty()),
        topic: take(Field::Topic, topic)?,
        event: take(Field::Event, event)?,
        payload: Payload::Binary(rest),
    })
}
