//! How members of the mesh reach each other, beside their letters.

use std::os::fd::RawFd;

use crate::epoll::Door;
use crate::landing::Landing;

/// How a member of the mesh is woken, and how a socket is handed to it.
#[derive(Clone, Debug)]
pub enum Peer {
    /// A shard on io_uring: its ring's descriptor.
    Ring(RawFd),
    /// A shard on epoll.
    Door(Door),
    /// A thread without a driver.
    Landing(Landing),
}
