//! The recv or poll of a socket: one at a time, following the mode that the shard wants.

use io_uring::cqueue;

use super::batch::Event;
use super::table::Watch;
use super::tag::Tag;
use super::{Uring, entry};
use crate::op::Errno;
use crate::token::{Socket, Token};

impl Uring {
    /// Sets the watch that is wanted, from now on in the name of `token`.
    pub(super) fn watch(&mut self, token: Token, socket: Socket, mode: Watch) {
        let slot = self.table.slot(socket);
        assert!(!slot.leaving, "nothing is asked of a socket that leaves");
        if slot.closing {
            return;
        }
        slot.token = token;
        slot.wanted = mode;
        if slot.armed != mode {
            self.cancel_watch(socket);
            self.settle(socket);
        }
    }

    /// Tells the armed watch to end, once.
    pub(super) fn cancel_watch(&mut self, socket: Socket) {
        let slot = self.table.slot(socket);
        if slot.armed != Watch::Off && !slot.cancelling {
            slot.cancelling = true;
            self.queue.push(entry::cancel(Tag::Watch(socket)));
        }
    }

    /// Does what is left to do once nothing stands in its way: arms the watch that is wanted, hands over,
    /// or closes.
    pub(super) fn settle(&mut self, socket: Socket) {
        let slot = self.table.slot(socket);
        if slot.closing {
            if slot.settled() {
                slot.under_way += 1;
                self.queue.push(entry::close(socket));
            }
            return;
        }
        if slot.leaving {
            if slot.settled() {
                self.depart(socket);
            }
            return;
        }
        let wanted = slot.wanted;
        if slot.armed != Watch::Off || slot.starved && wanted.receives() {
            return;
        }
        slot.armed = wanted;
        match wanted {
            Watch::Off => {}
            Watch::Once => self.queue.push(entry::recv_once(socket)),
            Watch::Stream => self.queue.push(entry::recv_stream(socket)),
            Watch::Park => self.queue.push(entry::park(socket)),
        }
    }

    /// Arms starved sockets, at most one for each buffer: all buffers are back by now.
    pub(super) fn feed(&mut self) {
        for _ in 0..self.table.starving().min(self.buffers.count()) {
            if let Some(socket) = self.table.feed() {
                self.settle(socket);
            }
        }
    }

    pub(super) fn on_watch(&mut self, socket: Socket, completion: &cqueue::Entry) -> Option<Event> {
        let last = !cqueue::more(completion.flags());
        let slot = self.table.slot(socket);
        let armed = slot.armed;
        if last {
            slot.armed = Watch::Off;
            slot.cancelling = false;
        }
        let buffer = cqueue::buffer_select(completion.flags());
        let event = match (completion.result(), buffer) {
            (error, _) if error < 0 => self.on_watch_error(socket, -error),
            _ if armed == Watch::Park => self.on_readable(socket),
            (length @ 1.., Some(buffer)) => self.on_input(socket, armed, buffer, length as usize),
            _ => self.on_end(socket, None),
        };
        if let Some(buffer) = buffer
            && !matches!(event, Some(Event::Received { .. }))
        {
            self.buffers.give_back(buffer);
        }
        if last {
            self.settle(socket);
        }
        event
    }

    fn on_input(&mut self, socket: Socket, armed: Watch, buffer: u16, length: usize) -> Option<Event> {
        let slot = self.table.slot(socket);
        if slot.closing {
            return None;
        }
        if armed == Watch::Once && slot.wanted == Watch::Once {
            slot.wanted = Watch::Off;
        }
        Some(Event::Received { token: slot.token, buffer, length })
    }

    /// A poll has fired. If another mode is wanted by now, that one will report what there is.
    fn on_readable(&mut self, socket: Socket) -> Option<Event> {
        let slot = self.table.slot(socket);
        if slot.closing || slot.wanted != Watch::Park {
            return None;
        }
        slot.wanted = Watch::Off;
        Some(Event::Readable { token: slot.token })
    }

    fn on_end(&mut self, socket: Socket, errno: Option<Errno>) -> Option<Event> {
        let slot = self.table.slot(socket);
        slot.wanted = Watch::Off;
        (!slot.closing).then_some(Event::Ended { token: slot.token, errno })
    }

    /// A watch has ended without input.
    fn on_watch_error(&mut self, socket: Socket, errno: i32) -> Option<Event> {
        match errno {
            libc::ENOBUFS if !self.table.slot(socket).closing => {
                self.table.starve(socket);
                self.starved += 1;
                None
            }
            // Cancelled for another mode, or interrupted: the mode that is wanted gets armed.
            libc::ENOBUFS | libc::ECANCELED | libc::EINTR | libc::EAGAIN => None,
            errno => self.on_end(socket, Some(Errno(errno))),
        }
    }
}
