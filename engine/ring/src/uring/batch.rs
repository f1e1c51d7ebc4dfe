//! From completions to answers.

use std::net::IpAddr;
use std::os::fd::AsRawFd;

use io_uring::cqueue;

use super::Uring;
use super::entry;
use super::tag::{Tag, Turn};
use crate::op::{Completion, Completions, Errno, Op};
use crate::token::{Listener, Socket, Token, Transfer};

/// An answer whose bytes are still named, not lent.
pub(super) enum Event {
    Accepted {
        listener: Listener,
        socket: Socket,
        peer: Option<IpAddr>,
    },
    AcceptFailed {
        listener: Listener,
        errno: Errno,
    },
    Connected {
        token: Token,
        socket: Socket,
    },
    ConnectFailed {
        token: Token,
        errno: Errno,
    },
    Received {
        token: Token,
        buffer: u16,
        length: usize,
    },
    Readable {
        token: Token,
    },
    Ended {
        token: Token,
        errno: Option<Errno>,
    },
    /// Of the send that is operation `op` of the held output, `sent` bytes left.
    Unsent {
        op: u32,
        sent: usize,
        errno: Option<Errno>,
    },
    Drained {
        token: Token,
        errno: Option<Errno>,
    },
    Closed {
        token: Token,
    },
    HandedOver {
        token: Token,
        errno: Option<Errno>,
    },
    Arrived {
        transfer: Transfer,
        socket: Socket,
    },
    Appended {
        bytes: Vec<u8>,
        errno: Option<Errno>,
    },
}

/// The completions of one turn, taken from the kernel one by one.
pub struct Batch<'a> {
    uring: &'a mut Uring,
    /// The receive buffer that the last item lent.
    lent: Option<u16>,
}

impl<'a> Batch<'a> {
    pub(super) fn new(uring: &'a mut Uring) -> Batch<'a> {
        Batch { uring, lent: None }
    }

    fn take_back(&mut self) {
        if let Some(buffer) = self.lent.take() {
            self.uring.buffers.give_back(buffer);
        }
    }
}

impl Drop for Batch<'_> {
    fn drop(&mut self) {
        self.take_back();
    }
}

impl Completions for Batch<'_> {
    fn next(&mut self) -> Option<Completion<'_>> {
        self.take_back();
        let event = loop {
            let completion = self.uring.queue.pop()?;
            if let Some(event) = self.uring.on_completion(&completion) {
                break event;
            }
        };
        Some(match event {
            Event::Accepted { listener, socket, peer } => Completion::Accepted { listener, socket, peer },
            Event::AcceptFailed { listener, errno } => Completion::AcceptFailed { listener, errno },
            Event::Connected { token, socket } => Completion::Connected { token, socket },
            Event::ConnectFailed { token, errno } => Completion::ConnectFailed { token, errno },
            Event::Received { token, buffer, length } => {
                self.lent = Some(buffer);
                Completion::Received { token, bytes: self.uring.buffers.lend(buffer, length) }
            }
            Event::Readable { token } => Completion::Readable { token },
            Event::Ended { token, errno } => Completion::Ended { token, errno },
            Event::Unsent { op, sent, errno } => {
                let Op::Send { token, source, .. } = self.uring.held.ops[op as usize] else {
                    unreachable!("only sends are tagged as such")
                };
                Completion::Unsent { token, tail: &self.uring.held.bytes(source)[sent..], errno }
            }
            Event::Drained { token, errno } => Completion::Drained { token, errno },
            Event::Closed { token } => Completion::Closed { token },
            Event::HandedOver { token, errno } => Completion::HandedOver { token, errno },
            Event::Arrived { transfer, socket } => Completion::Arrived { transfer, socket },
            Event::Appended { bytes, errno } => Completion::Appended { bytes, errno },
        })
    }
}

/// The error of a request that failed with `result`.
pub(super) fn errno(result: i32) -> Option<Errno> {
    (result < 0).then_some(Errno(-result))
}

impl Uring {
    /// What a completion means to the shard; nothing for those that are the driver's own affair.
    fn on_completion(&mut self, completion: &cqueue::Entry) -> Option<Event> {
        let result = completion.result();
        match Tag::unpack(completion.user_data()) {
            Tag::Ignored | Tag::Woken => None,
            Tag::Waker => {
                if !cqueue::more(completion.flags()) {
                    self.queue.push(entry::waker(self.waker.as_raw_fd()));
                }
                None
            }
            Tag::Accept(listener) => self.on_accept(listener, completion),
            Tag::Peer(place) => self.on_peer(place, result),
            Tag::Socket(place) => self.on_socket(place, result),
            Tag::Connect(place) => self.on_connect(place, result),
            Tag::Watch(socket) => self.on_watch(socket, completion),
            Tag::Send { turn, op } => self.on_send(turn, op, result),
            Tag::Drain(socket) => self.on_drain(socket, result),
            Tag::Shutdown(socket) => {
                // A connection that is gone already is as closed as it gets.
                self.table.slot(socket).under_way -= 1;
                self.settle(socket);
                None
            }
            Tag::Close(socket) => self.on_close(socket),
            Tag::HandOver(socket) => self.on_hand_over(socket, result),
            Tag::Arrived(transfer) => {
                let socket = Socket(result as u32);
                self.table.reset(socket);
                Some(Event::Arrived { transfer, socket })
            }
            Tag::Append => self.on_append(result),
            Tag::Discard => {
                self.on_discard();
                None
            }
        }
    }

    fn on_send(&mut self, turn: Turn, op: u32, result: i32) -> Option<Event> {
        assert_eq!(turn, self.turn, "the completions of a turn are taken before the next is submitted");
        Some(match result {
            sent @ 0.. => Event::Unsent { op, sent: sent as usize, errno: None },
            error if -error == libc::EAGAIN => Event::Unsent { op, sent: 0, errno: None },
            error => Event::Unsent { op, sent: 0, errno: errno(error) },
        })
    }

    fn on_drain(&mut self, socket: Socket, result: i32) -> Option<Event> {
        let slot = self.table.slot(socket);
        let (token, place, closing) = (slot.token, slot.drain, slot.closing);
        self.drains.advance(place, result.max(0) as usize);
        let unfinished = !self.drains.rest(place).is_empty();
        let fleeting = result >= 0 || matches!(-result, libc::EAGAIN | libc::EINTR);
        if unfinished && fleeting && !closing {
            self.send_rest(socket, place);
            return None;
        }
        let errno = match errno(result) {
            None if unfinished => Some(Errno(libc::ECANCELED)),
            errno => errno,
        };
        self.drains.remove(place);
        self.table.slot(socket).drain = 0;
        self.settle(socket);
        Some(Event::Drained { token, errno })
    }

    fn on_close(&mut self, socket: Socket) -> Option<Event> {
        let token = self.table.slot(socket).token;
        self.table.reset(socket);
        Some(Event::Closed { token })
    }
}
