//! What a driver has done, counted.

/// Totals since the driver was set up, where nothing else is said.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// System calls that hand over requests or wait. On epoll, waits alone: each request is a system call of its own.
    pub enters: u64,
    /// Requests handed over.
    pub submitted: u64,
    /// Answers taken.
    pub completed: u64,
    /// Times there were more answers than the queue could take; none is lost.
    pub overflowed: u64,
    /// Times a socket found no receive buffer and had to wait for one.
    pub starved: u64,
    /// Sockets that wait for a receive buffer, now.
    pub starving: u64,
}
