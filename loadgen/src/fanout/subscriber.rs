//! A subscriber of each kind of server: it counts its deliveries and checks that none is lost,
//! repeated or out of order.

use crate::{
    error::Error,
    net::{Inbox, Outbox, Target},
    phoenix,
    ws::{self, Socket},
};

use super::{NUMBER_DIGITS, Peer, nats::Nats};

/// One subscriber.
pub(super) struct Subscriber {
    link: Link,
    order: Order,
    payload_bytes: usize,
}

enum Link {
    Weir(Socket),
    Nchan(Socket),
    Nats(Nats),
    /// The sending half is held so that the connection stays whole.
    Bare(Inbox, #[expect(dead_code)] Outbox),
}

impl Subscriber {
    /// Connects and subscribes; returns when the server has confirmed it.
    pub(super) async fn connect(
        peer: Peer,
        target: &Target,
        user: u32,
        payload_bytes: usize,
    ) -> Result<Self, Error> {
        let link = match peer {
            Peer::Weir => Link::Weir(phoenix::join(target, user, &format!("f{user}"), "topic:bench").await?),
            Peer::Nchan => Link::Nchan(Socket::open(target, user, "/sub?id=bench", None).await?),
            Peer::Nats => {
                let mut nats = Nats::connect(target, user).await?;
                nats.send(b"SUB bench 1\r\nPING\r\n").await?;
                nats.confirmed().await?;
                Link::Nats(nats)
            }
            Peer::Bare => {
                let (inbox, outbox) = target.connect(user)?;
                Link::Bare(inbox, outbox)
            }
        };
        Ok(Self { link, order: Order::default(), payload_bytes })
    }

    /// Waits for bytes; how many deliveries they completed, and the bytes of those on the stream.
    pub(super) async fn receive(&mut self) -> Result<(u64, usize), Error> {
        let Self { link, order, payload_bytes } = self;
        let mut deliveries = 0;
        let bytes = match link {
            Link::Weir(socket) => {
                socket.fill().await?;
                let before = socket.inbox.bytes().len();
                while let Some(frame) = socket.next()? {
                    order.check(sequence(ws::text_of(&frame)?)?)?;
                    deliveries += 1;
                }
                before - socket.inbox.bytes().len()
            }
            Link::Nchan(socket) => {
                socket.fill().await?;
                let before = socket.inbox.bytes().len();
                while let Some(frame) = socket.next()? {
                    order.check(number(frame.payload, *payload_bytes)?)?;
                    deliveries += 1;
                }
                before - socket.inbox.bytes().len()
            }
            Link::Nats(nats) => {
                nats.receive(&mut |payload| {
                    deliveries += 1;
                    order.check(number(payload, *payload_bytes)?)
                })
                .await?
            }
            Link::Bare(inbox, _) => {
                inbox.fill().await?;
                let whole = inbox.bytes().len() / *payload_bytes;
                deliveries = whole as u64;
                inbox.consume(whole * *payload_bytes);
                whole * *payload_bytes
            }
        };
        Ok((deliveries, bytes))
    }
}

/// Numbers must follow each other; the first may be any.
#[derive(Default)]
struct Order {
    last: Option<u64>,
}

impl Order {
    fn check(&mut self, number: u64) -> Result<(), Error> {
        match self.last.replace(number) {
            Some(last) if last + 1 != number => {
                Err(Error::Check(format!("delivery {number} came after {last}")))
            }
            _ => Ok(()),
        }
    }
}

/// The `sequence` of an envelope.
fn sequence(text: &str) -> Result<u64, Error> {
    const KEY: &str = r#""sequence":"#;
    let digits = memchr::memmem::find(text.as_bytes(), KEY.as_bytes()).map(|at| &text[at + KEY.len()..]);
    let digits = digits.and_then(|rest| rest.split(|c: char| !c.is_ascii_digit()).next());
    digits
        .and_then(|digits| digits.parse().ok())
        .ok_or_else(|| Error::Check(format!("a delivery without a sequence: {text}")))
}

/// The number that begins a payload of `len` bytes.
fn number(payload: &[u8], len: usize) -> Result<u64, Error> {
    let digits = payload.get(..NUMBER_DIGITS).filter(|_| payload.len() == len);
    digits
        .and_then(|digits| std::str::from_utf8(digits).ok()?.parse().ok())
        .ok_or_else(|| Error::Check(format!("an altered payload: {:?}", String::from_utf8_lossy(payload))))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lost_and_repeated_deliveries_are_errors() {
        let mut order = Order::default();
        assert!(order.check(7).is_ok() && order.check(8).is_ok());
        assert!(order.check(8).is_err());
        assert!(order.check(10).is_err());
    }

    #[test]
    fn sequence_and_number_are_read() {
        let text = r#"[null,null,"topic:bench","bench",{"sequence":12,"data":"x"}]"#;
        assert_eq!(sequence(text).unwrap(), 12);
        assert!(sequence("[]").is_err());
        assert_eq!(number(b"00000042xx", 10).unwrap(), 42);
        assert!(number(b"00000042x", 10).is_err());
    }
}
