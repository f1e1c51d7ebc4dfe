//! What a shard asks of the world, and what the world answers. Operations name intent; descriptors
//! tables, provided buffers, links and flags are the driver's business, so that io_uring, epoll and
//! the simulator serve the same vocabulary.

use std::net::IpAddr;
use std::sync::Arc;

use crate::token::{Address, Listener, Member, Socket, Token, Transfer};

/// One intent of a shard.
#[derive(Debug, PartialEq, Eq)]
pub enum Op {
    /// Accept connections on `listener` until told otherwise. Answer: `Accepted` each time, or one
    /// `AcceptFailed`, after which the listener is idle again.
    Accept { listener: Listener },
    /// Stop accepting. Connections already under way may still be reported.
    StopAccept { listener: Listener },
    /// Open a connection to `to`, in the name of `token`. Answer: `Connected` or `ConnectFailed`; until
    /// then there is nothing to close, and who gives up waits for it and closes then. The kernel gives up
    /// on a silent peer after its own time, about two minutes.
    Connect { token: Token, to: Address },
    /// Watch `socket` for input as `mode` says, from now on in the name of `token`; replaces the mode
    /// set before. The first operation on an accepted or arrived socket must be this one, or `Close`.
    Recv { token: Token, socket: Socket, mode: RecvMode },
    /// Send without waiting. No answer means all of it left; what did not comes back as `Unsent`.
    /// At most one per socket and turn, and none between `Unsent` or `Drain` and its `Drained`.
    Send { token: Token, socket: Socket, source: Source },
    /// Send all of `bytes`, waiting for the peer as long as it takes. Answer: `Drained`.
    Drain { token: Token, socket: Socket, bytes: Vec<u8> },
    /// Close the sending half; input goes on.
    Shutdown { token: Token, socket: Socket },
    /// Close. Answer: `Closed`, the last completion that carries `token`.
    Close { token: Token, socket: Socket },
    /// Give the socket to another shard. Any recv may be armed: the driver ends it first, so `Received`
    /// and `Ended` may still be reported before the answer. No send of this turn, no `Unsent`, `Drain` or
    /// `Shutdown` may be open, and no operation may follow before the answer: `HandedOver` here (after a
    /// failure the mode is `Off`); `Arrived` there.
    HandOver { token: Token, socket: Socket, to: Member, transfer: Transfer },
    /// Write `bytes` at the end of this shard's log, and say so when they are on the disk. Answer:
    /// `Appended`; none may be asked for before it. The first append to a segment makes its file, which must
    /// not be there; numbers only rise. After an error the segment's end is unknown: nothing more may be
    /// asked of that segment, the next append begins a higher one.
    Append { segment: u32, bytes: Vec<u8> },
    /// Remove a segment of the log, also one that another shard or process wrote (`series`: the shard's
    /// number then). No answer: what cannot be removed is found again at the next start. The segment that
    /// is being appended to must not be named.
    Discard { series: u16, segment: u32 },
}

/// How a socket is watched for input.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RecvMode {
    /// One `Received` or `Ended`, then `Off`.
    Once,
    /// `Received` for all that comes, until `Ended` or another mode.
    Stream,
    /// One `Readable` when there is input, then `Off`; holds no buffer and the least kernel memory.
    Park,
    /// Nothing. What was already under way when the mode was set may still be reported.
    Off,
}

/// Where a send's bytes lie: in the `Output` the operation travels in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Source {
    /// `arena[start..start + len]`.
    Arena { start: u32, len: u32 },
    /// `frames[i]`: encoded once, sent to many.
    Frame(u32),
}

/// All that one turn asks for. The driver keeps arena and frames until the completions of the next
/// turn are through.
#[derive(Debug, Default)]
pub struct Output {
    /// In the order they are to happen.
    pub ops: Vec<Op>,
    /// Bytes of the sends of this turn, end to end.
    pub arena: Vec<u8>,
    /// Messages that several sends share.
    pub frames: Vec<Arc<[u8]>>,
}

impl Output {
    /// The bytes `source` names.
    pub fn bytes(&self, source: Source) -> &[u8] {
        match source {
            Source::Arena { start, len } => &self.arena[start as usize..(start + len) as usize],
            Source::Frame(index) => &self.frames[index as usize],
        }
    }

    /// Empties it, keeping the room.
    pub fn clear(&mut self) {
        self.ops.clear();
        self.arena.clear();
        self.frames.clear();
    }
}

/// One answer of the world. Bytes are lent until the next one is asked for.
#[derive(Debug)]
pub enum Completion<'a> {
    /// A new connection. Nothing happens on it until its first `Op::Recv`. `peer` is the address at its other end,
    /// IPv4 as IPv4 whatever the listener speaks; none if the driver was not told to ask, or the kernel cannot say.
    Accepted { listener: Listener, socket: Socket, peer: Option<IpAddr> },
    /// Accepting stopped (table or process out of descriptors, or asked for with `StopAccept`:
    /// `ECANCELED`). Ask again to go on.
    AcceptFailed { listener: Listener, errno: Errno },
    /// A connection asked for is open. Nothing happens on it until its first `Op::Recv`, as with
    /// `Accepted`; unlike there it has its token already and may be closed at once.
    Connected { token: Token, socket: Socket },
    /// A connection asked for could not be had: nobody listens, no answer, no way there, or the table is
    /// full (`ENFILE`). Nothing is left to close.
    ConnectFailed { token: Token, errno: Errno },
    /// Input, never empty. The bytes may be changed in place.
    Received { token: Token, bytes: &'a mut [u8] },
    /// A parked socket has input, an end or an error to report.
    Readable { token: Token },
    /// No more input: the peer's orderly end (`None`) or a broken connection.
    Ended { token: Token, errno: Option<Errno> },
    /// What a `Send` could not place. With an `errno` the connection is broken, and the tail is lost.
    Unsent { token: Token, tail: &'a [u8], errno: Option<Errno> },
    /// A `Drain` is done (`None`) or broken.
    Drained { token: Token, errno: Option<Errno> },
    /// The slot may be used again.
    Closed { token: Token },
    /// The socket left (`None`) and must not be named again, or could not: it is still here.
    HandedOver { token: Token, errno: Option<Errno> },
    /// A socket handed over by another shard.
    Arrived { transfer: Transfer, socket: Socket },
    /// An `Append` is on the disk (`None`), or nobody can say how much of it is. `bytes` is its buffer, the
    /// contents as they were.
    Appended { bytes: Vec<u8>, errno: Option<Errno> },
}

/// A kernel error number (errno(3)), positive.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Errno(pub i32);

/// The completions of one turn. A turn takes them until `None`.
pub trait Completions {
    /// The next one; what the one before lent is taken back.
    fn next(&mut self) -> Option<Completion<'_>>;
}
