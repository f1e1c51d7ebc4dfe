//! What the driver takes for granted about the kernel, asked of the kernel itself with raw rings.
//! When one of these fails on a new kernel, the driver's design is wrong there, not the test.

use std::io::Read;
use std::net::{TcpListener, TcpStream};
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::time::Duration;

use io_uring::squeue::Flags;
use io_uring::{IoUring, cqueue, opcode, squeue, types};

const SEND_FLAGS: i32 = libc::MSG_DONTWAIT | libc::MSG_WAITALL | libc::MSG_NOSIGNAL;

fn ring(sockets: u32) -> IoUring {
    let ring = IoUring::builder()
        .setup_single_issuer()
        .setup_defer_taskrun()
        .setup_submit_all()
        .build(64)
        .expect("ring");
    ring.submitter().register_files_sparse(sockets).expect("table");
    ring
}

fn push(ring: &mut IoUring, entry: squeue::Entry) {
    // SAFETY: each test keeps what its entries point to until their completion has been taken.
    unsafe { ring.submission().push(&entry).expect("room") };
}

/// A connected pair: the server's end in slot 0 of the table, the client's as a stream.
fn pair(ring: &IoUring) -> TcpStream {
    let listener = TcpListener::bind("127.0.0.1:0").expect("bind");
    let client = TcpStream::connect(listener.local_addr().expect("address")).expect("connect");
    client.set_read_timeout(Some(Duration::from_secs(30))).expect("timeout");
    let (server, _) = listener.accept().expect("accept");
    let server = OwnedFd::from(server);
    ring.submitter().register_files_update(0, &[server.as_raw_fd()]).expect("update");
    client
}

fn send(bytes: &[u8]) -> squeue::Entry {
    opcode::Send::new(types::Fixed(0), bytes.as_ptr(), bytes.len() as u32)
        .flags(SEND_FLAGS)
        .build()
        .flags(Flags::SKIP_SUCCESS)
        .user_data(7)
}

fn completions(ring: &mut IoUring) -> Vec<(u64, i32, u32)> {
    ring.completion().map(|cqe| (cqe.user_data(), cqe.result(), cqe.flags())).collect()
}

/// A send that fits says nothing, a short one says how much before `enter` returns, one that finds
/// no room at all says EAGAIN, and the peer reads exactly what was counted.
#[test]
fn short_sends_are_reported_before_enter_returns() {
    let mut ring = ring(4);
    let mut client = pair(&ring);
    push(&mut ring, send(b"fits"));
    assert_eq!(ring.submit().expect("enter"), 1);
    assert_eq!(completions(&mut ring), [], "a whole send is silent");

    let chunk = vec![0x5a_u8; 1 << 20];
    let (mut sent, mut short, mut refused) = (4, 0, 0);
    while refused < 3 {
        push(&mut ring, send(&chunk));
        assert_eq!(ring.submit().expect("enter"), 1);
        match completions(&mut ring)[..] {
            [] => sent += chunk.len(),
            [(7, count, flags)] if count > 0 => {
                assert!((count as usize) < chunk.len());
                assert!(!cqueue::more(flags));
                sent += count as usize;
                short += 1;
            }
            [(7, error, _)] if error == -libc::EAGAIN => refused += 1,
            ref other => panic!("unexpected {other:?}"),
        }
    }
    assert!(short > 0, "the buffer's last room was filled by a short send");

    let mut read = vec![0; sent];
    client.read_exact(&mut read).expect("every byte that was counted");
    client.set_nonblocking(true).expect("nonblocking");
    let rest = client.read(&mut [0; 1]).expect_err("no byte more");
    assert_eq!(rest.kind(), std::io::ErrorKind::WouldBlock);
}

/// Sends to a reset connection say so at once.
#[test]
fn a_broken_send_is_reported_before_enter_returns() {
    let mut ring = ring(4);
    let client = pair(&ring);
    push(&mut ring, send(b"unread"));
    ring.submit().expect("enter");
    drop(client); // with unread input: a reset
    let poll = opcode::PollAdd::new(types::Fixed(0), libc::POLLRDHUP as u32).build().user_data(1);
    push(&mut ring, poll);
    ring.submit_and_wait(1).expect("enter");
    assert_eq!(completions(&mut ring).len(), 1, "the reset has arrived");
    push(&mut ring, send(b"lost"));
    ring.submit().expect("enter");
    match completions(&mut ring)[..] {
        [(7, error, _)] => assert!(matches!(-error, libc::EPIPE | libc::ECONNRESET), "{error}"),
        ref other => panic!("unexpected {other:?}"),
    }
}

