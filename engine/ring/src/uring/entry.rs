//! Submission entries: one function for each request the driver makes.

use std::ffi::CStr;
use std::os::fd::RawFd;

use io_uring::opcode;
use io_uring::squeue::{Entry, Flags};
use io_uring::types::{CancelBuilder, DestinationSlot, Fd, Fixed};

use super::tag::{Tag, Turn};
use crate::token::{Listener, Socket, Transfer};

/// The one group of receive buffers of a ring.
pub(super) const BUFFER_GROUP: u16 = 0;

/// A request that points to no memory of ours, or to what lives for ever, so that nothing need outlive it.
pub(super) struct Detached(Entry);

impl Detached {
    fn new(entry: Entry, tag: Tag) -> Detached {
        Detached(entry.user_data(tag.pack()))
    }

    /// Completes only if it fails.
    fn silent(self) -> Detached {
        Detached(self.0.flags(Flags::SKIP_SUCCESS))
    }

    pub(super) fn entry(&self) -> &Entry {
        &self.0
    }
}

/// Accepts into the table, each connection into a slot of the kernel's choice. A connection that finds
/// no slot is dropped by the kernel and ends the accept with `ENFILE` (see `tests/kernel_facts.rs`).
pub(super) fn accept(fd: RawFd, listener: Listener) -> Detached {
    let entry = opcode::AcceptMulti::new(Fd(fd)).allocate_file_index(true).build();
    Detached::new(entry, Tag::Accept(listener))
}

/// Asks for the address at the other end of `socket`; completes as it is submitted. `length` bytes of `name` are
/// written, and the address must have as many.
pub(super) fn peer_name(socket: Socket, name: &mut [u8], length: u32, place: u32) -> Entry {
    const GETSOCKOPT: u32 = 2; // SOCKET_URING_OP_GETSOCKOPT
    const COMMAND: usize = 8; // the offset of `cmd_op` in `struct io_uring_sqe`
    let length = length.min(name.len() as u32);
    let (level, option) = (libc::SOL_SOCKET as u32, libc::SO_PEERNAME as u32);
    let mut entry =
        opcode::SetSockOpt::new(Fixed(socket.0), level, option, name.as_mut_ptr().cast(), length).build();
    const { assert!(size_of::<Entry>() == 64, "an entry is the kernel's structure and nothing else") };
    // SAFETY: an entry is a `struct io_uring_sqe`, in which a command's number is four bytes at this place. Reading
    // an option takes the arguments of setting one, and only the number differs.
    unsafe { (&raw mut entry).byte_add(COMMAND).cast::<u32>().write_unaligned(GETSOCKOPT) };
    entry.user_data(Tag::Peer(place).pack())
}

/// Makes a stream socket in the table, in a slot of the kernel's choice; `ENFILE` if there is none.
pub(super) fn socket(family: i32, place: u32) -> Detached {
    let entry = opcode::Socket::new(family, libc::SOCK_STREAM, 0);
    Detached::new(entry.file_index(Some(DestinationSlot::auto_target())).build(), Tag::Socket(place))
}

/// Turns Nagle's algorithm off.
pub(super) fn nodelay(socket: Socket) -> Detached {
    static ON: i32 = 1;
    let (level, option) = (libc::IPPROTO_TCP as u32, libc::TCP_NODELAY as u32);
    let entry = opcode::SetSockOpt::new(
        Fixed(socket.0),
        level,
        option,
        (&raw const ON).cast(),
        size_of_val(&ON) as u32,
    );
    Detached::new(entry.build(), Tag::Ignored).silent()
}

/// Connects to the address `name` (see `sockaddr`).
pub(super) fn connect(socket: Socket, name: &[u8], place: u32) -> Entry {
    opcode::Connect::new(Fixed(socket.0), name.as_ptr().cast(), name.len() as libc::socklen_t)
        .build()
        .user_data(Tag::Connect(place).pack())
}

/// Receives again and again, each time into a buffer of the group.
pub(super) fn recv_stream(socket: Socket) -> Detached {
    Detached::new(opcode::RecvMulti::new(Fixed(socket.0), BUFFER_GROUP).build(), Tag::Watch(socket))
}

/// Receives once into a buffer of the group. Length 0: as much as the buffer takes.
pub(super) fn recv_once(socket: Socket) -> Detached {
    let entry = opcode::Recv::new(Fixed(socket.0), std::ptr::null_mut(), 0).buf_group(BUFFER_GROUP).build();
    Detached::new(entry.flags(Flags::BUFFER_SELECT), Tag::Watch(socket))
}

/// Waits once for input or the peer's end, without a buffer.
pub(super) fn park(socket: Socket) -> Detached {
    let events = (libc::POLLIN | libc::POLLRDHUP) as u32;
    Detached::new(opcode::PollAdd::new(Fixed(socket.0), events).build(), Tag::Watch(socket))
}

