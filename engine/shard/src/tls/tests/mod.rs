//! Shards that speak TLS with clients of rustls, over a network that does as it is told.

mod clients;
mod endings;
mod handshakes;

use std::collections::VecDeque;
use std::io::{Read, Write};
use std::sync::Arc;
use std::time::Duration;

use rustls::crypto::{CryptoProvider, ring};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::WebPkiClientVerifier;
use rustls::{ClientConfig, ClientConnection, RootCertStore, ServerConfig, SupportedProtocolVersion};
use weir_ring::op::{Completion, Completions, Errno, Op, Output, RecvMode};
use weir_ring::time::{Instant, Now, Wall};
use weir_ring::token::{Listener, Member, Socket, Token, Transfer};

use super::{Clock, Credentials};
use crate::limits::Config;
use crate::turn::{Post, Shard};

enum Event {
    Accepted(Socket),
    Received(Token, Vec<u8>),
    Ended(Token, Option<Errno>),
    Unsent(Token, Vec<u8>),
    Drained(Token),
    Closed(Token),
    HandedOver(Token),
    Arrived(Transfer, Socket),
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
            Event::Closed(token) => Completion::Closed { token },
            Event::HandedOver(token) => Completion::HandedOver { token, errno: None },
            Event::Arrived(transfer, socket) => Completion::Arrived { transfer, socket },
        })
    }
}

struct Node {
    shard: Shard,
    post: Post,
    out: Output,
    events: VecDeque<Event>,
    /// When the next turn is due.
    due: Instant,
}

/// A connection as the network sees it; its socket is its place among all.
struct Line {
    shard: usize,
    token: Option<Token>,
    armed: RecvMode,
    /// What the shard has sent and nobody has read.
    sent: Vec<u8>,
    /// How much of each send the kernel takes.
    room: usize,
    shut: bool,
    closed: bool,
}

/// Shards and their network.
struct World {
    nodes: Vec<Node>,
    lines: Vec<Line>,
    now: u64,
}

impl World {
    /// Shards that meet clients so, with the clock of `keys`.
    fn new(shards: u16, keys: &Keys, server: ServerConfig) -> World {
        let config = Arc::new(Config { shards, test_endpoints: true, ..Config::default() });
        let clock = keys.clock.clone();
        let credentials = Credentials { server: Some(server.into()), clock, ..Credentials::default() };
        let credentials = Arc::new(credentials);
        let nodes = (0..shards).map(|member| {
            let mut shard = Shard::new(config.clone(), Member(member), 7);
            shard.set_credentials(credentials.clone());
            let post = Post { room: vec![100; usize::from(shards) + 1], ..Post::default() };
            Node { shard, post, out: Output::default(), events: VecDeque::new(), due: Instant(0) }
        });
        let mut world = World { nodes: nodes.collect(), lines: Vec::new(), now: 1_000_000_000 };
        world.settle();
        world
    }

    /// Turns until nothing is under way.
    fn settle(&mut self) {
        loop {
            for at in 0..self.nodes.len() {
                self.turn(at);
            }
            let busy = |node: &Node| {
                !node.events.is_empty() || !node.post.inbox.is_empty() || node.due.0 <= self.now
            };
            if !self.nodes.iter().any(busy) {
                return;
            }
        }
    }

    fn turn(&mut self, at: usize) {
        let now = Now { mono: Instant(self.now), wall: Wall(1_790_000_000_000) };
        let node = &mut self.nodes[at];
        let mut script = Script { events: &mut node.events, bytes: Vec::new() };
        node.due = node.shard.turn(now, &mut script, &mut node.post, &mut node.out);
        let output = std::mem::take(&mut node.out);
        let letters = std::mem::take(&mut node.post.outbox);
        for op in &output.ops {
            self.carry_out(at, op, &output);
        }
        for (to, letter) in letters {
            // Nobody sits in the control thread's place.
            if let Some(node) = self.nodes.get_mut(usize::from(to.0)) {
                node.post.inbox.push(letter);
            }
        }
    }

