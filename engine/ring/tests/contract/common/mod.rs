//! A driver with one listener on loopback and a pump that runs a scripted shard: a function from
//! completions to operations. Clients are ordinary blocking sockets.
#![allow(dead_code, reason = "each test binary uses its part")]

pub(crate) mod log_dir;
pub(crate) mod meeting;

use std::io::Read;
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::time::Duration;

use weir_ring::clock::Clock;
use weir_ring::driver::{Driver, Kind};
use weir_ring::op::{Completion, Completions, Op, Output, RecvMode, Source};
use weir_ring::settings::Settings;
use weir_ring::socket::{Options, listen};
use weir_ring::token::{Listener, Socket, Token};
use weir_ring::waker::Waker;

/// Long enough that only a lost completion can reach it.
const PATIENCE: Duration = Duration::from_secs(30);

/// What a script says after a completion.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Flow {
    Go,
    Done,
}

pub(crate) fn done_if(done: bool) -> Flow {
    if done { Flow::Done } else { Flow::Go }
}

pub(crate) struct Pump {
    pub(crate) driver: Driver,
    pub(crate) address: SocketAddr,
    pub(crate) waker: Waker,
    /// What the next turn asks for.
    pub(crate) output: Output,
}

impl Pump {
    /// A driver for up to `sockets` connections, with its sizes changed by `resize`.
    pub(crate) fn on(driver: Kind, sockets: u32, resize: impl FnOnce(&mut Settings)) -> Pump {
        let host = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
        let listening = listen(host, 1, Options::default()).expect("listen");
        let waker = Waker::new().expect("eventfd");
        let mut settings = Settings::new(listening.sockets, sockets, waker.clone());
        resize(&mut settings);
        let driver = Driver::new(driver, settings).expect("driver");
        let mut output = Output::default();
        output.ops.push(Op::Accept { listener: Listener(0) });
        Pump { driver, address: listening.address, waker, output }
    }

    /// Takes turns until `script` says `Done`; the turn in which it does is finished and submitted.
    pub(crate) fn run(&mut self, mut script: impl FnMut(Completion<'_>, &mut Output) -> Flow) {
        loop {
            let mut done = false;
            let mut completions = self.driver.completions();
            while let Some(completion) = completions.next() {
                done |= script(completion, &mut self.output) == Flow::Done;
            }
            drop(completions);
            self.driver.submit(&mut self.output);
            let now = Clock::now().mono;
            let until = if done { now } else { now.plus(PATIENCE) };
            self.driver.wait(Some(until), now).expect("wait");
            if done {
                return;
            }
            assert!(Clock::now().mono < until, "nothing happens any more");
        }
    }

    /// A client and the socket it was accepted as.
    pub(crate) fn client(&mut self) -> (TcpStream, Socket) {
        let client = TcpStream::connect(self.address).expect("connect");
        client.set_nodelay(true).expect("nodelay");
        client.set_read_timeout(Some(PATIENCE)).expect("timeout");
        client.set_write_timeout(Some(PATIENCE)).expect("timeout");
        let mut accepted = None;
        self.run(|completion, _| match completion {
            Completion::Accepted { socket, .. } => {
                accepted = Some(socket);
                Flow::Done
            }
            other => unexpected(&other),
        });
        (client, accepted.expect("accepted"))
    }

    /// The same for several, while none of them is watched.
    pub(crate) fn clients(&mut self, count: usize) -> Vec<(TcpStream, Socket)> {
        (0..count).map(|_| self.client()).collect()
    }

    pub(crate) fn recv(&mut self, token: Token, socket: Socket, mode: RecvMode) {
        self.output.ops.push(Op::Recv { token, socket, mode });
    }

    pub(crate) fn close(&mut self, token: Token, socket: Socket) {
        self.output.ops.push(Op::Close { token, socket });
        self.run(|completion, _| match completion {
            Completion::Closed { token: closed } => done_if(closed == token),
            _ => Flow::Go,
        });
    }
}

pub(crate) fn token(index: u32) -> Token {
    Token { index, generation: 7 }
}

/// Ends a test that heard what it should not have; the bytes stay out of the message.
pub(crate) fn unexpected(completion: &Completion<'_>) -> ! {
    let mut text = format!("{completion:?}");
    text.truncate(200);
    panic!("unexpected {text}");
}

/// Appends a send of `bytes`.
pub(crate) fn send(output: &mut Output, token: Token, socket: Socket, bytes: &[u8]) {
    let start = output.arena.len() as u32;
    output.arena.extend_from_slice(bytes);
    let source = Source::Arena { start, len: bytes.len() as u32 };
    output.ops.push(Op::Send { token, socket, source });
}

/// Bytes in which a lost, doubled or misplaced one shows.
pub(crate) fn pattern(length: usize) -> Vec<u8> {
    (0..length as u64).map(|at| (at.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 56) as u8).collect()
}

/// The client's next byte is the end, orderly or not.
pub(crate) fn assert_ended(client: &mut TcpStream) {
    match client.read(&mut [0; 1]) {
        Ok(count) => assert_eq!(count, 0, "an end, not a byte"),
        Err(error) => assert_eq!(error.kind(), std::io::ErrorKind::ConnectionReset),
    }
}
