//! The pipe of a child: a message a line, both ways (transports/stdio).

use weir_ring::token::Token;
use weir_transports::jsonrpc::{Message, decode};

use super::Backing;
use super::backing::{Life, Way};
use super::errand::{Place, Purpose};
use super::lines::{Line, Lines};
use super::request::{INITIALIZE_ID, PROBE_ID, write_line};
use super::wire::{Speech, Wire};
use crate::downstream::Stage;
use crate::turn::{Cx, Shard};

/// What is read from one child.
#[derive(Debug)]
pub(super) struct Pipe {
    lines: Lines,
    /// For whom it was started; the only one it serves, unless it is shared.
    pub(super) owner: Token,
}

impl Pipe {
    pub(super) fn new(owner: Token) -> Pipe {
        Pipe { lines: Lines::default(), owner }
    }
}

impl Shard {
    /// Input of a child.
    pub(super) fn pipe_received(&mut self, token: Token, mut wire: Box<Wire>, bytes: &[u8], cx: &mut Cx<'_>) {
        let bytes_max = self.config.message_bytes_max;
        let upstream = wire.upstream;
        if let Speech::Pipe(pipe) = &mut wire.speech {
            let owner = pipe.owner;
            pipe.lines.feed(bytes, bytes_max, |line| {
                match line {
                    Line::Whole(line) if line.iter().all(u8::is_ascii_whitespace) => {}
                    Line::Whole(line) => match std::str::from_utf8(line) {
                        Ok(text) => {
                            let shared = self
                                .upstream_server(upstream)
                                .is_some_and(|server| server.shared == Some(token));
                            self.pipe_message(token, Some(owner).filter(|_| !shared), text, cx);
                        }
                        Err(_) => self.stats.upstream.garbage += 1,
                    },
                    Line::TooLong => self.stats.upstream.garbage += 1,
                }
                self.conns.get(token).is_some_and(|conn| matches!(conn.stage, Stage::Lent))
            });
        }
        self.return_wire(token, wire, cx);
    }

    /// One line of a child. Servers print what they like: what is no message is passed over.
    fn pipe_message(&mut self, wire: Token, owner: Option<Token>, text: &str, cx: &mut Cx<'_>) {
        match decode(text) {
            Err(_) | Ok(Message::Response { id: None, .. }) => self.stats.upstream.garbage += 1,
            Ok(Message::Response { id: Some(id), .. }) => self.pipe_response(wire, id.as_json(), text, cx),
            Ok(Message::Request { .. }) => self.tell_owner(wire, owner, text, cx),
            Ok(Message::Notification { method, params }) => {
                let errand = self.errand_of_notification(&method, params);
                match errand.filter(|id| self.is_in(wire, *id)) {
                    Some(id) => self.errand_progressed(id, text, cx),
                    None => self.tell_owner(wire, owner, text, cx),
                }
            }
        }
    }

    fn pipe_response(&mut self, wire: Token, id: &str, text: &str, cx: &mut Cx<'_>) {
        let errand = match id {
            PROBE_ID => self.handshake(wire, Purpose::Probe),
            INITIALIZE_ID => self.handshake(wire, Purpose::Initialize),
            _ => id.parse().ok().and_then(|id: u64| self.upstream.legs.get(&id).copied()),
        };
        let Some(errand) = errand.filter(|id| self.is_in(wire, *id)) else {
            self.stats.upstream.garbage += 1;
            return;
        };
        match self.upstream.errands.get(errand).map(|errand| errand.purpose) {
            Some(Purpose::Probe) => self.probe_answered(errand, text, cx),
            Some(Purpose::Initialize) => self.initialize_answered(errand, text, cx),
            _ => self.errand_done(errand, text, cx),
        }
    }

    /// A message that belongs to no leg. Of a child that many share, whoever it was started for may be gone.
    fn tell_owner(&mut self, wire: Token, owner: Option<Token>, text: &str, cx: &mut Cx<'_>) {
        let ready = |token: &Token| self.backing(*token).is_some_and(|backing| backing.life == Life::Ready);
        let in_pipe = |backing: &Backing| {
            backing.life == Life::Ready && matches!(backing.way, Way::Pipe(of) if of == wire)
        };
        let other = || self.upstream.backings.iter().find(|(_, of)| in_pipe(of)).map(|(token, _)| token);
        match owner.filter(ready).or_else(other) {
            Some(backing) => self.tell_backing(backing, text, cx),
            None => self.stats.upstream.garbage += 1,
        }
    }

    fn is_in(&self, wire: Token, errand: Token) -> bool {
        self.upstream.errands.get(errand).is_some_and(|errand| errand.place == Place::Piped(wire))
    }

    /// The errand of this purpose in a pipe: few are not a leg's.
    fn handshake(&self, wire: Token, purpose: Purpose) -> Option<Token> {
        let mut errands = self.upstream.errands.iter();
        let found =
            errands.find(|(_, errand)| errand.purpose == purpose && errand.place == Place::Piped(wire));
        found.map(|(id, _)| id)
    }

    /// Writes a message into a pipe. False: its child does not read, and the message is not sent.
    pub(super) fn put_line(&mut self, wire: Token, message: &[u8], cx: &mut Cx<'_>) -> bool {
        let max = self.config.queue_bytes_max;
        let Some(conn) = self.conns.get(wire).filter(|conn| conn.speaks()) else { return true };
        if !conn.egress.takes(cx.out, message.len() + 1, max) {
            return false;
        }
        self.put_upstream(wire, cx, |out| write_line(out, message));
        true
    }
}
