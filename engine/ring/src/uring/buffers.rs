//! Receive buffers: one group that the kernel takes from and that we give back to.

use std::io;
use std::ptr::{self, NonNull};
use std::sync::atomic::{AtomicU16, Ordering};

use io_uring::Submitter;
use io_uring::types::BufRingEntry;

use super::entry::BUFFER_GROUP;

/// The ring of free buffers, which the kernel reads, and the buffers themselves.
///
/// Each buffer is at any time in one of three places: in the ring (the kernel may fill it), named by a
/// completion nobody has looked at yet, or lent. It enters the ring only by [`Buffers::give_back`].
pub(super) struct Buffers {
    /// `count` entries; the first one's last field doubles as the ring's tail.
    ring: Mapping,
    /// `count` times `size` bytes.
    bytes: Mapping,
    count: u16,
    size: usize,
    tail: u16,
}

impl Buffers {
    /// Maps and registers `count` buffers of `size` bytes, all free. They must outlive the ring.
    pub(super) fn new(submitter: &Submitter<'_>, count: u16, size: u32) -> io::Result<Buffers> {
        let size = size as usize;
        let ring = Mapping::new(usize::from(count) * size_of::<BufRingEntry>())?;
        let bytes = Mapping::new(usize::from(count) * size)?;
        // SAFETY: the mapping has room for `count` entries and is page-aligned; the caller drops the
        // ring, which waits for its requests to end, before these buffers.
        unsafe {
            submitter.register_buf_ring_with_flags(ring.start.as_ptr() as u64, count, BUFFER_GROUP, 0)?;
        }
        let mut buffers = Buffers { ring, bytes, count, size, tail: 0 };
        (0..count).for_each(|buffer| buffers.give_back(buffer));
        Ok(buffers)
    }

    pub(super) fn count(&self) -> usize {
        self.count.into()
    }

    /// What the kernel has put into `buffer`. The caller has it from a completion and has not yet given
    /// it back.
    pub(super) fn lend(&mut self, buffer: u16, length: usize) -> &mut [u8] {
        assert!(buffer < self.count && length <= self.size, "the kernel names our buffers and their lengths");
        // SAFETY: the range lies inside the mapping, whose bytes are initialized (zero pages at first).
        // The kernel took the buffer out of the ring when it filled it and does not write to it again
        // before `give_back`, which needs `&mut self` and therefore the end of this borrow.
        unsafe {
            let start = self.bytes.start.as_ptr().add(usize::from(buffer) * self.size);
            std::slice::from_raw_parts_mut(start, length)
        }
    }

    /// Lets the kernel fill `buffer` again.
    pub(super) fn give_back(&mut self, buffer: u16) {
        assert!(buffer < self.count, "the kernel names our buffers");
        let place = usize::from(self.tail & (self.count - 1));
        self.tail = self.tail.wrapping_add(1);
        // SAFETY: `place` is less than `count`, a power of two, so the entry lies inside the mapping,
        // and `buffer` lies inside the other. Entries at and after the published tail are ours: there
        // are as many entries as buffers, so this one is free. Its fields are written one by one so
        // that the first entry's last field, the tail, is left alone until the store, which publishes
        // the entry to the kernel. The tail is aligned and shared with the kernel as an atomic only.
        unsafe {
            let entries = self.ring.start.as_ptr().cast::<BufRingEntry>();
            let entry = &mut *entries.add(place);
            entry.set_addr(self.bytes.start.as_ptr().add(usize::from(buffer) * self.size) as u64);
            entry.set_len(self.size as u32);
            entry.set_bid(buffer);
            let tail = BufRingEntry::tail(entries).cast::<AtomicU16>();
            (*tail).store(self.tail, Ordering::Release);
        }
    }
}

/// Private anonymous memory: zero, page-aligned, resident only where it was touched.
struct Mapping {
    start: NonNull<u8>,
    length: usize,
}

impl Mapping {
    /// Pages are there from the start: the first load is not to fault them in.
    fn new(length: usize) -> io::Result<Mapping> {
        // SAFETY: a new private mapping at a place of the kernel's choice touches no memory of ours.
        let start = unsafe {
            libc::mmap(
                ptr::null_mut(),
                length,
                libc::PROT_READ | libc::PROT_WRITE,
                libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_POPULATE,
                -1,
                0,
            )
        };
        if start == libc::MAP_FAILED {
            return Err(io::Error::last_os_error());
        }
        let start = NonNull::new(start.cast()).expect("the kernel maps nothing at 0 unless asked to");
        Ok(Mapping { start, length })
    }
}

impl Drop for Mapping {
    fn drop(&mut self) {
        // SAFETY: start and length are those of a mapping that this value alone owns.
        unsafe { libc::munmap(self.start.as_ptr().cast(), self.length) };
    }
}
