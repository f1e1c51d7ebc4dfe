//! The ring with no protocol: what the same loop, driver and settings cost when nothing is parsed,
//! checked or remembered. The ceiling that other benches compare with.

mod http;

use std::net::{Ipv4Addr, SocketAddr};
use std::process::ExitCode;
use std::sync::Arc;

use clap::{Parser, ValueEnum};
use weir_ring::op::{Completion, Completions, Op, Output, RecvMode, Source};
use weir_ring::settings::Settings;
use weir_ring::token::{Listener, Socket, Token};
use weir_ring::uring::Uring;
use weir_ring::waker::Waker;
use weir_ring::{affinity, socket};

use crate::http::Responder;

/// A raw TCP server on one ring, pinned to one core.
#[derive(Parser)]
struct Arguments {
    mode: Mode,
    /// Port on loopback; 0 lets the kernel choose.
    #[arg(long, default_value_t = 9000)]
    port: u16,
    /// Core to run on.
    #[arg(long, default_value_t = 0)]
    core: usize,
    /// fanout: bytes of the frame. http: bytes of an answer to `tools/call`, at least what it needs.
    #[arg(long, default_value_t = 38)]
    bytes: usize,
    /// http: a server of the revisions before 2026-07-28.
    #[arg(long)]
    legacy: bool,
    /// fanout: frames for each byte on the control connection.
    #[arg(long, default_value_t = 1)]
    count: usize,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Mode {
    /// Send back what comes, in one send per connection and turn.
    Echo,
    /// The first connection is the control; each byte on it sends the frame to all others.
    Fanout,
    /// Answer HTTP requests as an MCP server with one tool, `echo`.
    Http,
    /// Accept and hold.
    Accept,
}

fn main() -> ExitCode {
    match run(&Arguments::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("bare: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run(arguments: &Arguments) -> Result<(), Box<dyn std::error::Error>> {
    if !affinity::pin(arguments.core) {
        return Err(format!("core {} is not one of {:?}", arguments.core, affinity::cores()).into());
    }
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, arguments.port));
    socket::probe(address)?;
    let listening = socket::listen(address, 1, socket::Options::default())?;
    let sockets = u32::try_from(socket::raise_nofile()?)?.saturating_sub(64);
    let mut uring = Uring::new(Settings::new(listening.sockets, sockets, Waker::new()?))?;
    eprintln!("bare: listening on {}", listening.address);

    let mut server = Server::new(arguments);
    let mut output = Output::default();
    output.ops.push(Op::Accept { listener: Listener(0) });
    loop {
        uring.submit(&mut output);
        uring.wait(None)?;
        let mut completions = uring.completions();
        while let Some(completion) = completions.next() {
            server.take(completion, &mut output);
        }
        drop(completions);
        server.end_turn(&mut output);
    }
}

/// One connection, at the place of its socket.
#[derive(Default)]
struct Connection {
    open: bool,
    /// The turn of its last send, and that send's place in the output.
    sent: (u64, usize),
    /// A drain is under way.
    slow: bool,
    /// What is to be sent once it is done.
    waiting: Vec<u8>,
    /// http: the beginning of a request.
    partial: Vec<u8>,
}

struct Server {
    mode: Mode,
    frame: Arc<[u8]>,
    responder: Responder,
    /// What the responder answers.
    answers: Vec<u8>,
    count: usize,
    connections: Vec<Connection>,
    control: Option<Socket>,
    turn: u64,
    /// Frames to send to everybody.
    due: usize,
}

impl Server {
    fn new(arguments: &Arguments) -> Server {
        Server {
            mode: arguments.mode,
            frame: vec![b'x'; arguments.bytes].into(),
            responder: Responder::new(arguments.bytes, arguments.legacy),
            answers: Vec::new(),
            count: arguments.count,
            connections: Vec::new(),
            control: None,
            turn: 1,
            due: 0,
        }
    }

