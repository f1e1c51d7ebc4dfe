//! Addresses that attackers come from, and connections that wait for nothing.

use std::{
    io,
    net::{Ipv4Addr, SocketAddr},
    time::Duration,
};

use monoio::net::TcpStream;
use socket2::{Domain, Protocol, Socket, Type};

/// Loopback addresses from 127.1.0.1 on, where nobody else comes from.
pub(super) struct Sources {
    count: u32,
}

impl Sources {
    /// So many.
    pub(super) fn new(count: u32) -> Sources {
        Sources { count }
    }

    /// The address of attacker number `number`.
    pub(super) fn of(&self, number: u64) -> Ipv4Addr {
        let first = u32::from(Ipv4Addr::new(127, 1, 0, 1));
        Ipv4Addr::from(first + (number % u64::from(self.count)) as u32)
    }
}

/// A connection from `source` that is under way, or there: a server that lets nobody in must not stop the others.
/// It may be written to once it is writable.
pub(super) fn connect(addr: SocketAddr, source: Ipv4Addr) -> io::Result<TcpStream> {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, Some(Protocol::TCP))?;
    socket.bind(&SocketAddr::from((source, 0)).into())?;
    socket.set_nonblocking(true)?;
    if let Err(error) = socket.connect(&addr.into())
        && error.raw_os_error() != Some(libc::EINPROGRESS)
    {
        return Err(error);
    }
    socket.set_tcp_nodelay(true)?;
    // The end of a connection resets it: ports are few.
    socket.set_linger(Some(Duration::ZERO))?;
    TcpStream::from_std(socket.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn attackers_come_from_addresses_in_turn() {
        let sources = Sources::new(300);
        assert_eq!(sources.of(0), Ipv4Addr::new(127, 1, 0, 1));
        assert_eq!(sources.of(299), Ipv4Addr::new(127, 1, 1, 44));
        assert_eq!(sources.of(300), sources.of(0));
    }
}
