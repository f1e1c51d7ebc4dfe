//! A shard whose world is written by hand: what clients send goes in as completions, what they would read
//! comes out of the sends.

mod http;
mod link;
mod streams;

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;
use weir_ring::op::{Completion, Completions, Errno, Op, Output};
use weir_ring::time::{Instant, Now, Wall};
use weir_ring::token::{Listener, Member, Socket, Token};

use crate::limits::{Config, Rate};
use crate::mail::{DrainOrder, Mail};
use crate::mcp::outlet::{Delivery, Outlet};
use crate::message::Stamp;
use crate::turn::{Cx, Post, Shard};

/// A call that the built-in server answers only when its time has come.
const SLEEP: &str = r#""method":"tools/call","params":{"name":"sleep","arguments":{"seconds":30}}"#;

/// What every answer tells browsers.
const GUARD: &str = "X-Content-Type-Options: nosniff\r\n\
                     Content-Security-Policy: default-src 'none'; frame-ancestors 'none'\r\n\
                     Referrer-Policy: no-referrer\r\n";

pub(in crate::downstream) struct World {
    pub(in crate::downstream) shard: Shard,
    out: Output,
    pub(in crate::downstream) post: Post,
    now: u64,
    sockets: u32,
    /// What the last turns asked for, sends aside.
    ops: Vec<Op>,
    /// What was sent and not looked at yet, by connection.
    sent: Vec<(Token, Vec<u8>)>,
    /// Completions of the next turn.
    events: VecDeque<Event>,
}

enum Event {
    Accepted(Socket),
    Received(Token, Vec<u8>),
    Ended(Token, Option<Errno>),
    Unsent(Token, Vec<u8>),
    Drained(Token),
    Readable(Token),
    Closed(Token),
}

struct Script<'a> {
    events: &'a mut VecDeque<Event>,
    bytes: Vec<u8>,
}

impl Completions for Script<'_> {
    fn next(&mut self) -> Option<Completion<'_>> {
        Some(match self.events.pop_front()? {
            Event::Accepted(socket) => Completion::Accepted { listener: Listener(0), socket, peer: None },
            Event::Received(token, bytes) => {
                self.bytes = bytes;
                Completion::Received { token, bytes: &mut self.bytes }
            }
            Event::Ended(token, errno) => Completion::Ended { token, errno },
            Event::Unsent(token, tail) => {
                self.bytes = tail;
                Completion::Unsent { token, tail: &self.bytes, errno: None }
            }
            Event::Drained(token) => Completion::Drained { token, errno: None },
            Event::Readable(token) => Completion::Readable { token },
            Event::Closed(token) => Completion::Closed { token },
        })
    }
}

impl World {
    fn new() -> World {
        World::with(|_| {})
    }

    pub(in crate::downstream) fn with(change: impl FnOnce(&mut Config)) -> World {
        let mut config = Config { client_rate: Rate::new(0.0, 1), ..Config::default() };
        change(&mut config);
        let mut world = World {
            shard: Shard::new(Arc::new(config), Member(0), 1),
            out: Output::default(),
            post: Post { room: vec![100; 2], ..Post::default() },
            now: 1_000_000_000,
            sockets: 0,
            ops: Vec::new(),
            sent: Vec::new(),
            events: VecDeque::new(),
        };
        world.turn();
        world
    }

    pub(in crate::downstream) fn now(&self) -> Now {
        Now { mono: Instant(self.now), wall: Wall(1_700_000_000_000 + self.now / 1_000_000) }
    }

    /// Turns until nothing is due any more.
    pub(in crate::downstream) fn turn(&mut self) {
        loop {
            let now = self.now();
            let mut script = Script { events: &mut self.events, bytes: Vec::new() };
            let next = self.shard.turn(now, &mut script, &mut self.post, &mut self.out);
            for op in std::mem::take(&mut self.out.ops) {
                match op {
                    Op::Send { token, source, .. } => {
                        self.sent.push((token, self.out.bytes(source).to_vec()));
                    }
                    Op::Drain { token, ref bytes, .. } => self.sent.push((token, bytes.clone())),
                    Op::Close { token, .. } => {
                        self.events.push_back(Event::Closed(token));
                        self.ops.push(op);
                    }
                    op => self.ops.push(op),
                }
            }
            self.out.clear();
            if next.0 > self.now && self.events.is_empty() {
                return;
            }
        }
    }

    pub(in crate::downstream) fn accept(&mut self) -> Token {
        self.sockets += 1;
        let socket = Socket(self.sockets);
        self.events.push_back(Event::Accepted(socket));
        self.turn();
        let named = |op: &Op| match op {
            Op::Recv { token, socket: of, .. } if *of == socket => Some(*token),
            _ => None,
        };
        self.ops.iter().find_map(named).expect("an accepted connection is read")
    }

