//! What the driver knows about each socket: 20 bytes, in pages that are untouched until used.

use std::collections::VecDeque;

use crate::op::RecvMode;
use crate::token::{Socket, Token};

/// A watch on a socket, wanted or armed. Zero is none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(super) enum Watch {
    Off = 0,
    Once = 1,
    Stream = 2,
    Park = 3,
}

impl Watch {
    /// Takes a receive buffer.
    pub(super) fn receives(self) -> bool {
        matches!(self, Watch::Once | Watch::Stream)
    }
}

impl From<RecvMode> for Watch {
    fn from(mode: RecvMode) -> Watch {
        match mode {
            RecvMode::Once => Watch::Once,
            RecvMode::Stream => Watch::Stream,
            RecvMode::Park => Watch::Park,
            RecvMode::Off => Watch::Off,
        }
    }
}

/// One socket's state; all zeros is a slot nobody has touched.
#[derive(Debug)]
#[repr(C)]
pub(super) struct Slot {
    /// In whose name completions are reported.
    pub(super) token: Token,
    /// Place of the drain under way in `Drains`, plus 1; 0: none.
    pub(super) drain: u32,
    /// The watch the shard asked for last.
    pub(super) wanted: Watch,
    /// The watch the kernel has. While it is another than `wanted`, its cancel is under way.
    pub(super) armed: Watch,
    /// Half-closes, hand-overs and the close that are under way.
    pub(super) under_way: u8,
    /// The armed watch has been told to end.
    pub(super) cancelling: bool,
    /// Waits in the queue of the starved for a buffer before it may receive again.
    pub(super) starved: bool,
    /// To be handed over once nothing else is under way, or on its way. Takes no new operation.
    pub(super) leaving: bool,
    /// To be closed once nothing is under way. Takes no new operation.
    pub(super) closing: bool,
}

const _: () = assert!(size_of::<Slot>() <= 24, "counts in the memory budget of an idle client");

impl Slot {
    /// Nothing under way in the kernel.
    pub(super) fn settled(&self) -> bool {
        self.armed == Watch::Off && self.under_way == 0 && self.drain == 0
    }
}

/// All slots of a ring.
pub(super) struct Table {
    slots: Box<[Slot]>,
    /// Sockets that met an empty buffer ring, oldest first. Some may have gone on since: their slot
    /// says whether they still wait.
    starved: VecDeque<Socket>,
}

impl Table {
    pub(super) fn new(sockets: u32) -> Table {
        let slots = Box::<[Slot]>::new_zeroed_slice(sockets as usize);
        // SAFETY: all zeros is a valid slot: integers, `false`, and `Watch::Off`, which is 0 by its
        // representation; `Token` is two integers.
        Table { slots: unsafe { slots.assume_init() }, starved: VecDeque::new() }
    }

    pub(super) fn slot(&mut self, socket: Socket) -> &mut Slot {
        &mut self.slots[socket.0 as usize]
    }

    /// Makes the slot that of a new socket.
    pub(super) fn reset(&mut self, socket: Socket) {
        *self.slot(socket) = Slot {
            token: Token { index: 0, generation: 0 },
            drain: 0,
            wanted: Watch::Off,
            armed: Watch::Off,
            under_way: 0,
            cancelling: false,
            starved: false,
            leaving: false,
            closing: false,
        };
    }

    /// Puts the socket at the end of the queue for buffers.
    pub(super) fn starve(&mut self, socket: Socket) {
        self.slot(socket).starved = true;
        self.starved.push_back(socket);
    }

    /// Entries in the queue for buffers.
    pub(super) fn starving(&self) -> usize {
        self.starved.len()
    }

    /// Takes the first entry of the queue: a socket, if it still waits.
    pub(super) fn feed(&mut self) -> Option<Socket> {
        let socket = self.starved.pop_front()?;
        std::mem::take(&mut self.slot(socket).starved).then_some(socket)
    }
}
