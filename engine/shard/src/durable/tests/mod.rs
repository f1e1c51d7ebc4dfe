//! A shard and its disk, turn by turn. The disk is written by hand: it answers when the test says so, and a
//! start reads what it holds.

mod crash;
mod log;
mod streams;

use std::collections::BTreeMap;
use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use serde_json::value::RawValue;
use weir_ring::op::{Completion, Completions, Errno, Op, Output};
use weir_ring::time::{Instant, Now, Wall};
use weir_ring::token::{Listener, Member, Socket, Token};

use crate::durable::{Recovered, Segment, recover};
use crate::error::Error;
use crate::lane::Lane;
use crate::limits::{Config, Durability, Rate};
use crate::mail::{Mail, ReplyTo};
use crate::message::{ClientPublish, Receipt, Target, TopicContent, TopicPublish};
use crate::span::TraceLink;
use crate::stream::Position;
use crate::turn::{Post, Shard};

/// Who publishes, by letter.
const BACKEND: Member = Member(1);

const EIO: Errno = Errno(5);

struct World {
    config: Arc<Config>,
    shard: Shard,
    out: Output,
    post: Post,
    /// Milliseconds.
    now: u64,
    starts: u64,
    sockets: u32,
    events: VecDeque<Event>,
    sent: Vec<(Token, Vec<u8>)>,
    ops: Vec<Op>,
    /// Files by series and number.
    disk: BTreeMap<(u16, u32), Vec<u8>>,
    /// The append that the disk has not answered.
    append: Option<(u32, Vec<u8>)>,
    /// Letters to the backend.
    letters: VecDeque<Mail>,
}

enum Event {
    Accepted(Socket),
    Received(Token, Vec<u8>),
    Closed(Token),
    Appended(Vec<u8>, Option<Errno>),
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
            Event::Closed(token) => Completion::Closed { token },
            Event::Appended(bytes, errno) => Completion::Appended { bytes, errno },
        })
    }
}

impl World {
    /// A shard whose first segment has begun.
    fn new() -> World {
        World::with(Durability::default())
    }

    fn with(durability: Durability) -> World {
        World::of(1, durability)
    }

    /// One of `shards` shards.
    fn of(shards: u16, durability: Durability) -> World {
        let config = Config {
            shards,
            client_rate: Rate::new(0.0, 1),
            durability: Some(durability),
            ..Config::default()
        };
        let config = Arc::new(config);
        let mut world = World {
            shard: Shard::new(Arc::clone(&config), Member(0), 1),
            config,
            out: Output::default(),
            post: Post { room: vec![100; 2], ..Post::default() },
            now: 1_000_000,
            starts: 1,
            sockets: 0,
            events: VecDeque::new(),
            sent: Vec::new(),
            ops: Vec::new(),
            disk: BTreeMap::new(),
            append: None,
            letters: VecDeque::new(),
        };
        world.turn();
        world.settle();
        world
    }

    fn now(&self) -> Now {
        Now { mono: Instant(self.now * 1_000_000), wall: Wall(1_700_000_000_000 + self.now) }
    }

    /// Turns until nothing is due any more.
    fn turn(&mut self) {
        loop {
            let now = self.now();
            let mut script = Script { events: &mut self.events, bytes: Vec::new() };
            let next = self.shard.turn(now, &mut script, &mut self.post, &mut self.out);
            for op in std::mem::take(&mut self.out.ops) {
                match op {
                    Op::Send { token, source, .. } => {
                        self.sent.push((token, self.out.bytes(source).to_vec()));
                    }
                    Op::Close { token, .. } => self.events.push_back(Event::Closed(token)),
                    Op::Append { segment, bytes } => {
                        let asked = self.append.replace((segment, bytes));
                        assert!(asked.is_none(), "one append at a time");
                    }
                    Op::Discard { series, segment } => {
                        assert!(self.disk.remove(&(series, segment)).is_some(), "segment {segment} is there");
                    }
                    op => self.ops.push(op),
                }
            }
            self.out.clear();
            self.letters.extend(self.post.outbox.drain(..).map(|(_, letter)| letter));
            if next > now.mono && self.events.is_empty() {
                return;
            }
        }
    }

    /// The disk takes what is under way, and the next turns answer.
    fn disk_writes(&mut self) {
        let (segment, bytes) = self.append.take().expect("an append under way");
        self.disk.entry((0, segment)).or_default().extend_from_slice(&bytes);
        self.events.push_back(Event::Appended(bytes, None));
        self.turn();
    }

    /// The disk says no; `part` bytes of it are there all the same.
    fn disk_refuses(&mut self, part: usize) {
        let (segment, bytes) = self.append.take().expect("an append under way");
        self.disk.entry((0, segment)).or_default().extend_from_slice(&bytes[..part.min(bytes.len())]);
        self.events.push_back(Event::Appended(bytes, Some(EIO)));
        self.turn();
    }

    /// The disk takes everything there is to take.
    fn settle(&mut self) {
        while self.append.is_some() {
            self.disk_writes();
        }
    }

