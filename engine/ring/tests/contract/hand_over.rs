//! Sockets that move between drivers, with what has arrived on them and what is still to come.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpStream};
use std::thread;

use super::common::meeting::{Meeting, sleep};
use super::common::{Flow, Pump, done_if, pattern, send, token, unexpected};
use weir_ring::clock::Clock;
use weir_ring::landing::{Courier, Landing};
use weir_ring::op::{Completion, Errno, Op, RecvMode};
use weir_ring::peer::Peer;
use weir_ring::token::{Member, Socket, Transfer};
use weir_ring::waker::Waker;

/// Sockets accepted by one driver, read up to a prefix there, and served by the other to the end: every
/// byte, in order, in both directions.
#[test]
fn sockets_move_between_drivers_and_keep_their_bytes() {
    const CLIENTS: u32 = 20;
    let mut meetings = Meeting::of(2);
    let (second, first) = (meetings.pop().expect("two"), meetings.pop().expect("two"));
    let target = thread::spawn(move || serve_arrivals(&second, CLIENTS));
    let bytes = pattern(50_000);

    let mut pump = Pump::new(4, |_| ());
    first.join(0, &mut pump.driver);
    let mut clients = Vec::new();
    for index in 0..CLIENTS {
        let (mut client, socket) = pump.client();
        let bytes = bytes.clone();
        let mut moved = 0;
        client.write_all(&bytes[..100]).expect("write");
        pump.recv(token(index), socket, RecvMode::Once);
        pump.run(|completion, output| match completion {
            Completion::Received { bytes, .. } => {
                moved += bytes.len();
                let transfer = Transfer(u64::from(index) << 40 | u64::from(index));
                output.ops.push(Op::HandOver { token: token(index), socket, to: Member(1), transfer });
                Flow::Go
            }
            Completion::HandedOver { token: of, errno } => {
                assert_eq!((of, errno), (token(index), None));
                Flow::Done
            }
            other => unexpected(&other),
        });
        assert_eq!(moved, 100);
        clients.push(thread::spawn(move || {
            client.write_all(&bytes[100..]).expect("write");
            let mut back = vec![0; bytes.len() - 100];
            client.read_exact(&mut back).expect("read");
            assert!(back == bytes[100..], "bytes differ");
        }));
    }
    clients.into_iter().for_each(|client| client.join().expect("client"));
    first.end.wait();
    target.join().expect("target");
}

/// Collects each arrival's input until it is whole, then sends all of it back.
fn serve_arrivals(meeting: &Meeting, clients: u32) {
    let mut pump = Pump::new(32, |_| ());
    meeting.join(1, &mut pump.driver);
    let mut input: Vec<(Socket, Vec<u8>)> = Vec::new();
    let mut served = 0;
    pump.run(|completion, output| match completion {
        Completion::Arrived { transfer, socket } => {
            let index = input.len() as u32;
            assert_eq!(transfer, Transfer(u64::from(index) << 40 | u64::from(index)));
            input.push((socket, Vec::new()));
            output.ops.push(Op::Recv { token: token(index), socket, mode: RecvMode::Stream });
            Flow::Go
        }
        Completion::Received { token: of, bytes } => {
            let (socket, all) = &mut input[of.index as usize];
            all.extend_from_slice(bytes);
            if all.len() == 50_000 - 100 {
                send(output, of, *socket, all);
                served += 1;
            }
            done_if(served == clients)
        }
        Completion::Ended { .. } => Flow::Go,
        other => unexpected(&other),
    });
    meeting.end.wait();
}

