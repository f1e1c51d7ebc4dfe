//! Sockets that leave the drivers for a thread that has none, and such that it gives to them: a connection on its way to
//! another process, or from there.

use std::io;
use std::os::fd::{AsRawFd, OwnedFd};
use std::sync::mpsc;

use io_uring::types::Fixed;
use io_uring::{IoUring, squeue};

use crate::peer::Peer;
use crate::socket;
use crate::token::Transfer;
use crate::uring;
use crate::waker::Waker;

/// Where sockets are handed to a thread without a driver, and how it is woken. Clones are the same.
#[derive(Clone, Debug)]
pub struct Landing {
    waker: Waker,
    sender: mpsc::Sender<Landed>,
}

/// A socket that came there, by its hand-over.
pub type Landed = (Transfer, OwnedFd);

impl Landing {
    /// One for the thread that `waker` wakes, and what it takes them from.
    pub fn new(waker: Waker) -> (Landing, mpsc::Receiver<Landed>) {
        let (sender, receiver) = mpsc::channel();
        (Landing { waker, sender }, receiver)
    }

    pub(crate) fn wake(&self) {
        self.waker.wake();
    }

    /// Its letter wakes the thread, which is of no use without.
    pub(crate) fn take(&self, transfer: Transfer, socket: OwnedFd) {
        // To a thread that has ended: with it the connection ends, too.
        let _ = self.sender.send((transfer, socket));
    }
}

/// Gives sockets to drivers, as if another one had handed them over. It may wait for the kernel.
#[derive(Default)]
pub struct Courier {
    /// With room for one socket, from which the kernel passes it on; made when a ring is to be given one.
    ring: Option<IoUring>,
}

impl Courier {
    /// Puts the TCP socket into the table of `to`, which gets `Arrived` for it.
    ///
    /// # Errors
    /// `ENFILE`: the table is full. Others: the system does not allow it. The socket is closed then.
    ///
    /// # Panics
    /// If `to` has no driver.
    pub fn deliver(&mut self, fd: OwnedFd, to: &Peer, transfer: Transfer) -> io::Result<()> {
        match to {
            Peer::Ring(ring) => {
                // Of one that does not wait, the kernel would answer a recv at once that there is nothing.
                socket::set_nonblocking(&fd, false)?;
                self.pass_on(&fd, uring::arrival(*ring, Fixed(0), transfer))
            }
            Peer::Door(door) => {
                socket::set_nonblocking(&fd, true)?;
                door.deliver(fd, transfer)
            }
            Peer::Landing(_) => panic!("a thread without a driver has no table"),
        }
    }

    fn pass_on(&mut self, fd: &OwnedFd, request: squeue::Entry) -> io::Result<()> {
        let ring = match &mut self.ring {
            Some(ring) => ring,
            none => {
                let ring = IoUring::new(2)?;
                ring.submitter().register_files_sparse(1)?;
                none.insert(ring)
            }
        };
        ring.submitter().register_files_update(0, &[fd.as_raw_fd()])?;
        // SAFETY: the request points to no memory, and names the one slot that was filled above.
        let pushed = unsafe { ring.submission().push(&request) };
        let passed = match pushed {
            Ok(()) => ring.submit_and_wait(1).map(drop),
            Err(_) => Err(io::ErrorKind::ResourceBusy.into()),
        };
        let result = ring.completion().next().map_or(0, |completion| completion.result());
        ring.submitter().register_files_update(0, &[-1])?;
        passed?;
        if result < 0 { Err(io::Error::from_raw_os_error(-result)) } else { Ok(()) }
    }
}
