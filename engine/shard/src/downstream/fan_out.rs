//! Messages of topics on their way out: from the topic's home to the shards of its subscribers, and there
//! to all of them at the end of the turn, encoded once for each serializer.

use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use weir_ring::token::Token;
use weir_transports::phoenix::{self, Frame, Payload, Version, longpoll};
use weir_transports::sse;
use weir_transports::websocket::{self, Deflate, DeflateParams, Opcode};

use crate::channels::subscribers::{Framing, Local, SERIALIZERS, Serializer};
use crate::channels::topics::{Fresh, TopicMessage};
use crate::downstream::connection::{Connection, Link, Speaks, Stage};
use crate::mail::Mail;
use crate::metrics::Feature;
use crate::slots::Slots;
use crate::turn::{Cx, Shard};

/// Bytes of one shared frame, roughly.
const SHARED_BYTES: usize = 256 << 10;

impl Shard {
    /// Messages of the turn leave for the shards of their subscribers, then for the subscribers here.
    pub(crate) fn fan_out(&mut self, cx: &mut Cx<'_>) {
        while let Some(fresh) = self.topics.next_fresh() {
            self.send_letters(fresh, cx);
        }
        self.send_diffs(cx);
        self.local_letters(cx);
        while let Some((topic, local)) = self.subscribers.next_dirty() {
            self.fan(&local, cx);
            let Shard { subscribers, conns, .. } = self;
            subscribers.put_back(&topic, local, |token| is_open(conns, token));
        }
        self.fan_diffs(cx);
    }

    /// The same for one topic, before somebody joins it.
    pub(crate) fn fan_out_topic(&mut self, topic: &str, cx: &mut Cx<'_>) {
        if let Some(local) = self.subscribers.take(topic) {
            self.fan(&local, cx);
            let Shard { subscribers, conns, .. } = self;
            subscribers.put_back(topic, local, |token| is_open(conns, token));
        }
    }

    pub(crate) fn send_fresh(&mut self, topic: &str, cx: &mut Cx<'_>) {
        if let Some(fresh) = self.topics.take_fresh(topic) {
            self.send_letters(fresh, cx);
        }
    }

    fn send_letters(&mut self, fresh: Fresh, cx: &mut Cx<'_>) {
        for to in fresh.to {
            let (topic, messages) = (Arc::clone(&fresh.topic), fresh.messages.clone());
            self.send(to, Mail::Fanout { topic, messages }, cx);
        }
    }

    /// Sends a topic's pending messages: encoded once per serializer, one send per subscriber.
    pub(crate) fn fan(&mut self, local: &Local, cx: &mut Cx<'_>) {
        for (group, serializer) in local.groups.iter().zip(SERIALIZERS) {
            if group.is_empty() {
                continue;
            }
            let sealed = serializer.framing == Framing::Sealed;
            let frames = if sealed { 0..0 } else { self.share(serializer, local, cx) };
            for token in group {
                if sealed {
                    self.fan_sealed(local, *token, cx);
                    continue;
                }
                let own = local.pending.iter().any(|message| message.except == Some((self.me, *token)));
                if own {
                    self.fan_others(serializer, local, *token, cx);
                } else {
                    for index in frames.clone() {
                        self.put_shared(*token, cx, index);
                    }
                }
            }
            let transport = match serializer.framing {
                Framing::Poll => &mut self.stats.longpoll,
                Framing::Event => &mut self.stats.http_sse,
                Framing::Plain | Framing::Deflated | Framing::Sealed => &mut self.stats.websocket,
            };
            let sent = group.len() * local.pending.len();
            transport.messages_out += sent as u64;
            transport.at_once = transport.at_once.saturating_add(sent as u32);
        }
    }

    /// Encodes a topic's pending messages into frames of this turn: one, unless they are many or large.
    fn share(&mut self, serializer: Serializer, local: &Local, cx: &mut Cx<'_>) -> std::ops::Range<u32> {
        let first = cx.out.frames.len() as u32;
        let mut frames = Vec::new();
        for (at, message) in local.pending.iter().enumerate() {
            self.encode(serializer, message, &mut frames);
            if frames.len() >= SHARED_BYTES || at + 1 == local.pending.len() {
                cx.out.frames.push(std::mem::take(&mut frames).into());
            }
        }
        first..cx.out.frames.len() as u32
    }

