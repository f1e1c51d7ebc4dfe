//! Messages of topics on their way out: from the topic's home to the shards of its subscribers, and there
//! to all of them, encoded once for each serializer. A turn delivers so much and no more; the next ones go on, and
//! whoever else wants something is served between.

use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use weir_ring::token::Token;
use weir_transports::phoenix::{self, Frame, Payload, Version, longpoll};
use weir_transports::sse;
use weir_transports::websocket::{self, Deflate, DeflateParams, Opcode};

use crate::channels::subscribers::{Framing, Groups, Round, SERIALIZERS, Serializer};
use crate::channels::topics::{Fresh, TopicMessage};
use crate::downstream::connection::{Connection, Link, Speaks, Stage};
use crate::mail::Mail;
use crate::metrics::{Feature, Sent};
use crate::slots::Slots;
use crate::turn::{Cx, Shard};

/// Bytes of one shared frame, roughly.
const SHARED_BYTES: usize = 256 << 10;

/// What a topic may deliver before it is another's turn.
const PART: usize = 256;

/// For so many of the largest messages that wait, of all topics together, a turn delivers as much again.
const WAITING_MESSAGES: usize = 2;

/// What an SSE stream with `debug=true` calls its events.
const DEBUG: &str = "debug";

/// Those who are sent what happens on a topic.
#[derive(Clone, Copy)]
enum List {
    /// Its messages.
    Subscribers,
    /// Who is there.
    Watchers,
}

impl Shard {
    /// Messages of the turn leave for the shards of their subscribers, then for the subscribers here.
    pub(crate) fn fan_out(&mut self, cx: &mut Cx<'_>) {
        while let Some(fresh) = self.topics.next_fresh() {
            self.send_letters(fresh, cx);
        }
        self.send_diffs(cx);
        self.local_letters(cx);
        self.deliver_topics(cx);
    }

    /// What waits leaves for those who are subscribed here, topic by topic, as much of it as this turn still may send.
    fn deliver_topics(&mut self, cx: &mut Cx<'_>) {
        while self.deliveries_left > 0 {
            let messages = self.deliver_part(List::Subscribers, cx);
            let diffs = self.deliver_part(List::Watchers, cx);
            if !messages && !diffs {
                return;
            }
        }
    }

    /// What this turn may deliver: the more waits, the more, so that what waits stays within bounds. Turns that get long
    /// by it are what makes the shard refuse publishes.
    pub(crate) fn begin_deliveries(&mut self) {
        let waiting = self.subscribers.bytes() + self.watchers.bytes();
        let unit = WAITING_MESSAGES.saturating_mul(self.config.message_bytes_max);
        let most = self.config.turn.deliveries_max;
        self.deliveries_left = most.saturating_add((most as f64 * waiting as f64 / unit as f64) as usize);
    }

    /// Whether the next turn has some of this one's to deliver.
    pub(crate) fn is_spread(&self) -> bool {
        !self.subscribers.is_done() || !self.watchers.is_done()
    }

    /// Nobody is to wait for another turn: there may be none.
    pub(crate) fn deliver_all(&mut self, cx: &mut Cx<'_>) {
        self.deliveries_left = usize::MAX;
        self.fan_out(cx);
    }