/// A target without a free slot: the source is told and keeps a working socket, unwatched.
#[test]
fn a_socket_that_cannot_move_stays() {
    let mut meetings = Meeting::of(2);
    let (second, first) = (meetings.pop().expect("two"), meetings.pop().expect("two"));
    let target = thread::spawn(move || {
        let mut pump = Pump::new(1, |_| ());
        let (_client, _socket) = pump.client(); // takes the only slot
        second.join(1, &mut pump.driver);
        sleep(&mut pump.driver); // until woken by the end of the test
        second.end.wait();
    });
    let mut pump = Pump::new(8, |_| ());
    first.join(0, &mut pump.driver);
    let (mut client, socket) = pump.client();
    client.write_all(b"head").expect("write");
    pump.recv(token(1), socket, RecvMode::Stream);
    pump.run(|completion, output| match completion {
        Completion::Received { .. } => {
            output.ops.push(Op::HandOver { token: token(1), socket, to: Member(1), transfer: Transfer(1) });
            Flow::Go
        }
        Completion::HandedOver { token: of, errno } => {
            assert_eq!((of, errno), (token(1), Some(Errno(libc::ENFILE))));
            send(output, of, socket, b"served here");
            Flow::Done
        }
        other => unexpected(&other),
    });
    let mut served = [0; 11];
    client.read_exact(&mut served).expect("read");
    assert_eq!(&served, b"served here");
    client.write_all(b"more").expect("write");
    let (_other, _) = pump.client(); // a turn in which nobody asks for it
    pump.recv(token(1), socket, RecvMode::Stream);
    pump.run(|completion, _| match completion {
        Completion::Received { bytes, .. } => {
            assert_eq!(bytes, b"more");
            Flow::Done
        }
        other => unexpected(&other),
    });
    pump.driver.wake(Member(1));
    pump.driver.wait(Some(Clock::now().mono), Clock::now().mono).expect("wait");
    first.end.wait();
    target.join().expect("target");
}

/// Sockets that leave while the client writes and any watch is armed: what the giver heard before the
/// answer and what the taker heard is all there was, in order; the end comes to the taker in any case.
#[test]
fn a_socket_leaves_whatever_watch_is_armed() {
    const MODES: [RecvMode; 4] = [RecvMode::Stream, RecvMode::Once, RecvMode::Park, RecvMode::Off];
    const CLIENTS: usize = 40;
    let mut meetings = Meeting::of(2);
    let (second, first) = (meetings.pop().expect("two"), meetings.pop().expect("two"));
    let taker = thread::spawn(move || hear_arrivals(&second, CLIENTS));
    let bytes = pattern(200_000);

    // Few and small buffers: some leave while they wait for one.
    let mut pump = Pump::new(4, |settings| (settings.buffers, settings.buffer_bytes) = (4, 256));
    first.join(0, &mut pump.driver);
    let mut heard = Vec::new();
    let mut clients = Vec::new();
    for index in 0..CLIENTS {
        let (client, socket) = pump.client();
        clients.push(thread::spawn({
            let bytes = bytes.clone();
            move || write_and_shut(client, &bytes)
        }));
        // Some leave at once, some with more and more input behind them.
        heard.push(leave(&mut pump, (index as u32, socket), MODES[index % 4], index / 4 * 700));
    }
    clients.into_iter().for_each(|client| drop(client.join().expect("client")));
    first.end.wait();
    for (index, (mut before, after)) in heard.into_iter().zip(taker.join().expect("taker")).enumerate() {
        before.extend_from_slice(&after);
        assert!(before == bytes, "bytes of client {index} differ");
    }
}

fn write_and_shut(mut client: TcpStream, bytes: &[u8]) -> TcpStream {
    bytes.chunks(977).for_each(|chunk| client.write_all(chunk).expect("write"));
    client.shutdown(Shutdown::Write).expect("shutdown");
    client
}

