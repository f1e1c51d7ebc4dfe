//! The requests and replies of `echo`: MCP pings, WebSocket text, or plain TCP bytes.

use std::str::FromStr;

use crate::{
    error::Error,
    frame::Opcode,
    net::{Inbox, Outbox, Target},
    ws::{self, FrameOutbox, Socket},
};

/// Digits of the id that begins each message of `raw` and `tcp`.
const ID_DIGITS: usize = 8;

/// Ids wrap here, so that all messages of a run have one size.
const IDS: u64 = 90_000_000;

/// The first id: eight digits.
const FIRST_ID: u64 = 10_000_000;

const PING_HEAD: &[u8] = br#"{"jsonrpc":"2.0","id":"#;
const PING_TAIL: &[u8] = br#","method":"ping"}"#;

/// What a message is.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Payload {
    /// A JSON-RPC `ping` request over WebSocket subprotocol `mcp`.
    McpPing,
    /// A text message of that many bytes; the server echoes it.
    Text(usize),
    /// That many bytes of TCP; the server echoes them.
    Tcp(usize),
}

impl FromStr for Payload {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (kind, size) = text.split_once(':').unwrap_or((text, "8"));
        let size: usize = size.parse().map_err(|_| format!("{size:?} is no number of bytes"))?;
        if size < ID_DIGITS {
            return Err(format!("a message has at least {ID_DIGITS} bytes"));
        }
        match kind {
            "mcp-ping" => Ok(Self::McpPing),
            "raw" => Ok(Self::Text(size)),
            "tcp" => Ok(Self::Tcp(size)),
            _ => Err("one of mcp-ping, raw:BYTES, tcp:BYTES is needed".to_owned()),
        }
    }
}

/// Connects user number `user` and upgrades as `payload` needs it.
pub(crate) async fn open(target: &Target, user: u32, payload: Payload) -> Result<(Inbox, Sender), Error> {
    let subprotocol = match payload {
        Payload::Tcp(_) => {
            let (inbox, outbox) = target.connect(user)?;
            return Ok((inbox, Sender::new(Link::Stream(outbox), payload)));
        }
        Payload::McpPing => Some("mcp"),
        Payload::Text(_) => None,
    };
    let Socket { inbox, outbox } = Socket::open(target, user, &target.path, subprotocol).await?;
    Ok((inbox, Sender::new(Link::Frames(outbox), payload)))
}

enum Link {
    Frames(FrameOutbox),
    Stream(Outbox),
}

/// The sending half of a user's connection.
pub(crate) struct Sender {
    link: Link,
    payload: Payload,
    message: Vec<u8>,
}

impl Sender {
    fn new(link: Link, payload: Payload) -> Self {
        Self { link, payload, message: Vec::new() }
    }

    /// Queues request number `number` of this user.
    pub(crate) fn queue(&mut self, number: u64) {
        let mut digits = itoa::Buffer::new();
        let digits = digits.format(FIRST_ID + number % IDS).as_bytes();
        self.message.clear();
        match self.payload {
            Payload::McpPing => {
                self.message.extend_from_slice(PING_HEAD);
                self.message.extend_from_slice(digits);
                self.message.extend_from_slice(PING_TAIL);
            }
            Payload::Text(len) | Payload::Tcp(len) => {
                self.message.extend_from_slice(digits);
                self.message.resize(len, b'x');
            }
        }
        match &mut self.link {
            Link::Frames(outbox) => outbox.queue(Opcode::Text, &self.message),
            Link::Stream(outbox) => outbox.queue().extend_from_slice(&self.message),
        }
    }

    /// Sends what is queued, if anything is; says how many bytes.
    pub(crate) async fn flush(&mut self) -> Result<usize, Error> {
        match &mut self.link {
            Link::Frames(outbox) => outbox.flush().await,
            Link::Stream(outbox) => outbox.flush().await,
        }
    }

    /// Takes the next reply out of `inbox` and checks that it answers request number `number`.
    /// `None` until it is there to its end; otherwise its bytes on the stream.
    pub(crate) fn reply(&mut self, inbox: &mut Inbox, number: u64) -> Result<Option<usize>, Error> {
        let wanted = FIRST_ID + number % IDS;
        let before = inbox.bytes().len();
        let id = match (&mut self.link, self.payload) {
            (Link::Stream(_), Payload::McpPing | Payload::Text(_) | Payload::Tcp(_)) => {
                let len = self.message.len();
                if before < len {
                    return Ok(None);
                }
                leading_number(inbox.take(len))
            }
            (Link::Frames(outbox), payload) => {
                let Some(frame) = ws::next(inbox, outbox)? else { return Ok(None) };
                match payload {
                    Payload::McpPing => ping_reply_id(frame.payload),
                    Payload::Text(len) | Payload::Tcp(len) if frame.payload.len() == len => {
                        leading_number(frame.payload)
                    }
                    Payload::Text(_) | Payload::Tcp(_) => None,
                }
            }
        };
        if id != Some(wanted) {
            return Err(Error::Check(format!("the reply to request {wanted} carries the id {id:?}")));
        }
        Ok(Some(before - inbox.bytes().len()))
    }
}

/// The id of a JSON-RPC response; `None` when it is an error or has no id.
fn ping_reply_id(reply: &[u8]) -> Option<u64> {
    memchr::memmem::find(reply, br#""result""#)?;
    let at = memchr::memmem::find(reply, br#""id":"#)?;
    leading_number(&reply[at + 5..])
}

fn leading_number(text: &[u8]) -> Option<u64> {
    let len = text.iter().take_while(|byte| byte.is_ascii_digit()).count();
    std::str::from_utf8(&text[..len]).ok()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn payload_is_read_from_the_command_line() {
        assert_eq!("mcp-ping".parse(), Ok(Payload::McpPing));
        assert_eq!("raw:32".parse(), Ok(Payload::Text(32)));
        assert_eq!("tcp:52".parse(), Ok(Payload::Tcp(52)));
        assert!("tcp:7".parse::<Payload>().is_err());
        assert!("udp:52".parse::<Payload>().is_err());
    }

    #[test]
    fn reply_id_is_found_in_any_order_of_keys_and_not_in_an_error() {
        assert_eq!(ping_reply_id(br#"{"jsonrpc":"2.0","id":10000007,"result":{}}"#), Some(10_000_007));
        assert_eq!(ping_reply_id(br#"{"result":{},"id":10000007,"jsonrpc":"2.0"}"#), Some(10_000_007));
        assert_eq!(ping_reply_id(br#"{"jsonrpc":"2.0","id":10000007,"error":{}}"#), None);
        assert_eq!(ping_reply_id(b"{}"), None);
    }
}
