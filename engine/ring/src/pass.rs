//! Descriptors from one process to another: over a Unix socket (unix(7), SCM_RIGHTS), and from whoever started this
//! one (sd_listen_fds(3)).

use std::io::{self, IoSlice};
use std::mem;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};
use std::os::unix::net::UnixStream;
use std::ptr;

/// Descriptors of one message; the kernel's bound is 253.
const PER_MESSAGE: usize = 64;

/// The first of the descriptors that a service manager passes on.
const FIRST_INHERITED: RawFd = 3;

/// Room for the control data of one message, as aligned as its headers want it.
type Room = [u64; 40];

/// Sends `fds`, which stay open here.
///
/// # Errors
/// As `sendmsg(2)`.
pub fn send(stream: &UnixStream, fds: &[OwnedFd]) -> io::Result<()> {
    for some in fds.chunks(PER_MESSAGE) {
        let raw: Vec<RawFd> = some.iter().map(AsRawFd::as_raw_fd).collect();
        send_some(stream, &raw)?;
    }
    Ok(())
}

fn send_some(stream: &UnixStream, fds: &[RawFd]) -> io::Result<()> {
    // One byte, as a message without data carries nothing.
    let data = [IoSlice::new(b"+")];
    let bytes = mem::size_of_val(fds);
    let mut room: Room = [0; 40];
    // SAFETY: a message header of all zeros is a valid one without name, data or control.
    let mut message: libc::msghdr = unsafe { mem::zeroed() };
    message.msg_iov = data.as_ptr().cast_mut().cast();
    message.msg_iovlen = 1;
    message.msg_control = room.as_mut_ptr().cast();
    // SAFETY: pure arithmetic.
    message.msg_controllen = unsafe { libc::CMSG_SPACE(bytes as u32) } as usize;
    assert!(message.msg_controllen <= mem::size_of::<Room>(), "64 descriptors fit");
    // SAFETY: the control buffer is `room`, aligned and large enough for one header with `bytes` behind it; both
    // pointers that are written through lie in it, and `fds` has `bytes` bytes.
    unsafe {
        let header = libc::CMSG_FIRSTHDR(&raw const message);
        (*header).cmsg_level = libc::SOL_SOCKET;
        (*header).cmsg_type = libc::SCM_RIGHTS;
        (*header).cmsg_len = libc::CMSG_LEN(bytes as u32) as usize;
        ptr::copy_nonoverlapping(fds.as_ptr().cast::<u8>(), libc::CMSG_DATA(header), bytes);
    }
    loop {
        // SAFETY: the header points to `data` and `room`, which outlive the call, with their lengths.
        let sent = unsafe { libc::sendmsg(stream.as_raw_fd(), &raw const message, libc::MSG_NOSIGNAL) };
        match check(sent) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            sent => return sent.map(drop),
        }
    }
}