    /// The process dies: of the append under way `part` bytes are there. Another starts with its disk.
    fn restart(&mut self, part: usize) -> Recovered {
        if let Some((segment, bytes)) = self.append.take() {
            self.disk.entry((0, segment)).or_default().extend_from_slice(&bytes[..part.min(bytes.len())]);
        }
        (self.starts, self.now) = (self.starts + 1, self.now + 1);
        self.shard = Shard::new(Arc::clone(&self.config), Member(0), self.starts);
        self.post = Post { room: vec![100; 2], ..Post::default() };
        self.letters.clear();
        self.events.clear();
        self.sent.clear();
        let share = self.recover().split(&self.config).swap_remove(0);
        self.shard.restore(share);
        let recovered = self.recover();
        self.turn();
        recovered
    }

    fn recover(&self) -> Recovered {
        let segments = self.disk.iter().map(|(&(series, number), bytes)| Segment { series, number, bytes });
        recover(&segments.collect::<Vec<_>>(), &self.config.outbox, self.now().wall)
    }

    fn wait(&mut self, duration: Duration) {
        self.now += duration.as_millis() as u64;
        self.turn();
    }

    /// A backend publishes `data`, a JSON value.
    fn publish(&mut self, client: &str, data: &str) {
        self.publish_as(client, Lane::Normal, data);
    }

    fn publish_as(&mut self, client: &str, lane: Lane, data: &str) {
        let publish = Box::new(ClientPublish {
            client: client.into(),
            kind: "chat".into(),
            data: RawValue::from_string(data.to_owned()).expect("JSON"),
            target: Target::Auto,
            lane,
            ttl_ms: 0,
            wait: None,
            key: None,
            trace: TraceLink::None,
        });
        let letter = Mail::Publish { from: BACKEND, reply_to: exchange(), publish };
        self.post.inbox.push(letter);
        self.turn();
    }

    fn publish_topic(&mut self, topic: &str, data: &str) {
        let data = RawValue::from_string(data.to_owned()).expect("JSON");
        let content = TopicContent::Message { kind: "chat".into(), data };
        let publish =
            Box::new(TopicPublish { topic: topic.into(), content, key: None, trace: TraceLink::None });
        self.post.inbox.push(Mail::PublishTopic { from: BACKEND, reply_to: exchange(), publish });
        self.turn();
    }

    /// What publishers were told since it was last asked.
    fn receipts(&mut self) -> Vec<Result<Receipt, Error>> {
        let mut receipts = Vec::new();
        self.letters.retain(|letter| {
            let Mail::Published { outcome, .. } = letter else { return true };
            receipts.push(outcome.clone());
            false
        });
        receipts
    }

    /// The sequence numbers of publishes that were accepted since it was last asked.
    fn accepted(&mut self) -> Vec<u64> {
        self.receipts().into_iter().map(|outcome| outcome.expect("accepted").position.sequence).collect()
    }

    /// An SSE stream of `client`, from `cursor` on; and what it is sent at once.
    fn listen(&mut self, client: &str, cursor: Option<&str>) -> (Token, String) {
        self.sockets += 1;
        let socket = Socket(self.sockets);
        self.events.push_back(Event::Accepted(socket));
        self.turn();
        let named = |op: &Op| match op {
            Op::Recv { token, socket: of, .. } if *of == socket => Some(*token),
            _ => None,
        };
        let token = self.ops.iter().find_map(named).expect("an accepted connection is read");
        let cursor = cursor.map(|cursor| format!("&last_event_id={cursor}")).unwrap_or_default();
        let head = format!("GET /mcp/sse?client_id={client}{cursor} HTTP/1.1\r\nHost: localhost\r\n\r\n");
        self.events.push_back(Event::Received(token, head.into_bytes()));
        self.turn();
        (token, self.read(token))
    }

    /// What `token` was sent since it was last asked for.
    fn read(&mut self, token: Token) -> String {
        let mut bytes = Vec::new();
        self.sent.retain(|(to, sent)| {
            if *to == token {
                bytes.extend_from_slice(sent);
            }
            *to != token
        });
        String::from_utf8(bytes).expect("text")
    }

    /// The position of a client's stream.
    fn position(&self, client: &str) -> Option<Position> {
        let session = self.shard.sessions.get(self.shard.sessions.find(client)?)?;
        let stream = session.mailbox.as_ref().and_then(|mailbox| mailbox.lane(Lane::Normal));
        Some(Position { epoch: session.epoch, sequence: stream.map_or(0, |stream| stream.outbox.head()) })
    }
}

fn exchange() -> ReplyTo {
    ReplyTo::Exchange { connection: Token { index: 7, generation: 7 }, line: 0 }
}

/// Numbers of the messages in what an SSE stream was sent.
fn numbers(text: &str) -> Vec<u64> {
    let data = text.lines().filter_map(|line| line.strip_prefix("data: "));
    let parsed = data.filter_map(|data| serde_json::from_str::<serde_json::Value>(data).ok());
    parsed
        .filter(|message| message.get("id").is_some())
        .filter_map(|message| message["sequence"].as_u64())
        .collect()
}
