//! From operations to system calls.

use std::mem;

use rustix::io::Errno;
use rustix::net::{SendFlags, Shutdown, send, shutdown};

use super::batch::Event;
use super::{Epoll, errno};
use crate::op::{self, Completion, Op, Source};
use crate::token::{Socket, Token};

/// What a drain sends in one wait, at most.
const PIECE_BYTES: usize = 256 << 10;

impl Epoll {
    /// Does what `operation`, number `index` of the held output, asks for, or begins it.
    pub(super) fn start(&mut self, index: u32, operation: &mut Op) {
        match *operation {
            Op::Accept { listener } => self.accept(listener),
            Op::StopAccept { listener } => self.stop_accept(listener),
            Op::Connect { token, ref to } => self.open(token, to),
            Op::Recv { token, socket, mode } => self.watch(token, socket, mode),
            Op::Send { socket, source, .. } => self.send(index, socket, source),
            Op::Drain { socket, ref mut bytes, .. } => self.drain(socket, mem::take(bytes)),
            Op::Shutdown { socket, .. } => self.shutdown(socket),
            Op::Close { token, socket } => self.close(token, socket),
            Op::HandOver { socket, to, transfer, .. } => self.hand_over(socket, to, transfer),
            Op::Append { segment, ref mut bytes } => self.append(segment, mem::take(bytes)),
            Op::Discard { series, segment } => self.discard(series, segment),
        }
    }

    fn send(&mut self, op: u32, socket: Socket, source: Source) {
        let Some(fd) = self.table.slot(socket).fd() else { return };
        let bytes = self.held.bytes(source);
        let (sent, errno) = match send(fd, bytes, SendFlags::NOSIGNAL) {
            Ok(sent) if sent == bytes.len() => return,
            Ok(sent) => (sent, None),
            Err(Errno::AGAIN) => (0, None),
            Err(error) => (0, Some(errno(error))),
        };
        self.events.push_back(Event::Unsent { op, sent, errno });
    }

    fn drain(&mut self, socket: Socket, bytes: Vec<u8>) {
        let slot = self.table.slot(socket);
        assert!(slot.drain == 0, "one drain at a time");
        if slot.fd().is_some() {
            slot.drain = self.drains.insert(bytes);
            // There may be room since the send that came short: the kernel says so only once.
            self.push_drain(socket);
        }
    }

    /// Sends the next piece of a drain. Where it comes short, the kernel says when there is room again.
    pub(super) fn push_drain(&mut self, socket: Socket) {
        let slot = self.table.slot(socket);
        let (place @ 1.., Some(fd)) = (slot.drain, slot.fd()) else { return };
        let rest = self.drains.rest(place);
        let piece = &rest[..rest.len().min(PIECE_BYTES)];
        let error = match send(fd, piece, SendFlags::NOSIGNAL) {
            Ok(sent) if sent == rest.len() => None,
            Ok(sent) => {
                if sent == piece.len() {
                    self.outputs.push_back(socket);
                }
                return self.drains.advance(place, sent);
            }
            Err(Errno::AGAIN) => return,
            Err(error) => Some(errno(error)),
        };
        self.end_drain(socket, error);
    }

    /// Sends a piece more of each drain whose last piece left whole.
    pub(super) fn go_on_draining(&mut self) {
        for _ in 0..self.outputs.len() {
            if let Some(socket) = self.outputs.pop_front() {
                self.push_drain(socket);
            }
        }
    }

    fn end_drain(&mut self, socket: Socket, errno: Option<op::Errno>) {
        let slot = self.table.slot(socket);
        let (token, place) = (slot.token, mem::take(&mut slot.drain));
        self.drains.remove(place);
        self.tell(Completion::Drained { token, errno });
    }

    fn shutdown(&mut self, socket: Socket) {
        if let Some(fd) = self.table.slot(socket).fd() {
            // A connection that is gone already is as closed as it gets.
            let _ = shutdown(fd, Shutdown::Write);
        }
    }

    /// Ends the drain, and closes: nothing else is ever under way. With its descriptor a socket leaves the set.
    fn close(&mut self, token: Token, socket: Socket) {
        let slot = self.table.slot(socket);
        slot.token = token;
        if slot.drain != 0 {
            self.end_drain(socket, Some(op::Errno(libc::ECANCELED)));
        }
        if self.table.remove(socket).is_some() {
            self.tell(Completion::Closed { token });
        }
    }
}
