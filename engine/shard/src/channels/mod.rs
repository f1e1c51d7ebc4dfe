//! Phoenix Channels: a frame and what the connection has joined, in; what to do about it, out.

pub(crate) mod presence;
pub(crate) mod subscribers;
pub(crate) mod topics;

use serde::{Deserialize, Deserializer};
use weir_transports::phoenix::{Frame, Payload};

use crate::acks::Named;
use crate::channels::presence::Wish;
use crate::error::Error;
use crate::lane::Lane;
use crate::metrics::Received;
use crate::policy::routing::Carrier;
use crate::route;
use crate::stream::{Cursor, Epoch, Position};
use crate::vsm::Topic;

/// What a frame asks for.
#[derive(Debug)]
pub(crate) enum Plan<'a> {
    /// Answer the heartbeat.
    Heartbeat,
    /// Join the client's own stream, as whom and from where.
    JoinGateway(Box<Join>),
    /// Join a topic.
    JoinTopic(Box<Join>),
    /// Join `mcp:NAME`: MCP over a channel.
    JoinMcp(Box<Join>),
    /// An MCP message over a channel.
    Rpc { payload: Payload<'a> },
    /// Leave what was joined.
    Leave,
    /// Leave of what was never joined: still answered ok.
    LeaveNothing,
    /// Tell the time.
    Ping,
    /// The client has what this names.
    Acknowledge(Named),
    /// A newer token of the client.
    Refresh { payload: &'a str },
    /// A message for whoever handles the client's pushes.
    Push { event: &'a str, payload: &'a str },
    /// An event for everyone else on a topic.
    Publish { event: &'a str, payload: Payload<'a> },
    /// Belongs to a join that is over.
    Ignore,
    /// Not joined, or no topic at all.
    Unmatched,
    /// Cannot be served.
    Refuse(Error),
}

impl Plan<'_> {
    /// What it is counted as. None: the hub of MCP counts it.
    pub(crate) fn kind(&self) -> Option<Received> {
        Some(match self {
            Plan::Rpc { .. } => return None,
            Plan::JoinGateway(_) | Plan::JoinTopic(_) | Plan::JoinMcp(_) => Received::Join,
            Plan::Leave | Plan::LeaveNothing => Received::Leave,
            Plan::Heartbeat | Plan::Ping => Received::Heartbeat,
            Plan::Acknowledge(_) => Received::Acknowledgement,
            Plan::Push { .. } => Received::Push,
            Plan::Publish { .. } => Received::Event,
            Plan::Refresh { .. } | Plan::Ignore | Plan::Unmatched | Plan::Refuse(_) => Received::Other,
        })
    }
}

/// What a join payload may say. Other fields are the application's.
#[derive(Debug, Default, Deserialize)]
pub(crate) struct Join {
    /// Who joins, if the connection is not named yet.
    pub client_id: Option<String>,
    /// What proves that; a token of the application's own, where nobody has to prove anything.
    #[serde(default, rename = "token", deserialize_with = "text")]
    pub credential: Option<String>,
    /// Also subscribe `room:ROOM`.
    pub room: Option<String>,
    /// Where the client stands.
    pub resume: Option<Resume>,
    /// The transport that messages should rather take.
    pub prefer: Option<Carrier>,
    /// The client will acknowledge what it gets of its own stream.
    #[serde(default)]
    pub ack: bool,
    /// Payloads are encrypted, both ways.
    #[serde(default)]
    pub encryption: bool,
    /// Whether others on the topic see it, and how.
    #[serde(default)]
    pub presence: Wish,
}

/// A text; of anything else nothing.
fn text<'de, D: Deserializer<'de>>(from: D) -> Result<Option<String>, D::Error> {
    Ok(match serde_json::Value::deserialize(from)? {
        serde_json::Value::String(text) => Some(text),
        _ => None,
    })
}

/// How a client comes back.
#[derive(Debug, Deserialize)]
#[serde(try_from = "Claims")]
pub(crate) struct Resume {
    /// What it has seen.
    seen: Option<Seen>,
    /// A recovery token, as `connected` and the join's reply have it.
    token: Option<String>,
}

/// A cursor as clients carry it: the text they were given, or its parts.
#[derive(Debug)]
enum Seen {
    /// Over all lanes, as a message's SSE `id:` and the join's reply have it.
    Cursor(String),
    /// Of the normal lane, or of a topic.
    Position {
        /// The stream's epoch.
        epoch: String,
        /// Last number seen.
        sequence: u64,
    },
}

/// `resume` as it is written.
#[derive(Deserialize)]
struct Claims {
    cursor: Option<String>,
    epoch: Option<String>,
    sequence: Option<u64>,
    token: Option<String>,
}

impl TryFrom<Claims> for Resume {
    type Error = &'static str;

