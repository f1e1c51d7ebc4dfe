//! Where a run connects to, and the byte streams of its users.

use std::{
    io, mem,
    net::{self, IpAddr, Ipv4Addr, SocketAddr, ToSocketAddrs},
    str::FromStr,
    time::Duration,
};

use monoio::{
    buf::IoBufMut,
    io::{AsyncReadRent, AsyncWriteRentExt, Splitable},
    net::{
        TcpStream,
        tcp::{TcpOwnedReadHalf, TcpOwnedWriteHalf},
    },
};
use socket2::{Domain, Protocol, Socket, Type};

use crate::{error::Error, tls::Session};

/// Users per source address: fewer than a server may let one address have, of two generators together.
const USERS_PER_SOURCE: u32 = 40;

/// Bytes that a stream reads at once; sixteen deliveries fit.
const READ_BYTES: usize = 8 * 1024;

/// A URL of scheme `ws`, `wss`, `http`, `https` or `tcp`, resolved.
#[derive(Clone, Debug)]
pub(crate) struct Target {
    /// Where to connect.
    pub(crate) addr: SocketAddr,
    /// `Host` header.
    pub(crate) host: String,
    /// Path, begins with `/`.
    pub(crate) path: String,
    /// TLS is spoken.
    pub(crate) tls: bool,
    /// Sockets do not block, as a loop on epoll needs them; one on io_uring needs those that do.
    pub(crate) nonblocking: bool,
}

impl FromStr for Target {
    type Err = Error;

    fn from_str(url: &str) -> Result<Self, Error> {
        let error = |reason| Error::Url { url: url.to_owned(), reason };
        let schemes =
            [("ws://", false), ("http://", false), ("tcp://", false), ("wss://", true), ("https://", true)];
        let (rest, tls) = schemes
            .iter()
            .find_map(|(scheme, tls)| Some((url.strip_prefix(scheme)?, *tls)))
            .ok_or_else(|| error("it must begin with ws://, wss://, http://, https:// or tcp://"))?;
        let (host, path) = match rest.find('/') {
            Some(at) => rest.split_at(at),
            None => (rest, "/"),
        };
        let addr = host
            .to_socket_addrs()
            .map_err(|_| error("the host and port do not resolve (HOST:PORT is needed)"))?
            .next()
            .ok_or_else(|| error("the host has no address"))?;
        Ok(Self { addr, host: host.to_owned(), path: path.to_owned(), tls, nonblocking: false })
    }
}

impl Target {
    /// Connects user number `user`.
    ///
    /// # Errors
    /// [`Error::Refused`] when nothing listens there, [`Error::Files`] at the limit of this process,
    /// [`Error::Io`] otherwise.
    pub(crate) fn connect(&self, user: u32) -> Result<(Inbox, Outbox), Error> {
        let mut stream = connect(self.addr, user).map_err(|source| match source.raw_os_error() {
            Some(libc::ECONNREFUSED) => Error::Refused(self.addr),
            Some(libc::EMFILE) => Error::Files,
            _ => Error::Io { doing: "connect", source },
        })?;
        let tls = self.tls.then(|| Session::open(&mut stream)).transpose().map_err(Error::io("speak TLS"))?;
        stream.set_nonblocking(self.nonblocking).map_err(Error::io("connect"))?;
        let stream = TcpStream::from_std(stream).map_err(Error::io("connect"))?;
        let (reader, writer) = stream.into_split();
        let inbox = Inbox { reader, bytes: Vec::new(), at: 0, tls: tls.clone() };
        Ok((inbox, Outbox { writer, bytes: Vec::new(), tls }))
    }
}

