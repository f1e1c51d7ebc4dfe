//! Application messages: what publishers hand in, and the envelope that clients get.

use std::cell::OnceCell;
use std::time::Duration;

use serde::Deserialize;
use serde_json::value::RawValue;
use weir_transports::json;

use crate::error::Error;
use crate::idempotency::{Key, Scope};
use crate::lane::Lane;
use crate::span::{TraceContext, TraceLink};
use crate::stream::Position;
use weir_ring::time::Wall;
use weir_ring::token::{Member, Token};

/// How long a publisher may wait for an acknowledgement, milliseconds.
const WAIT_MS_MAX: u32 = 300_000;

/// Which connection of a client a message is for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Target {
    /// WebSocket if one is up, SSE otherwise.
    #[default]
    Auto,
    /// WebSocket; SSE while no WebSocket is up.
    Websocket,
    /// SSE; WebSocket while no SSE stream is up.
    HttpSse,
    /// Every connection.
    All,
}

impl Target {
    /// As an outbox entry carries it.
    pub fn class(self) -> u8 {
        self as u8
    }

    /// The reverse of [`Target::class`]; an unknown class is `Auto`.
    pub fn of_class(class: u8) -> Target {
        match class {
            1 => Target::Websocket,
            2 => Target::HttpSse,
            3 => Target::All,
            _ => Target::Auto,
        }
    }
}

/// A message for one client.
#[derive(Debug)]
pub struct ClientPublish {
    /// The client's name.
    pub client: Box<str>,
    /// What kind of message the application calls it.
    pub kind: Box<str>,
    /// Any JSON value, as it was handed in.
    pub data: Box<RawValue>,
    /// Which connection it is for.
    pub target: Target,
    /// How urgent it is.
    pub lane: Lane,
    /// How long it is worth sending, milliseconds; 0: as long as it is kept.
    pub ttl_ms: u32,
    /// How long its publisher waits for the acknowledgement.
    pub wait: Option<Duration>,
    /// It is published once under this key.
    pub key: Option<Box<Key>>,
    /// The trace that it is part of.
    pub trace: TraceLink,
}

/// A message for all of a topic.
#[derive(Debug)]
pub struct TopicPublish {
    /// `topic:NAME` or `room:NAME`.
    pub topic: Box<str>,
    /// What is published and by whom.
    pub content: TopicContent,
    /// It is published once under this key.
    pub key: Option<Box<Key>>,
    /// The trace that it is part of.
    pub trace: TraceLink,
}

/// A backend's envelope, or a client's own event.
#[derive(Debug)]
pub enum TopicContent {
    /// Comes as event `message` with the envelope as payload.
    Message { kind: Box<str>, data: Box<RawValue> },
    /// Comes as event `event` with `payload` (JSON) as it was pushed; not to the publisher itself.
    Event { event: Box<str>, payload: Box<str>, publisher: (Member, Token) },
    /// The same with a binary payload.
    Binary { event: Box<str>, payload: Box<[u8]>, publisher: (Member, Token) },
}

/// What a publisher is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Receipt {
    /// Its lane; the normal one for a topic.
    pub lane: Lane,
    /// Where the message stands in its stream.
    pub position: Position,
    /// What became of it.
    pub state: State,
    /// It had been published before, under the same idempotency key, and this is what was answered then.
    pub duplicate: bool,
}

/// What became of an accepted message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// Written to a connection and kept for replay.
    Delivered,
    /// Kept until the client takes it.
    Queued,
    /// Sent towards this many subscribers of a topic.
    DeliveredTo(u32),
    /// The client has acknowledged up to here.
    Acknowledged,
    /// Its time to live passed before the client had it.
    Expired,
    /// The client did not acknowledge it, however often it was sent.
    Dead,
}

impl State {
    /// The name on the wire.
    pub const fn name(self) -> &'static str {
        match self {
            State::Delivered | State::DeliveredTo(_) => "delivered",
            State::Queued => "queued",
            State::Acknowledged => "acknowledged",
            State::Expired => "expired",
            State::Dead => "dead",
        }
    }
}

/// The JSON object of a publish, as `POST /mcp/clients/{id}/messages` takes it. `client` and `topic`
/// name the receiver in a batch.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Body<'a> {
    #[serde(rename = "type")]
    kind: Option<String>,
    #[serde(borrow)]
    data: Option<&'a RawValue>,
    #[serde(default)]
    transport: Target,
    #[serde(default)]
    priority: Lane,
    ttl_ms: Option<u32>,
    timeout_ms: Option<u32>,
    idempotency_key: Option<String>,
    client: Option<String>,
    topic: Option<String>,
    traceparent: Option<String>,
    tracestate: Option<String>,
}

