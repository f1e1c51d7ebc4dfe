//! What the kernel reports in one turn, written down beforehand.

use weir_ring::op::{Completion, Completions};
use weir_ring::token::{Listener, Socket, Token};

/// Completions of one turn, in order. After its `None` it starts over, for a turn like the one before.
#[derive(Debug, Default)]
pub struct Script {
    events: Vec<Event>,
    next: usize,
    /// The buffer a turn reads from and may change: filled anew each time, as the kernel does.
    buffer: Vec<u8>,
}

#[derive(Debug)]
enum Event {
    Accepted(Socket),
    Received { token: Token, bytes: Vec<u8> },
}

impl Script {
    /// Then a connection comes in.
    #[must_use]
    pub fn accepted(mut self, socket: Socket) -> Script {
        self.events.push(Event::Accepted(socket));
        self
    }

    /// Then `bytes` come in on `token`, in one buffer.
    #[must_use]
    pub fn received(mut self, token: Token, bytes: &[u8]) -> Script {
        self.events.push(Event::Received { token, bytes: bytes.to_vec() });
        self
    }
}

impl Completions for Script {
    fn next(&mut self) -> Option<Completion<'_>> {
        let Some(event) = self.events.get(self.next) else {
            self.next = 0;
            return None;
        };
        self.next += 1;
        Some(match event {
            Event::Accepted(socket) => {
                Completion::Accepted { listener: Listener(0), socket: *socket, peer: None }
            }
            Event::Received { token, bytes } => {
                self.buffer.clear();
                self.buffer.extend_from_slice(bytes);
                Completion::Received { token: *token, bytes: &mut self.buffer }
            }
        })
    }
}
