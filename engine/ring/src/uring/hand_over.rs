//! Sockets that leave for another ring: the watch ends, then the kernel moves the descriptor.

use std::os::fd::RawFd;

use super::batch::{Event, errno};
use super::table::Watch;
use super::{Uring, entry};
use crate::peer::Peer;
use crate::token::{Member, Socket, Transfer};

/// Where a socket goes once its watch has ended.
pub(super) struct Departure {
    ring: RawFd,
    transfer: Transfer,
}

impl Uring {
    pub(super) fn hand_over(&mut self, socket: Socket, to: Member, transfer: Transfer) {
        assert!(transfer.0 >> 63 == 0, "a transfer has 63 bits");
        let ring = self.ring_of(to);
        let slot = self.table.slot(socket);
        let still = slot.under_way == 0 && slot.drain == 0 && !slot.closing;
        assert!(still, "a socket leaves when nothing but its watch is under way");
        slot.leaving = true;
        slot.wanted = Watch::Off;
        self.departures.insert(socket.0, Departure { ring, transfer });
        self.cancel_watch(socket);
        self.settle(socket);
    }

    /// Nothing is under way any more on `socket`, which is leaving.
    pub(super) fn depart(&mut self, socket: Socket) {
        if let Some(Departure { ring, transfer }) = self.departures.remove(&socket.0) {
            self.table.slot(socket).under_way += 1;
            self.queue.push(entry::hand_over(ring, socket, transfer));
        }
    }

    pub(super) fn on_hand_over(&mut self, socket: Socket, result: i32) -> Option<Event> {
        let slot = self.table.slot(socket);
        slot.under_way -= 1;
        slot.leaving = false;
        let (token, errno) = (slot.token, errno(result));
        if errno.is_none() {
            self.table.reset(socket);
            self.queue.push(entry::forget(socket));
        }
        Some(Event::HandedOver { token, errno })
    }

    fn ring_of(&self, to: Member) -> RawFd {
        match &self.peers[usize::from(to.0)] {
            Peer::Ring(fd) => *fd,
            Peer::Door(_) | Peer::Waker(_) => panic!("member {} has no ring to hand a socket to", to.0),
        }
    }
}
