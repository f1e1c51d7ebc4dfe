//! Listeners: watched while the shard wants connections, some of which are taken at each wait.

use std::io;
use std::mem;
use std::net::{IpAddr, SocketAddr};
use std::os::fd::{AsFd, OwnedFd};

use rustix::io::Errno;
use rustix::net::{SocketFlags, accept_with, acceptfrom_with};

use super::{Epoll, errno};
use crate::op::{self, Completion};
use crate::socket;
use crate::token::Listener;

/// Connections of one listener that one wait takes, at most.
const ACCEPTS_MAX: usize = 64;

/// A listening socket and what is wanted of it.
pub(super) struct Accepting {
    fd: OwnedFd,
    state: State,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// Nothing; it is not watched.
    Idle,
    /// Connections.
    Armed,
    /// Nothing any more, from the next wait on.
    Stopping,
}

impl Accepting {
    /// A listener is one descriptor with the process that has it later, or had it before: each driver sets it as it
    /// needs it.
    pub(super) fn new(fd: OwnedFd) -> io::Result<Accepting> {
        socket::set_nonblocking(&fd, true)?;
        Ok(Accepting { fd, state: State::Idle })
    }
}

impl Epoll {
    pub(super) fn accept(&mut self, listener: Listener) {
        let accepting = &mut self.accepting[usize::from(listener.0)];
        let before = mem::replace(&mut accepting.state, State::Armed);
        if before == State::Idle
            && let Err(error) = self.poll.listen(accepting.fd.as_fd(), listener)
        {
            self.end_accept(listener, errno(error));
        }
    }

    /// An `Accept` that follows in the same turn takes it back.
    pub(super) fn stop_accept(&mut self, listener: Listener) {
        let accepting = &mut self.accepting[usize::from(listener.0)];
        if accepting.state == State::Armed {
            accepting.state = State::Stopping;
        }
    }

    /// Ends what was to be stopped.
    pub(super) fn stop_accepting(&mut self) {
        for listener in 0..self.accepting.len() {
            if self.accepting[listener].state == State::Stopping {
                self.end_accept(Listener(listener as u8), op::Errno(libc::ECANCELED));
            }
        }
    }

    /// Takes connections from `listener`, at least one of which waits. Who finds no room stays in its queue.
    pub(super) fn accept_some(&mut self, listener: Listener) {
        for taken in 0..ACCEPTS_MAX {
            if !self.table.reserve() {
                // Whether more wait is known at the next wait, if any were taken.
                return if taken == 0 {
                    self.end_accept(listener, op::Errno(libc::ENFILE))
                };
            }
            match self.accept_one(listener) {
                Ok(()) => {}
                Err(Errno::AGAIN | Errno::INTR) => return,
                Err(error) => return self.end_accept(listener, errno(error)),
            }
        }
    }

    /// Takes one connection into the place that was reserved, or gives that back.
    fn accept_one(&mut self, listener: Listener) -> Result<(), Errno> {
        let flags = SocketFlags::NONBLOCK | SocketFlags::CLOEXEC;
        let fd = &self.accepting[usize::from(listener.0)].fd;
        let accepted = match self.names_peers {
            true => acceptfrom_with(fd, flags),
            false => accept_with(fd, flags).map(|fd| (fd, None)),
        };
        let (fd, peer) = accepted.inspect_err(|_| self.table.release())?;
        let socket = self.table.insert(fd, false);
        if let Some(fd) = self.table.slot(socket).fd()
            && let Err(error) = self.poll.watch(fd, socket)
        {
            self.table.remove(socket);
            return Err(error);
        }
        let peer = peer.and_then(|peer| SocketAddr::try_from(peer).ok());
        let peer: Option<IpAddr> = peer.map(|peer| peer.ip().to_canonical());
        self.tell(Completion::Accepted { listener, socket, peer });
        Ok(())
    }

    fn end_accept(&mut self, listener: Listener, errno: op::Errno) {
        let accepting = &mut self.accepting[usize::from(listener.0)];
        accepting.state = State::Idle;
        self.poll.forget(accepting.fd.as_fd());
        self.tell(Completion::AcceptFailed { listener, errno });
    }
}
