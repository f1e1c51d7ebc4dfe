//! Names that travel between a shard and its driver.

use std::net::SocketAddr;

/// One slot of a shard in one of its lives. A slot that is reused gets the next generation, so a
/// token of the earlier life names nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Token {
    /// Place in the shard's slab of connections.
    pub index: u32,
    /// Life of that place; the first is 0 and it wraps.
    pub generation: u32,
}

/// The driver's handle of an open socket: a direct descriptor of its ring, or what a simulated
/// network calls a socket. Valid from `Accepted`, `Connected` or `Arrived` until `Closed` or a successful
/// `HandedOver`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Socket(pub u32);

/// A listening socket: its place in the list the driver was started with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Listener(pub u8);

/// Where a connection is opened to.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Address {
    /// TCP, without Nagle's algorithm.
    Tcp(SocketAddr),
    /// The abstract Unix stream socket of this name (unix(7)), up to 107 bytes.
    Local(Box<str>),
}

/// A shard, or the control thread, as a member of the mesh. Shards are 0.., the control thread is
/// the last member.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Member(pub u16);

/// Joins the two halves of a hand-over: the descriptor, which the kernel moves, and the state, which
/// travels as mail. Unique per sending shard and process.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Transfer(pub u64);