    /// Status and reason of the answer to one request on a connection of its own.
    pub(in crate::downstream) fn verdict(&mut self, request: &str) -> (u16, String) {
        let connection = self.accept();
        let answer = self.ask(connection, request);
        let status = answer.split(' ').nth(1).and_then(|status| status.parse().ok()).unwrap_or_default();
        let body = answer.split_once("\r\n\r\n").map_or("", |(_, body)| body);
        let body: Value = serde_json::from_str(body).unwrap_or_default();
        let reason = body["reason"].as_str().or(body["error"]["data"]["reason"].as_str()).unwrap_or_default();
        (status, reason.to_owned())
    }

    /// What `token` is sent in answer to these bytes, in the same turn.
    pub(in crate::downstream) fn ask(&mut self, token: Token, bytes: &str) -> String {
        self.events.push_back(Event::Received(token, bytes.into()));
        self.turn();
        self.read(token)
    }

    /// The peer sends bytes, which the next turn reads.
    pub(in crate::downstream) fn send(&mut self, token: Token, bytes: &str) {
        self.events.push_back(Event::Received(token, bytes.into()));
    }

    /// The peer sends bytes.
    pub(in crate::downstream) fn receive(&mut self, token: Token, bytes: &[u8]) {
        self.events.push_back(Event::Received(token, bytes.into()));
        self.turn();
    }

    /// What `token` was sent since it was last asked for.
    pub(in crate::downstream) fn read(&mut self, token: Token) -> String {
        String::from_utf8(self.read_bytes(token)).expect("text")
    }

    fn read_bytes(&mut self, token: Token) -> Vec<u8> {
        let mut bytes = Vec::new();
        self.sent.retain(|(to, sent)| {
            if *to == token {
                bytes.extend_from_slice(sent);
            }
            *to != token
        });
        bytes
    }

    pub(in crate::downstream) fn end(&mut self, token: Token) {
        self.events.push_back(Event::Ended(token, None));
        self.turn();
    }

    /// The peer breaks the connection off (`ECONNRESET`).
    pub(in crate::downstream) fn reset(&mut self, token: Token) {
        self.events.push_back(Event::Ended(token, Some(Errno(104))));
        self.turn();
    }

    pub(in crate::downstream) fn wait(&mut self, duration: Duration) {
        self.now += duration.as_nanos() as u64;
        self.turn();
    }

    fn drain(&mut self) {
        self.post.inbox.push(Mail::Drain(DrainOrder::default()));
        self.turn();
    }

    /// The hub sends a message.
    fn deliver(&mut self, outlet: Outlet, delivery: Delivery, message: &str) {
        let now = self.now();
        let mut cx = Cx { now, stamp: Stamp::new(now.wall), out: &mut self.out, post: &mut self.post };
        self.shard.mcp_deliver(outlet, delivery, message.as_bytes(), &mut cx);
        self.turn();
    }

    /// Initializes a session with `version`; its id.
    fn initialize(&mut self, token: Token, version: &str) -> String {
        let params = format!(r#""method":"initialize","params":{{"protocolVersion":"{version}"}}"#);
        let answer = self.ask(token, &post("", 0, &params));
        let (_, rest) = answer.split_once("Mcp-Session-Id: ").expect("an answer with a session");
        rest.split_once("\r\n").expect("a header line").0.to_owned()
    }

    fn session(&self, id: &str) -> Token {
        self.shard.mcp.find(id).expect("a session")
    }

    pub(in crate::downstream) fn closed(&self, token: Token) -> bool {
        self.shard.conns.get(token).is_none()
    }

    fn slots(&self) -> u32 {
        self.shard.mcp.sessions.len()
    }
}

/// A POST of a request; `headers` are whole lines.
fn post(headers: &str, id: u32, rest: &str) -> String {
    body(headers, &format!(r#"{{"jsonrpc":"2.0","id":{id},{rest}}}"#))
}

fn body(headers: &str, body: &str) -> String {
    let length = body.len();
    format!(
        "POST /mcp HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n\
         Accept: application/json, text/event-stream\r\n{headers}Content-Length: {length}\r\n\r\n{body}"
    )
}

fn get(headers: &str) -> String {
    format!("GET /mcp HTTP/1.1\r\nHost: localhost\r\nAccept: text/event-stream\r\n{headers}\r\n")
}

fn of_session(id: &str) -> String {
    format!("Mcp-Session-Id: {id}\r\n")
}

fn status(answer: &str) -> u16 {
    answer.split(' ').nth(1).and_then(|status| status.parse().ok()).unwrap_or_default()
}

/// The parts of a body in chunks; the last is empty if it has ended.
fn chunks(answer: &str) -> Vec<&str> {
    let mut rest = match answer.split_once("\r\n\r\n") {
        Some((head, body)) if head.starts_with("HTTP/") => body,
        _ => answer,
    };
    let mut chunks = Vec::new();
    while let Some((size, after)) = rest.split_once("\r\n") {
        let size = usize::from_str_radix(size, 16).expect("a chunk's size");
        chunks.push(&after[..size]);
        rest = after[size..].strip_prefix("\r\n").expect("a chunk's end");
    }
    assert!(rest.is_empty(), "{rest:?}");
    chunks
}
