//! Multishot accepts: one per listener, armed on demand.

use std::io;
use std::os::fd::{AsRawFd, OwnedFd};

use io_uring::cqueue;

use super::batch::Event;
use super::tag::Tag;
use super::{Uring, entry};
use crate::op::Errno;
use crate::sockaddr;
use crate::socket;
use crate::token::{Listener, Socket};

/// A listening socket and what is under way on it.
pub(super) struct Accepting {
    fd: OwnedFd,
    /// Bytes of its addresses.
    name_length: u32,
    state: State,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// Nothing.
    Idle,
    /// A multishot accept.
    Armed,
    /// A multishot accept and its cancel.
    Stopping,
    /// The same, and the shard has asked to accept again since.
    Restarting,
}

impl Accepting {
    /// A listener may come from a process with the other driver: of one that does not wait, the kernel would answer
    /// an accept at once that there is nobody.
    pub(super) fn new(fd: OwnedFd) -> io::Result<Accepting> {
        socket::set_nonblocking(&fd, false)?;
        let name_length = sockaddr::length(&fd);
        Ok(Accepting { fd, name_length, state: State::Idle })
    }
}

impl Uring {
    pub(super) fn accept(&mut self, listener: Listener) {
        let accepting = &mut self.accepting[usize::from(listener.0)];
        accepting.state = match accepting.state {
            State::Idle => {
                self.queue.push(entry::accept(accepting.fd.as_raw_fd(), listener));
                State::Armed
            }
            State::Armed => State::Armed,
            State::Stopping | State::Restarting => State::Restarting,
        };
    }

    pub(super) fn stop_accept(&mut self, listener: Listener) {
        let accepting = &mut self.accepting[usize::from(listener.0)];
        accepting.state = match accepting.state {
            State::Idle => State::Idle,
            State::Armed => {
                self.queue.push(entry::cancel(Tag::Accept(listener)));
                State::Stopping
            }
            State::Stopping | State::Restarting => State::Stopping,
        };
    }

    pub(super) fn on_accept(&mut self, listener: Listener, completion: &cqueue::Entry) -> Option<Event> {
        let accepting = &mut self.accepting[usize::from(listener.0)];
        let (state, name_length) = (&mut accepting.state, accepting.name_length);
        let before = *state;
        if !cqueue::more(completion.flags()) {
            *state = State::Idle;
        }
        let ended = *state == State::Idle;
        let result = completion.result();
        if result >= 0 {
            if ended {
                // For a reason of the kernel's own: the shard should not have to know.
                self.accept(listener);
                if before == State::Stopping {
                    self.stop_accept(listener);
                }
            }
            let socket = Socket(result as u32);
            self.table.reset(socket);
            return self.meet(listener, socket, name_length);
        }
        let errno = -result;
        let interrupted = before == State::Armed && matches!(errno, libc::EINTR | libc::EAGAIN);
        if interrupted || before == State::Restarting {
            self.accept(listener);
            return None;
        }
        Some(Event::AcceptFailed { listener, errno: Errno(errno) })
    }
}
