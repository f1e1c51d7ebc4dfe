//! A topic's messages as each kind of connection takes them.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use weir_transports::phoenix::{self, Frame, Payload, Version, longpoll};
use weir_transports::websocket::{self, Deflate, DeflateParams, Opcode};

use crate::channels::subscribers::{Framing, Serializer};
use crate::channels::topics::TopicMessage;
use crate::downstream::connection::{Link, Speaks};
use crate::turn::Shard;

impl Shard {
    /// Appends a topic's message as a serializer writes it.
    pub(crate) fn encode(&mut self, serializer: Serializer, message: &TopicMessage, out: &mut Vec<u8>) {
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
        websocket::write_message(out, opcode, payload, deflate);
    }
}

/// How topics are written to this connection.
pub(crate) fn serializer(link: &Link) -> Serializer {
    let framing = match link.speaks {
        Speaks::Polled(_) => Framing::Poll,
        // A client that asked for a window of its own cannot share frames: it gets them uncompressed.
        _ if link.deflate == Some(DeflateParams::default()) => Framing::Deflated,
        _ => Framing::Plain,
    };
    Serializer { version: link.version(), framing }
}

/// A message, which is kept as V2, as text of another version, or where no binary frame passes: base64 stands
/// in for it.
fn as_text(version: Version, message: &TopicMessage) -> Vec<u8> {
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
