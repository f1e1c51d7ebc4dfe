//! Input: one line of sockets that may have some, received from as completions are taken.

use rustix::io::Errno as SystemError;
use rustix::net::{RecvFlags, recv};

use super::batch::Event;
use super::poll::Ready;
use super::{Epoll, errno};
use crate::op::{Completion, Errno, RecvMode};
use crate::token::{Socket, Token};

impl Epoll {
    /// Sets how `socket` is watched, from now on in the name of `token`.
    pub(super) fn watch(&mut self, token: Token, socket: Socket, mode: RecvMode) {
        let slot = self.table.slot(socket);
        slot.token = token;
        slot.wanted = mode;
        self.line_up(socket);
    }

    /// The kernel has something to say about `socket`.
    pub(super) fn on_socket(&mut self, socket: Socket, ready: Ready) {
        let slot = self.table.slot(socket);
        // Closed, and still watched: a child that is being started has a copy until it executes its program.
        // Where the slot is another socket's by now, that is looked at in vain.
        if slot.fd().is_none() {
            return;
        }
        slot.readable |= ready.input;
        slot.more |= ready.more;
        if slot.connecting {
            return self.on_connect(socket, ready);
        }
        if ready.output && slot.drain != 0 {
            self.push_drain(socket);
        }
        self.line_up(socket);
    }

    /// Puts `socket` at the end of the line, if its input is wanted and may be there.
    fn line_up(&mut self, socket: Socket) {
        let slot = self.table.slot(socket);
        if slot.readable && slot.wanted != RecvMode::Off && !slot.queued {
            slot.queued = true;
            self.inputs.push_back(socket);
        }
    }

    /// The next input, as far as this turn may receive.
    pub(super) fn next_input(&mut self) -> Option<Event> {
        while self.reads > 0 {
            let socket = self.inputs.pop_front()?;
            self.reads -= 1;
            let slot = self.table.slot(socket);
            // Closed since, or of an earlier life of the slot.
            if !std::mem::take(&mut slot.queued) {
                continue;
            }
            let event = match slot.wanted {
                RecvMode::Off => None,
                RecvMode::Park => self.look(socket),
                RecvMode::Once | RecvMode::Stream => self.receive(socket),
            };
            if event.is_some() {
                return event;
            }
        }
        None
    }

    /// Whether a parked socket has something to report, which stays where it is.
    fn look(&mut self, socket: Socket) -> Option<Event> {
        let slot = self.table.slot(socket);
        match recv(slot.fd()?, &mut [0_u8; 1], RecvFlags::PEEK) {
            Err(SystemError::AGAIN) => {
                (slot.readable, slot.more) = (false, slot.local);
                return None;
            }
            Err(error) => slot.failed = error.raw_os_error() as u16,
            Ok(_) => {}
        }
        slot.wanted = RecvMode::Off;
        Some(Event::Told(Completion::Readable { token: slot.token }))
    }

    fn receive(&mut self, socket: Socket) -> Option<Event> {
        let slot = self.table.slot(socket);
        let token = slot.token;
        let failed = std::mem::take(&mut slot.failed);
        if failed != 0 {
            slot.wanted = RecvMode::Off;
            return Some(Event::Told(Completion::Ended { token, errno: Some(Errno(failed.into())) }));
        }
        match recv(slot.fd()?, &mut *self.buffer, RecvFlags::empty()) {
            Ok((length @ 1.., _)) => {
                slot.readable = slot.more || length == self.buffer.len();
                if slot.wanted == RecvMode::Once {
                    slot.wanted = RecvMode::Off;
                }
                self.line_up(socket);
                Some(Event::Received { token, length })
            }
            Err(SystemError::AGAIN) => {
                (slot.readable, slot.more) = (false, slot.local);
                None
            }
            Err(SystemError::INTR) => {
                self.line_up(socket);
                None
            }
            end => {
                slot.wanted = RecvMode::Off;
                Some(Event::Told(Completion::Ended { token, errno: end.err().map(errno) }))
            }
        }
    }
}