    /// For a subscriber that published some of the messages itself.
    fn fan_others(&mut self, serializer: Serializer, local: &Local, token: Token, cx: &mut Cx<'_>) {
        let mut frames = Vec::new();
        for message in &local.pending {
            if message.except != Some((self.me, token)) {
                self.encode(serializer, message, &mut frames);
            }
        }
        if !frames.is_empty() {
            self.put(token, cx, |out| out.extend_from_slice(&frames));
        }
    }

    /// Appends a topic's message as a serializer writes it.
    pub(crate) fn encode(&mut self, serializer: Serializer, message: &TopicMessage, out: &mut Vec<u8>) {
        if serializer.framing == Framing::Event {
            return write_event(message, out);
        }
        let text;
        let (opcode, payload): (Opcode, &[u8]) = match (serializer.version, message.binary) {
            (Version::V2, false) => (Opcode::Text, &message.body),
            (Version::V2, true) if serializer.framing != Framing::Poll => (Opcode::Binary, &message.body),
            (version, _) => {
                text = as_text(version, message);
                (Opcode::Text, &text)
            }
        };
        if serializer.framing == Framing::Poll {
            return longpoll::write_frame(out, &String::from_utf8_lossy(payload));
        }
        let deflated = serializer.framing == Framing::Deflated;
        let worth = deflated && payload.len() >= self.config.websocket.compression_bytes_min;
        let deflater = self.deflater.as_mut().filter(|_| worth);
        let params = DeflateParams::default();
        let deflate = deflater.map(|deflater| Deflate { deflater, params, always: false });
        let began = worth.then(|| self.meter.begin());
        websocket::write_message(out, opcode, payload, deflate);
        if let Some(began) = began {
            self.meter.end(Feature::Compression, began);
        }
    }
}

/// Whether the connection of that token still takes topics.
pub(crate) fn is_open(conns: &Slots<Connection>, token: Token) -> bool {
    let stage = conns.get(token).map(|conn| &conn.stage);
    matches!(stage, Some(Stage::WebSocket(_) | Stage::Poll(_) | Stage::Sse(_) | Stage::Lent))
}

/// How topics are written to this connection.
pub(crate) fn serializer(link: &Link) -> Serializer {
    let framing = match link.speaks {
        _ if link.encrypted => Framing::Sealed,
        Speaks::Polled(_) => Framing::Poll,
        // A client that asked for a window of its own cannot share frames: it gets them uncompressed.
        _ if link.deflate == Some(DeflateParams::default()) => Framing::Deflated,
        _ => Framing::Plain,
    };
    Serializer { version: link.version(), framing }
}

/// A message as an event of SSE. It has no id: that is the cursor of the client's own stream.
fn write_event(message: &TopicMessage, out: &mut Vec<u8>) {
    let text = String::from_utf8_lossy(&message.body);
    let Ok(received) = phoenix::client::decode(&text) else { return };
    if let Frame { event, payload: Payload::Json(payload), .. } = received.frame {
        sse::event(out, None, Some(&event), payload);
    }
}

/// A message, which is kept as V2, as text of another version, or where no binary frame passes: base64 stands
/// in for it.
pub(crate) fn as_text(version: Version, message: &TopicMessage) -> Vec<u8> {
    let mut out = Vec::new();
    if message.binary {
        let Some(frame) = phoenix::client::decode_broadcast(&message.body) else { return out };
        let data = STANDARD.encode(frame.data);
        let payload = format!(r#"{{"encoding":"base64","data":"{data}"}}"#);
        phoenix::push(version, &mut out, None, frame.topic, frame.event, payload.as_bytes(), None);
    } else {
        let text = String::from_utf8_lossy(&message.body);
        let Ok(received) = phoenix::client::decode(&text) else { return out };
        let Frame { topic, event, payload: Payload::Json(payload), .. } = received.frame else { return out };
        let meta = received.meta.map(str::as_bytes);
        phoenix::push(version, &mut out, None, &topic, &event, payload.as_bytes(), meta);
    }
    out
}