    fn carry_out(&mut self, at: usize, op: &Op, output: &Output) {
        let events = &mut self.nodes[at].events;
        match op {
            Op::Recv { token, socket, mode } => {
                let line = &mut self.lines[socket.0 as usize];
                (line.token, line.armed) = (Some(*token), *mode);
            }
            Op::Send { token, socket, source } => {
                let line = &mut self.lines[socket.0 as usize];
                let bytes = output.bytes(*source);
                let (now, later) = bytes.split_at(bytes.len().min(line.room));
                line.sent.extend_from_slice(now);
                if !later.is_empty() {
                    events.push_back(Event::Unsent(*token, later.to_vec()));
                }
            }
            Op::Drain { token, socket, bytes } => {
                self.lines[socket.0 as usize].sent.extend_from_slice(bytes);
                events.push_back(Event::Drained(*token));
            }
            Op::Shutdown { socket, .. } => self.lines[socket.0 as usize].shut = true,
            Op::Close { token, socket } => {
                self.lines[socket.0 as usize].closed = true;
                events.push_back(Event::Closed(*token));
            }
            Op::HandOver { token, socket, to, transfer } => {
                events.push_back(Event::HandedOver(*token));
                let line = &mut self.lines[socket.0 as usize];
                (line.shard, line.token) = (usize::from(to.0), None);
                self.nodes[usize::from(to.0)].events.push_back(Event::Arrived(*transfer, *socket));
            }
            _ => {}
        }
    }

    /// Opens a connection to a shard.
    fn connect(&mut self, shard: usize) -> usize {
        let line = Line {
            shard,
            token: None,
            armed: RecvMode::Off,
            sent: Vec::new(),
            room: usize::MAX,
            shut: false,
            closed: false,
        };
        self.lines.push(line);
        let socket = Socket(self.lines.len() as u32 - 1);
        self.nodes[shard].events.push_back(Event::Accepted(socket));
        self.settle();
        self.lines.len() - 1
    }

    /// The kernel has received bytes; the shard must have asked for them.
    fn receive(&mut self, line: usize, bytes: &[u8]) {
        let of = &mut self.lines[line];
        if of.closed {
            return;
        }
        assert!(matches!(of.armed, RecvMode::Once | RecvMode::Stream), "nobody reads: {:?}", of.armed);
        if of.armed == RecvMode::Once {
            of.armed = RecvMode::Off;
        }
        let token = of.token.expect("an open connection");
        self.nodes[of.shard].events.push_back(Event::Received(token, bytes.to_vec()));
    }

    fn end(&mut self, line: usize) {
        let Line { shard, token, .. } = self.lines[line];
        self.nodes[shard].events.push_back(Event::Ended(token.expect("an open connection"), None));
        self.settle();
    }

    fn pass(&mut self, time: Duration) {
        self.now += time.as_nanos() as u64;
        self.settle();
    }

    fn connection(&self, line: usize) -> Option<&crate::downstream::Connection> {
        let Line { shard, token, .. } = &self.lines[line];
        self.nodes[*shard].shard.conns.get((*token)?)
    }
}

/// A client of rustls at the other end of a line.
struct Client {
    tls: ClientConnection,
    line: usize,
    /// What it has read.
    heard: Vec<u8>,
    /// It was told that there is no more.
    ended: bool,
}

impl Client {
    fn new(world: &mut World, shard: usize, config: &Arc<ClientConfig>) -> Client {
        let name = "localhost".try_into().expect("a name");
        let tls = ClientConnection::new(config.clone(), name).expect("a client");
        Client { tls, line: world.connect(shard), heard: Vec::new(), ended: false }
    }

    fn say(&mut self, bytes: &[u8]) {
        self.tls.writer().write_all(bytes).expect("room");
    }

