//! A client's WebSocket: the opening handshake (RFC 6455, 4.1) and its messages.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use sha1_smol::Sha1;

use crate::{
    error::Error,
    frame::{self, Masks, Opcode},
    http,
    net::{Inbox, Outbox, Target},
};

/// RFC 6455, 1.3.
const ACCEPT_GUID: &str = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";

/// A data frame lent until the next call.
pub(crate) struct Frame<'a> {
    pub(crate) opcode: Opcode,
    pub(crate) fin: bool,
    pub(crate) payload: &'a [u8],
}

/// An open WebSocket.
pub(crate) struct Socket {
    /// Bytes from the server.
    pub(crate) inbox: Inbox,
    /// Frames to the server.
    pub(crate) outbox: FrameOutbox,
}

/// Frames that wait to be sent.
pub(crate) struct FrameOutbox {
    outbox: Outbox,
    masks: Masks,
}

impl FrameOutbox {
    /// Queues one message.
    pub(crate) fn queue(&mut self, opcode: Opcode, payload: &[u8]) {
        frame::write(self.outbox.queue(), opcode, payload, self.masks.next());
    }

    /// Sends what is queued; says how many bytes.
    pub(crate) async fn flush(&mut self) -> Result<usize, Error> {
        self.outbox.flush().await
    }
}

impl Socket {
    /// Connects user number `user` to `path` and upgrades.
    ///
    /// # Errors
    /// [`Error::Status`] unless the server answers 101, [`Error::Protocol`] when the answer does
    /// not prove that it understood or selects another subprotocol.
    pub(crate) async fn open(
        target: &Target,
        user: u32,
        path: &str,
        subprotocol: Option<&str>,
    ) -> Result<Self, Error> {
        let (mut inbox, mut outbox) = target.connect(user)?;
        let mut masks = Masks::new(u64::from(user) ^ u64::from(std::process::id()) << 32);
        let nonce: Vec<u8> = (0..4).flat_map(|_| masks.next()).collect();
        let key = STANDARD.encode(nonce);
        let mut headers = format!(
            "Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: {key}\r\n"
        );
        if let Some(name) = subprotocol {
            headers.push_str(&format!("Sec-WebSocket-Protocol: {name}\r\n"));
        }
        http::queue_get(&mut outbox, &target.host, path, &headers);
        outbox.flush().await?;
        let head = http::read_head(&mut inbox).await?;
        http::expect("WebSocket upgrade", 101, &head, &mut inbox).await?;
        let accept = STANDARD.encode(Sha1::from(format!("{key}{ACCEPT_GUID}")).digest().bytes());
        if head.header("sec-websocket-accept") != Some(&accept) {
            return Err(Error::Protocol("wrong Sec-WebSocket-Accept".to_owned()));
        }
        if head.header("sec-websocket-protocol") != subprotocol {
            return Err(Error::Protocol(format!("the subprotocol {subprotocol:?} was not selected")));
        }
        Ok(Self { inbox, outbox: FrameOutbox { outbox, masks } })
    }

    /// See [`next`].
    pub(crate) fn next(&mut self) -> Result<Option<Frame<'_>>, Error> {
        next(&mut self.inbox, &mut self.outbox)
    }

    /// Sends what is queued, then waits for more bytes.
    pub(crate) async fn fill(&mut self) -> Result<(), Error> {
        self.outbox.flush().await?;
        self.inbox.fill().await
    }

    /// Waits for one text message and copies it.
    pub(crate) async fn text(&mut self) -> Result<String, Error> {
        loop {
            if let Some(frame) = self.next()? {
                return text_of(&frame).map(str::to_owned);
            }
            self.fill().await?;
        }
    }
}

/// The next data frame that is already in `inbox`. Pongs to pings are queued in `outbox`.
///
/// # Errors
/// [`Error::Closed`] when the server closes.
pub(crate) fn next<'a>(inbox: &'a mut Inbox, outbox: &mut FrameOutbox) -> Result<Option<Frame<'a>>, Error> {
    loop {
        let Some(head) = frame::parse(inbox.bytes())? else { return Ok(None) };
        inbox.consume(head.head_len);
        match head.opcode {
            Opcode::Continuation | Opcode::Text | Opcode::Binary => {
                let payload = inbox.take(head.payload_len);
                return Ok(Some(Frame { opcode: head.opcode, fin: head.fin, payload }));
            }
            Opcode::Ping => outbox.queue(Opcode::Pong, inbox.take(head.payload_len)),
            Opcode::Pong => inbox.consume(head.payload_len),
            Opcode::Close => return Err(closed(inbox.take(head.payload_len))),
        }
    }
}

/// The text of a frame that must be one whole text message.
pub(crate) fn text_of<'a>(frame: &Frame<'a>) -> Result<&'a str, Error> {
    if frame.opcode != Opcode::Text || !frame.fin {
        return Err(Error::Protocol(format!("a text message was due, not {:?}", frame.opcode)));
    }
    std::str::from_utf8(frame.payload).map_err(|_| Error::Protocol("text that is not UTF-8".to_owned()))
}

/// RFC 6455, 5.5.1; a close without a code counts as 1005 (7.4.1).
fn closed(payload: &[u8]) -> Error {
    match payload {
        [a, b, reason @ ..] => Error::Closed {
            code: u16::from_be_bytes([*a, *b]),
            reason: String::from_utf8_lossy(reason).into_owned(),
        },
        _ => Error::Closed { code: 1005, reason: String::new() },
    }
}
