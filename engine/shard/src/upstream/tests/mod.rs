//! The servers' side driven by a script in place of the kernel.

mod chaos;
mod http;
mod pipe;
mod pool;
mod probing;
mod replicas;
mod through;

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use weir_ring::op::{Completion, Completions, Errno, Op, Output};
use weir_ring::time::{Instant, Now, Wall};
use weir_ring::token::{Address, Member, Socket, Token};

use super::{Ask, Opening, UpstreamFault, UpstreamId};
use crate::limits::{Config, Target, TargetKind, Upstream};
use crate::mcp::wire_id;
use crate::message::Stamp;
use crate::turn::{Cx, Post, Shard};

pub(super) const SERVER: UpstreamId = UpstreamId(0);
/// `ECONNREFUSED`.
pub(super) const REFUSED: Errno = Errno(111);

/// What the hub would have been told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Heard {
    Ready(Token),
    Lost(Token, UpstreamFault),
    Leg(Token, String),
    Failed(Token, UpstreamFault),
    Backing(Token, String),
}

/// A completion with its own bytes.
enum Event {
    Connected(Token, Socket),
    Refused(Token, Errno),
    Received(Token, Vec<u8>),
    Ended(Token),
    Closed(Token),
}

#[derive(Default)]
struct Script {
    events: VecDeque<Event>,
    lent: Vec<u8>,
}

impl Completions for Script {
    fn next(&mut self) -> Option<Completion<'_>> {
        Some(match self.events.pop_front()? {
            Event::Connected(token, socket) => Completion::Connected { token, socket },
            Event::Refused(token, errno) => Completion::ConnectFailed { token, errno },
            Event::Received(token, bytes) => {
                self.lent = bytes;
                Completion::Received { token, bytes: &mut self.lent }
            }
            Event::Ended(token) => Completion::Ended { token, errno: None },
            Event::Closed(token) => Completion::Closed { token },
        })
    }
}

/// A shard with one upstream, and a network that does as it is told.
pub(super) struct World {
    pub(super) shard: Shard,
    post: Post,
    out: Output,
    pub(super) now: Instant,
    script: Script,
    sockets: u32,
    /// Connections that the shard has asked for and nobody has answered yet, in order.
    pub(super) dialled: VecDeque<(Token, Address)>,
    /// What the shard has written to each connection since it was looked at.
    written: BTreeMap<(u32, u32), Vec<u8>>,
    pub(super) closed: Vec<Token>,
    legs: u32,
}

/// One HTTP target.
pub(super) fn http(port: u16) -> Target {
    let address = Address::Tcp(([127, 0, 0, 1], port).into());
    let kind = TargetKind::Http { host: format!("server:{port}").into(), path: "/mcp".into(), tls: None };
    Target { address, kind, weight: 1 }
}

/// A target that is a child.
pub(super) fn child() -> Target {
    Target { address: Address::Local("weir-child".into()), kind: TargetKind::Child, weight: 1 }
}

/// A server of these targets.
pub(super) fn server(targets: Vec<Target>) -> Upstream {
    Upstream { name: "server".into(), targets, ..Upstream::default() }
}

impl World {
    pub(super) fn new(upstream: Upstream) -> World {
        let config = Config { upstreams: vec![upstream], ..Config::default() };
        let mut shard = Shard::new(Arc::new(config), Member(0), 7);
        shard.upstream.heard = Some(Vec::new());
        let mut world = World {
            shard,
            post: Post::default(),
            out: Output::default(),
            now: Instant(1_000_000_000),
            script: Script::default(),
            sockets: 100,
            dialled: VecDeque::new(),
            written: BTreeMap::new(),
            closed: Vec::new(),
            legs: 0,
        };
        world.turn();
        world
    }

    /// One turn with all that the script holds.
    pub(super) fn turn(&mut self) {
        let now = self.at();
        self.shard.turn(now, &mut self.script, &mut self.post, &mut self.out);
        for op in std::mem::take(&mut self.out.ops) {
            match op {
                Op::Connect { token, to } => self.dialled.push_back((token, to)),
                Op::Send { token, source, .. } => {
                    let bytes = self.out.bytes(source).to_vec();
                    self.written.entry((token.index, token.generation)).or_default().extend(bytes);
                }
                Op::Close { token, .. } => {
                    self.closed.push(token);
                    self.script.events.push_back(Event::Closed(token));
                }
                _ => {}
            }
        }
        self.out.clear();
        self.now = self.now.plus(Duration::from_micros(10));
    }

    fn at(&self) -> Now {
        Now { mono: self.now, wall: Wall(1_750_000_000_000) }
    }

    /// Lets time pass, with a turn whenever the shard wants one.
    pub(super) fn pass(&mut self, time: Duration) {
        let end = self.now.plus(time);
        while self.now < end {
            self.now = self.now.plus(Duration::from_millis(20)).min(end);
            self.turn();
        }
    }

