//! What a driver is started with, and why it could not be.

use std::fmt;
use std::io;
use std::os::fd::OwnedFd;

use crate::log::Directory;
use crate::waker::Waker;

/// Sizes of a driver and what it is born with. All sizes are bounds fixed for its life.
#[derive(Debug)]
pub struct Settings {
    /// io_uring: entries of the submission queue, a power of two. A turn with more operations is submitted in
    /// parts. Default 4,096.
    pub entries: u32,
    /// io_uring: entries of the completion queue, a power of two from `entries` to 65,536. Default 16,384.
    pub completions: u32,
    /// io_uring: receive buffers, a power of two up to 32,768. Default 256: one wait hands over at most about 80
    /// completions, and every buffer is touched in time and then counts as resident.
    pub buffers: u16,
    /// Bytes of a receive buffer: the most that one `Received` lends. Default 2,048.
    pub buffer_bytes: u32,
    /// Sockets that may be open at once: the driver's table. At most the process's `RLIMIT_NOFILE`; on epoll,
    /// where each is a descriptor of the process, the tables of all shards together.
    pub sockets: u32,
    /// Listening sockets, named by their place here.
    pub listeners: Vec<OwnedFd>,
    /// Say who is at the other end of each accepted connection; on io_uring that costs a request. Default false.
    pub peers: bool,
    /// Where the shard's log goes; without it no `Append` and no `Discard` may be asked for.
    pub log: Option<Directory>,
    /// How threads without a driver wake this one.
    pub waker: Waker,
}

impl Settings {
    /// The measured sizes, no log.
    pub fn new(listeners: Vec<OwnedFd>, sockets: u32, waker: Waker) -> Settings {
        Settings {
            entries: 4_096,
            completions: 16_384,
            buffers: 256,
            buffer_bytes: 2_048,
            sockets,
            listeners,
            peers: false,
            log: None,
            waker,
        }
    }
}

/// Why a driver could not be set up, and what to do.
#[derive(Debug)]
pub enum SetupError {
    /// The kernel has no io_uring, or one before Linux 6.1.
    Unsupported(io::Error),
    /// io_uring is switched off for this process.
    Forbidden,
    /// `RLIMIT_MEMLOCK` is too low for the queues.
    LockedMemory,
    /// `RLIMIT_NOFILE` is lower than the table of sockets, or the process has no descriptor left.
    Descriptors {
        /// Sockets asked for.
        sockets: u32,
    },
    /// Anything else.
    Other(io::Error),
}

impl fmt::Display for SetupError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            SetupError::Unsupported(error) => {
                write!(f, "this kernel cannot serve the ring ({error}): io_uring needs Linux 6.1 or later")
            }
            SetupError::Forbidden => f.write_str(
                "io_uring is forbidden here: set the sysctl kernel.io_uring_disabled to 0, or, in a \
                 container, allow io_uring_setup, io_uring_enter and io_uring_register in its seccomp profile, \
                 or choose the driver epoll",
            ),
            SetupError::LockedMemory => f.write_str(
                "not enough locked memory for the ring: raise RLIMIT_MEMLOCK to 8 MiB per shard \
                 (`ulimit -l`, LimitMEMLOCK= in a unit, --ulimit memlock= for a container)",
            ),
            SetupError::Descriptors { sockets } => write!(
                f,
                "not enough descriptors for a table of {sockets} sockets: raise RLIMIT_NOFILE \
                 (`ulimit -n`, LimitNOFILE= in a unit, --ulimit nofile= for a container) or allow fewer connections",
            ),
            SetupError::Other(error) => write!(f, "the driver could not be set up: {error}"),
        }
    }
}

impl std::error::Error for SetupError {}

impl SetupError {
    /// Of a call that sets up a driver with a table of `sockets`.
    pub(crate) fn of(error: io::Error, sockets: u32) -> SetupError {
        match error.raw_os_error() {
            Some(libc::ENOSYS | libc::EINVAL) => SetupError::Unsupported(error),
            Some(libc::EPERM | libc::EACCES) => SetupError::Forbidden,
            Some(libc::ENOMEM) => SetupError::LockedMemory,
            Some(libc::EMFILE | libc::ENFILE) => SetupError::Descriptors { sockets },
            _ => SetupError::Other(error),
        }
    }
}
