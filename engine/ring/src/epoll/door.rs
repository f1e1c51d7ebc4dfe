//! Sockets that move between shards: descriptors are the process's, so they go from thread to thread in a queue.

use std::io;
use std::os::fd::OwnedFd;
use std::sync::atomic::AtomicU32;
use std::sync::{Arc, mpsc};

use rustix::net::{Shutdown, shutdown};

use super::{Epoll, table};
use crate::op::{Completion, Errno, RecvMode};
use crate::peer::Peer;
use crate::token::{Member, Socket, Transfer};
use crate::waker::Waker;

/// A socket on its way.
#[derive(Debug)]
struct Arrival {
    fd: OwnedFd,
    /// No TCP socket.
    local: bool,
    transfer: Transfer,
}

/// Where other members hand sockets to this one, and wake it. Clones are the same door.
#[derive(Clone, Debug)]
pub struct Door {
    room: Arc<AtomicU32>,
    sender: mpsc::Sender<Arrival>,
    waker: Waker,
}

impl Door {
    /// Wakes the member.
    pub(crate) fn wake(&self) {
        self.waker.wake();
    }

    /// Takes a TCP socket that does not wait from a thread without a driver.
    ///
    /// # Errors
    /// `ENFILE`: there is no place for it.
    pub(crate) fn deliver(&self, fd: OwnedFd, transfer: Transfer) -> io::Result<()> {
        if !table::reserve(&self.room) {
            return Err(io::Error::from_raw_os_error(libc::ENFILE));
        }
        self.send(Arrival { fd, local: false, transfer });
        Ok(())
    }

    fn send(&self, arrival: Arrival) {
        // To a thread that has ended: with it the connection ends, too.
        let _ = self.sender.send(arrival);
        self.waker.wake();
    }
}

/// The inner side of a door. No more sockets are on their way than there are places reserved for them.
pub(super) struct Arrivals {
    door: Door,
    receiver: mpsc::Receiver<Arrival>,
}

impl Arrivals {
    pub(super) fn new(room: Arc<AtomicU32>, waker: Waker) -> Arrivals {
        let (sender, receiver) = mpsc::channel();
        Arrivals { door: Door { room, sender, waker }, receiver }
    }

    pub(super) fn door(&self) -> Door {
        self.door.clone()
    }
}

impl Epoll {
    /// Gives a socket to another member, if there is a place for it.
    pub(super) fn hand_over(&mut self, socket: Socket, to: Member, transfer: Transfer) {
        let peer = self.peers[usize::from(to.0)].clone();
        let slot = self.table.slot(socket);
        assert!(
            slot.drain == 0 && !slot.connecting,
            "a socket leaves when nothing but its watch is under way"
        );
        slot.wanted = RecvMode::Off;
        let (token, local) = (slot.token, slot.local);
        let there_is_room = match &peer {
            Peer::Door(door) => table::reserve(&door.room),
            Peer::Landing(_) => true,
            Peer::Ring(_) => panic!("member {} has another driver", to.0),
        };
        if there_is_room {
            if let Some(fd) = slot.fd() {
                self.poll.forget(fd);
            }
            match (self.table.remove(socket), peer) {
                (Some(fd), Peer::Door(door)) => door.send(Arrival { fd, local, transfer }),
                (Some(fd), Peer::Landing(landing)) => landing.take(transfer, fd),
                _ => {}
            }
        }
        let errno = (!there_is_room).then_some(Errno(libc::ENFILE));
        self.tell(Completion::HandedOver { token, errno });
    }

    /// Takes in what other members have handed over.
    pub(super) fn arrive(&mut self) {
        while let Ok(Arrival { fd, local, transfer }) = self.arrivals.receiver.try_recv() {
            let socket = self.table.insert(fd, local);
            let slot = self.table.slot(socket);
            if let Some(fd) = slot.fd()
                && self.poll.watch(fd, socket).is_err()
            {
                // Out of memory for watches. It has arrived all the same, so it ends: there is nothing to wait for.
                let _ = shutdown(fd, Shutdown::Both);
                slot.readable = true;
            }
            self.tell(Completion::Arrived { transfer, socket });
        }
    }
}