/// A parsed publish.
#[derive(Debug)]
pub enum Publish {
    /// To one client.
    Client(Box<ClientPublish>),
    /// To a topic.
    Topic(Box<TopicPublish>),
}

/// Who a publish is for, where the path names it.
#[derive(Clone, Copy, Debug)]
pub enum Receiver<'a> {
    /// The client in the path.
    Client(&'a str),
    /// The topic in the path.
    Topic(&'a str),
    /// The line itself names one with `client` or `topic`.
    Named,
}

impl Publish {
    /// How urgent it is. What is for a topic has no priority.
    pub fn lane(&self) -> Lane {
        match self {
            Publish::Client(publish) => publish.lane,
            Publish::Topic(_) => Lane::Normal,
        }
    }

    /// Whether its publisher waits for the acknowledgement.
    pub fn waits(&self) -> bool {
        matches!(self, Publish::Client(publish) if publish.wait.is_some())
    }

    /// Whom it is for, if that is one client, its type, and its trace.
    pub(crate) fn told(&mut self) -> (&str, &str, &mut TraceLink) {
        match self {
            Publish::Client(publish) => (&publish.client, &publish.kind, &mut publish.trace),
            Publish::Topic(publish) => {
                let TopicPublish { content, trace, .. } = &mut **publish;
                ("", content.kind(), trace)
            }
        }
    }

    /// Reads one publish; `header` is what the request's `Idempotency-Key` says.
    ///
    /// # Errors
    /// `Malformed` with the parser's words, `MissingField`.
    pub fn parse(receiver: Receiver<'_>, header: Option<&str>, body: &[u8]) -> Result<Publish, Error> {
        let body: Body<'_> = serde_json::from_slice(body).map_err(|e| Error::malformed(e.to_string()))?;
        let kind = body.kind.filter(|kind| !kind.is_empty()).ok_or(Error::MissingField { field: "type" })?;
        let data = body.data.ok_or(Error::MissingField { field: "data" })?;
        let (client, topic) = match receiver {
            Receiver::Client(name) => (Some(name.to_owned()), None),
            Receiver::Topic(name) => (None, Some(name.to_owned())),
            Receiver::Named => (body.client, body.topic),
        };
        let kind = kind.into_boxed_str();
        let data = data.to_owned();
        let key = one_key(header, body.idempotency_key.as_deref())?;
        let context = TraceContext::parse(body.traceparent.as_deref(), body.tracestate.as_deref());
        let trace = context.map_or(TraceLink::None, |context| TraceLink::Parent(Box::new(context)));
        match (client, topic) {
            (Some(client), None) => {
                crate::route::check_client_id(&client)?;
                let (client, target, lane) = (client.into_boxed_str(), body.transport, body.priority);
                let ttl_ms = body.ttl_ms.unwrap_or(0);
                let wait = wait(receiver, body.timeout_ms)?;
                let key_text = key;
                let key = None;
                let mut publish =
                    ClientPublish { client, kind, data, target, lane, ttl_ms, wait, key, trace };
                publish.key = key_text.map(|text| publish.key(text)).transpose()?;
                Ok(Publish::Client(Box::new(publish)))
            }
            (None, Some(_))
                if body.priority != Lane::Normal || body.ttl_ms.is_some() || body.timeout_ms.is_some() =>
            {
                Err(Error::malformed("priority, ttl_ms and timeout_ms are for messages to one client"))
            }
            (None, Some(topic)) if crate::route::is_topic(&topic) => {
                let parts = [kind.as_bytes(), data.get().as_bytes()];
                let key = key.map(|text| Key::new(Scope::Topic(&topic), text, parts)).transpose()?;
                let content = TopicContent::Message { kind, data };
                let (topic, key) = (topic.into_boxed_str(), key.map(Box::new));
                Ok(Publish::Topic(Box::new(TopicPublish { topic, content, key, trace })))
            }
            (None, Some(_)) => Err(Error::malformed("topics are named topic:NAME or room:NAME")),
            _ => Err(Error::malformed("a line names exactly one of client and topic")),
        }
    }
}

/// How long a publisher waits for the acknowledgement.
fn wait(receiver: Receiver<'_>, timeout_ms: Option<u32>) -> Result<Option<Duration>, Error> {
    match (receiver, timeout_ms) {
        (_, None) => Ok(None),
        (Receiver::Client(_), Some(millis @ 1..=WAIT_MS_MAX)) => {
            Ok(Some(Duration::from_millis(millis.into())))
        }
        (Receiver::Client(_), Some(_)) => Err(Error::malformed("timeout_ms is 1 to 300000")),
        _ => Err(Error::malformed("timeout_ms is not for batches: publish to the client's own path")),
    }
}

impl TopicContent {
    /// What the application calls it.
    pub(crate) fn kind(&self) -> &str {
        match self {
            TopicContent::Message { kind, .. } => kind,
            TopicContent::Event { event, .. } | TopicContent::Binary { event, .. } => event,
        }
    }
}

impl ClientPublish {
    /// The key `text` for this message.
    fn key(&self, text: &str) -> Result<Box<Key>, Error> {
        let terms = [&[self.target.class(), self.lane as u8][..], &self.ttl_ms.to_le_bytes()].concat();
        let parts = [self.kind.as_bytes(), self.data.get().as_bytes(), &terms];
        Key::new(Scope::Client(&self.client), text, parts).map(Box::new)
    }
}

/// The idempotency key of a request: in its header, where structured fields have quotes (RFC 8941), or in its body.
fn one_key<'a>(header: Option<&'a str>, field: Option<&'a str>) -> Result<Option<&'a str>, Error> {
    let unquoted =
        |text: &'a str| text.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')).unwrap_or(text);
    match (header.map(unquoted), field) {
        (Some(header), Some(field)) if header != field => {
            Err(Error::malformed("the header Idempotency-Key and the field idempotency_key differ"))
        }
        (header, field) => Ok(header.or(field)),
    }
}

