//! What can go wrong with a run, said so that the reader knows whose fault it is.

use std::{fmt, io, net::SocketAddr};

/// Why a user, or the whole run, failed.
#[derive(Debug)]
pub(crate) enum Error {
    /// The URL on the command line cannot be used.
    Url { url: String, reason: &'static str },
    /// Nothing listens at the address.
    Refused(SocketAddr),
    /// The operating system refused an operation.
    Io { doing: &'static str, source: io::Error },
    /// This process may not open as many sockets as there are users.
    Files,
    /// The server ended the connection.
    Ended { doing: &'static str },
    /// The server answered a request or an upgrade with another status than the wanted one.
    Status { doing: &'static str, wanted: u16, got: u16, body: String },
    /// The server's bytes are not what the protocol allows.
    Protocol(String),
    /// A WebSocket close frame came (RFC 6455, 5.5.1).
    Closed { code: u16, reason: String },
    /// A reply or a delivery is well formed and wrong: lost, repeated, out of order or altered.
    Check(String),
    /// The observed process cannot be read in /proc.
    Process { pid: u32, source: io::Error },
}

impl Error {
    /// Names the operation that an I/O error interrupted.
    pub(crate) fn io(doing: &'static str) -> impl FnOnce(io::Error) -> Self {
        move |source| Self::Io { doing, source }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Url { url, reason } => write!(f, "cannot use the URL {url}: {reason}"),
            Self::Refused(addr) => {
                write!(
                    f,
                    "nothing listens at {addr} (connection refused): start the server, or name its port in --url"
                )
            }
            Self::Io { doing, source } => write!(f, "{doing}: {source}"),
            Self::Files => {
                write!(f, "too many open files: raise the limit with `ulimit -n`, or use fewer users")
            }
            Self::Ended { doing } => write!(f, "{doing}: the server ended the connection"),
            Self::Status { doing, wanted, got, body } => {
                write!(f, "{doing}: the server answered {got} instead of {wanted}: {body}")
            }
            Self::Protocol(what) => write!(f, "the server broke the protocol: {what}"),
            Self::Closed { code, reason } => write!(f, "the server closed with code {code} {reason}"),
            Self::Check(what) => write!(f, "wrong answer: {what}"),
            Self::Process { pid, source } => {
                write!(f, "process {pid} (--pid) cannot be observed: {source}")
            }
        }
    }
}

impl std::error::Error for Error {}