    /// The next topic's part; false: nothing waits.
    fn deliver_part(&mut self, list: List, cx: &mut Cx<'_>) -> bool {
        let waiting = match list {
            List::Subscribers => &mut self.subscribers,
            List::Watchers => &mut self.watchers,
        };
        let Some((topic, mut local)) = waiting.next_waiting() else { return false };
        let Some(mut round) = local.next_round() else { return false };
        let each = round.cost();
        let most = (PART.min(self.deliveries_left) / each).max(1);
        let sent = self.fan(&local.groups, &mut round, most, cx);
        self.deliveries_left = self.deliveries_left.saturating_sub(sent.max(1) * each);
        let Shard { subscribers, watchers, conns, .. } = self;
        let list = match list {
            List::Subscribers => subscribers,
            List::Watchers => watchers,
        };
        list.put_back(topic, local, round, |token| is_open(conns, token));
        true
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

    /// Sends a topic's messages to at most `most` of those who still wait for them, and says to how many: encoded once
    /// per serializer, one send per subscriber.
    fn fan(&mut self, groups: &Groups, round: &mut Round, most: usize, cx: &mut Cx<'_>) -> usize {
        let mut sent = 0;
        while sent < most
            && let Some((group, part)) = round.next_part(most - sent)
        {
            sent += part.len();
            self.fan_group(&groups[group][part], group, round, cx);
        }
        sent
    }

    /// Sends a round to these subscribers of one group.
    fn fan_group(&mut self, tokens: &[Token], group: usize, round: &mut Round, cx: &mut Cx<'_>) {
        let serializer = SERIALIZERS[group];
        let sealed = serializer.framing == Framing::Sealed;
        let frames = if sealed { 0..0 } else { self.share(group, round, cx) };
        let mut sent = tokens.len() * round.messages.len();
        for token in tokens {
            let own =
                round.messages.iter().filter(|message| message.except == Some((self.me, *token))).count();
            sent -= own;
            if sealed {
                self.fan_sealed(&round.messages, *token, cx);
            } else if own > 0 {
                self.fan_others(serializer, &round.messages, *token, cx);
            } else {
                for index in frames.clone() {
                    self.put_shared(*token, cx, index);
                }
            }
        }
        let transport = match serializer.framing {
            Framing::Poll => &mut self.stats.longpoll,
            Framing::Event | Framing::Debug => &mut self.stats.http_sse,
            Framing::Plain | Framing::Deflated | Framing::Sealed => &mut self.stats.websocket,
        };
        transport.messages_out += sent as u64;
        transport.delivered(cx.now.mono.since(round.since), sent as u32);
        self.stats.messages.sent(Sent::Event, sent as u64);
    }

    /// Encodes a round's messages into frames of this turn: one, unless they are many or large. A later turn finds them
    /// in the round.
    fn share(&mut self, group: usize, round: &mut Round, cx: &mut Cx<'_>) -> std::ops::Range<u32> {
        let first = cx.out.frames.len();
        if let Some((_, encoded)) = round.encoded.as_ref().filter(|(of, _)| *of == group) {
            cx.out.frames.extend_from_slice(encoded);
        } else {
            let mut frames = Vec::new();
            for (at, message) in round.messages.iter().enumerate() {
                self.encode(SERIALIZERS[group], message, &mut frames);
                if frames.len() >= SHARED_BYTES || at + 1 == round.messages.len() {
                    cx.out.frames.push(std::mem::take(&mut frames).into());
                }
            }
            if round.left[group] > 0 {
                round.encoded = Some((group, cx.out.frames[first..].to_vec()));
            }
        }
        first as u32..cx.out.frames.len() as u32
    }

    /// For a subscriber that published some of the messages itself.
    fn fan_others(
        &mut self,
        serializer: Serializer,
        messages: &[TopicMessage],
        token: Token,
        cx: &mut Cx<'_>,
    ) {
        let mut frames = Vec::new();
        for message in messages {
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
        match serializer.framing {
            Framing::Event => return write_event(message, None, out),
            Framing::Debug => return write_event(message, Some(DEBUG), out),
            Framing::Plain | Framing::Deflated | Framing::Poll | Framing::Sealed => {}
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

/// A message as an event of SSE, of that name or its own. It has no id: that is the cursor of the client's own stream.
fn write_event(message: &TopicMessage, name: Option<&str>, out: &mut Vec<u8>) {
    let text = String::from_utf8_lossy(&message.body);
    let Ok(received) = phoenix::client::decode(&text) else { return };
    if let Frame { event, payload: Payload::Json(payload), .. } = received.frame {
        sse::event(out, None, Some(name.unwrap_or(&event)), payload);
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
