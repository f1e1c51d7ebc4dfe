//! Payloads of clients that want them encrypted: agreed on in the first join, opened before anything reads them,
//! sealed as the last thing before they leave. What the gateway says itself (replies, gaps, presence) and MCP's
//! messages are not.

use weir_ring::token::Token;
use weir_transports::phoenix::{self, Frame, Payload, Version};

use crate::audit::{Action, Event, Record};
use crate::channels::topics::TopicMessage;
use crate::channels::{Join, Plan};
use crate::downstream::connection::{Joined, Link};
use crate::downstream::fan_out::as_text;
use crate::downstream::writing::seal_data;
use crate::encryption::Encryption;
use crate::error::Error;
use crate::metrics::Feature;
use crate::policy::suspicion::Offence;
use crate::turn::{Cx, Shard};

impl Shard {
    /// Settles with the first join of a link whether its payloads are encrypted.
    ///
    /// # Errors
    /// A join asks for it and there is no key, or it comes too late.
    pub(crate) fn agree_encryption(&self, link: &mut Link, join: &Join) -> Result<(), Error> {
        let asked = join.encryption || link.opening.as_ref().is_some_and(|opening| opening.encryption);
        let agreed = self.encryption.agree(asked)?;
        let settled = link.channels.iter().any(|channel| !matches!(channel.state, Joined::Mcp { .. }));
        if settled && agreed && !link.encrypted {
            return Err(Error::malformed("encryption is asked for with the first join of a connection"));
        }
        if !settled {
            link.encrypted = agreed;
        }
        Ok(())
    }

    /// The payload of an encrypted link's frame, decrypted; nothing if the frame has none.
    ///
    /// # Errors
    /// It cannot be decrypted.
    pub(crate) fn open_payload(
        &mut self,
        link: &Link,
        plan: &Plan<'_>,
        cx: &Cx<'_>,
    ) -> Result<Option<String>, Error> {
        let (Plan::Push { payload, .. } | Plan::Publish { payload: Payload::Json(payload), .. }) = plan
        else {
            let bytes = matches!(plan, Plan::Publish { .. }) && link.encrypted;
            let what = "it is bytes without an iv; send them in base64 as encrypted JSON";
            return if bytes { Err(Error::DecryptionFailed { what }) } else { Ok(None) };
        };
        let Some(id) = link.session.filter(|_| link.encrypted) else { return Ok(None) };
        let client = self.sessions.get(id).map_or("", |session| &session.client);
        let began = self.meter.begin();
        let opened = self.encryption.open(client, payload);
        self.meter.end(Feature::Encryption, began);
        if opened.is_err() {
            self.trail.note(&self.config.audit, cx.now, || Record {
                client: Some(client.into()),
                ..Record::new(Event::DecryptionFailed, Action::Denied, cx.now.wall)
            });
            self.client_offends(id, Offence::Malformed, cx.now);
        }
        opened.map(Some)
    }

    /// Sends a topic's pending messages to one subscriber, each encrypted for it alone.
    pub(crate) fn fan_sealed(&mut self, messages: &[TopicMessage], token: Token, cx: &mut Cx<'_>) {
        let mut frames = Vec::new();
        let Shard { conns, sessions, encryption, me, .. } = self;
        let Some(link) = conns.get(token).and_then(|conn| conn.stage.link()) else { return };
        let session = link.session.and_then(|id| sessions.get(id));
        let client = session.map_or("", |session| &session.client);
        for message in messages.iter().filter(|message| message.except != Some((*me, token))) {
            write_sealed(encryption, link, client, message, &mut frames);
        }
        if !frames.is_empty() {
            self.put(token, cx, |out| out.extend_from_slice(&frames));
        }
    }

    /// Appends a message of a topic's past, encrypted for the subscriber.
    pub(crate) fn seal_past(&mut self, link: &Link, message: &TopicMessage, out: &mut Vec<u8>) {
        let Shard { sessions, encryption, .. } = self;
        let session = link.session.and_then(|id| sessions.get(id));
        let client = session.map_or("", |session| &session.client);
        write_sealed(encryption, link, client, message, out);
    }
}

/// A frame whose payload was decrypted says what is in it.
pub(crate) fn with_payload<'a>(plan: Plan<'a>, opened: Option<&'a str>) -> Plan<'a> {
    match (plan, opened) {
        (Plan::Push { event, .. }, Some(payload)) => Plan::Push { event, payload },
        (Plan::Publish { event, .. }, Some(payload)) => {
            Plan::Publish { event, payload: Payload::Json(payload) }
        }
        (plan, _) => plan,
    }
}

/// Appends a topic's message as the link carries it, its payload encrypted: of what a backend published the data,
/// of a client's own event all.
fn write_sealed(
    encryption: &mut Encryption,
    link: &Link,
    client: &str,
    message: &TopicMessage,
    out: &mut Vec<u8>,
) {
    let text = if message.binary { as_text(Version::V2, message) } else { message.body.to_vec() };
    let text = String::from_utf8_lossy(&text);
    let Ok(received) = phoenix::client::decode(&text) else { return };
    let Frame { topic, event, payload: Payload::Json(payload), .. } = received.frame else { return };
    let meta = received.meta.map(str::as_bytes);
    let mut sealed = Vec::new();
    match (message.sequence, &*event, meta) {
        // Who is there, which has no number.
        (0, _, _) => sealed.extend_from_slice(payload.as_bytes()),
        (_, "message", None) => sealed = seal_data(encryption, client, payload.as_bytes()),
        _ => encryption.seal(client, payload.as_bytes(), &mut sealed),
    }
    let mut frame = Vec::new();
    phoenix::push(link.version(), &mut frame, None, &topic, &event, &sealed, meta);
    // What is encrypted cannot be compressed.
    link.write_text(out, &frame, None);
}