/// Sends without waiting. Silent if all of it left; otherwise completes before `enter` returns, with
/// what left or an error (see `tests/kernel_facts.rs`). `MSG_WAITALL` is what makes a short send an
/// answer instead of a success.
pub(super) fn send(socket: Socket, bytes: &[u8], turn: Turn, op: u32) -> Entry {
    opcode::Send::new(Fixed(socket.0), bytes.as_ptr(), bytes.len() as u32)
        .flags(libc::MSG_DONTWAIT | libc::MSG_WAITALL | libc::MSG_NOSIGNAL)
        .build()
        .flags(Flags::SKIP_SUCCESS)
        .user_data(Tag::Send { turn, op }.pack())
}

/// Sends all of `bytes`, waiting for room.
pub(super) fn drain(socket: Socket, bytes: &[u8]) -> Entry {
    // What exceeds the field is sent by the next request.
    let length = u32::try_from(bytes.len()).unwrap_or(u32::MAX);
    opcode::Send::new(Fixed(socket.0), bytes.as_ptr(), length)
        .flags(libc::MSG_WAITALL | libc::MSG_NOSIGNAL)
        .build()
        .user_data(Tag::Drain(socket).pack())
}

/// Closes the sending half.
pub(super) fn shutdown(socket: Socket) -> Detached {
    Detached::new(opcode::Shutdown::new(Fixed(socket.0), libc::SHUT_WR).build(), Tag::Shutdown(socket))
}

/// Empties a socket's slot, which closes the socket.
pub(super) fn close(socket: Socket) -> Detached {
    Detached::new(opcode::Close::new(Fixed(socket.0)).build(), Tag::Close(socket))
}

/// Empties the slot of a socket that has left for another ring, or that could not connect.
pub(super) fn forget(socket: Socket) -> Detached {
    Detached::new(opcode::Close::new(Fixed(socket.0)).build(), Tag::Ignored).silent()
}

/// Cancels the request under `tag`; its own completion tells how it ended.
pub(super) fn cancel(tag: Tag) -> Detached {
    let entry = opcode::AsyncCancel2::new(CancelBuilder::user_data(tag.pack())).build();
    Detached::new(entry, Tag::Ignored).silent()
}

/// Puts the socket into another ring's table as well, in a slot of the kernel's choice.
pub(super) fn hand_over(ring: RawFd, socket: Socket, transfer: Transfer) -> Detached {
    Detached::new(arrival(ring, Fixed(socket.0), transfer), Tag::HandOver(socket))
}

/// Puts the socket in a slot of the submitting ring into the table of `ring`, where it arrives as `transfer`.
pub(crate) fn arrival(ring: RawFd, socket: Fixed, transfer: Transfer) -> Entry {
    let arrived = Tag::Arrived(transfer).pack();
    opcode::MsgRingSendFd::new(Fd(ring), socket, DestinationSlot::auto_target(), arrived).build()
}

/// Makes a descriptor of a socket, which is in its slot as well then. Known to Linux 6.8 and later.
pub(super) fn install(socket: Socket) -> Detached {
    Detached::new(opcode::FixedFdInstall::new(Fixed(socket.0), 0).build(), Tag::HandOver(socket))
}

/// Wakes another ring.
pub(super) fn wake(ring: RawFd) -> Detached {
    let entry = opcode::MsgRingData::new(Fd(ring), 0, Tag::Woken.pack(), None).build();
    Detached::new(entry, Tag::Ignored).silent()
}

/// Watches the eventfd of the ring's own waker. Each write to it completes once; nobody needs to read
/// it, since the watch is edge-triggered.
pub(super) fn waker(fd: RawFd) -> Detached {
    Detached::new(opcode::PollAdd::new(Fd(fd), libc::POLLIN as u32).multi(true).build(), Tag::Waker)
}

/// Makes the file `name` in `directory`, which must not be there.
pub(super) fn create(directory: RawFd, name: &CStr) -> Entry {
    let entry = opcode::OpenAt::new(Fd(directory), name.as_ptr())
        .flags(libc::O_CREAT | libc::O_EXCL | libc::O_WRONLY | libc::O_CLOEXEC)
        .mode(0o600);
    entry.build().user_data(Tag::Append.pack())
}

/// Sets room for `bytes` aside. The file's length stays what was written.
pub(super) fn reserve(file: RawFd, bytes: u64) -> Entry {
    let entry = opcode::Fallocate::new(Fd(file), bytes).mode(libc::FALLOC_FL_KEEP_SIZE);
    entry.build().user_data(Tag::Append.pack())
}

/// Waits until a directory's names are on the disk.
pub(super) fn sync(directory: RawFd) -> Entry {
    opcode::Fsync::new(Fd(directory)).build().user_data(Tag::Append.pack())
}

/// Writes `bytes` and waits until they, and the length that makes them readable, are on the disk.
pub(super) fn append(file: RawFd, bytes: &[u8], offset: u64) -> Entry {
    // What exceeds the field is written by the next request.
    let length = u32::try_from(bytes.len()).unwrap_or(u32::MAX);
    let entry = opcode::Write::new(Fd(file), bytes.as_ptr(), length).offset(offset);
    entry.rw_flags(libc::RWF_DSYNC).build().user_data(Tag::Append.pack())
}

/// Removes the file `name` from `directory`.
pub(super) fn remove(directory: RawFd, name: &CStr) -> Entry {
    opcode::UnlinkAt::new(Fd(directory), name.as_ptr()).build().user_data(Tag::Discard.pack())
}