    fn take(&mut self, completion: Completion<'_>, output: &mut Output) {
        match completion {
            Completion::Accepted { socket, .. } => self.open(socket, output),
            Completion::Received { token, bytes } => match self.mode {
                Mode::Echo => self.send(token, bytes, output),
                Mode::Http => self.respond(token, bytes, output),
                _ if self.control == Some(Socket(token.index)) => self.due += bytes.len() * self.count,
                _ => {}
            },
            Completion::Unsent { token, tail, errno: None } => {
                self.connections[token.index as usize].slow = true;
                output.ops.push(Op::Drain { token, socket: Socket(token.index), bytes: tail.to_vec() });
            }
            Completion::Drained { token, errno: None } => {
                let connection = &mut self.connections[token.index as usize];
                connection.slow = false;
                let waiting = std::mem::take(&mut connection.waiting);
                self.send(token, &waiting, output);
            }
            Completion::Ended { token, .. }
            | Completion::Unsent { token, errno: Some(_), .. }
            | Completion::Drained { token, errno: Some(_) } => self.close(token, output),
            Completion::AcceptFailed { listener, errno } => {
                eprintln!("bare: accept: errno {}", errno.0);
                output.ops.push(Op::Accept { listener });
            }
            Completion::Closed { .. }
            | Completion::Connected { .. }
            | Completion::ConnectFailed { .. }
            | Completion::Readable { .. }
            | Completion::HandedOver { .. }
            | Completion::Arrived { .. }
            | Completion::Appended { .. } => {}
        }
    }

    fn open(&mut self, socket: Socket, output: &mut Output) {
        let place = socket.0 as usize;
        if self.connections.len() <= place {
            self.connections.resize_with(place + 1, Connection::default);
        }
        self.connections[place] = Connection { open: true, ..Connection::default() };
        if self.mode != Mode::Accept {
            let token = Token { index: socket.0, generation: 0 };
            output.ops.push(Op::Recv { token, socket, mode: RecvMode::Stream });
        }
        self.control.get_or_insert(socket);
    }

    /// Answers what is whole and keeps the rest.
    fn respond(&mut self, token: Token, bytes: &[u8], output: &mut Output) {
        let mut answers = std::mem::take(&mut self.answers);
        let partial = &mut self.connections[token.index as usize].partial;
        if partial.is_empty() {
            let answered = self.responder.answer(bytes, &mut answers);
            partial.extend_from_slice(&bytes[answered..]);
        } else {
            partial.extend_from_slice(bytes);
            let answered = self.responder.answer(partial, &mut answers);
            partial.drain(..answered);
        }
        if !answers.is_empty() {
            self.send(token, &answers, output);
        }
        answers.clear();
        self.answers = answers;
    }

    /// Appends `bytes` to the connection's send of this turn.
    fn send(&mut self, token: Token, bytes: &[u8], output: &mut Output) {
        let connection = &mut self.connections[token.index as usize];
        if connection.slow {
            connection.waiting.extend_from_slice(bytes);
            return;
        }
        let end = output.arena.len() as u32;
        let len = bytes.len() as u32;
        if connection.sent.0 != self.turn {
            connection.sent = (self.turn, output.ops.len());
            let source = Source::Arena { start: end, len };
            output.ops.push(Op::Send { token, socket: Socket(token.index), source });
        } else if let Op::Send { source: Source::Arena { start, len: before }, .. } =
            &mut output.ops[connection.sent.1]
        {
            if *start + *before != end {
                output.arena.extend_from_within(*start as usize..(*start + *before) as usize);
                *start = end;
            }
            *before += len;
        }
        output.arena.extend_from_slice(bytes);
    }

    fn close(&mut self, token: Token, output: &mut Output) {
        let connection = &mut self.connections[token.index as usize];
        if std::mem::take(&mut connection.open) {
            output.ops.push(Op::Close { token, socket: Socket(token.index) });
        }
        if self.control == Some(Socket(token.index)) {
            self.control = None;
        }
    }

    fn end_turn(&mut self, output: &mut Output) {
        self.turn += 1;
        if self.due == 0 {
            return;
        }
        // A connection takes one send a turn, so the frames of several bytes go as one.
        let frame = if self.due == 1 { self.frame.clone() } else { self.frame.repeat(self.due).into() };
        self.due = 0;
        output.frames.push(frame);
        for (index, connection) in self.connections.iter().enumerate() {
            let socket = Socket(index as u32);
            if connection.open && !connection.slow && self.control != Some(socket) {
                let token = Token { index: socket.0, generation: 0 };
                output.ops.push(Op::Send { token, socket, source: Source::Frame(0) });
            }
        }
    }
}
