//! Accepting and receiving: every mode, changes between them, and too few buffers.

use std::collections::HashSet;
use std::io::Write;
use std::net::{Shutdown, TcpStream};
use std::thread;

use super::common::{Flow, Pump, assert_ended, done_if, pattern, token, unexpected};
use proptest::prelude::*;
use weir_ring::driver::Kind;
use weir_ring::op::{Completion, Errno, Op, RecvMode};
use weir_ring::token::{Listener, Socket};

#[test]
fn a_burst_of_connections_is_accepted_each_in_its_own_slot() {
    let mut pump = Pump::new(400, |_| ());
    let clients: Vec<_> = (0..300).map(|_| TcpStream::connect(pump.address).expect("connect")).collect();
    let mut slots = HashSet::new();
    pump.run(|completion, _| match completion {
        Completion::Accepted { listener: Listener(0), socket, .. } => {
            assert!(slots.insert(socket), "{socket:?} is taken");
            done_if(slots.len() == clients.len())
        }
        other => unexpected(&other),
    });
}

#[test]
fn once_answers_once() {
    let mut pump = Pump::new(8, |_| ());
    let (mut client, socket) = pump.client();
    client.write_all(b"first").expect("write");
    pump.recv(token(1), socket, RecvMode::Once);
    pump.run(|completion, _| match completion {
        Completion::Received { token: of, bytes } => {
            assert_eq!((of, &*bytes), (token(1), &b"first"[..]));
            Flow::Done
        }
        other => unexpected(&other),
    });
    // More input is there, but it is not asked for: only another connection is heard of.
    client.write_all(b"second").expect("write");
    let (_other, _) = pump.client();
    pump.recv(token(2), socket, RecvMode::Once);
    pump.run(|completion, _| match completion {
        Completion::Received { token: of, bytes } => {
            assert_eq!((of, &*bytes), (token(2), &b"second"[..]));
            Flow::Done
        }
        other => unexpected(&other),
    });
}

#[test]
fn a_parked_socket_says_readable_and_streams_again() {
    let mut pump = Pump::new(8, |_| ());
    let (mut client, socket) = pump.client();
    pump.recv(token(1), socket, RecvMode::Park);
    let (_other, _) = pump.client(); // a turn in which the park is armed and silent
    client.write_all(b"wake up").expect("write");
    pump.run(|completion, output| match completion {
        Completion::Readable { token: of } => {
            assert_eq!(of, token(1));
            output.ops.push(Op::Recv { token: token(1), socket, mode: RecvMode::Stream });
            Flow::Go
        }
        Completion::Received { bytes, .. } => {
            assert_eq!(bytes, b"wake up");
            Flow::Done
        }
        other => unexpected(&other),
    });
}

#[test]
fn a_parked_socket_notices_the_peers_end() {
    let mut pump = Pump::new(8, |_| ());
    let (client, socket) = pump.client();
    pump.recv(token(1), socket, RecvMode::Park);
    client.shutdown(Shutdown::Write).expect("shutdown");
    pump.run(|completion, output| match completion {
        Completion::Readable { .. } => {
            output.ops.push(Op::Recv { token: token(1), socket, mode: RecvMode::Stream });
            Flow::Go
        }
        Completion::Ended { token: of, errno } => {
            assert_eq!((of, errno), (token(1), None));
            Flow::Done
        }
        other => unexpected(&other),
    });
}

#[test]
fn a_reset_is_told_from_an_end() {
    let mut pump = Pump::new(8, |_| ());
    let (mut client, socket) = pump.client();
    pump.recv(token(1), socket, RecvMode::Stream);
    super::common::send(&mut pump.output, token(1), socket, b"never read");
    client.write_all(b"x").expect("write");
    pump.run(|completion, _| done_if(matches!(completion, Completion::Received { .. })));
    drop(client); // with unread input
    pump.run(|completion, _| match completion {
        Completion::Ended { errno, .. } => {
            assert_eq!(errno, Some(Errno(libc::ECONNRESET)));
            Flow::Done
        }
        other => unexpected(&other),
    });
}

#[test]
fn a_reset_of_a_parked_socket_is_no_end() {
    let mut pump = Pump::new(8, |_| ());
    let (mut client, socket) = pump.client();
    pump.recv(token(1), socket, RecvMode::Once);
    super::common::send(&mut pump.output, token(1), socket, b"never read");
    client.write_all(b"x").expect("write");
    pump.run(|completion, _| done_if(matches!(completion, Completion::Received { .. })));
    pump.recv(token(1), socket, RecvMode::Park);
    let (_other, _) = pump.client(); // a turn in which the park is armed and silent
    drop(client); // with unread input
    pump.run(|completion, output| match completion {
        Completion::Readable { .. } => {
            output.ops.push(Op::Recv { token: token(1), socket, mode: RecvMode::Stream });
            Flow::Go
        }
        Completion::Ended { errno, .. } => {
            assert_eq!(errno, Some(Errno(libc::ECONNRESET)));
            Flow::Done
        }
        other => unexpected(&other),
    });
}

