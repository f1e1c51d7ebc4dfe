//! Connections that scripted shards open to scripted agents, through any weather.

mod common;

use std::collections::{BTreeMap, BTreeSet};

use common::{play, stage};
use weir_ring::op::{Completion, Completions, Errno, Op, Output, RecvMode, Source};
use weir_ring::token::{Address, Socket, Token};
use weir_sim::net::{self, Taken, errno, outbound, port::Batch};
use weir_sim::stage::Stage;

fn server() -> Address {
    Address::Local("server".into())
}

/// A shard with one connection at a time: it sends `bytes`, reads them back, closes; connects again when
/// a connect fails.
#[derive(Default)]
struct Asker {
    bytes: Vec<u8>,
    socket: u32,
    lives: u32,
    failures: u32,
    back: Vec<u8>,
    closed: bool,
}

impl Asker {
    fn token(&self) -> Token {
        Token { index: 0, generation: self.lives }
    }

    fn connect(&mut self, out: &mut Output) {
        self.lives += 1;
        out.ops.push(Op::Connect { token: self.token(), to: server() });
    }

    fn turn(&mut self, batch: &mut Batch, out: &mut Output) {
        if self.lives == 0 {
            self.connect(out);
        }
        while let Some(completion) = batch.next() {
            self.completion(completion, out);
        }
    }

    fn completion(&mut self, completion: Completion<'_>, out: &mut Output) {
        let (own, socket) = (self.token(), Socket(self.socket));
        match completion {
            Completion::ConnectFailed { token, errno } => {
                assert_eq!(token, own);
                assert!([errno::ECONNREFUSED, errno::ETIMEDOUT].contains(&errno.0), "{errno:?}");
                self.failures += 1;
                self.connect(out);
            }
            Completion::Connected { token, socket } => {
                assert_eq!(token, own);
                self.socket = socket.0;
                out.ops.push(Op::Recv { token, socket, mode: RecvMode::Stream });
                out.arena.extend_from_slice(&self.bytes);
                let source = Source::Arena { start: 0, len: self.bytes.len() as u32 };
                out.ops.push(Op::Send { token, socket, source });
            }
            Completion::Unsent { token, tail, errno: None } => {
                out.ops.push(Op::Drain { token, socket, bytes: tail.to_vec() });
            }
            Completion::Drained { errno: None, .. } => {}
            Completion::Received { token, bytes } => {
                assert_eq!(token, own);
                self.back.extend_from_slice(bytes);
                if self.back.len() == self.bytes.len() {
                    out.ops.push(Op::Close { token, socket });
                }
            }
            // The server closes once the shard has: the recv may still hear that.
            Completion::Ended { errno: None, .. } if self.back.len() == self.bytes.len() => {}
            Completion::Closed { .. } => self.closed = true,
            other => panic!("{other:?}"),
        }
    }
}

/// An agent that sends back what it reads and closes when the shard has.
#[derive(Default)]
struct Server {
    open: BTreeSet<usize>,
    served: usize,
}

impl Server {
    fn input(&mut self, stage: &mut Stage, conn: usize, taken: &Taken) {
        if taken.opened {
            assert!(taken.bytes.is_empty() && !taken.ended && self.open.insert(conn));
        }
        assert!(self.open.contains(&conn), "opened comes first");
        net::send(stage, conn, &taken.bytes);
        if taken.ended {
            self.open.remove(&conn);
            self.served += 1;
            net::close(stage, conn);
        }
    }
}

#[test]
fn a_server_gets_and_sends_every_byte_through_any_weather() {
    let mut failures = 0;
    for seed in 0..100 {
        let mut stage = stage(seed);
        outbound::listen(&mut stage, server(), 0);
        let mut shards: Vec<Asker> = Vec::new();
        for size in [1, 5_000, 40_000, 100_000].iter().take(stage.net.ports.len()) {
            let bytes = (0..*size).map(|_| stage.rng.draw() as u8).collect();
            shards.push(Asker { bytes, ..Asker::default() });
        }
        let mut agent = Server::default();
        let turn = |shard: usize, batch: &mut Batch, out: &mut Output| shards[shard].turn(batch, out);
        play(&mut stage, turn, |stage, conn, taken| agent.input(stage, conn, taken));
        assert_eq!(stage.history.violations, [], "seed {seed}");
        assert_eq!(agent.served, shards.len(), "seed {seed}");
        for shard in &shards {
            assert!(shard.closed && shard.back == shard.bytes, "seed {seed}");
            failures += shard.failures;
        }
        assert!(stage.net.ports.iter().all(|port| port.open_count() == 0), "seed {seed}");
    }
    assert!(failures > 0, "some weather refuses");
}

/// What a shard hears of `asked` connects to the server.
fn answers(asked: u32, prepare: impl Fn(&mut Stage)) -> BTreeMap<u32, Option<Errno>> {
    let mut stage = stage(1);
    stage.weather.connect_failed = 0;
    prepare(&mut stage);
    let mut heard = BTreeMap::new();
    let turn = |shard: usize, batch: &mut Batch, out: &mut Output| {
        if shard == 0 && batch.left() == 0 {
            out.ops.extend((0..asked).map(|index| {
                let token = Token { index, generation: 0 };
                Op::Connect { token, to: server() }
            }));
        }
        while let Some(completion) = batch.next() {
            match completion {
                Completion::Connected { token, .. } => heard.insert(token.index, None),
                Completion::ConnectFailed { token, errno } => heard.insert(token.index, Some(errno)),
                other => panic!("{other:?}"),
            };
        }
    };
    play(&mut stage, turn, |_, _, _| {});
    assert_eq!(stage.history.violations, []);
    heard
}

#[test]
fn a_connect_is_refused_where_nobody_listens() {
    let refused = BTreeMap::from([(0, Some(Errno(errno::ECONNREFUSED)))]);
    assert_eq!(answers(1, |_| {}), refused);
    let deaf = |stage: &mut Stage| {
        outbound::listen(stage, server(), 0);
        outbound::deafen(stage, &server());
    };
    assert_eq!(answers(1, deaf), refused);
}

#[test]
fn a_full_table_takes_no_connect() {
    let heard = answers(130, |stage| outbound::listen(stage, server(), 0));
    let full = heard.values().filter(|errno| **errno == Some(Errno(errno::ENFILE))).count();
    assert_eq!((heard.len(), full), (130, 2), "128 slots");
}

/// A socket that connected may be closed without ever being watched.
#[test]
fn a_connection_may_be_closed_unused() {
    let mut stage = stage(1);
    stage.weather.connect_failed = 0;
    outbound::listen(&mut stage, server(), 0);
    let (mut closed, mut ended) = (false, false);
    let turn = |shard: usize, batch: &mut Batch, out: &mut Output| {
        let token = Token { index: 0, generation: 0 };
        if shard == 0 && batch.left() == 0 {
            out.ops.push(Op::Connect { token, to: server() });
        }
        while let Some(completion) = batch.next() {
            match completion {
                Completion::Connected { token, socket } => out.ops.push(Op::Close { token, socket }),
                Completion::Closed { .. } => closed = true,
                other => panic!("{other:?}"),
            }
        }
    };
    play(&mut stage, turn, |stage, conn, taken| {
        if taken.opened {
            net::send(stage, conn, b"nobody asked");
        }
        ended |= taken.ended;
    });
    assert_eq!((stage.history.violations.as_slice(), closed, ended), (&[][..], true, true));
}
