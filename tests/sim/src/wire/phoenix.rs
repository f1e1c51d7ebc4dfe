//! Phoenix Channels frames, version 1 (objects) and 2 (arrays), and what Weir puts into them.

use std::rc::Rc;

use base64::Engine;
use serde::Deserialize;
use serde_json::value::RawValue;

use crate::history::{self, Attachment, Delivery, History};
use crate::place::{Lane, Place, Position};
use crate::text::Text;

/// A frame from the server, in either version.
#[derive(Debug)]
pub struct Frame<'a> {
    /// `None` in version 1, which does not carry it.
    pub join_ref: Option<Option<u64>>,
    /// `null` on pushes.
    pub reference: Option<u64>,
    /// Topic.
    pub topic: String,
    /// Event.
    pub event: String,
    /// Payload, byte for byte.
    pub payload: &'a RawValue,
    /// Sixth element of version 2, `meta` of version 1.
    pub meta: Option<Meta>,
}

/// Where a client's own event stands in its topic.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Meta {
    /// Place in the stream.
    pub sequence: u64,
    /// Life of the stream.
    pub epoch: String,
    /// RFC 3339.
    pub timestamp: String,
}

/// Version 1 on the wire.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ObjectFrame<'a> {
    topic: String,
    event: String,
    #[serde(borrow)]
    payload: &'a RawValue,
    #[serde(rename = "ref")]
    reference: Option<String>,
    meta: Option<Meta>,
}

/// A message for a client.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Envelope<'a> {
    id: String,
    #[serde(rename = "type")]
    kind: String,
    sequence: u64,
    epoch: String,
    timestamp: String,
    lane: Option<&'a str>,
    #[serde(default)]
    redelivery: bool,
    #[serde(borrow)]
    data: &'a RawValue,
}

/// What a join reply's `response` and the `connected` event say.
#[derive(Debug, Deserialize)]
pub struct Joined {
    /// Whose stream it is.
    pub client_id: Option<String>,
    /// Life of the stream.
    pub epoch: String,
    /// Where it goes on.
    pub sequence: u64,
    /// The same for all lanes, of a client's own stream.
    pub cursor: Option<String>,
    /// Nothing is lost since the cursor.
    pub recovered: bool,
    /// With it another connection may take this one's place.
    pub recovery_token: Option<String>,
}

impl Joined {
    /// What it says, if it does not contradict itself.
    pub fn attachment(&self, history: &mut History) -> Result<Attachment, String> {
        let normal = Place::normal(history.epoch(&self.epoch), self.sequence);
        let place = self.cursor.as_deref().map_or(Ok(normal), |cursor| Place::read(cursor, history))?;
        if (place.epoch, place.at(Lane::Normal)) != (normal.epoch, self.sequence) {
            return Err(format!("{self:?} names two places"));
        }
        Ok(Attachment { place, recovered: self.recovered })
    }
}

/// A `gap`.
#[derive(Debug, Deserialize)]
pub struct Gap {
    /// Life of the stream.
    pub epoch: String,
    /// First number lost.
    pub from: u64,
    /// Last number lost.
    pub to: u64,
    /// Which lane, unless it is the normal one.
    pub lane: Option<String>,
    /// Why.
    pub reason: String,
}

impl Gap {
    /// What it says.
    pub fn told(self, history: &mut History) -> Result<history::Gap, String> {
        let (epoch, lane) = (history.epoch(&self.epoch), Lane::named(self.lane.as_deref())?);
        Ok(history::Gap { epoch, lane, from: self.from, to: self.to, reason: self.reason })
    }
}

/// A reply's payload.
#[derive(Debug, Deserialize)]
pub struct Reply<'a> {
    /// `ok` or `error`.
    pub status: String,
    /// Depends on the question.
    #[serde(borrow)]
    pub response: &'a RawValue,
}

/// What a publisher is told.
#[derive(Debug, Deserialize)]
pub struct Receipt {
    /// Life of the stream.
    pub epoch: String,
    /// Place in the stream.
    pub sequence: u64,
    /// Which lane, unless it is the normal one.
    pub lane: Option<String>,
}

impl Receipt {
    /// Where the message stands.
    pub fn position(&self, history: &mut History) -> Result<Position, String> {
        let lane = Lane::named(self.lane.as_deref())?;
        Ok(Position { epoch: history.epoch(&self.epoch), lane, sequence: self.sequence })
    }
}

