//! What the driver knows about each socket: 24 bytes, in pages that are untouched until used.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use crate::op::RecvMode;
use crate::token::{Socket, Token};

/// One socket's state.
#[derive(Debug)]
pub(super) struct Slot {
    /// None: the slot is free.
    fd: Option<OwnedFd>,
    /// In whose name completions are reported.
    pub(super) token: Token,
    /// Place of the drain under way in `Drains`; 0: none.
    pub(super) drain: u32,
    /// The error that a look has found, which the kernel tells once: the next receive's to report; 0: none.
    pub(super) failed: u16,
    /// How it is watched for input.
    pub(super) wanted: RecvMode,
    /// There may be input: only a receive that finds none makes it false.
    pub(super) readable: bool,
    /// A receive that comes short may not be the last; see [`Slot::local`], and until there is no more input.
    pub(super) more: bool,
    /// No TCP socket. Only of those is it known that a receive comes short where input ends (epoll(7)): on a
    /// Unix socket it also does where a descriptor was sent along (unix(7)).
    pub(super) local: bool,
    /// Stands in the line for input.
    pub(super) queued: bool,
    /// Is being connected.
    pub(super) connecting: bool,
}

const _: () = assert!(size_of::<Slot>() <= 24, "counts in the memory budget of an idle client");

impl Slot {
    fn empty() -> Slot {
        Slot {
            fd: None,
            token: Token { index: 0, generation: 0 },
            drain: 0,
            failed: 0,
            wanted: RecvMode::Off,
            readable: false,
            more: false,
            local: false,
            queued: false,
            connecting: false,
        }
    }

    /// Its descriptor; none when it is free.
    pub(super) fn fd(&self) -> Option<BorrowedFd<'_>> {
        self.fd.as_ref().map(AsFd::as_fd)
    }
}

/// All slots of a driver.
pub(super) struct Table {
    /// Those that were ever used; grows into room that was set aside, so it never moves.
    slots: Vec<Slot>,
    /// Free ones among them.
    free: Vec<u32>,
    room: Arc<AtomicU32>,
}

impl Table {
    pub(super) fn new(sockets: u32) -> Table {
        let slots = Vec::with_capacity(sockets as usize);
        Table { slots, free: Vec::new(), room: Arc::new(AtomicU32::new(sockets)) }
    }

    /// How many sockets the table can still take. Who wants to put one in takes one off first, here or from
    /// another thread.
    pub(super) fn room(&self) -> Arc<AtomicU32> {
        self.room.clone()
    }

    /// Reserves a place for one socket; false if there is none.
    pub(super) fn reserve(&self) -> bool {
        reserve(&self.room)
    }

    /// Gives back a reservation that was not used.
    pub(super) fn release(&self) {
        self.room.fetch_add(1, Ordering::Relaxed);
    }

    /// Puts a socket into a place that was reserved.
    pub(super) fn insert(&mut self, fd: OwnedFd, local: bool) -> Socket {
        let slot = Slot { fd: Some(fd), local, more: local, ..Slot::empty() };
        match self.free.pop() {
            Some(index) => {
                self.slots[index as usize] = slot;
                Socket(index)
            }
            None => {
                self.slots.push(slot);
                Socket(self.slots.len() as u32 - 1)
            }
        }
    }

    /// Takes a socket out; none if it is not in.
    pub(super) fn remove(&mut self, socket: Socket) -> Option<OwnedFd> {
        let slot = std::mem::replace(self.slot(socket), Slot::empty());
        if slot.fd.is_some() {
            self.free.push(socket.0);
            self.release();
        }
        slot.fd
    }

    pub(super) fn slot(&mut self, socket: Socket) -> &mut Slot {
        &mut self.slots[socket.0 as usize]
    }
}

/// Takes one off `room`; false if there is none. Which place it becomes is decided by the table's own thread.
pub(super) fn reserve(room: &AtomicU32) -> bool {
    room.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |room| room.checked_sub(1)).is_ok()
}
