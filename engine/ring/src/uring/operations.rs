//! From operations to requests.

use std::mem;

use super::tag::Tag;
use super::{Uring, entry};
use crate::op::{Op, Source};
use crate::token::{Socket, Token};

impl Uring {
    /// Queues what `operation`, number `index` of the held output, asks for.
    pub(super) fn start(&mut self, index: u32, operation: &mut Op) {
        match *operation {
            Op::Accept { listener } => self.accept(listener),
            Op::StopAccept { listener } => self.stop_accept(listener),
            Op::Connect { token, ref to } => self.open(token, to),
            Op::Recv { token, socket, mode } => self.watch(token, socket, mode.into()),
            Op::Send { socket, source, .. } => self.send(index, socket, source),
            Op::Drain { socket, ref mut bytes, .. } => self.drain(socket, mem::take(bytes)),
            Op::Shutdown { socket, .. } => self.shutdown(socket),
            Op::Close { token, socket } => self.close(token, socket),
            Op::HandOver { socket, to, transfer, .. } => self.hand_over(socket, to, transfer),
            Op::Append { segment, ref mut bytes } => self.append(segment, mem::take(bytes)),
            Op::Discard { series, segment } => self.discard(series, segment),
        }
    }

    fn send(&mut self, index: u32, socket: Socket, source: Source) {
        let request = entry::send(socket, self.held.bytes(source), self.turn, index);
        // SAFETY: the request points into the held arena or a held frame. It completes as it is
        // submitted, and `submit` flushes a queue with sends in it before it lets go of what is held;
        // nothing else changes it, and moving `held` moves none of its bytes.
        unsafe { self.queue.push_lending(&request) }
        self.sends_queued = true;
    }

    fn drain(&mut self, socket: Socket, bytes: Vec<u8>) {
        let slot = self.table.slot(socket);
        assert!(slot.drain == 0 && !slot.closing, "one drain at a time, and none after a close");
        slot.drain = self.drains.insert(bytes);
        let place = slot.drain;
        self.send_rest(socket, place);
    }

    /// Queues the send of what is left of a drain.
    pub(super) fn send_rest(&mut self, socket: Socket, place: u32) {
        let request = entry::drain(socket, self.drains.rest(place));
        // SAFETY: the bytes stay at `place`, whose vector nobody changes, until the completion removes
        // them; the queue is dropped before `drains`.
        unsafe { self.queue.push_lending(&request) }
    }

    fn shutdown(&mut self, socket: Socket) {
        let slot = self.table.slot(socket);
        if !slot.closing {
            slot.under_way += 1;
            self.queue.push(entry::shutdown(socket));
        }
    }

    /// Ends all that is under way on `socket`; the last to end closes it.
    fn close(&mut self, token: Token, socket: Socket) {
        let slot = self.table.slot(socket);
        assert!(!slot.leaving, "nothing is asked of a socket that leaves");
        if slot.closing {
            return;
        }
        slot.token = token;
        slot.closing = true;
        if slot.drain != 0 {
            self.queue.push(entry::cancel(Tag::Drain(socket)));
        }
        self.cancel_watch(socket);
        self.settle(socket);
    }
}
