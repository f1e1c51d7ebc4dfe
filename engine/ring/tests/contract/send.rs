//! Sending, draining and closing.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::Arc;
use std::thread;

use super::common::{Flow, Pump, assert_ended, done_if, pattern, send, token, unexpected};
use weir_ring::op::{Completion, Errno, Op, RecvMode, Source};
use weir_ring::token::{Socket, Token};

#[test]
fn echoes_whatever_comes() {
    let mut pump = Pump::new(64, |_| ());
    let clients = pump.clients(50);
    let sockets: Vec<Socket> = clients.iter().map(|(_, socket)| *socket).collect();
    let bytes = pattern(100_000);
    let mut threads = Vec::new();
    for (index, (mut client, socket)) in clients.into_iter().enumerate() {
        pump.recv(token(index as u32), socket, RecvMode::Stream);
        let bytes = bytes.clone();
        threads.push(thread::spawn(move || {
            for chunk in bytes.chunks(1_000) {
                client.write_all(chunk).expect("write");
                let mut back = vec![0; chunk.len()];
                client.read_exact(&mut back).expect("read");
                assert_eq!(back, chunk);
            }
        }));
    }
    let mut ended = 0;
    let mut spill: Vec<Vec<u8>> = vec![Vec::new(); sockets.len()];
    pump.run(|completion, output| match completion {
        Completion::Received { token: of, bytes } => {
            // One send per socket and turn: a chunk may come in two pieces, but then the client waits
            // for both, and the turn's later piece can only follow in the next.
            let waiting = &mut spill[of.index as usize];
            waiting.extend_from_slice(bytes);
            if waiting.len() == 1_000 {
                send(output, of, sockets[of.index as usize], waiting);
                waiting.clear();
            }
            Flow::Go
        }
        Completion::Ended { errno: None, .. } => {
            ended += 1;
            done_if(ended == sockets.len())
        }
        other => unexpected(&other),
    });
    threads.into_iter().for_each(|thread| thread.join().expect("client"));
}

/// Fills the pipe to a client that does not read, then drains the rest while it does.
#[test]
fn a_slow_reader_gets_every_byte_in_order() {
    let mut pump = Pump::new(8, |_| ());
    let (mut client, socket) = pump.client();
    let bytes = pattern(24 << 20);
    let start = token(1);
    pump.recv(start, socket, RecvMode::Stream);
    send(&mut pump.output, start, socket, &bytes);
    let mut tails = 0;
    let mut reader = None;
    pump.run(|completion, output| match completion {
        Completion::Unsent { token: of, tail, errno } => {
            assert_eq!((of, errno), (start, None));
            assert!(!tail.is_empty() && tail.len() < bytes.len(), "part of it fits");
            assert!(bytes.ends_with(tail));
            tails += 1;
            output.ops.push(Op::Drain { token: start, socket, bytes: tail.to_vec() });
            let (mut client, length) = (client.try_clone().expect("clone"), bytes.len());
            reader = Some(thread::spawn(move || {
                let mut read = vec![0; length];
                client.read_exact(&mut read).expect("read");
                read
            }));
            Flow::Go
        }
        Completion::Drained { token: of, errno } => {
            assert_eq!((of, errno), (start, None));
            Flow::Done
        }
        other => unexpected(&other),
    });
    assert_eq!(tails, 1);
    let read = reader.expect("started").join().expect("reader");
    assert!(read == bytes, "bytes differ");
    // After `Drained`, sends work as before.
    send(&mut pump.output, start, socket, b"after");
    client.write_all(b"x").expect("write");
    pump.run(|completion, _| done_if(matches!(completion, Completion::Received { .. })));
    let mut after = [0; 5];
    client.read_exact(&mut after).expect("read");
    assert_eq!(&after, b"after");
}

