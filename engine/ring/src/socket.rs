//! Listening sockets and the process's room for descriptors.

use std::fmt;
use std::io;
use std::mem;
use std::net::SocketAddr;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::thread;
use std::time::{Duration, Instant};

use crate::sockaddr;
use crate::token::Address;

/// How long [`probe`] waits for a port: a process that was killed holds its own for some milliseconds.
const PROBE_PATIENCE: Duration = Duration::from_secs(2);
/// How long [`probe`] sleeps between two tries.
const PROBE_PAUSE: Duration = Duration::from_millis(20);

/// How sockets listen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Options {
    /// Connections that may wait to be accepted, on each socket; the kernel caps it at
    /// `net.core.somaxconn`. Default 4,096.
    pub backlog: i32,
    /// `TCP_NODELAY`, which accepted sockets inherit. Default true.
    pub nodelay: bool,
    /// `TCP_USER_TIMEOUT` (tcp(7)), which accepted sockets inherit: a connection whose peer has acknowledged
    /// nothing of what was sent, or has had no room for more, for this long ends with ETIMEDOUT. Whole
    /// milliseconds. Default zero: as long as the kernel retransmits.
    pub user_timeout: Duration,
}

impl Default for Options {
    fn default() -> Self {
        Options { backlog: 4_096, nodelay: true, user_timeout: Duration::ZERO }
    }
}

/// One address, listened on by several sockets between which the kernel spreads connections.
#[derive(Debug)]
pub struct Listening {
    /// The address, with the port that the kernel chose if it was asked to (port 0).
    pub address: SocketAddr,
    /// One socket for each shard.
    pub sockets: Vec<OwnedFd>,
}

/// Why a port cannot be had.
#[derive(Debug)]
pub enum PortError {
    /// Another process holds it.
    Held(SocketAddr),
    /// Ports below 1,024 are for root.
    Privileged(SocketAddr),
    /// This machine has no such address.
    NotOurs(SocketAddr),
    /// Anything else.
    Other(SocketAddr, io::Error),
}

impl fmt::Display for PortError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            PortError::Held(address) => write!(
                f,
                "{address} is held by another process; `ss -ltnp 'sport = :{}'` names it. Stop it or choose another port",
                address.port()
            ),
            PortError::Privileged(address) => write!(
                f,
                "{address}: ports below 1024 need CAP_NET_BIND_SERVICE. Grant it or choose another port"
            ),
            PortError::NotOurs(address) => {
                write!(f, "{} is no address of this machine; `ip addr` lists them", address.ip())
            }
            PortError::Other(address, error) => write!(f, "{address}: {error}"),
        }
    }
}

impl std::error::Error for PortError {}

impl PortError {
    fn of(address: SocketAddr, error: io::Error) -> PortError {
        match error.raw_os_error() {
            Some(libc::EADDRINUSE) => PortError::Held(address),
            Some(libc::EACCES) => PortError::Privileged(address),
            Some(libc::EADDRNOTAVAIL) => PortError::NotOurs(address),
            _ => PortError::Other(address, error),
        }
    }
}

/// Finds out whether `address` is free, which the shards' sockets cannot: with `SO_REUSEPORT` they
/// would share a port with an older process of the same user and each get part of its connections.
/// Waits up to 2 s for a port that is being freed.
///
/// # Errors
/// The port cannot be had, and why.
pub fn probe(address: SocketAddr) -> Result<(), PortError> {
    let patience = Instant::now() + PROBE_PATIENCE;
    loop {
        let error = match tcp(address).and_then(|socket| bind(&socket, address)) {
            Ok(()) => return Ok(()),
            Err(error) => error,
        };
        if error.raw_os_error() != Some(libc::EADDRINUSE) || Instant::now() >= patience {
            return Err(PortError::of(address, error));
        }
        thread::sleep(PROBE_PAUSE);
    }
}

/// Listens on `address` with `shards` sockets. With port 0 they share the port that the first got.
///
/// # Errors
/// The port cannot be had, and why.
pub fn listen(address: SocketAddr, shards: u16, options: Options) -> Result<Listening, PortError> {
    let mut listening = Listening { address, sockets: Vec::with_capacity(shards.into()) };
    for _ in 0..shards {
        let socket = listen_once(listening.address, options)
            .map_err(|error| PortError::of(listening.address, error))?;
        let port = local_port(&socket).map_err(|error| PortError::of(listening.address, error))?;
        listening.address.set_port(port);
        listening.sockets.push(socket);
    }
    Ok(listening)
}