    fn try_from(claims: Claims) -> Result<Resume, &'static str> {
        let seen = match (claims.cursor, claims.epoch, claims.sequence) {
            (Some(cursor), _, _) => Some(Seen::Cursor(cursor)),
            (None, Some(epoch), Some(sequence)) => Some(Seen::Position { epoch, sequence }),
            (None, None, None) if claims.token.is_some() => None,
            _ => return Err("resume has a cursor, or epoch and sequence, or a token"),
        };
        Ok(Resume { seen, token: claims.token })
    }
}

impl Join {
    /// Where the client stands in its own stream. A cursor that nobody issued has an epoch that nobody has: it is
    /// answered as lost, never as absent.
    pub(crate) fn cursor(&self) -> Option<Cursor> {
        match self.resume.as_ref()?.seen.as_ref()? {
            Seen::Cursor(cursor) => Some(Cursor::parse(cursor.as_bytes()).unwrap_or(Cursor::UNKNOWN)),
            Seen::Position { .. } => Some(Cursor::normal(self.position()?)),
        }
    }

    /// The token of a connection that this one takes the place of.
    pub(crate) fn token(&self) -> Option<&str> {
        self.resume.as_ref()?.token.as_deref()
    }

    /// Where the client stands in a topic, or in the normal lane of its own stream.
    pub(crate) fn position(&self) -> Option<Position> {
        match self.resume.as_ref()?.seen.as_ref()? {
            Seen::Cursor(_) => {
                let cursor = self.cursor()?;
                Some(Position { epoch: cursor.epoch, sequence: cursor.seen(Lane::Normal)? })
            }
            Seen::Position { epoch, sequence } => {
                let epoch = Epoch::parse(epoch.as_bytes()).unwrap_or(Epoch::UNKNOWN);
                Some(Position { epoch, sequence: *sequence })
            }
        }
    }
}

/// How a frame's topic stands on its connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Membership {
    /// Not joined.
    None,
    /// Joined, and the frame names that join or none.
    Current,
    /// Joined, but the frame names an earlier join.
    Stale,
}

/// Decides what a frame asks for.
pub(crate) fn plan<'a>(frame: &'a Frame<'a>, membership: Membership) -> Plan<'a> {
    let topic: &str = &frame.topic;
    match (topic, &*frame.event) {
        ("phoenix", "heartbeat") => Plan::Heartbeat,
        (_, "phx_join") => plan_join(topic, &frame.payload),
        (_, "phx_leave") if membership == Membership::None => Plan::LeaveNothing,
        (_, _) if membership == Membership::None => Plan::Unmatched,
        (_, _) if membership == Membership::Stale => Plan::Ignore,
        (_, "phx_leave") => Plan::Leave,
        (_, "ping") => Plan::Ping,
        (route::GATEWAY, "ack") => plan_ack(&frame.payload),
        (route::GATEWAY, event) => match frame.payload {
            Payload::Json(payload) if event == "refresh" => Plan::Refresh { payload },
            Payload::Json(payload) => Plan::Push { event, payload },
            Payload::Binary(_) => Plan::Refuse(Error::malformed("binary pushes go to topics")),
        },
        (topic, event) if route::is_mcp_channel(topic) => match event {
            "mcp" => Plan::Rpc { payload: frame.payload },
            _ => Plan::Refuse(Error::malformed("MCP messages are pushed as event mcp")),
        },
        (topic, _) if Topic::of_channel(topic).is_some() => {
            Plan::Refuse(Error::NotAllowed { what: "topic for anything but watching" })
        }
        (_, "ack") => Plan::Refuse(Error::malformed(
            "a topic's messages are kept for all, acknowledged or not; acknowledge on mcp:gateway",
        )),
        (_, event) => Plan::Publish { event, payload: frame.payload },
    }
}

fn plan_join<'a>(topic: &str, payload: &Payload<'_>) -> Plan<'a> {
    let join = match payload {
        Payload::Json(json) => serde_json::from_str::<Join>(json),
        Payload::Binary(_) => Ok(Join::default()),
    };
    let join = match join {
        Ok(join) => Box::new(join),
        Err(e) => return Plan::Refuse(Error::malformed(format!("join payload: {e}"))),
    };
    if topic == route::GATEWAY {
        Plan::JoinGateway(join)
    } else if route::is_mcp_channel(topic) {
        Plan::JoinMcp(join)
    } else if is_joined(topic) {
        Plan::JoinTopic(join)
    } else {
        Plan::Unmatched
    }
}

/// Whether a name is a topic that can be joined: those of the gateway itself among them.
fn is_joined(topic: &str) -> bool {
    route::is_topic(topic) || Topic::of_channel(topic).is_some()
}

fn plan_ack<'a>(payload: &Payload<'_>) -> Plan<'a> {
    let Payload::Json(json) = payload else {
        return Plan::Refuse(Error::malformed("an ack is JSON: {\"sequence\": n}"));
    };
    match serde_json::from_str::<Named>(json) {
        Ok(named) => Plan::Acknowledge(named),
        Err(e) => Plan::Refuse(Error::malformed(format!("ack payload: {e}"))),
    }
}