/// A blocking connect: on loopback it takes microseconds, and only so the source address can be chosen.
fn connect(addr: SocketAddr, user: u32) -> io::Result<net::TcpStream> {
    let socket = Socket::new(Domain::for_address(addr), Type::STREAM, Some(Protocol::TCP))?;
    if matches!(addr.ip(), IpAddr::V4(ip) if ip.is_loopback()) {
        let last = 2 + (user / USERS_PER_SOURCE) % 250;
        let source = Ipv4Addr::new(127, 0, 0, last as u8);
        socket.bind(&SocketAddr::from((source, 0)).into())?;
    }
    socket.connect(&addr.into())?;
    socket.set_tcp_nodelay(true)?;
    // The end of a run resets: sockets in TIME_WAIT would hold ports and kernel memory for a minute.
    socket.set_linger(Some(Duration::ZERO))?;
    Ok(socket.into())
}

/// The reading half of a connection with the bytes not yet consumed.
pub(crate) struct Inbox {
    reader: TcpOwnedReadHalf,
    bytes: Vec<u8>,
    at: usize,
    tls: Option<Session>,
}

impl Inbox {
    /// Received and not yet consumed.
    pub(crate) fn bytes(&self) -> &[u8] {
        &self.bytes[self.at..]
    }

    /// Drops the first `count` of [`Inbox::bytes`].
    pub(crate) fn consume(&mut self, count: usize) {
        self.at += count;
    }

    /// Consumes the first `count` of [`Inbox::bytes`] and lends them.
    pub(crate) fn take(&mut self, count: usize) -> &[u8] {
        self.at += count;
        &self.bytes[self.at - count..self.at]
    }

    /// Waits for at least one more byte.
    pub(crate) async fn fill(&mut self) -> Result<(), Error> {
        let mut bytes = mem::take(&mut self.bytes);
        bytes.drain(..self.at);
        self.at = 0;
        let Some(tls) = self.tls.clone() else { return self.read(bytes).await };
        let before = bytes.len();
        // A record of TLS's own brings none.
        while bytes.len() == before {
            self.read(Vec::new()).await?;
            tls.open_records(&mem::take(&mut self.bytes), &mut bytes)?;
        }
        self.bytes = bytes;
        Ok(())
    }

    /// Reads behind `bytes`.
    async fn read(&mut self, mut bytes: Vec<u8>) -> Result<(), Error> {
        let used = bytes.len();
        if bytes.capacity() - used < READ_BYTES / 2 {
            bytes.reserve(READ_BYTES);
        }
        let (result, slice) = self.reader.read(bytes.slice_mut(used..)).await;
        self.bytes = slice.into_inner();
        match result.map_err(Error::io("receive"))? {
            0 => Err(Error::Ended { doing: "receive" }),
            _ => Ok(()),
        }
    }
}

/// The writing half of a connection with the bytes not yet sent.
pub(crate) struct Outbox {
    writer: TcpOwnedWriteHalf,
    bytes: Vec<u8>,
    tls: Option<Session>,
}

impl Outbox {
    /// Where the next bytes are queued.
    pub(crate) fn queue(&mut self) -> &mut Vec<u8> {
        &mut self.bytes
    }

    /// Sends all that is queued, in one send if the socket takes it; says how many bytes.
    pub(crate) async fn flush(&mut self) -> Result<usize, Error> {
        if self.bytes.is_empty() {
            return Ok(0);
        }
        let mut bytes = mem::take(&mut self.bytes);
        if let Some(tls) = &self.tls {
            bytes = tls.seal(&bytes)?;
        }
        let (result, mut bytes) = self.writer.write_all(bytes).await;
        bytes.clear();
        self.bytes = bytes;
        result.map_err(Error::io("send"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn url_is_split_into_host_and_path() {
        let target: Target = "ws://127.0.0.1:4002/mcp/ws?a=1".parse().unwrap();
        assert_eq!(target.addr, "127.0.0.1:4002".parse().unwrap());
        assert_eq!((target.host.as_str(), target.path.as_str()), ("127.0.0.1:4002", "/mcp/ws?a=1"));
    }

    #[test]
    fn url_without_port_or_scheme_is_refused() {
        assert!("ws://127.0.0.1/mcp".parse::<Target>().is_err());
        assert!("127.0.0.1:4002".parse::<Target>().is_err());
    }
}
