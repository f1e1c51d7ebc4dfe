//! The connections of an MCP client: POSTs, the stream of a session, WebSockets.

use std::rc::Rc;

use crate::net::{self, Taken};
use crate::rng::Rng;
use crate::stage::Stage;
use crate::wire::websocket::{self, Message};
use crate::wire::{http, sse};

/// One connection.
#[derive(Debug)]
pub(super) enum Link {
    Http(Box<Http>),
    Socket(Box<Socket>),
}

/// HTTP: one exchange at a time.
#[derive(Debug, Default)]
pub(super) struct Http {
    reader: http::Reader,
    head: Option<http::Head>,
    events: sse::Reader,
    /// The exchange under way.
    pub(super) busy: Option<Exchange>,
    /// When it began.
    pub(super) began: u64,
    /// In which session.
    pub(super) session: Option<String>,
}

/// A request and its response.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Exchange {
    /// A POST with a request of this id, JSON.
    Ask(Rc<str>),
    /// A POST with a notification or a response.
    Tell,
    /// A GET.
    Listen,
    /// A DELETE.
    Farewell,
}

/// A WebSocket, once the upgrade is through.
#[derive(Debug, Default)]
pub(super) struct Socket {
    head: http::Reader,
    frames: Option<websocket::Reader>,
}

/// What a connection heard.
#[derive(Debug)]
pub(super) enum Heard {
    /// The head of the response to a request of this id.
    Head(Rc<str>, http::Head),
    /// A JSON-RPC message.
    Message(Vec<u8>),
    /// The body of a response that is no event stream.
    Body { exchange: Exchange, status: u16, body: Vec<u8> },
    /// The exchange is over; the connection goes on, or not.
    Over { exchange: Exchange, keeps: bool },
    /// The upgrade is through.
    Upgraded,
    /// The connection is of no more use.
    Closed,
}

impl Http {
    /// Reads what has come.
    pub(super) fn read(&mut self, bytes: &[u8], heard: &mut Vec<Heard>) -> Result<(), String> {
        self.reader.push(bytes);
        while let Some(exchange) = self.busy.clone() {
            let Some(head) = &self.head else {
                let Some(head) = self.reader.head()? else { return Ok(()) };
                if let Exchange::Ask(id) = exchange {
                    heard.push(Heard::Head(id, head.clone()));
                }
                self.head = Some(head);
                continue;
            };
            if head.field("content-type").is_some_and(|kind| kind.starts_with("text/event-stream")) {
                self.events.push(&self.reader.rest()?);
                while let Some(event) = self.events.read()? {
                    // An event without data is there for its id.
                    if !event.data.is_empty() {
                        heard.push(Heard::Message(event.data));
                    }
                }
                if !self.reader.is_over() {
                    return Ok(());
                }
            } else {
                let Some(body) = self.reader.body()? else { return Ok(()) };
                heard.push(Heard::Body { exchange, status: head.status, body });
            }
            self.over(heard);
        }
        if self.reader.is_empty() { Ok(()) } else { Err("bytes after a response".into()) }
    }

    fn over(&mut self, heard: &mut Vec<Heard>) {
        self.events = sse::Reader::default();
        let head = self.head.take();
        let keeps = head.is_some_and(|head| head.field("connection") != Some("close"));
        heard.extend(self.busy.take().map(|exchange| Heard::Over { exchange, keeps }));
    }
}

impl Socket {
    /// Reads what has come; pings are answered.
    pub(super) fn read(
        &mut self,
        stage: &mut Stage,
        conn: usize,
        bytes: &[u8],
        heard: &mut Vec<Heard>,
    ) -> Result<(), String> {
        let mut bytes = bytes.to_vec();
        if self.frames.is_none() {
            self.head.push(&bytes);
            let Some(head) = self.head.head()? else { return Ok(()) };
            if head.status != 101 {
                heard.push(Heard::Closed);
                return Ok(());
            }
            heard.push(Heard::Upgraded);
            bytes = self.head.rest()?;
            self.frames = Some(websocket::Reader::default());
        }
        let Some(frames) = &mut self.frames else { return Ok(()) };
        frames.push(&bytes);
        while let Some(message) = frames.read()? {
            match message {
                Message::Text(text) => heard.push(Heard::Message(text)),
                Message::Ping(payload) => {
                    let mut out = Vec::new();
                    websocket::write_frame(&mut out, true, websocket::PONG, &payload, &mut stage.rng);
                    net::send(stage, conn, &out);
                }
                Message::Pong => {}
                Message::Close(_) => heard.push(Heard::Closed),
                Message::Binary(_) => return Err("binary frame to an MCP client".into()),
            }
        }
        Ok(())
    }
}

impl Link {
    /// A fresh HTTP connection.
    pub(super) fn http() -> Link {
        Link::Http(Box::default())
    }

    /// Reads what has come on `conn`.
    pub(super) fn read(&mut self, stage: &mut Stage, conn: usize, taken: &Taken) -> Vec<Heard> {
        let mut heard = Vec::new();
        let read = match self {
            Link::Http(http) => http.read(&taken.bytes, &mut heard),
            Link::Socket(socket) => socket.read(stage, conn, &taken.bytes, &mut heard),
        };
        if let Err(wrong) = read {
            stage.history.violation(0, format!("conn {conn}: {wrong}"));
            heard.push(Heard::Closed);
        }
        if taken.ended {
            heard.push(Heard::Closed);
        }
        heard
    }

    /// What it is busy with, if it can do one thing at a time.
    pub(super) fn exchange(&self) -> Option<&Exchange> {
        match self {
            Link::Http(http) => http.busy.as_ref(),
            Link::Socket(_) => None,
        }
    }
}

/// A WebSocket message of a client.
pub(super) fn frame(text: &str, rng: &mut Rng) -> Vec<u8> {
    let mut out = Vec::new();
    websocket::write_message(&mut out, websocket::TEXT, text.as_bytes(), rng);
    out
}

/// The upgrade to a WebSocket that speaks JSON-RPC.
pub(super) fn upgrade(proof: &str) -> String {
    format!(
        "GET /mcp/ws HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
         Sec-WebSocket-Protocol: mcp\r\n{proof}Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: {}\r\n\r\n",
        websocket::KEY
    )
}