/// Lets nobody connect to a listening socket any more, whoever else holds it: newcomers are refused, and the port is
/// free for others. Who has connected and was not accepted is reset.
///
/// # Errors
/// As `shutdown(2)`; none is usual.
pub fn stop_listening(socket: &OwnedFd) -> io::Result<()> {
    // SAFETY: no pointer is passed.
    check(unsafe { libc::shutdown(socket.as_raw_fd(), libc::SHUT_RDWR) }).map(drop)
}

fn listen_once(address: SocketAddr, options: Options) -> io::Result<OwnedFd> {
    let socket = tcp(address)?;
    set(&socket, libc::SOL_SOCKET, libc::SO_REUSEPORT, 1)?;
    set(&socket, libc::IPPROTO_TCP, libc::TCP_NODELAY, options.nodelay.into())?;
    let millis = i32::try_from(options.user_timeout.as_millis()).unwrap_or(i32::MAX);
    set(&socket, libc::IPPROTO_TCP, libc::TCP_USER_TIMEOUT, millis)?;
    bind(&socket, address)?;
    // SAFETY: no pointer is passed.
    check(unsafe { libc::listen(socket.as_raw_fd(), options.backlog) })?;
    Ok(socket)
}

/// A TCP socket that may take an address whose earlier connections linger in TIME-WAIT.
fn tcp(address: SocketAddr) -> io::Result<OwnedFd> {
    let domain = sockaddr::family(&Address::Tcp(address));
    // SAFETY: no pointer is passed.
    let fd = check(unsafe { libc::socket(domain, libc::SOCK_STREAM | libc::SOCK_CLOEXEC, 0) })?;
    // SAFETY: the call has just made `fd` and nobody else knows it.
    let socket = unsafe { OwnedFd::from_raw_fd(fd) };
    set(&socket, libc::SOL_SOCKET, libc::SO_REUSEADDR, 1)?;
    Ok(socket)
}

fn set(socket: &OwnedFd, level: i32, name: i32, value: i32) -> io::Result<()> {
    let length = mem::size_of_val(&value) as libc::socklen_t;
    // SAFETY: pointer and length are those of `value`, which outlives the call.
    let result =
        unsafe { libc::setsockopt(socket.as_raw_fd(), level, name, (&raw const value).cast(), length) };
    check(result).map(drop)
}

fn bind(socket: &OwnedFd, address: SocketAddr) -> io::Result<()> {
    let name = sockaddr::bytes(&Address::Tcp(address));
    // SAFETY: pointer and length are those of `name`, which outlives the call.
    let result =
        unsafe { libc::bind(socket.as_raw_fd(), name.as_ptr().cast(), name.len() as libc::socklen_t) };
    check(result).map(drop)
}

/// Whether calls on a listener wait (`O_NONBLOCK`), for all who have it: the flag is not the descriptor's.
pub(crate) fn set_nonblocking(listener: &OwnedFd, nonblocking: bool) -> io::Result<()> {
    Ok(rustix::io::ioctl_fionbio(listener, nonblocking)?)
}

/// The port a bound TCP socket has got.
fn local_port(socket: &OwnedFd) -> io::Result<u16> {
    // SAFETY: an address of all zeros is a valid one (AF_UNSPEC).
    let mut name: libc::sockaddr_in6 = unsafe { mem::zeroed() };
    let mut length = mem::size_of_val(&name) as libc::socklen_t;
    // SAFETY: the kernel writes at most `length` bytes to `name`, and both outlive the call.
    check(unsafe { libc::getsockname(socket.as_raw_fd(), (&raw mut name).cast(), &mut length) })?;
    // The port lies at the same place in IPv4 and IPv6 addresses.
    Ok(u16::from_be(name.sin6_port))
}

/// Raises the number of descriptors the process may hold to the hard limit, and returns it. The
/// driver's table of sockets must not be larger.
///
/// # Errors
/// As `getrlimit(2)` and `setrlimit(2)`; none is usual.
pub fn raise_nofile() -> io::Result<u64> {
    let mut limit = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: `limit` is a valid place for the call to write one rlimit to.
    check(unsafe { libc::getrlimit(libc::RLIMIT_NOFILE, &mut limit) })?;
    limit.rlim_cur = limit.rlim_max;
    // SAFETY: `limit` is a valid rlimit and outlives the call.
    check(unsafe { libc::setrlimit(libc::RLIMIT_NOFILE, &limit) })?;
    Ok(limit.rlim_max)
}

fn check(result: i32) -> io::Result<i32> {
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(result) }
}

