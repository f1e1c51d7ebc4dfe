//! Why the gateway does not start, and what to do.

use std::fmt;
use std::io;
use std::net::IpAddr;
use std::path::PathBuf;

use weir_ring::socket::PortError;

use crate::admin_token::TokenFileError;
use crate::data_dir::DataDirError;
use crate::data_thread::ThreadError;
use crate::holder::Holder;
use crate::ports::Port;
use crate::takeover::TakeoverError;

/// Nothing is served when one of these comes.
#[derive(Debug)]
pub(crate) enum StartError {
    /// The address is not loopback, there is no authentication, and nobody said `--insecure`.
    Exposed(IpAddr),
    /// A port cannot be had.
    Port { port: Port, error: PortError, holder: Option<Box<Holder>> },
    /// There is no place for the admin token.
    AdminToken(TokenFileError),
    /// The audit log cannot be written.
    AuditFile { path: PathBuf, error: io::Error },
    /// The event sink cannot be written.
    SinkFile { path: PathBuf, error: io::Error },
    /// The data folder cannot be used.
    DataDir(DataDirError),
    /// No running gateway can be taken over.
    Takeover(TakeoverError),
    /// The process may not run on this core.
    NoSuchCore { core: usize, allowed: Vec<usize> },
    /// The kernel does not tell which cores there are.
    NoCores,
    /// The limit of descriptors leaves no room for connections.
    TooFewDescriptors { limit: u64 },
    /// A data thread cannot work.
    Thread(ThreadError),
    /// A data thread ended without a word.
    ThreadDied,
    /// A system call failed that does not fail on a healthy machine.
    System(io::Error),
}

impl fmt::Display for StartError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            StartError::Exposed(address) => write!(
                f,
                "{address} is not a loopback address, and without authentication everybody who reaches it may read and send \
                 for every client; set JWT_SECRET (32 bytes or more) or another key (`weir default-config` shows them \
                 below [auth]), bind to 127.0.0.1, or say --insecure if something in front of it keeps strangers out"
            ),
            StartError::Port { port, error, holder } => port_error(f, *port, error, holder.as_deref()),
            StartError::AdminToken(error) => write!(f, "{error}"),
            StartError::AuditFile { path, error } => write!(
                f,
                "the audit log {} cannot be written: {error}; make its folder, or name another audit.file",
                path.display()
            ),
            StartError::SinkFile { path, error } => write!(
                f,
                "the event sink {} cannot be written: {error}; make its folder, or name another vsm.sink",
                path.display()
            ),
            StartError::DataDir(error) => write!(f, "{error}"),
            StartError::Takeover(error) => write!(f, "{error}"),
            StartError::NoSuchCore { core, allowed } => {
                write!(
                    f,
                    "core {core} is not one that this process may run on, which are {allowed:?}; choose from them with --cores"
                )
            }
            StartError::NoCores => {
                f.write_str("the kernel does not tell which cores there are; name them with --cores")
            }
            StartError::TooFewDescriptors { limit } => write!(
                f,
                "the hard limit of {limit} open files leaves no room for connections; raise it (`ulimit -Hn 65536`, \
                 LimitNOFILE= in a unit, --ulimit nofile= for a container)"
            ),
            StartError::Thread(ThreadError::Pin { core }) => {
                write!(f, "the kernel does not let a thread run on core {core}; choose others with --cores")
            }
            StartError::Thread(ThreadError::Driver(error)) => write!(f, "{error}"),
            StartError::ThreadDied => {
                f.write_str("a data thread ended while it was set up; its last words are above")
            }
            StartError::System(error) => write!(f, "the system refused what every start needs: {error}"),
        }
    }
}

fn port_error(
    f: &mut fmt::Formatter<'_>,
    port: Port,
    error: &PortError,
    holder: Option<&Holder>,
) -> fmt::Result {
    let Port { address, flag, .. } = port;
    let (number, host) = (address.port(), address.ip());
    match (error, holder) {
        (PortError::Held(_), Some(holder)) => write!(
            f,
            "port {number} on {host} is taken by {holder}; choose another with {flag} or stop that process"
        ),
        (PortError::Held(_), None) => write!(
            f,
            "port {number} on {host} is taken by another process; choose another with {flag} or stop the process \
             that holds it (ss -ltnp 'sport = :{number}')"
        ),
        (PortError::Privileged(_), _) => write!(
            f,
            "port {number} on {host} needs CAP_NET_BIND_SERVICE, as all below 1024; grant it or choose another with \
             {flag}"
        ),
        (PortError::NotOurs(_), _) => {
            write!(
                f,
                "{host} is no address of this machine (`ip addr` lists them); choose another with --bind"
            )
        }
        (PortError::Other(_, error), _) => write!(f, "port {number} on {host} cannot be had: {error}"),
    }
}

impl std::error::Error for StartError {}

impl From<DataDirError> for StartError {
    fn from(error: DataDirError) -> StartError {
        StartError::DataDir(error)
    }
}

impl From<TakeoverError> for StartError {
    fn from(error: TakeoverError) -> StartError {
        StartError::Takeover(error)
    }
}

#[cfg(test)]
mod tests {
    use std::net::SocketAddr;

    use super::*;

    #[test]
    fn a_taken_port_is_named_with_both_ways_out() {
        let address = SocketAddr::from(([127, 0, 0, 1], 4001));
        let port = Port { name: "sse", flag: "--sse-port", address };
        let error = StartError::Port { port, error: PortError::Held(address), holder: None };
        assert_eq!(
            error.to_string(),
            "port 4001 on 127.0.0.1 is taken by another process; choose another with --sse-port or stop the process \
             that holds it (ss -ltnp 'sport = :4001')"
        );
    }
}
