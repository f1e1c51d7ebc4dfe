//! From what has happened to answers.

use super::Epoll;
use crate::op::{Completion, Completions, Errno, Op};
use crate::token::Token;

/// An answer, or where its bytes are.
pub(super) enum Event {
    /// One that borrows nothing.
    Told(Completion<'static>),
    /// The first `length` bytes of the buffer.
    Received { token: Token, length: usize },
    /// Of the send that is operation `op` of the held output, `sent` bytes left.
    Unsent { op: u32, sent: usize, errno: Option<Errno> },
}

/// The completions of one turn. Input is received as they are taken.
pub struct Batch<'a> {
    epoll: &'a mut Epoll,
}

impl<'a> Batch<'a> {
    pub(super) fn new(epoll: &'a mut Epoll) -> Batch<'a> {
        Batch { epoll }
    }
}

impl Completions for Batch<'_> {
    fn next(&mut self) -> Option<Completion<'_>> {
        let epoll = &mut *self.epoll;
        let event = match epoll.events.pop_front() {
            Some(event) => event,
            None => epoll.next_input()?,
        };
        epoll.counters.completed += 1;
        Some(match event {
            Event::Told(completion) => completion,
            Event::Received { token, length } => {
                Completion::Received { token, bytes: &mut epoll.buffer[..length] }
            }
            Event::Unsent { op, sent, errno } => {
                let Op::Send { token, source, .. } = epoll.held.ops[op as usize] else {
                    unreachable!("only sends are told as such")
                };
                Completion::Unsent { token, tail: &epoll.held.bytes(source)[sent..], errno }
            }
        })
    }
}
