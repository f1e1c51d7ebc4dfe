//! Several rings, each on its thread: wake-ups, letters and sockets that move.

mod common;

use std::io::{Read, Write};
use std::os::fd::RawFd;
use std::sync::{Arc, Barrier, mpsc};
use std::thread;

use common::{Flow, Pump, done_if, pattern, send, token, unexpected};
use weir_ring::clock::Clock;
use weir_ring::mesh::{Links, Push, connect};
use weir_ring::op::{Completion, Completions, Errno, Op, RecvMode};
use weir_ring::token::{Member, Socket, Transfer};
use weir_ring::uring::{Peer, Settings, SetupError, Uring};
use weir_ring::waker::Waker;

/// Publishes the own ring and learns the others'. All stay until all are done.
struct Meeting {
    fds: Vec<mpsc::Sender<(usize, RawFd)>>,
    inbox: mpsc::Receiver<(usize, RawFd)>,
    end: Arc<Barrier>,
}

impl Meeting {
    fn of(members: usize) -> Vec<Meeting> {
        let end = Arc::new(Barrier::new(members));
        let (fds, inboxes): (Vec<_>, Vec<_>) = (0..members).map(|_| mpsc::channel()).unzip();
        inboxes.into_iter().map(|inbox| Meeting { fds: fds.clone(), inbox, end: end.clone() }).collect()
    }

    fn join(&self, me: usize, uring: &mut Uring) {
        self.fds.iter().for_each(|peer| peer.send((me, uring.fd())).expect("peer"));
        let mut peers: Vec<_> = self.fds.iter().map(|_| self.inbox.recv().expect("peer")).collect();
        peers.sort_unstable();
        uring.connect(peers.into_iter().map(|(_, fd)| Peer::Ring(fd)).collect());
    }
}

/// Waits without a limit and takes what comes, which must be nothing of a socket's.
fn sleep(uring: &mut Uring) {
    uring.wait(None, Clock::now().mono).expect("wait");
    assert!(uring.completions().next().is_none(), "a wake-up is no completion");
}

/// Letters go back and forth, each side asleep in its ring until the other's arrives. A lost wake-up
/// hangs.
#[test]
fn letters_wake_a_ring_that_sleeps() {
    const ROUNDS: u32 = 2_000;
    let meetings = Meeting::of(2);
    let threads: Vec<_> = connect::<u32>(2, 4)
        .into_iter()
        .zip(meetings)
        .map(|(mut links, meeting)| {
            thread::spawn(move || {
                let settings = Settings::new(Vec::new(), 8, Waker::new().expect("eventfd"));
                let mut uring = Uring::new(settings).expect("ring");
                let me = links.me();
                let other = Member(1 - me.0);
                meeting.join(me.0.into(), &mut uring);
                if me == Member(0) {
                    post(&mut links, &mut uring, other, 0);
                }
                let (mut inbox, mut last) = (Vec::new(), 0);
                while last < ROUNDS {
                    sleep(&mut uring);
                    links.receive(&mut inbox);
                    for letter in inbox.drain(..) {
                        last = letter + 1;
                        post(&mut links, &mut uring, other, last);
                    }
                }
                // The last wake-up is queued: let it go.
                uring.wait(Some(Clock::now().mono), Clock::now().mono).expect("wait");
                meeting.end.wait();
            })
        })
        .collect();
    threads.into_iter().for_each(|thread| thread.join().expect("member"));
}

fn post(links: &mut Links<u32>, uring: &mut Uring, to: Member, letter: u32) {
    if links.send(to, letter).expect("room") == Push::Wake {
        uring.wake(to);
    }
}

#[test]
fn a_waker_wakes_a_ring_again_and_again() {
    let waker = Waker::new().expect("eventfd");
    let mut uring = Uring::new(Settings::new(Vec::new(), 8, waker.clone())).expect("ring");
    // Before the ring has begun to watch, too.
    waker.wake();
    sleep(&mut uring);
    let (ask, asked) = mpsc::channel();
    let thread = thread::spawn(move || asked.iter().for_each(|()| waker.wake()));
    for _ in 0..1_000 {
        ask.send(()).expect("thread");
        sleep(&mut uring);
    }
    drop(ask);
    thread.join().expect("thread");
}

#[test]
fn a_ring_wakes_a_member_without_one() {
    let waker = Waker::new().expect("eventfd");
    let mut uring = Uring::new(Settings::new(Vec::new(), 8, Waker::new().expect("eventfd"))).expect("ring");
    uring.connect(vec![Peer::Ring(uring.fd()), Peer::Waker(waker.clone())]);
    uring.wake(Member(1));
    assert!(waker.clear());
}

#[test]
fn a_deadline_ends_the_wait() {
    let mut uring = Uring::new(Settings::new(Vec::new(), 8, Waker::new().expect("eventfd"))).expect("ring");
    let start = Clock::now().mono;
    let until = start.plus(std::time::Duration::from_millis(5));
    while Clock::now().mono < until {
        uring.wait(Some(until), Clock::now().mono).expect("wait");
        assert!(uring.completions().next().is_none());
    }
}

/// Sockets accepted by one ring, read up to a prefix there, and served by the other to the end: every
/// byte, in order, in both directions.
#[test]
fn sockets_move_between_rings_and_keep_their_bytes() {
    const CLIENTS: u32 = 20;
    let mut meetings = Meeting::of(2);
    let (second, first) = (meetings.pop().expect("two"), meetings.pop().expect("two"));
    let target = thread::spawn(move || serve_arrivals(&second, CLIENTS));
    let bytes = pattern(50_000);

    let mut pump = Pump::new(4, |_| ());
    first.join(0, &mut pump.uring);
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
    meeting.join(1, &mut pump.uring);
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

/// A target without a free slot: the source is told and keeps a working socket.
#[test]
fn a_socket_that_cannot_move_stays() {
    let mut meetings = Meeting::of(2);
    let (second, first) = (meetings.pop().expect("two"), meetings.pop().expect("two"));
    let target = thread::spawn(move || {
        let mut pump = Pump::new(1, |_| ());
        let (_client, _socket) = pump.client(); // takes the only slot
        second.join(1, &mut pump.uring);
        sleep(&mut pump.uring); // until woken by the end of the test
        second.end.wait();
    });
    let mut pump = Pump::new(8, |_| ());
    first.join(0, &mut pump.uring);
    let (mut client, socket) = pump.client();
    client.write_all(b"head").expect("write");
    pump.recv(token(1), socket, RecvMode::Once);
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
    pump.uring.wake(Member(1));
    pump.uring.wait(Some(Clock::now().mono), Clock::now().mono).expect("wait");
    first.end.wait();
    target.join().expect("target");
}

#[test]
fn a_table_beyond_the_limit_says_what_to_raise() {
    let settings = Settings::new(Vec::new(), 1 << 24, Waker::new().expect("eventfd"));
    match Uring::new(settings).err() {
        Some(error @ SetupError::Descriptors { sockets: 0x100_0000 }) => {
            assert!(error.to_string().contains("RLIMIT_NOFILE"));
        }
        other => panic!("unexpected {other:?}"),
    }
}
