//! What arrives in unusual ways, and what one connection may do to another.

use std::io::{IoSlice, Write};
use std::mem::MaybeUninit;
use std::os::fd::AsFd;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net;

use rustix::net::{SendAncillaryBuffer, SendAncillaryMessage, SendFlags, send, sendmsg};
use weir_ring::op::{Completion, Op, RecvMode};
use weir_ring::token::Address;

use super::common::{Flow, Pump, done_if, pattern, token, unexpected};

/// Urgent data (RFC 6093) is no part of the stream, ends a receive before its buffer is full, and stops nothing.
#[test]
fn urgent_data_does_not_stop_a_stream() {
    let mut pump = Pump::new(8, |_| ());
    let (mut client, socket) = pump.client();
    client.write_all(b"before ").expect("write");
    assert_eq!(send(&client, b"!", SendFlags::OOB), Ok(1));
    client.write_all(b"after").expect("write");
    pump.recv(token(1), socket, RecvMode::Stream);
    hears_both(&mut pump);
}

/// All that was written comes, in its order.
fn hears_both(pump: &mut Pump) {
    let mut heard = Vec::new();
    pump.run(|completion, _| match completion {
        Completion::Received { bytes, .. } => {
            heard.extend_from_slice(bytes);
            done_if(heard.len() >= b"before after".len())
        }
        other => unexpected(&other),
    });
    assert_eq!(heard, b"before after");
}

/// So does a descriptor that is sent along on a Unix socket.
#[test]
fn a_descriptor_sent_along_does_not_stop_a_stream() {
    let name = format!("weir-ring-{}-{}-rights", std::process::id(), crate::DRIVER);
    let address = net::SocketAddr::from_abstract_name(&name).expect("name");
    let listener = net::UnixListener::bind_addr(&address).expect("bind");
    let mut pump = Pump::new(8, |_| ());
    pump.output.ops.push(Op::Connect { token: token(1), to: Address::Local(name.into()) });
    let mut socket = None;
    pump.run(|completion, _| match completion {
        Completion::Connected { socket: connected, .. } => {
            socket = Some(connected);
            Flow::Done
        }
        other => unexpected(&other),
    });
    let (mut peer, _) = listener.accept().expect("accept");
    let rights = [listener.as_fd()];
    let mut space = [MaybeUninit::uninit(); 64];
    let mut along = SendAncillaryBuffer::new(&mut space);
    assert!(along.push(SendAncillaryMessage::ScmRights(&rights)));
    sendmsg(&peer, &[IoSlice::new(b"before ")], &mut along, SendFlags::empty()).expect("send");
    peer.write_all(b"after").expect("write");
    pump.recv(token(1), socket.expect("connected"), RecvMode::Stream);
    hears_both(&mut pump);
}

/// What was read to its end is no reason to call a parked socket readable, also where it filled the buffer.
#[test]
fn a_parked_socket_without_input_is_silent() {
    let mut pump = Pump::new(8, |settings| settings.buffer_bytes = 256);
    let (mut client, socket) = pump.client();
    pump.recv(token(1), socket, RecvMode::Once);
    client.write_all(&pattern(256)).expect("write");
    pump.run(|completion, output| match completion {
        Completion::Received { bytes, .. } => {
            assert_eq!(bytes.len(), 256);
            output.ops.push(Op::Recv { token: token(1), socket, mode: RecvMode::Park });
            Flow::Done
        }
        other => unexpected(&other),
    });
    let (_other, _) = pump.client(); // which is all that is heard
}

/// A client that sends without pause is heard while another waits to be, and not much.
#[test]
fn a_busy_connection_does_not_starve_another() {
    let mut pump = Pump::new(8, |settings| settings.buffer_bytes = 256);
    let mut clients = pump.clients(2);
    let (mut quiet, quiet_socket) = clients.pop().expect("two");
    let (mut busy, busy_socket) = clients.pop().expect("two");
    busy.set_nonblocking(true).expect("nonblocking");
    let bytes = pattern(64 << 10);
    while busy.write(&bytes).is_ok() {}
    quiet.write_all(b"and me?").expect("write");
    pump.recv(token(1), busy_socket, RecvMode::Stream);
    pump.recv(token(2), quiet_socket, RecvMode::Stream);
    let (mut received, mut heard) = (0, false);
    pump.run(|completion, _| match completion {
        Completion::Received { token: of, .. } if of == token(2) => {
            heard = true;
            Flow::Done
        }
        Completion::Received { .. } => {
            received += usize::from(!heard);
            Flow::Go
        }
        other => unexpected(&other),
    });
    assert!(received < 1_000, "{received} buffers of the busy one came before");
}

/// The same for those who are sent much: all of them move on.
#[test]
fn drains_take_turns() {
    let mut pump = Pump::new(8, |_| ());
    let clients = pump.clients(3);
    let bytes = pattern(8 << 20);
    let mut readers = Vec::new();
    for (index, (client, socket)) in (0..).zip(&clients) {
        pump.recv(token(index), *socket, RecvMode::Stream);
        pump.output.ops.push(Op::Drain { token: token(index), socket: *socket, bytes: bytes.clone() });
        let (mut client, bytes) = (client.try_clone().expect("clone"), bytes.clone());
        readers.push(std::thread::spawn(move || {
            let mut read = vec![0; bytes.len()];
            std::io::Read::read_exact(&mut client, &mut read).expect("read");
            assert!(read == bytes, "bytes differ");
        }));
    }
    let mut drained = 0;
    pump.run(|completion, _| match completion {
        Completion::Drained { errno: None, .. } => {
            drained += 1;
            done_if(drained == clients.len())
        }
        other => unexpected(&other),
    });
    readers.into_iter().for_each(|reader| reader.join().expect("reader"));
}