    /// Does something as the hub would, and takes a turn.
    pub(super) fn act<T>(&mut self, act: impl FnOnce(&mut Shard, &mut Cx<'_>) -> T) -> T {
        let now = self.at();
        let stamp = Stamp::new(now.wall);
        let mut cx = Cx { now, stamp, out: &mut self.out, post: &mut self.post };
        let done = act(&mut self.shard, &mut cx);
        self.turn();
        done
    }

    pub(super) fn open(&mut self) -> Token {
        self.try_open().expect("the conversation begins")
    }

    pub(super) fn try_open(&mut self) -> Result<Token, UpstreamFault> {
        self.try_open_at(SERVER)
    }

    pub(super) fn try_open_at(&mut self, upstream: UpstreamId) -> Result<Token, UpstreamFault> {
        let opening = Opening {
            owner: Token { index: 9, generation: 9 },
            affinity: 1,
            client_info: r#"{"name":"test","version":"1"}"#.into(),
            capabilities: r#"{"roots":{}}"#.into(),
            who: None,
        };
        self.act(|shard, cx| shard.open_backing(upstream, opening, cx))
    }

    /// A request of `tools/call`, or of `tools/list` if it is idempotent.
    pub(super) fn ask(&mut self, backing: Token, idempotent: bool, long: bool) -> Token {
        let leg = Token { index: self.legs, generation: 3 };
        self.legs += 1;
        let method = if idempotent { "tools/list" } else { "tools/call" };
        let message = format!(r#"{{"jsonrpc":"2.0","id":{},"method":"{method}"}}"#, wire_id::of(leg));
        let name = (!idempotent).then_some("add");
        let headers = [];
        let ask =
            Ask { message: message.as_bytes(), method, name, headers: &headers, idempotent, long, who: None };
        self.act(|shard, cx| shard.ask(backing, leg, ask, cx));
        leg
    }

    /// A call that is neither idempotent nor long.
    pub(super) fn call(&mut self, backing: Token) -> Token {
        self.ask(backing, false, false)
    }

    /// The connection asked for longest ago opens.
    pub(super) fn accept(&mut self) -> Token {
        let (token, _) = self.dialled.pop_front().expect("a connection was asked for");
        self.sockets += 1;
        self.script.events.push_back(Event::Connected(token, Socket(self.sockets)));
        self.turn();
        token
    }

    /// The connection asked for longest ago is refused.
    pub(super) fn refuse(&mut self) -> Address {
        let (token, address) = self.dialled.pop_front().expect("a connection was asked for");
        self.script.events.push_back(Event::Refused(token, REFUSED));
        self.turn();
        address
    }

    pub(super) fn receive(&mut self, token: Token, bytes: &[u8]) {
        self.script.events.push_back(Event::Received(token, bytes.to_vec()));
        self.turn();
    }

    /// As `receive`, in pieces of this many bytes, a turn each.
    pub(super) fn receive_in_pieces(&mut self, token: Token, bytes: &[u8], len: usize) {
        for piece in bytes.chunks(len) {
            self.receive(token, piece);
        }
    }

    pub(super) fn end(&mut self, token: Token) {
        self.script.events.push_back(Event::Ended(token));
        self.turn();
    }

    /// What was written to a connection since the last time.
    pub(super) fn written(&mut self, token: Token) -> String {
        String::from_utf8(self.written.remove(&(token.index, token.generation)).unwrap_or_default())
            .expect("UTF-8")
    }

    /// What was told since the last time.
    pub(super) fn heard(&mut self) -> Vec<Heard> {
        self.shard.upstream.heard.as_mut().map(std::mem::take).unwrap_or_default()
    }

    /// A modern conversation over HTTP, ready.
    pub(super) fn modern(&mut self) -> Token {
        self.modern_at(SERVER)
    }

    /// The same with any upstream.
    pub(super) fn modern_at(&mut self, upstream: UpstreamId) -> Token {
        let backing = self.try_open_at(upstream).expect("the conversation begins");
        let wire = self.accept();
        self.receive(wire, json(200, DISCOVERED).as_bytes());
        assert_eq!(self.heard(), [Heard::Ready(backing)]);
        self.written.clear();
        backing
    }

    /// A legacy conversation over HTTP, ready, with its session, and its GET refused.
    pub(super) fn legacy(&mut self) -> Token {
        let backing = self.open();
        let wire = self.accept();
        self.receive(wire, json(400, "{}").as_bytes());
        let initialized = json(200, INITIALIZED).replacen("\r\n", "\r\nMcp-Session-Id: s1\r\n", 1);
        self.receive(wire, initialized.as_bytes());
        self.receive(wire, ACCEPTED.as_bytes());
        assert_eq!(self.heard(), [], "it begins with the stream of its own messages, or knowing of none");
        let stream = self.accept();
        assert!(self.written(stream).starts_with("GET /mcp "));
        self.receive(stream, json(405, "").as_bytes());
        assert_eq!(self.heard(), [Heard::Ready(backing)]);
        self.written.clear();
        backing
    }
}

pub(super) const DISCOVERED: &str = r#"{"jsonrpc":"2.0","id":"weir-discover","result":{"supportedVersions":["2026-07-28"],"capabilities":{}}}"#;
pub(super) const INITIALIZED: &str =
    r#"{"jsonrpc":"2.0","id":"weir-initialize","result":{"protocolVersion":"2025-06-18","capabilities":{}}}"#;
pub(super) const ACCEPTED: &str = "HTTP/1.1 202 Accepted\r\nContent-Length: 0\r\n\r\n";

/// A response of one message.
pub(super) fn json(status: u16, body: &str) -> String {
    let length = body.len();
    format!(
        "HTTP/1.1 {status} Said\r\nContent-Type: application/json\r\nContent-Length: {length}\r\n\r\n{body}"
    )
}

/// A chunked response of events, each in a chunk of its own.
pub(super) fn events(events: &[&str], end: bool) -> String {
    let mut text =
        "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream; charset=utf-8\r\nTransfer-Encoding: chunked\r\n\r\n"
            .to_owned();
    for event in events {
        text.push_str(&format!("{:x}\r\n{event}\r\n", event.len()));
    }
    if end {
        text.push_str("0\r\n\r\n");
    }
    text
}

/// The result of a leg.
pub(super) fn result(leg: Token) -> String {
    format!(r#"{{"jsonrpc":"2.0","id":{},"result":{{"ok":true}}}}"#, wire_id::of(leg))
}