/// Multishot accept into a table of one: the first connection takes slot 0; the second is accepted
/// by the kernel, finds no slot, is *dropped* (its client sees a reset or an end) and the accept ends
/// with ENFILE. So a full table costs the client that met it its connection: stop accepting before.
#[test]
fn accept_into_a_full_table() {
    let mut ring = ring(1);
    let listener = TcpListener::bind("127.0.0.1:0").expect("bind");
    let address = listener.local_addr().expect("address");
    let accept = opcode::AcceptMulti::new(types::Fd(listener.as_raw_fd()))
        .allocate_file_index(true)
        .build()
        .user_data(9);
    push(&mut ring, accept);
    let _first = TcpStream::connect(address).expect("connect");
    ring.submit_and_wait(1).expect("enter");
    let [(9, 0, flags)] = completions(&mut ring)[..] else { panic!("slot 0") };
    assert!(cqueue::more(flags));
    let mut second = TcpStream::connect(address).expect("the kernel's backlog takes it");
    ring.submit_and_wait(1).expect("enter");
    let [(9, error, flags)] = completions(&mut ring)[..] else { panic!("one completion") };
    assert_eq!(error, -libc::ENFILE);
    assert!(!cqueue::more(flags), "the multishot accept is over");
    second.set_read_timeout(Some(Duration::from_secs(30))).expect("timeout");
    match second.read(&mut [0; 1]) {
        Ok(count) => assert_eq!(count, 0),
        Err(error) => assert_eq!(error.kind(), std::io::ErrorKind::ConnectionReset),
    }
}

/// A socket made in the table takes options by request, before it is connected.
#[test]
fn a_socket_in_the_table_takes_options() {
    let mut ring = ring(1);
    let socket = opcode::Socket::new(libc::AF_INET, libc::SOCK_STREAM, 0)
        .file_index(Some(types::DestinationSlot::auto_target()))
        .build();
    push(&mut ring, socket);
    ring.submit_and_wait(1).expect("enter");
    assert_eq!(completions(&mut ring), [(0, 0, 0)], "slot 0");
    let on = 1_i32;
    let (level, option) = (libc::IPPROTO_TCP as u32, libc::TCP_NODELAY as u32);
    let set = opcode::SetSockOpt::new(types::Fixed(0), level, option, (&raw const on).cast(), 4).build();
    push(&mut ring, set);
    push(&mut ring, opcode::FixedFdInstall::new(types::Fixed(0), 0).build().user_data(1));
    ring.submit_and_wait(2).expect("enter");
    let [(0, 0, _), (1, fd @ 0.., _)] = completions(&mut ring)[..] else { panic!("set and installed") };
    // SAFETY: the kernel has just made `fd` for us.
    let socket = TcpStream::from(unsafe { OwnedFd::from_raw_fd(fd) });
    assert!(socket.nodelay().expect("option"));
}

/// A socket in the table tells by request who is at its other end, before `enter` returns, also when that one
/// has gone; for more bytes than its address has it tells nothing.
#[test]
fn a_socket_in_the_table_names_its_peer() {
    let mut ring = ring(1);
    let client = pair(&ring);
    let from = client.local_addr().expect("address");
    let ask = |name: &mut [u8; 28], length: u32| {
        let (level, option) = (libc::SOL_SOCKET as u32, libc::SO_PEERNAME as u32);
        let mut ask =
            opcode::SetSockOpt::new(types::Fixed(0), level, option, name.as_mut_ptr().cast(), length).build();
        // SAFETY: an entry is a `struct io_uring_sqe`; its bytes 8 to 11 are the command: 2 reads an option.
        unsafe { (&raw mut ask).byte_add(8).cast::<u32>().write_unaligned(2) };
        ask
    };
    let mut name = [0; 28];
    push(&mut ring, ask(&mut name, 28));
    ring.submit().expect("enter");
    assert_eq!(completions(&mut ring), [(0, -libc::EINVAL, 0)], "an IPv4 address has 16 bytes");
    drop(client);
    push(&mut ring, ask(&mut name, 16));
    ring.submit().expect("enter");
    assert_eq!(completions(&mut ring), [(0, 16, 0)]);
    assert_eq!(name[2..8], [&from.port().to_be_bytes()[..], &[127, 0, 0, 1]].concat());
}