/// Receives `count` descriptors, sent by [`send`].
///
/// # Errors
/// As `recvmsg(2)`; `UnexpectedEof`: the other side has gone, or sends something else.
pub fn receive(stream: &UnixStream, count: usize) -> io::Result<Vec<OwnedFd>> {
    let mut fds = Vec::with_capacity(count);
    while fds.len() < count {
        let before = fds.len();
        receive_some(stream, &mut fds)?;
        if fds.len() == before || fds.len() > count {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
    }
    Ok(fds)
}

fn receive_some(stream: &UnixStream, fds: &mut Vec<OwnedFd>) -> io::Result<()> {
    let mut data = [0u8; 1];
    let mut part = libc::iovec { iov_base: data.as_mut_ptr().cast(), iov_len: data.len() };
    let mut room: Room = [0; 40];
    // SAFETY: as in `send_some`.
    let mut message: libc::msghdr = unsafe { mem::zeroed() };
    (message.msg_iov, message.msg_iovlen) = (&raw mut part, 1);
    (message.msg_control, message.msg_controllen) = (room.as_mut_ptr().cast(), mem::size_of::<Room>());
    let received = loop {
        // SAFETY: the header points to `part`, `data` and `room`, which outlive the call, with their lengths.
        let result = unsafe { libc::recvmsg(stream.as_raw_fd(), &raw mut message, libc::MSG_CMSG_CLOEXEC) };
        match check(result) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            result => break result?,
        }
    };
    if received == 0 {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    // SAFETY: the kernel has filled in `msg_controllen` bytes of headers; the macros stay within them. Descriptors in
    // a SCM_RIGHTS header are new in this process, and nobody else knows them.
    unsafe {
        let mut header = libc::CMSG_FIRSTHDR(&raw const message);
        while !header.is_null() {
            if (*header).cmsg_level == libc::SOL_SOCKET && (*header).cmsg_type == libc::SCM_RIGHTS {
                let bytes = (*header).cmsg_len - libc::CMSG_LEN(0) as usize;
                let first = libc::CMSG_DATA(header).cast::<RawFd>();
                for at in 0..bytes / mem::size_of::<RawFd>() {
                    fds.push(OwnedFd::from_raw_fd(ptr::read_unaligned(first.add(at))));
                }
            }
            header = libc::CMSG_NXTHDR(&raw const message, header);
        }
    }
    Ok(())
}

/// The user whose process is at the other end.
///
/// # Errors
/// As `getsockopt(2)`; none is usual.
pub fn peer_user(stream: &UnixStream) -> io::Result<u32> {
    let mut peer = libc::ucred { pid: 0, uid: 0, gid: 0 };
    let mut length = mem::size_of_val(&peer) as libc::socklen_t;
    let fd = stream.as_raw_fd();
    // SAFETY: the kernel writes at most `length` bytes to `peer`, and both outlive the call.
    let result = unsafe {
        libc::getsockopt(fd, libc::SOL_SOCKET, libc::SO_PEERCRED, (&raw mut peer).cast(), &mut length)
    };
    check(result as isize).map(|_| peer.uid)
}

/// The user that this process acts as.
pub fn own_user() -> u32 {
    // SAFETY: no pointer is passed, and it cannot fail.
    unsafe { libc::geteuid() }
}

/// The `count` descriptors that a service manager has passed on. To be called once, before anything else of the
/// process is opened; they are closed on exec from now on.
///
/// # Errors
/// There are not so many.
pub fn inherited(count: u16) -> io::Result<Vec<OwnedFd>> {
    let fds = FIRST_INHERITED..FIRST_INHERITED + RawFd::from(count);
    for fd in fds.clone() {
        // SAFETY: no pointer is passed.
        check(unsafe { libc::fcntl(fd, libc::F_SETFD, libc::FD_CLOEXEC) } as isize)?;
    }
    // SAFETY: they are open, as the calls above have shown, and by the manager's protocol for this process alone.
    Ok(fds.map(|fd| unsafe { OwnedFd::from_raw_fd(fd) }).collect())
}

fn check(result: isize) -> io::Result<isize> {
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(result) }
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};
    use std::net::{TcpListener, TcpStream};

    use super::*;

    #[test]
    fn a_listener_goes_over_and_takes_its_backlog_along() {
        let listener = TcpListener::bind("127.0.0.1:0").expect("bind");
        let address = listener.local_addr().expect("address");
        let mut client = TcpStream::connect(address).expect("connect");
        let (one, other) = UnixStream::pair().expect("a pair");
        send(&one, &[OwnedFd::from(listener)]).expect("send");
        let mut fds = receive(&other, 1).expect("receive");
        let listener = TcpListener::from(fds.remove(0));
        let (mut accepted, _) = listener.accept().expect("accept");
        client.write_all(b"x").expect("write");
        let mut byte = [0];
        accepted.read_exact(&mut byte).expect("read");
        assert_eq!(byte, *b"x");
    }

    #[test]
    fn more_than_a_message_carries_arrive_in_order_and_none_too_many() {
        let (one, other) = UnixStream::pair().expect("a pair");
        let sockets: Vec<TcpListener> =
            (0..PER_MESSAGE + 3).map(|_| TcpListener::bind("127.0.0.1:0").expect("bind")).collect();
        let ports: Vec<u16> = sockets.iter().map(|it| it.local_addr().expect("address").port()).collect();
        let fds: Vec<OwnedFd> = sockets.into_iter().map(OwnedFd::from).collect();
        send(&one, &fds).expect("send");
        let fds = receive(&other, ports.len()).expect("receive").into_iter().map(TcpListener::from);
        let received: Vec<u16> = fds.map(|it| it.local_addr().expect("address").port()).collect();
        assert_eq!(received, ports);
        drop(one);
        let error = receive(&other, 1).expect_err("the other side is gone");
        assert_eq!(error.kind(), io::ErrorKind::UnexpectedEof);
    }

    #[test]
    fn the_other_side_is_known() {
        let (one, _other) = UnixStream::pair().expect("a pair");
        assert_eq!(peer_user(&one).expect("known"), own_user());
    }

    #[test]
    fn what_was_not_passed_on_is_not_there() {
        assert!(inherited(10_000).is_err());
    }
}
