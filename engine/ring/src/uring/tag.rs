//! What a completion answers, packed into `user_data`.

use crate::token::{Listener, Socket, Transfer};

/// The request a completion belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Tag {
    /// Nothing depends on the answer.
    Ignored,
    /// Another member woke this one: that `wait` returned is all there is to it.
    Woken,
    /// The watch on the ring's waker.
    Waker,
    /// Multishot accept.
    Accept(Listener),
    /// Who an accepted socket's peer is: its place among the questions.
    Peer(u32),
    /// The making of a socket to connect: its place among the connects.
    Socket(u32),
    /// A connect: its place.
    Connect(u32),
    /// The recv or poll that watches a socket; at most one at a time.
    Watch(Socket),
    /// A send of the held output.
    Send { turn: Turn, op: u32 },
    /// A drain; at most one per socket at a time.
    Drain(Socket),
    /// A half-close.
    Shutdown(Socket),
    /// A close of a socket's slot.
    Close(Socket),
    /// A hand-over, at its source.
    HandOver(Socket),
    /// The request of the append under way.
    Append,
    /// The removal of a segment; one at a time.
    Discard,
    /// A hand-over, at its target.
    Arrived(Transfer),
}

/// Counts turns, so that a send is never looked up in an output it was not part of. Wraps at 2^24.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Turn(u32);

impl Turn {
    pub(super) fn next(self) -> Turn {
        Turn((self.0 + 1) & 0xff_ffff)
    }
}

/// The top bit is an arrival's alone, so that transfers keep 63 bits. For the others: 7 bits of kind,
/// 24 of turn, 32 of index.
const ARRIVED: u64 = 1 << 63;

impl Tag {
    pub(super) fn pack(self) -> u64 {
        let kind_and_index = |kind: u64, index: u32| kind << 56 | u64::from(index);
        match self {
            Tag::Ignored => kind_and_index(0, 0),
            Tag::Woken => kind_and_index(1, 0),
            Tag::Waker => kind_and_index(2, 0),
            Tag::Accept(listener) => kind_and_index(3, listener.0.into()),
            Tag::Watch(socket) => kind_and_index(4, socket.0),
            Tag::Send { turn, op } => kind_and_index(5, op) | u64::from(turn.0) << 32,
            Tag::Drain(socket) => kind_and_index(6, socket.0),
            Tag::Shutdown(socket) => kind_and_index(7, socket.0),
            Tag::Close(socket) => kind_and_index(8, socket.0),
            Tag::HandOver(socket) => kind_and_index(9, socket.0),
            Tag::Socket(place) => kind_and_index(10, place),
            Tag::Connect(place) => kind_and_index(11, place),
            Tag::Append => kind_and_index(12, 0),
            Tag::Discard => kind_and_index(13, 0),
            Tag::Peer(place) => kind_and_index(14, place),
            Tag::Arrived(transfer) => ARRIVED | transfer.0,
        }
    }

    /// The reverse. What nobody packed is `Ignored`.
    pub(super) fn unpack(data: u64) -> Tag {
        if data & ARRIVED != 0 {
            return Tag::Arrived(Transfer(data & !ARRIVED));
        }
        let index = data as u32;
        match data >> 56 {
            1 => Tag::Woken,
            2 => Tag::Waker,
            3 => Tag::Accept(Listener(index as u8)),
            4 => Tag::Watch(Socket(index)),
            5 => Tag::Send { turn: Turn((data >> 32) as u32 & 0xff_ffff), op: index },
            6 => Tag::Drain(Socket(index)),
            7 => Tag::Shutdown(Socket(index)),
            8 => Tag::Close(Socket(index)),
            9 => Tag::HandOver(Socket(index)),
            10 => Tag::Socket(index),
            11 => Tag::Connect(index),
            12 => Tag::Append,
            13 => Tag::Discard,
            14 => Tag::Peer(index),
            _ => Tag::Ignored,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tags_survive_the_kernel() {
        let last = Socket(u32::MAX);
        let turn = Turn(0xff_ffff);
        for tag in [
            Tag::Ignored,
            Tag::Woken,
            Tag::Waker,
            Tag::Accept(Listener(255)),
            Tag::Peer(u32::MAX),
            Tag::Socket(u32::MAX),
            Tag::Connect(u32::MAX),
            Tag::Watch(last),
            Tag::Send { turn, op: u32::MAX },
            Tag::Drain(last),
            Tag::Shutdown(last),
            Tag::Close(last),
            Tag::HandOver(last),
            Tag::Append,
            Tag::Discard,
            Tag::Arrived(Transfer(0)),
            Tag::Arrived(Transfer(u64::MAX >> 1)),
        ] {
            assert_eq!(Tag::unpack(tag.pack()), tag);
        }
        assert_eq!(turn.next(), Turn(0));
    }
}
