//! How a connection's input is watched, as an operation.

use weir_ring::op::{Op, RecvMode};
use weir_ring::token::{Socket, Token};

use crate::downstream::connection::Watch;

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
