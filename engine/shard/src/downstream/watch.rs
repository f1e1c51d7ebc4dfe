//! How a connection's input is watched, as an operation.

use weir_ring::op::{Op, RecvMode};
use weir_ring::token::{Socket, Token};

/// How a link's input is watched.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Watch {
    /// One recv at a time: it may still move to another shard.
    #[default]
    Once,
    /// Multishot recv.
    Stream,
    /// A poll, no buffer.
    Parked,
    /// One recv after a poll, and a poll again: it may have no more to say.
    Taste,
    /// Not at all: the peer does not read what it is sent.
    Held,
}

impl Watch {
    pub(crate) fn op(self, token: Token, socket: Socket) -> Op {
        let mode = match self {
            Watch::Once | Watch::Taste => RecvMode::Once,
            Watch::Stream => RecvMode::Stream,
            Watch::Parked => RecvMode::Park,
            Watch::Held => RecvMode::Off,
        };
        Op::Recv { token, socket, mode }
    }
}
