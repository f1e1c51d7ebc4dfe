//! Sockets that leave, for another ring or for a thread without one: the watch ends, then the kernel moves the
//! descriptor.

use std::os::fd::{FromRawFd, OwnedFd, RawFd};

use super::batch::{Event, errno};
use super::table::Watch;
use super::{Uring, entry};
use crate::landing::Landing;
use crate::peer::Peer;
use crate::token::{Member, Socket, Transfer};

/// Where a socket goes once its watch has ended.
pub(super) struct Departure {
    to: Destination,
    transfer: Transfer,
}

enum Destination {
    Ring(RawFd),
    Landing(Landing),
}

impl Uring {
    pub(super) fn hand_over(&mut self, socket: Socket, to: Member, transfer: Transfer) {
        assert!(transfer.0 >> 63 == 0, "a transfer has 63 bits");
        let to = self.destination(to);
        let slot = self.table.slot(socket);
        let still = slot.under_way == 0 && slot.drain == 0 && !slot.closing;
        assert!(still, "a socket leaves when nothing but its watch is under way");
        slot.leaving = true;
        slot.wanted = Watch::Off;
        self.departures.insert(socket.0, Departure { to, transfer });
        self.cancel_watch(socket);
        self.settle(socket);
    }

    /// Nothing is under way any more on `socket`, which is leaving.
    pub(super) fn depart(&mut self, socket: Socket) {
        if let Some(Departure { to, transfer }) = self.departures.get(&socket.0) {
            self.table.slot(socket).under_way += 1;
            self.queue.push(match to {
                Destination::Ring(ring) => entry::hand_over(*ring, socket, *transfer),
                Destination::Landing(_) => entry::install(socket),
            });
        }
    }

    pub(super) fn on_hand_over(&mut self, socket: Socket, result: i32) -> Option<Event> {
        let departure = self.departures.remove(&socket.0)?;
        let slot = self.table.slot(socket);
        slot.under_way -= 1;
        slot.leaving = false;
        let (token, errno) = (slot.token, errno(result));
        if errno.is_none() {
            if let Destination::Landing(landing) = departure.to {
                // SAFETY: the kernel has just made this descriptor for the request, and nobody else knows it.
                landing.take(departure.transfer, unsafe { OwnedFd::from_raw_fd(result) });
            }
            self.table.reset(socket);
            self.queue.push(entry::forget(socket));
        }
        Some(Event::HandedOver { token, errno })
    }

    fn destination(&self, to: Member) -> Destination {
        match &self.peers[usize::from(to.0)] {
            Peer::Ring(fd) => Destination::Ring(*fd),
            Peer::Landing(landing) => Destination::Landing(landing.clone()),
            Peer::Door(_) => panic!("member {} has another driver", to.0),
        }
    }
}