/// Writes the envelope `{"id", "type", "sequence", "epoch", "timestamp", "data"}`, with `lane` before `data` unless it
/// is the normal one.
pub fn write_envelope(
    out: &mut Vec<u8>,
    (lane, position): (Lane, Position),
    kind: &str,
    timestamp: &str,
    data: &str,
) {
    out.extend_from_slice(b"{\"id\":\"");
    position.write(lane, out);
    out.extend_from_slice(b"\",\"type\":");
    json::write_str(out, kind);
    out.push(b',');
    write_meta_fields(out, position, timestamp);
    write_lane(out, lane);
    out.extend_from_slice(b",\"data\":");
    out.extend_from_slice(data.as_bytes());
    out.push(b'}');
}

/// Writes `{"sequence", "epoch", "timestamp"}`: what a client's own topic event carries beside its payload.
pub fn write_meta(out: &mut Vec<u8>, position: Position, timestamp: &str) {
    out.push(b'{');
    write_meta_fields(out, position, timestamp);
    out.push(b'}');
}

fn write_meta_fields(out: &mut Vec<u8>, position: Position, timestamp: &str) {
    out.extend_from_slice(b"\"sequence\":");
    out.extend_from_slice(itoa::Buffer::new().format(position.sequence).as_bytes());
    out.extend_from_slice(b",\"epoch\":\"");
    out.extend_from_slice(&position.epoch.letters());
    out.extend_from_slice(b"\",\"timestamp\":\"");
    out.extend_from_slice(timestamp.as_bytes());
    out.push(b'"');
}

/// Writes the field `lane`, unless it is the normal one.
fn write_lane(out: &mut Vec<u8>, lane: Lane) {
    if lane != Lane::Normal {
        out.extend_from_slice(b",\"lane\":\"");
        out.extend_from_slice(lane.name().as_bytes());
        out.push(b'"');
    }
}

impl Receipt {
    /// Writes `{"epoch", "sequence", "state"}` with `lane` unless it is the normal one, `delivered_to` for a topic,
    /// and `duplicate` if it is one.
    pub fn write_json(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(b"{\"epoch\":\"");
        out.extend_from_slice(&self.position.epoch.letters());
        out.extend_from_slice(b"\",\"sequence\":");
        out.extend_from_slice(itoa::Buffer::new().format(self.position.sequence).as_bytes());
        write_lane(out, self.lane);
        out.extend_from_slice(b",\"state\":\"");
        out.extend_from_slice(self.state.name().as_bytes());
        out.push(b'"');
        if let State::DeliveredTo(count) = self.state {
            out.extend_from_slice(b",\"delivered_to\":");
            out.extend_from_slice(itoa::Buffer::new().format(count).as_bytes());
        }
        if self.duplicate {
            out.extend_from_slice(b",\"duplicate\":true");
        }
        out.push(b'}');
    }
}

/// A wall clock reading as RFC 3339 with milliseconds, UTC; written when first asked for.
#[derive(Debug)]
pub(crate) struct Stamp {
    wall: Wall,
    text: OnceCell<String>,
}

impl Stamp {
    pub(crate) fn new(wall: Wall) -> Stamp {
        Stamp { wall, text: OnceCell::new() }
    }

    pub(crate) fn get(&self) -> &str {
        self.text.get_or_init(|| timestamp(self.wall))
    }
}

/// `wall` as RFC 3339 with milliseconds, UTC.
pub fn timestamp(wall: Wall) -> String {
    let time = jiff::Timestamp::from_millisecond(wall.0 as i64).unwrap_or(jiff::Timestamp::UNIX_EPOCH);
    format!("{time:.3}")
}
