//! The simulated network against scripted shards: a well-behaved echo gets every byte through any
//! weather, and every breach of the driver's contract is noticed.

mod common;

use std::collections::BTreeMap;

use common::{play, stage};
use weir_ring::op::{Completion, Completions, Op, Output, RecvMode, Source};
use weir_ring::token::{Address, Listener, Member, Socket, Token, Transfer};
use weir_sim::net::{self, port::Batch};

/// One shard that sends back what it gets and closes after the peer's end.
#[derive(Default)]
struct Echo {
    accepting: bool,
    slots: BTreeMap<u32, Slot>,
    next: u32,
}

#[derive(Default)]
struct Slot {
    socket: u32,
    waiting: Vec<u8>,
    draining: bool,
    ended: bool,
}

impl Echo {
    fn turn(&mut self, batch: &mut Batch, out: &mut Output) {
        if !std::mem::replace(&mut self.accepting, true) {
            out.ops.push(Op::Accept { listener: Listener(0) });
        }
        while let Some(completion) = batch.next() {
            self.completion(completion, out);
        }
        for (index, slot) in &mut self.slots {
            let (token, socket) = (Token { index: *index, generation: 0 }, Socket(slot.socket));
            if slot.draining {
                continue;
            }
            if !slot.waiting.is_empty() {
                let (start, len) = (out.arena.len() as u32, slot.waiting.len() as u32);
                out.arena.append(&mut slot.waiting);
                out.ops.push(Op::Send { token, socket, source: Source::Arena { start, len } });
            } else if std::mem::take(&mut slot.ended) {
                out.ops.push(Op::Close { token, socket });
            }
        }
    }

    fn completion(&mut self, completion: Completion<'_>, out: &mut Output) {
        match completion {
            Completion::AcceptFailed { listener, .. } => out.ops.push(Op::Accept { listener }),
            Completion::Accepted { socket, .. } => {
                let token = Token { index: self.next, generation: 0 };
                self.next += 1;
                self.slots.insert(token.index, Slot { socket: socket.0, ..Slot::default() });
                out.ops.push(Op::Recv { token, socket, mode: RecvMode::Stream });
            }
            Completion::Received { token, bytes } => {
                self.slots.get_mut(&token.index).unwrap().waiting.extend_from_slice(bytes);
            }
            Completion::Ended { token, .. } => self.slots.get_mut(&token.index).unwrap().ended = true,
            Completion::Unsent { token, tail, errno } => {
                assert_eq!(errno, None);
                let slot = self.slots.get_mut(&token.index).unwrap();
                let mut bytes = tail.to_vec();
                bytes.append(&mut slot.waiting);
                slot.draining = true;
                out.ops.push(Op::Drain { token, socket: Socket(slot.socket), bytes });
            }
            Completion::Drained { token, .. } => self.slots.get_mut(&token.index).unwrap().draining = false,
            Completion::Closed { token } => drop(self.slots.remove(&token.index)),
            other => panic!("{other:?}"),
        }
    }
}

#[test]
fn an_echo_gets_every_byte_through_any_weather() {
    for seed in 0..100 {
        let mut stage = stage(seed);
        let mut sent: BTreeMap<usize, Vec<u8>> = BTreeMap::new();
        for size in [1, 100, 5_000, 40_000] {
            let conn = net::connect(&mut stage, 0);
            let bytes: Vec<u8> = (0..size).map(|_| stage.rng.draw() as u8).collect();
            net::send(&mut stage, conn, &bytes);
            sent.insert(conn, bytes);
        }
        let mut shards: Vec<Echo> = stage.net.ports.iter().map(|_| Echo::default()).collect();
        let mut heard: BTreeMap<usize, Vec<u8>> = BTreeMap::new();
        let turn = |shard: usize, batch: &mut Batch, out: &mut Output| shards[shard].turn(batch, out);
        play(&mut stage, turn, |_, conn, taken| {
            heard.entry(conn).or_default().extend_from_slice(&taken.bytes);
        });
        assert_eq!(stage.history.violations, [], "seed {seed}");
        assert!(heard == sent, "seed {seed}");
    }
}