#[cfg(test)]
mod tests {
    use std::net::{Ipv4Addr, Ipv6Addr, TcpListener, TcpStream};

    use super::*;

    #[test]
    fn shards_share_the_port_the_kernel_chose() {
        for host in [SocketAddr::from((Ipv4Addr::LOCALHOST, 0)), SocketAddr::from((Ipv6Addr::LOCALHOST, 0))] {
            let listening = listen(host, 3, Options::default()).expect("listen");
            assert_eq!(listening.sockets.len(), 3);
            assert_ne!(listening.address.port(), 0);
            assert_eq!(listening.address.ip(), host.ip());
            TcpStream::connect(listening.address).expect("connect");
        }
    }

    #[test]
    fn accepted_sockets_inherit_nodelay() {
        let host = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
        for nodelay in [false, true] {
            let mut listening = listen(host, 1, Options { nodelay, ..Options::default() }).expect("listen");
            let _client = TcpStream::connect(listening.address).expect("connect");
            let listener = TcpListener::from(listening.sockets.remove(0));
            let (accepted, _) = listener.accept().expect("accept");
            assert_eq!(accepted.nodelay().expect("option"), nodelay);
        }
    }

    #[test]
    fn accepted_sockets_inherit_the_user_timeout() {
        let host = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
        for (asked, set) in [(0, 0), (30_000, 30_000), (u64::MAX, i32::MAX)] {
            let options = Options { user_timeout: Duration::from_millis(asked), ..Options::default() };
            let mut listening = listen(host, 1, options).expect("listen");
            let _client = TcpStream::connect(listening.address).expect("connect");
            let listener = TcpListener::from(listening.sockets.remove(0));
            let (accepted, _) = listener.accept().expect("accept");
            assert_eq!(user_timeout(&accepted.into()), set);
        }
    }

    fn user_timeout(socket: &OwnedFd) -> i32 {
        let mut value = 0;
        let mut length = mem::size_of_val(&value) as libc::socklen_t;
        // SAFETY: the kernel writes at most `length` bytes to `value`, and both outlive the call.
        let result = unsafe {
            let (fd, value) = (socket.as_raw_fd(), (&raw mut value).cast());
            libc::getsockopt(fd, libc::IPPROTO_TCP, libc::TCP_USER_TIMEOUT, value, &mut length)
        };
        check(result).expect("option");
        value
    }

    #[test]
    fn a_free_port_is_free_and_stays_so() {
        let held = TcpListener::bind("127.0.0.1:0").expect("bind");
        let address = held.local_addr().expect("address");
        drop(held);
        probe(address).expect("free");
        probe(address).expect("the probe leaves nothing behind");
        listen(address, 2, Options::default()).expect("listen");
    }

    /// Takes the probe's whole patience: that it gives up is what is tested.
    #[test]
    fn a_held_port_is_named_with_the_way_to_find_its_holder() {
        let host = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
        let held = listen(host, 1, Options::default()).expect("listen");
        let error = probe(held.address).expect_err("held, although both would share it");
        assert!(matches!(error, PortError::Held(address) if address == held.address));
        let text = error.to_string();
        assert!(text.contains(&held.address.to_string()) && text.contains("ss -ltnp"), "{text}");
    }

    #[test]
    fn a_port_that_is_not_listened_on_any_more_is_free_while_connections_last() {
        let host = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
        let mut listening = listen(host, 1, Options::default()).expect("listen");
        let address = listening.address;
        let client = TcpStream::connect(address).expect("connect");
        let copy = listening.sockets[0].try_clone().expect("a copy");
        let listener = TcpListener::from(listening.sockets.remove(0));
        let (mut accepted, _) = listener.accept().expect("accept");
        stop_listening(&copy).expect("shut");
        let refused = TcpStream::connect(address).expect_err("nobody listens");
        assert_eq!(refused.kind(), io::ErrorKind::ConnectionRefused);
        probe(address).expect("free");
        let _successor = listen(address, 2, Options::default()).expect("listen again");
        TcpStream::connect(address).expect("connect");
        io::Write::write_all(&mut accepted, b"still there").expect("write");
        drop(client);
    }

    #[test]
    fn a_foreign_address_is_told_apart() {
        let error = probe(SocketAddr::from(([192, 0, 2, 1], 0))).expect_err("TEST-NET-1");
        assert!(matches!(error, PortError::NotOurs(_)), "{error}");
    }

    #[test]
    fn the_limit_of_descriptors_reaches_its_hard_limit() {
        let limit = raise_nofile().expect("limit");
        assert_eq!(raise_nofile().expect("again"), limit);
    }
}