/// With the pipe full, a send places nothing and its whole text comes back.
#[test]
fn a_full_pipe_gives_all_back() {
    let mut pump = Pump::new(8, |_| ());
    let (_client, socket) = pump.client();
    pump.recv(token(1), socket, RecvMode::Stream);
    let frame: Arc<[u8]> = pattern(1 << 20).into();
    let push = |output: &mut weir_ring::op::Output| {
        output.frames.push(frame.clone());
        output.ops.push(Op::Send { token: token(1), socket, source: Source::Frame(0) });
    };
    let mut bell = Bell::new(&mut pump);
    for turn in 0.. {
        push(&mut pump.output);
        bell.ring();
        let mut unsent = None;
        pump.run(|completion, _| match completion {
            Completion::Unsent { tail, errno: None, .. } => {
                assert!(frame.ends_with(tail));
                unsent = Some(tail.len());
                Flow::Go
            }
            Completion::Received { token: of, .. } => done_if(of == Bell::TOKEN),
            other => unexpected(&other),
        });
        if unsent == Some(frame.len()) {
            break;
        }
        assert!(turn < 100, "loopback takes no 100 MiB unread");
    }
}

/// A second connection whose input ends a run.
struct Bell(TcpStream);

impl Bell {
    const TOKEN: Token = Token { index: 1_000, generation: 0 };

    fn new(pump: &mut Pump) -> Bell {
        // What the test has asked for so far may answer only once it listens.
        let output = std::mem::take(&mut pump.output);
        let (client, socket) = pump.client();
        pump.output = output;
        pump.recv(Bell::TOKEN, socket, RecvMode::Stream);
        Bell(client)
    }

    fn ring(&mut self) {
        self.0.write_all(b"!").expect("write");
    }
}

#[test]
fn sends_to_a_broken_connection_say_so() {
    let mut pump = Pump::new(8, |_| ());
    let (client, socket) = pump.client();
    pump.recv(token(1), socket, RecvMode::Stream);
    send(&mut pump.output, token(1), socket, b"unread");
    let mut bell = Bell::new(&mut pump);
    bell.ring();
    pump.run(|completion, _| done_if(matches!(completion, Completion::Received { .. })));
    drop(client); // with unread input: a reset
    pump.run(|completion, output| match completion {
        Completion::Ended { token: of, errno: Some(_) } => {
            send(output, of, socket, b"lost");
            Flow::Go
        }
        Completion::Unsent { token: of, tail, errno } => {
            assert_eq!((of, tail), (token(1), &b"lost"[..]));
            assert_eq!(errno, Some(Errno(libc::EPIPE)));
            Flow::Done
        }
        other => unexpected(&other),
    });
}

/// More operations than the submission queue has room for, some of which have something to say.
#[test]
fn thousands_of_sends_in_one_turn_pass_a_small_queue() {
    let small = |settings: &mut weir_ring::settings::Settings| {
        settings.entries = 64;
        settings.completions = 128;
    };
    let mut pump = Pump::new(512, small);
    let mut clients = pump.clients(300);
    let frame: Arc<[u8]> = pattern(200).into();
    let mut bell = Bell::new(&mut pump);
    for (index, (_, socket)) in clients.iter().enumerate() {
        pump.recv(token(index as u32), *socket, RecvMode::Stream);
    }
    bell.ring();
    pump.run(|completion, output| match completion {
        Completion::Received { token: of, .. } => {
            assert_eq!(of, Bell::TOKEN);
            output.frames.push(frame.clone());
            for _ in 0..10 {
                for (index, (_, socket)) in clients.iter().enumerate() {
                    let token = token(index as u32);
                    output.ops.push(Op::Send { token, socket: *socket, source: Source::Frame(0) });
                }
            }
            assert_eq!(output.ops.len(), 3_000);
            Flow::Done
        }
        other => unexpected(&other),
    });
    for (client, _) in &mut clients {
        let mut read = vec![0; 10 * frame.len()];
        client.read_exact(&mut read).expect("read");
        assert!(read.chunks(frame.len()).all(|chunk| *chunk == *frame));
    }
}