/// Streams until `enough` bytes have come, sets `mode` and hands over in the same turn; what was heard
/// before the answer.
fn leave(pump: &mut Pump, (index, socket): (u32, Socket), mode: RecvMode, enough: usize) -> Vec<u8> {
    let (token, transfer) = (token(index), Transfer(index.into()));
    let mut heard = Vec::new();
    let mut asked = false;
    pump.recv(token, socket, RecvMode::Stream);
    // A turn of its own for the watch to be armed in.
    pump.driver.submit(&mut pump.output);
    pump.driver.wait(Some(Clock::now().mono), Clock::now().mono).expect("wait");
    if enough == 0 {
        asked = true;
        pump.output.ops.push(Op::Recv { token, socket, mode });
        pump.output.ops.push(Op::HandOver { token, socket, to: Member(1), transfer });
    }
    pump.run(|completion, output| {
        match completion {
            Completion::Received { bytes, .. } => heard.extend_from_slice(bytes),
            Completion::Ended { errno: None, .. } => {}
            Completion::HandedOver { token: of, errno } => {
                assert_eq!((of, errno), (token, None));
                return Flow::Done;
            }
            other => unexpected(&other),
        }
        if heard.len() >= enough && !std::mem::replace(&mut asked, true) {
            output.ops.push(Op::Recv { token, socket, mode });
            output.ops.push(Op::HandOver { token, socket, to: Member(1), transfer });
        }
        Flow::Go
    });
    heard
}

/// What each arrival still has to say, until its end.
fn hear_arrivals(meeting: &Meeting, clients: usize) -> Vec<Vec<u8>> {
    let mut pump = Pump::new(64, |_| ());
    meeting.join(1, &mut pump.driver);
    let mut heard: Vec<Vec<u8>> = Vec::new();
    let mut ended = 0;
    pump.run(|completion, output| match completion {
        Completion::Arrived { transfer, socket } => {
            assert_eq!(transfer, Transfer(heard.len() as u64));
            let token = token(heard.len() as u32);
            heard.push(Vec::new());
            output.ops.push(Op::Recv { token, socket, mode: RecvMode::Stream });
            Flow::Go
        }
        Completion::Received { token, bytes } => {
            heard[token.index as usize].extend_from_slice(bytes);
            Flow::Go
        }
        Completion::Ended { errno: None, .. } => {
            ended += 1;
            done_if(ended == clients)
        }
        other => unexpected(&other),
    });
    meeting.end.wait();
    heard
}

/// A socket that leaves one driver for a thread without one, as on its way to another process, and is given to another
/// driver there: what the client says meanwhile is heard.
#[test]
fn a_socket_leaves_for_a_thread_and_comes_from_one() {
    let mut first = Pump::new(4, |_| ());
    let (landing, landed) = Landing::new(Waker::new().expect("eventfd"));
    first.driver.connect(vec![first.driver.peer(), Peer::Landing(landing)]);
    let (mut client, socket) = first.client();
    client.write_all(b"one").expect("write");
    let heard = leave(&mut first, (7, socket), RecvMode::Stream, 3);
    assert_eq!(heard, b"one");
    let (transfer, fd) = landed.recv().expect("a socket");
    assert_eq!(transfer, Transfer(7));
    client.write_all(b"two").expect("write");

    let mut second = Pump::new(1, |_| ());
    let peer = second.driver.peer();
    second.driver.connect(vec![peer.clone()]);
    let mut courier = Courier::default();
    courier.deliver(fd, &peer, Transfer(8)).expect("delivered");
    let other = std::net::TcpListener::bind("127.0.0.1:0").expect("bind");
    let other = TcpStream::connect(other.local_addr().expect("address")).expect("connect");
    second.run(|completion, output| match completion {
        Completion::Arrived { transfer, socket } => {
            assert_eq!(transfer, Transfer(8));
            output.ops.push(Op::Recv { token: token(1), socket, mode: RecvMode::Stream });
            Flow::Go
        }
        Completion::Received { bytes, .. } => {
            assert_eq!(bytes, b"two");
            Flow::Done
        }
        other => unexpected(&other),
    });
    let full = courier.deliver(other.into(), &peer, Transfer(9)).expect_err("the table has one place");
    assert_eq!(full.raw_os_error(), Some(libc::ENFILE));
}
