//! Connections that the shard opens: to TCP and to abstract Unix sockets, and those it cannot have.

use std::io::{Read, Write};
use std::net::{Ipv6Addr, SocketAddr, TcpListener};
use std::os::fd::AsRawFd;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net;

use super::common::{Flow, Pump, done_if, pattern, send, token, unexpected};
use weir_ring::op::{Completion, Errno, Op, RecvMode};
use weir_ring::token::{Address, Socket};

/// A name no other test or process has.
fn name(of: &str) -> Box<str> {
    format!("weir-ring-{}-{}-{of}", std::process::id(), crate::DRIVER).into()
}

fn listen(name: &str) -> net::UnixListener {
    let address = net::SocketAddr::from_abstract_name(name).expect("name");
    net::UnixListener::bind_addr(&address).expect("bind")
}

/// The answer to a `Connect`.
fn connect(pump: &mut Pump, to: Address) -> Result<Socket, Errno> {
    pump.output.ops.push(Op::Connect { token: token(1), to });
    answer(pump)
}

fn answer(pump: &mut Pump) -> Result<Socket, Errno> {
    let mut answer = Err(Errno(0));
    pump.run(|completion, _| {
        answer = match completion {
            Completion::Connected { token: of, socket } if of == token(1) => Ok(socket),
            Completion::ConnectFailed { token: of, errno } if of == token(1) => Err(errno),
            other => unexpected(&other),
        };
        Flow::Done
    });
    answer
}

/// Sends a pattern to a peer that sends back what it reads, and reads it.
fn echo(pump: &mut Pump, socket: Socket) {
    let bytes = pattern(1_000);
    let mut back = Vec::new();
    pump.recv(token(2), socket, RecvMode::Stream);
    send(&mut pump.output, token(2), socket, &bytes);
    pump.run(|completion, _| match completion {
        Completion::Received { token: of, bytes: input } if of == token(2) => {
            back.extend_from_slice(input);
            Flow::Go
        }
        Completion::Ended { errno: None, .. } => Flow::Done,
        other => unexpected(&other),
    });
    assert!(back == bytes, "bytes differ");
    pump.close(token(2), socket);
}

fn send_back(mut peer: impl Read + Write) {
    let mut bytes = vec![0; 1_000];
    peer.read_exact(&mut bytes).expect("read");
    peer.write_all(&bytes).expect("write");
}

#[test]
fn a_tcp_listener_is_connected_to() {
    for host in [SocketAddr::from(([127, 0, 0, 1], 0)), SocketAddr::from((Ipv6Addr::LOCALHOST, 0))] {
        let mut pump = Pump::new(8, |_| ());
        let listener = TcpListener::bind(host).expect("bind");
        let to = Address::Tcp(listener.local_addr().expect("address"));
        let peer = std::thread::spawn(move || send_back(listener.accept().expect("accept").0));
        let socket = connect(&mut pump, to).expect("connected");
        echo(&mut pump, socket);
        peer.join().expect("peer");
    }
}

#[test]
fn an_abstract_unix_listener_is_connected_to() {
    let mut pump = Pump::new(8, |_| ());
    // The longest name there can be.
    let mut name = name("echo").into_string();
    name.push_str(&"x".repeat(107 - name.len()));
    let listener = listen(&name);
    let peer = std::thread::spawn(move || send_back(listener.accept().expect("accept").0));
    let socket = connect(&mut pump, Address::Local(name.into())).expect("connected");
    echo(&mut pump, socket);
    peer.join().expect("peer");
}

/// Nothing is reported on a connection before the first `Recv`, and it may be closed without one.
#[test]
fn a_connection_may_be_closed_unused() {
    let mut pump = Pump::new(8, |_| ());
    let listener = TcpListener::bind("127.0.0.1:0").expect("bind");
    let to = Address::Tcp(listener.local_addr().expect("address"));
    let socket = connect(&mut pump, to).expect("connected");
    let (mut peer, _) = listener.accept().expect("accept");
    peer.write_all(b"nobody asked").expect("write");
    let (_client, _) = pump.client();
    pump.close(token(1), socket);
    super::common::assert_ended(&mut peer);
}

/// Refusals name their error and leave the table as it was: with its only slot to be had again.
#[test]
fn a_refused_connect_gives_its_slot_back() {
    let mut pump = Pump::new(1, |_| ());
    let listener = TcpListener::bind("127.0.0.1:0").expect("bind");
    let open = Address::Tcp(listener.local_addr().expect("address"));
    let gone = TcpListener::bind("127.0.0.1:0").expect("bind").local_addr().expect("address");
    for _ in 0..3 {
        assert_eq!(connect(&mut pump, Address::Tcp(gone)), Err(Errno(libc::ECONNREFUSED)));
        assert_eq!(connect(&mut pump, Address::Local(name("nobody"))), Err(Errno(libc::ECONNREFUSED)));
        let long = Address::Local("x".repeat(108).into());
        assert_eq!(connect(&mut pump, long), Err(Errno(libc::EINVAL)));
    }
    let socket = connect(&mut pump, open.clone()).expect("connected");
    assert_eq!(connect(&mut pump, open.clone()), Err(Errno(libc::ENFILE)), "the table is full");
    pump.close(token(1), socket);
    connect(&mut pump, open).expect("connected again");
}

#[test]
fn many_connect_at_once_and_each_gets_its_own_token() {
    const CONNECTIONS: u32 = 100;
    let mut pump = Pump::new(128, |_| ());
    let listener = listen(&name("many"));
    let refused = name("nobody else");
    for index in 0..CONNECTIONS {
        let to = if index % 3 == 0 { refused.clone() } else { name("many") };
        pump.output.ops.push(Op::Connect { token: token(index), to: Address::Local(to) });
    }
    let mut answered = std::collections::BTreeSet::new();
    pump.run(|completion, _| {
        let index = match completion {
            Completion::Connected { token, .. } if token.index % 3 != 0 => token.index,
            Completion::ConnectFailed { token, errno } if token.index % 3 == 0 => {
                assert_eq!(errno, Errno(libc::ECONNREFUSED));
                token.index
            }
            other => unexpected(&other),
        };
        assert!(answered.insert(index), "{index} was answered twice");
        done_if(answered.len() == CONNECTIONS as usize)
    });
    drop(listener);
}

/// A listener whose queue is full makes connects wait, not fail; and one that waits when the driver goes
/// ends with it.
#[test]
fn a_connect_waits_for_room_in_the_queue() {
    let mut pump = Pump::new(8, |_| ());
    let name = name("busy");
    let listener = listen(&name);
    // SAFETY: no pointer is passed. Listening again sets the length of the queue: one connection.
    assert_eq!(unsafe { libc::listen(listener.as_raw_fd(), 0) }, 0);
    let to = Address::Local(name);
    connect(&mut pump, to.clone()).expect("the first finds room");
    pump.output.ops.push(Op::Connect { token: token(1), to: to.clone() });
    let (_client, _) = pump.client(); // turns in which nothing is heard of it
    listener.accept().expect("accept");
    answer(&mut pump).expect("the second waited");
    pump.output.ops.push(Op::Connect { token: token(1), to });
    let (_other, _) = pump.client();
    drop(pump);
}
