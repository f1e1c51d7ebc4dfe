//! The one publisher of a fan-out.

use crate::{
    error::Error,
    http::Poster,
    net::{Outbox, Target},
};

use super::{NUMBER_DIGITS, Peer, nats::Nats};

/// Publishes numbered messages of one size.
pub(crate) struct Publisher {
    link: Link,
    payload: Vec<u8>,
    number: u64,
}

enum Link {
    /// One message is posted to its topic, several as NDJSON.
    Weir(Poster),
    /// One post a message, pipelined.
    Nchan(Poster),
    Nats(Nats),
    Bare(Outbox),
}

impl Publisher {
    /// Connects to `target` as the publisher of `peer`.
    pub(super) async fn connect(peer: Peer, target: &Target, payload_bytes: usize) -> Result<Self, Error> {
        let user = u32::MAX;
        let link = match peer {
            Peer::Weir => Link::Weir(Poster::connect(target, user)?),
            Peer::Nchan => Link::Nchan(Poster::connect(target, user)?),
            Peer::Nats => Link::Nats(Nats::connect(target, user).await?),
            Peer::Bare => {
                let (mut inbox, outbox) = target.connect(user)?;
                // Should the server count it as a subscriber too, nothing may pile up.
                monoio::spawn(async move {
                    while inbox.fill().await.is_ok() {
                        inbox.consume(inbox.bytes().len());
                    }
                });
                Link::Bare(outbox)
            }
        };
        Ok(Self { link, payload: vec![b'x'; payload_bytes], number: 0 })
    }

    /// Publishes `count` messages at once and waits until the server has taken them.
    pub(super) async fn publish(&mut self, count: u32) -> Result<(), Error> {
        match &mut self.link {
            Link::Bare(outbox) => {
                outbox.queue().resize(count as usize, b'!');
                outbox.flush().await.map(drop)
            }
            Link::Nats(nats) => {
                let mut commands = Vec::new();
                for _ in 0..count {
                    commands.extend(format!("PUB bench {}\r\n", self.payload.len()).as_bytes());
                    commands.extend_from_slice(numbered(&mut self.payload, &mut self.number));
                    commands.extend_from_slice(b"\r\n");
                }
                nats.send(&commands).await
            }
            Link::Nchan(poster) => {
                for _ in 0..count {
                    let body = numbered(&mut self.payload, &mut self.number);
                    poster.queue("/pub?id=bench", "text/plain", body);
                }
                poster.send(count).await
            }
            Link::Weir(poster) => {
                let mut body = Vec::new();
                for _ in 0..count {
                    let topic = if count > 1 { r#""topic":"topic:bench","# } else { "" };
                    body.extend(format!(r#"{{{topic}"type":"bench","data":""#).as_bytes());
                    body.extend_from_slice(numbered(&mut self.payload, &mut self.number));
                    body.extend_from_slice(b"\"}\n");
                }
                match count {
                    1 => poster.queue("/mcp/topics/topic:bench/messages", "application/json", &body),
                    _ => poster.queue("/mcp/batch", "application/x-ndjson", &body),
                }
                poster.send(1).await
            }
        }
    }
}

/// The payload with the next number at its start.
fn numbered<'a>(payload: &'a mut [u8], number: &mut u64) -> &'a [u8] {
    *number += 1;
    let digits = format!("{:0NUMBER_DIGITS$}", *number % 100_000_000);
    payload[..NUMBER_DIGITS].copy_from_slice(digits.as_bytes());
    payload
}
