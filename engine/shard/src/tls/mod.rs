//! TLS 1.2 and 1.3 (RFC 5246, RFC 8446) between the bytes of a connection and its codecs.
//!
//! A connection that speaks TLS has a [`Tls`]. What is received passes through it to the code that serves plaintext,
//! and what a turn has written to the connection is encrypted as it leaves, or as a slow peer's queue is drained:
//! queues hold plaintext. Until the handshake is over, a connection is held: what is written waits. A connection
//! without input keeps no buffer; one that has received part of a record keeps that part.
//!
//! Handshakes cost a thousand times what a message does, so a turn takes few of them, and what the others received
//! waits for the next turn, which is due at once.

mod credentials;
mod session;
mod subject;
#[cfg(test)]
mod tests;
mod traffic;

use std::collections::VecDeque;
use std::sync::Arc;

use weir_ring::token::Token;

pub use credentials::{Clock, Credentials};
pub(crate) use session::Exhausted;
pub use session::Tls;
pub use subject::Subject;

/// Steps of handshakes that one turn takes. One costs up to a millisecond, with an RSA key.
const STEPS_PER_TURN: u32 = 4;

/// What a shard has for TLS beside its connections.
#[derive(Debug, Default)]
pub(crate) struct Layer {
    credentials: Arc<Credentials>,
    /// Connections whose handshake goes on in a later turn.
    waiting: VecDeque<Token>,
    /// Steps that this turn may still take.
    steps_left: u32,
    /// What was decrypted last; one for all connections. Lent while it is read.
    plain: Vec<u8>,
}

impl Layer {
    /// Whether clients speak TLS with this gateway.
    pub(crate) fn is_on(&self) -> bool {
        self.credentials.server.is_some()
    }

    /// Whether a handshake waits for the next turn.
    pub(crate) fn is_waiting(&self) -> bool {
        !self.waiting.is_empty()
    }
}