/// More short sends in one turn than the completion queue holds: each tail comes back, once.
#[test]
fn short_sends_beyond_the_completion_queue_all_come_back() {
    let small = |settings: &mut weir_ring::settings::Settings| {
        settings.entries = 8;
        settings.completions = 16;
    };
    let mut pump = Pump::new(128, small);
    let clients = pump.clients(60);
    let frame: Arc<[u8]> = pattern(16 << 20).into();
    pump.output.frames.push(frame.clone());
    for (index, (_, socket)) in clients.iter().enumerate() {
        let token = token(index as u32);
        pump.output.ops.push(Op::Send { token, socket: *socket, source: Source::Frame(0) });
    }
    let mut unsent = vec![0; clients.len()];
    let mut told = 0;
    pump.run(|completion, _| match completion {
        Completion::Unsent { token: of, tail, errno: None } => {
            assert!(frame.ends_with(tail));
            unsent[of.index as usize] += 1;
            told += 1;
            done_if(told == clients.len())
        }
        other => unexpected(&other),
    });
    assert!(unsent.iter().all(|count| *count == 1));
}

#[test]
fn a_half_close_ends_output_and_keeps_input() {
    let mut pump = Pump::new(8, |_| ());
    let (mut client, socket) = pump.client();
    pump.recv(token(1), socket, RecvMode::Stream);
    send(&mut pump.output, token(1), socket, b"bye");
    pump.output.ops.push(Op::Shutdown { token: token(1), socket });
    client.write_all(b"x").expect("write");
    pump.run(|completion, _| done_if(matches!(completion, Completion::Received { .. })));
    let mut all = Vec::new();
    client.write_all(b"still heard").expect("write");
    pump.run(|completion, _| match completion {
        Completion::Received { bytes, .. } => {
            assert_eq!(bytes, b"still heard");
            Flow::Done
        }
        other => unexpected(&other),
    });
    client.read_to_end(&mut all).expect("read to the end");
    assert_eq!(all, b"bye");
    pump.close(token(1), socket);
}

/// Whatever is under way, the close's answer comes last, and nothing of the token after it, although
/// the slot is used again at once.
#[test]
fn closing_joins_all_that_is_under_way() {
    let mut pump = Pump::new(2, |settings| settings.buffers = 4);
    for round in 0..40_u32 {
        let mode = [RecvMode::Stream, RecvMode::Once, RecvMode::Park, RecvMode::Off][round as usize % 4];
        let (mut client, socket) = pump.client();
        let me = token(round);
        pump.recv(me, socket, mode);
        let draining = round % 3 == 0;
        if draining {
            pump.output.ops.push(Op::Drain { token: me, socket, bytes: pattern(16 << 20) });
        }
        if round % 5 == 0 {
            pump.output.ops.push(Op::Shutdown { token: me, socket });
        }
        if round % 2 == 0 {
            client.write_all(b"input that nobody waits for").expect("write");
        }
        pump.output.ops.push(Op::Close { token: me, socket });
        let mut drained = false;
        pump.run(|completion, _| match completion {
            Completion::Drained { token: of, errno } => {
                assert_eq!(of, me);
                assert!(errno.is_some(), "16 MiB do not fit");
                drained = true;
                Flow::Go
            }
            Completion::Closed { token: of } => {
                assert_eq!(of, me);
                Flow::Done
            }
            other => unexpected(&other),
        });
        assert_eq!(drained, draining);
        if !draining {
            assert_ended(&mut client);
        }
    }
}

/// What a turn sends before it closes arrives.
#[test]
fn a_close_comes_after_the_sends_before_it() {
    let mut pump = Pump::new(8, |_| ());
    let (mut client, socket) = pump.client();
    pump.recv(token(1), socket, RecvMode::Stream);
    send(&mut pump.output, token(1), socket, b"last words");
    pump.close(token(1), socket);
    let mut all = Vec::new();
    client.read_to_end(&mut all).expect("an orderly end");
    assert_eq!(all, b"last words");
}