/// It may be watched when it leaves: both shards together get every byte, in order.
#[test]
fn a_socket_moves_with_its_bytes() {
    const MODES: [RecvMode; 4] = [RecvMode::Stream, RecvMode::Once, RecvMode::Park, RecvMode::Off];
    let mut late = 0;
    for seed in 0..200 {
        let mut stage = stage(seed);
        (stage.weather.hand_over_failed, stage.weather.accept_failed) = (0, 0);
        let conn = net::connect(&mut stage, 0);
        let bytes: Vec<u8> = (0..5_000).map(|_| stage.rng.draw() as u8).collect();
        net::send(&mut stage, conn, &bytes);
        let shards = stage.net.ports.len() as u16;
        let (mut before, mut after, mut asked, mut arrived, mut left) = (Vec::new(), Vec::new(), false, 0, 0);
        let token = Token { index: 0, generation: 0 };
        let mut giver = (Socket(0), 0);
        let turn = |shard: usize, batch: &mut Batch, out: &mut Output| {
            if batch.left() == 0 {
                return out.ops.push(Op::Accept { listener: Listener(0) });
            }
            while let Some(completion) = batch.next() {
                match completion {
                    Completion::Accepted { socket, .. } => {
                        giver = (socket, shard);
                        out.ops.push(Op::Recv { token, socket, mode: RecvMode::Once });
                    }
                    Completion::Received { bytes, .. } if shard == giver.1 => {
                        before.extend_from_slice(bytes);
                        assert_eq!(left, 0, "no input after HandedOver");
                        late += u32::from(asked);
                        if !std::mem::replace(&mut asked, true) {
                            let (socket, to) = (giver.0, Member((shard as u16 + 1) % shards));
                            let mode = MODES[seed as usize % 4];
                            out.ops.push(Op::Recv { token, socket, mode });
                            out.ops.push(Op::HandOver { token, socket, to, transfer: Transfer(7) });
                        }
                    }
                    Completion::Received { bytes, .. } => after.extend_from_slice(bytes),
                    Completion::Arrived { transfer, socket } => {
                        assert_eq!(transfer, Transfer(7));
                        arrived += 1;
                        out.ops.push(Op::Recv { token, socket, mode: RecvMode::Stream });
                    }
                    Completion::HandedOver { errno, .. } => {
                        assert_eq!((errno, shard), (None, giver.1));
                        left += 1;
                    }
                    other => panic!("{other:?}"),
                }
            }
        };
        play(&mut stage, turn, |_, _, _| {});
        assert_eq!(stage.history.violations, [], "seed {seed}");
        before.append(&mut after);
        assert_eq!((before == bytes, arrived, left), (true, 1, 1), "seed {seed}");
    }
    assert!(late > 0, "some input came between HandOver and its answer");
}

/// What a shard asks of its first connection, with another shard at hand.
type Script<'a> = &'a dyn Fn(Token, Socket, Member) -> Vec<Op>;

/// What a shard that answers its first `Accepted` with `ops` is told it did wrong.
fn complaint(ops: impl Fn(Token, Socket, Member) -> Vec<Op>) -> String {
    let mut stage = stage(1);
    (stage.weather.accept_failed, stage.weather.racing_recv) = (0, 0);
    net::connect(&mut stage, 0);
    let shards = stage.net.ports.len();
    let turn = |shard: usize, batch: &mut Batch, out: &mut Output| {
        if batch.left() == 0 {
            return out.ops.push(Op::Accept { listener: Listener(0) });
        }
        while let Some(completion) = batch.next() {
            if let Completion::Accepted { socket, .. } = completion {
                out.arena.extend_from_slice(b"hello");
                let to = Member(((shard + 1) % shards) as u16);
                out.ops.extend(ops(Token { index: 0, generation: 0 }, socket, to));
            }
        }
    };
    play(&mut stage, turn, |_, _, _| {});
    stage.history.violations.first().map_or(String::new(), |violation| violation.what.clone())
}

#[test]
fn every_breach_of_the_contract_is_noticed() {
    let recv = |token, socket| Op::Recv { token, socket, mode: RecvMode::Stream };
    let send = |token, socket| Op::Send { token, socket, source: Source::Arena { start: 0, len: 5 } };
    let drain = |token, socket| Op::Drain { token, socket, bytes: b"x".to_vec() };
    let close = |token, socket| Op::Close { token, socket };
    let other = |token: Token| Token { generation: token.generation + 1, ..token };
    let transfer = Transfer(1);
    let cases: [(&str, Script<'_>); 12] = [
        ("Send comes before the first Recv", &|t, s, _| vec![send(t, s)]),
        ("second Send of a turn", &|t, s, _| vec![recv(t, s), send(t, s), send(t, s)]),
        ("Drain in the turn of a Send", &|t, s, _| vec![recv(t, s), send(t, s), drain(t, s)]),
        ("Send comes after Close", &|t, s, _| vec![recv(t, s), close(t, s), send(t, s)]),
        ("Close comes after Close", &|t, s, _| vec![recv(t, s), close(t, s), close(t, s)]),
        ("Send comes in another token's name", &|t, s, _| vec![recv(t, s), send(other(t), s)]),
        ("Recv names a socket that is not open", &|t, _, _| vec![recv(t, Socket(99))]),
        ("HandOver with a send under way", &|token, socket, to| {
            vec![recv(token, socket), send(token, socket), Op::HandOver { token, socket, to, transfer }]
        }),
        ("Close comes during HandOver", &|token, socket, to| {
            vec![recv(token, socket), Op::HandOver { token, socket, to, transfer }, close(token, socket)]
        }),
        ("Connect while one is under way", &|token, _, _| {
            let to = Address::Local("server".into());
            vec![Op::Connect { token, to: to.clone() }, Op::Connect { token, to }]
        }),
        ("empty Send", &|token, socket, _| {
            vec![recv(token, socket), Op::Send { token, socket, source: Source::Arena { start: 0, len: 0 } }]
        }),
        ("Send after Shutdown", &|token, socket, _| {
            vec![recv(token, socket), Op::Shutdown { token, socket }, send(token, socket)]
        }),
    ];
    for (expected, ops) in cases {
        let complaint = complaint(ops);
        assert!(complaint.contains(expected), "{expected:?} expected, {complaint:?} noticed");
    }
    assert_eq!(complaint(|t, s, _| vec![recv(t, s), send(t, s)]), "");
}