const MODES: [RecvMode; 4] = [RecvMode::Once, RecvMode::Stream, RecvMode::Park, RecvMode::Off];

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]

    /// Whatever the modes a socket goes through while input pours in, in the same turn or in later
    /// ones, no byte is lost, doubled or out of order, and the end comes last.
    #[test]
    fn changes_of_mode_lose_nothing(script in prop::collection::vec((0_usize..4, 0_usize..3), 1..40)) {
        let mut pump = Pump::new(8, |settings| settings.buffer_bytes = 256);
        let (mut client, socket) = pump.client();
        let bytes = pattern(60_000);
        let sent = bytes.clone();
        let writer = thread::spawn(move || {
            sent.chunks(977).for_each(|chunk| client.write_all(chunk).expect("write"));
            client
        });
        let mut writer = Some(writer);
        let mut modes = script.into_iter().map(|(mode, more)| (MODES[mode], more));
        let mut received = Vec::new();
        let mut life = 0;
        pump.recv(token(0), socket, RecvMode::Once);
        pump.run(|completion, output| {
            match completion {
                Completion::Received { bytes, .. } => received.extend_from_slice(bytes),
                Completion::Readable { .. } => {}
                other => unexpected(&other),
            }
            // One change, or several of which the last counts; a script that ends streams.
            let (mode, more) = modes.next().unwrap_or((RecvMode::Stream, 0));
            for mode in MODES.into_iter().cycle().take(more).chain([mode]) {
                life += 1;
                output.ops.push(Op::Recv { token: token(life), socket, mode });
            }
            if mode == RecvMode::Off {
                output.ops.push(Op::Recv { token: token(life), socket, mode: RecvMode::Once });
            }
            done_if(received.len() == bytes.len())
        });
        prop_assert!(received == bytes, "bytes differ");
        drop(writer.take().expect("once").join().expect("writer"));
        pump.recv(token(9), socket, RecvMode::Stream);
        pump.run(|completion, _| done_if(matches!(completion, Completion::Ended { errno: None, .. })));
    }
}

/// Input beyond what the buffers, or the completion queue, can hold: `clients` times 64 KiB.
fn storm(mut pump: Pump, clients: usize) {
    let bytes = pattern(64 << 10);
    let mut writers = Vec::new();
    for (index, (mut client, socket)) in pump.clients(clients).into_iter().enumerate() {
        pump.recv(token(index as u32), socket, RecvMode::Stream);
        let bytes = bytes.clone();
        writers.push(thread::spawn(move || client.write_all(&bytes).expect("write")));
    }
    let mut received = vec![0; clients];
    let mut ended = 0;
    pump.run(|completion, _| match completion {
        Completion::Received { token: of, bytes: input } => {
            assert_eq!(of.generation, 7);
            let at = &mut received[of.index as usize];
            assert!(*input == bytes[*at..*at + input.len()], "bytes differ at {at} of {of:?}");
            *at += input.len();
            Flow::Go
        }
        Completion::Ended { token: of, errno: None } => {
            assert_eq!(received[of.index as usize], bytes.len());
            ended += 1;
            done_if(ended == clients)
        }
        other => unexpected(&other),
    });
    writers.into_iter().for_each(|writer| writer.join().expect("writer"));
}

#[test]
fn four_buffers_for_a_hundred_connections_lose_nothing() {
    storm(Pump::new(128, |settings| settings.buffers = 4), 100);
}

#[test]
fn a_completion_queue_that_overflows_loses_nothing() {
    let tiny = |settings: &mut weir_ring::settings::Settings| {
        settings.entries = 4;
        settings.completions = 8;
    };
    storm(Pump::new(128, tiny), 100);
}

#[test]
fn accepting_stops_when_asked_and_starts_again() {
    let mut pump = Pump::new(8, |_| ());
    let (_first, _) = pump.client();
    pump.output.ops.push(Op::StopAccept { listener: Listener(0) });
    pump.run(|completion, _| match completion {
        Completion::AcceptFailed { listener: Listener(0), errno } => {
            assert_eq!(errno, Errno(libc::ECANCELED));
            Flow::Done
        }
        other => unexpected(&other),
    });
    pump.output.ops.push(Op::Accept { listener: Listener(0) });
    let (_second, _) = pump.client();
    // Stopping and starting in one turn is as if nothing had been asked.
    pump.output.ops.push(Op::StopAccept { listener: Listener(0) });
    pump.output.ops.push(Op::Accept { listener: Listener(0) });
    let (_third, _) = pump.client();
}

#[test]
fn a_full_table_ends_accepting_and_a_freed_slot_is_used_again() {
    let mut pump = Pump::new(1, |_| ());
    let (_first, socket) = pump.client();
    let mut refused = TcpStream::connect(pump.address).expect("connect");
    pump.run(|completion, _| match completion {
        Completion::AcceptFailed { errno, .. } => {
            assert_eq!(errno, Errno(libc::ENFILE));
            Flow::Done
        }
        other => unexpected(&other),
    });
    // Who finds no room is dropped by a ring, and waits in the listener's queue elsewhere.
    match crate::DRIVER {
        Kind::IoUring => assert_ended(&mut refused),
        Kind::Epoll => drop(refused),
    }
    pump.close(token(1), socket);
    pump.output.ops.push(Op::Accept { listener: Listener(0) });
    let (_second, again) = pump.client();
    assert_eq!((socket, again), (Socket(0), Socket(0)));
}