    /// Sends and receives until neither side has anything to say; what it sends arrives in pieces of so many bytes.
    fn talk(
        &mut self,
        world: &mut World,
        cuts: &mut impl Iterator<Item = usize>,
    ) -> Result<(), rustls::Error> {
        loop {
            let mut bytes = Vec::new();
            while self.tls.wants_write() {
                self.tls.write_tls(&mut bytes).expect("a vector has room");
            }
            let mut rest = &bytes[..];
            while !rest.is_empty() {
                let (piece, others) = rest.split_at(cuts.next().unwrap_or(usize::MAX).clamp(1, rest.len()));
                world.receive(self.line, piece);
                world.settle();
                rest = others;
            }
            if !self.hear(world)? && !self.tls.wants_write() {
                return Ok(());
            }
        }
    }

    /// Reads what was sent to it.
    fn hear(&mut self, world: &mut World) -> Result<bool, rustls::Error> {
        let sent = std::mem::take(&mut world.lines[self.line].sent);
        let mut rest = &sent[..];
        while !rest.is_empty() && !self.ended {
            self.tls.read_tls(&mut rest).expect("a slice can be read");
            let state = self.tls.process_new_packets()?;
            let mut plain = vec![0; state.plaintext_bytes_to_read()];
            self.tls.reader().read_exact(&mut plain).expect("so many bytes");
            self.heard.extend_from_slice(&plain);
            self.ended |= state.peer_has_closed();
        }
        Ok(!sent.is_empty())
    }

    /// What it was sent since the last time, in answer to `bytes`.
    fn ask(&mut self, world: &mut World, bytes: &str) -> String {
        self.say(bytes.as_bytes());
        self.talk(world, &mut std::iter::empty()).expect("TLS");
        String::from_utf8(std::mem::take(&mut self.heard)).expect("text")
    }
}

/// A certificate with its key, trusted by itself.
struct Keys {
    cert: CertificateDer<'static>,
    key: PrivateKeyDer<'static>,
    clock: Arc<Clock>,
}

impl Keys {
    fn new(name: &str) -> Keys {
        let mut params = rcgen::CertificateParams::new(vec![name.to_owned()]).expect("a name");
        params.distinguished_name.push(rcgen::DnType::CommonName, name);
        let key = rcgen::KeyPair::generate().expect("a key");
        let cert = params.self_signed(&key).expect("a certificate");
        let key = PrivateKeyDer::try_from(key.serialize_der()).expect("a key");
        Keys { cert: cert.der().clone(), key, clock: Arc::default() }
    }

    fn roots(&self) -> RootCertStore {
        let mut roots = RootCertStore::empty();
        roots.add(self.cert.clone()).expect("a certificate");
        roots
    }

    /// A server that shows this, and asks for a certificate that `clients` trusts.
    fn server(&self, clients: Option<&Keys>) -> ServerConfig {
        let builder = ServerConfig::builder_with_details(provider(), self.clock.clone())
            .with_safe_default_protocol_versions()
            .expect("versions");
        let builder = match clients {
            None => builder.with_no_client_auth(),
            Some(clients) => {
                let verifier =
                    WebPkiClientVerifier::builder_with_provider(clients.roots().into(), provider());
                builder.with_client_cert_verifier(verifier.build().expect("a verifier"))
            }
        };
        builder.with_single_cert(vec![self.cert.clone()], self.key.clone_key()).expect("a pair")
    }

    /// A client that trusts this.
    fn client(&self, version: &'static SupportedProtocolVersion) -> Arc<ClientConfig> {
        let builder = ClientConfig::builder_with_provider(provider());
        let builder = builder.with_protocol_versions(&[version]).expect("a version");
        builder.with_root_certificates(self.roots()).with_no_client_auth().into()
    }
}

fn provider() -> Arc<CryptoProvider> {
    ring::default_provider().into()
}

/// Asks for a client that nobody knows.
const REQUEST: &str = "GET /mcp/health/nobody HTTP/1.1\r\nHost: localhost\r\n\r\n";