impl<'a> Frame<'a> {
    /// Reads a text frame; the version shows in its first byte.
    pub fn parse(text: &'a [u8]) -> Result<Frame<'a>, String> {
        let shown = || String::from_utf8_lossy(text).into_owned();
        if text.first() == Some(&b'{') {
            let frame: ObjectFrame<'a> =
                serde_json::from_slice(text).map_err(|e| format!("V1 frame {}: {e}", shown()))?;
            let reference = reference(frame.reference)?;
            let ObjectFrame { topic, event, payload, meta, .. } = frame;
            return Ok(Frame { join_ref: None, reference, topic, event, payload, meta });
        }
        let parts: Vec<&RawValue> =
            serde_json::from_slice(text).map_err(|e| format!("V2 frame {}: {e}", shown()))?;
        let [join_ref, answered, topic, event, payload, meta @ ..] = parts.as_slice() else {
            return Err(format!("V2 frame {} has {} elements", shown(), parts.len()));
        };
        if meta.len() > 1 {
            return Err(format!("V2 frame {} has {} elements", shown(), parts.len()));
        }
        Ok(Frame {
            join_ref: Some(reference(json(join_ref)?)?),
            reference: reference(json(answered)?)?,
            topic: json(topic)?,
            event: json(event)?,
            payload,
            meta: meta.first().map(|meta| json(meta)).transpose()?,
        })
    }
}

/// Reads a JSON value as a `T`.
pub fn json<'a, T: Deserialize<'a>>(raw: &'a RawValue) -> Result<T, String> {
    serde_json::from_str(raw.get()).map_err(|e| format!("{raw}: {e}"))
}

/// References here are numbers; a string that is none was made up by the server.
fn reference(text: Option<String>) -> Result<Option<u64>, String> {
    text.map(|text| text.parse().map_err(|_| format!("reference {text:?} was never used"))).transpose()
}

/// Several envelopes in one message.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Bundle<'a> {
    #[serde(rename = "type")]
    kind: &'a str,
    #[serde(borrow)]
    data: Vec<&'a RawValue>,
}

/// The envelopes of a message: one, or those of a bundle.
pub fn envelopes(raw: &str, history: &mut History) -> Result<Vec<(Position, Delivery)>, String> {
    if !raw.starts_with(r#"{"type":"bundle""#) {
        return Ok(vec![envelope(raw, history)?]);
    }
    let bundle: Bundle<'_> = serde_json::from_str(raw).map_err(|e| format!("bundle {raw}: {e}"))?;
    if bundle.kind != "bundle" || bundle.data.is_empty() {
        return Err(format!("bundle {raw}"));
    }
    bundle.data.iter().map(|one| envelope(one.get(), history)).collect()
}

/// Where an envelope says that it stands, and the rest; its `id` must say the same.
fn envelope(raw: &str, history: &mut History) -> Result<(Position, Delivery), String> {
    let it: Envelope<'_> = serde_json::from_str(raw).map_err(|e| format!("envelope {raw}: {e}"))?;
    let position =
        Position { epoch: history.epoch(&it.epoch), lane: Lane::named(it.lane)?, sequence: it.sequence };
    let id = position.written(&it.epoch);
    if it.id != id {
        return Err(format!("envelope of {id} has id {}", it.id));
    }
    let data = Text(Rc::from(it.data.get().as_bytes()));
    Ok((position, Delivery { kind: it.kind, data, timestamp: it.timestamp, again: it.redelivery }))
}

/// How version 1 carries binary payloads.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Base64Payload {
    encoding: String,
    data: String,
}

/// The bytes of a payload `{"encoding": "base64", "data"}`.
pub fn base64_payload(raw: &RawValue) -> Result<Vec<u8>, String> {
    let Base64Payload { encoding, data } = json(raw)?;
    if encoding != "base64" {
        return Err(format!("payload in {encoding}"));
    }
    base64::engine::general_purpose::STANDARD.decode(&data).map_err(|e| format!("{data}: {e}"))
}

/// Topic, event and data of a binary broadcast, kind 2.
pub fn binary_broadcast(frame: &[u8]) -> Result<(&str, &str, &[u8]), String> {
    let wrong = || format!("binary frame {frame:?}");
    let [2, topic_len, event_len, rest @ ..] = frame else { return Err(wrong()) };
    let (topic, rest) = rest.split_at_checked(usize::from(*topic_len)).ok_or_else(wrong)?;
    let (event, data) = rest.split_at_checked(usize::from(*event_len)).ok_or_else(wrong)?;
    let text = |bytes| std::str::from_utf8(bytes).map_err(|_| wrong());
    Ok((text(topic)?, text(event)?, data))
}

/// Writes a binary push, kind 0: join reference, reference, topic, event.
pub fn binary_push(names: [String; 4], data: &[u8]) -> Vec<u8> {
    let mut frame = vec![0];
    frame.extend(names.iter().map(|name| name.len() as u8));
    frame.extend(names.iter().flat_map(|name| name.bytes()));
    frame.extend_from_slice(data);
    frame
}

/// Writes a push in version 1 or 2.
pub fn push(version: u8, refs: (Option<u64>, u64), topic: &str, event: &str, payload: &str) -> String {
    let (join_ref, reference) = refs;
    let join_ref = join_ref.map_or("null".to_owned(), |join_ref| format!("\"{join_ref}\""));
    if version == 1 {
        format!(
            r#"{{"topic":"{topic}","event":"{event}","payload":{payload},"ref":"{reference}","join_ref":{join_ref}}}"#
        )
    } else {
        format!(r#"[{join_ref},"{reference}","{topic}","{event}",{payload}]"#)
    }
}
