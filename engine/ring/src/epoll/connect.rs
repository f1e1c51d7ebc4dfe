//! Connections that the shard opens.
//!
//! TCP says that it is under way, and the kernel tells when it is done. A Unix socket is connected at once, or its
//! listener's queue is full, of whose end nobody is told: then it is tried again.

use std::mem;
use std::os::fd::BorrowedFd;
use std::time::Duration;

use rustix::io::Errno;
use rustix::net::sockopt::{set_tcp_nodelay, socket_error};
use rustix::net::{
    AddressFamily, SocketAddrUnix, SocketFlags, SocketType, connect, getpeername, socket_with,
};

use super::poll::Ready;
use super::{Epoll, errno};
use crate::op::{self, Completion};
use crate::sockaddr;
use crate::token::{Address, Socket, Token};

/// How soon a full listener is tried again.
pub(super) const RETRY: Duration = Duration::from_millis(5);

/// A connect that waits for room in a listener's queue.
pub(super) struct Waiting {
    socket: Socket,
    to: Address,
}

impl Epoll {
    pub(super) fn open(&mut self, token: Token, to: &Address) {
        if !self.table.reserve() {
            return self.tell(Completion::ConnectFailed { token, errno: op::Errno(libc::ENFILE) });
        }
        let local = matches!(to, Address::Local(_));
        let family = AddressFamily::from_raw(sockaddr::family(to) as u16);
        let flags = SocketFlags::NONBLOCK | SocketFlags::CLOEXEC;
        match socket_with(family, SocketType::STREAM, flags, None) {
            Ok(fd) => {
                if !local {
                    // Without it the connection works, too.
                    let _ = set_tcp_nodelay(&fd, true);
                }
                let socket = self.table.insert(fd, local);
                let slot = self.table.slot(socket);
                (slot.token, slot.connecting) = (token, true);
                self.try_to_connect(Waiting { socket, to: to.clone() });
            }
            Err(error) => {
                self.table.release();
                self.tell(Completion::ConnectFailed { token, errno: errno(error) });
            }
        }
    }

    /// Tries those again that found no room.
    pub(super) fn connect_again(&mut self) {
        for waiting in mem::take(&mut self.waiting) {
            self.try_to_connect(waiting);
        }
    }

    fn try_to_connect(&mut self, waiting: Waiting) {
        let socket = waiting.socket;
        let Some(fd) = self.table.slot(socket).fd() else { return };
        let asked = match connect_to(fd, &waiting.to) {
            // A socket that is not yet being connected is not watched: it would only tell that.
            Ok(()) | Err(Errno::INPROGRESS) => self.poll.watch(fd, socket),
            Err(Errno::AGAIN) if self.table.slot(socket).local => return self.waiting.push(waiting),
            Err(error) => Err(error),
        };
        if let Err(error) = asked {
            self.fail_to_connect(socket, error);
        }
    }

    /// The kernel has something to say about a socket that is being connected.
    pub(super) fn on_connect(&mut self, socket: Socket, ready: Ready) {
        let slot = self.table.slot(socket);
        let Some(fd) = slot.fd() else { return };
        if let Ok(Err(error)) | Err(error) = socket_error(fd) {
            return self.fail_to_connect(socket, error);
        }
        if ready.output && getpeername(fd).is_ok() {
            slot.connecting = false;
            let token = slot.token;
            self.tell(Completion::Connected { token, socket });
        }
    }

    fn fail_to_connect(&mut self, socket: Socket, error: Errno) {
        let token = self.table.slot(socket).token;
        self.table.remove(socket);
        self.tell(Completion::ConnectFailed { token, errno: errno(error) });
    }
}

fn connect_to(fd: BorrowedFd<'_>, to: &Address) -> Result<(), Errno> {
    match to {
        Address::Tcp(address) => connect(fd, address),
        Address::Local(name) => {
            // As the kernel says that a name is too long.
            let address = SocketAddrUnix::new_abstract_name(name.as_bytes()).map_err(|_| Errno::INVAL)?;
            connect(fd, &address)
        }
    }
}
