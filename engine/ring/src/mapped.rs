//! Files that are read as memory: pages come from the kernel's cache and go back to it, so that a file may
//! be larger than what the process may hold.

use std::fs::File;
use std::io;
use std::ops::Deref;
use std::os::fd::AsRawFd;
use std::ptr::{self, NonNull};

/// All bytes of a file, for reading. The file must not be changed by anybody while this value lives.
#[derive(Debug)]
pub struct Mapped {
    start: NonNull<u8>,
    length: usize,
}

impl Mapped {
    /// The bytes of `file`. They are read into the cache at once: what the disk cannot give shows as an error
    /// here, and not as a signal later.
    ///
    /// # Errors
    /// As `mmap(2)` and `madvise(2)`; `EIO` where the disk fails.
    pub fn of(file: &File) -> io::Result<Mapped> {
        let length = usize::try_from(file.metadata()?.len()).map_err(io::Error::other)?;
        if length == 0 {
            return Ok(Mapped { start: NonNull::dangling(), length });
        }
        // SAFETY: a new private mapping at a place of the kernel's choice touches no memory of ours.
        let start = unsafe {
            libc::mmap(ptr::null_mut(), length, libc::PROT_READ, libc::MAP_PRIVATE, file.as_raw_fd(), 0)
        };
        if start == libc::MAP_FAILED {
            return Err(io::Error::last_os_error());
        }
        let start = NonNull::new(start.cast()).expect("the kernel maps nothing at 0 unless asked to");
        let mapped = Mapped { start, length };
        // SAFETY: start and length are those of the mapping that was just made.
        let read = unsafe { libc::madvise(start.as_ptr().cast(), length, libc::MADV_POPULATE_READ) };
        if read == 0 {
            return Ok(mapped);
        }
        let error = io::Error::last_os_error();
        // What would have been a signal: the mapping is there, so it is the disk.
        let is_the_disk = error.raw_os_error() == Some(libc::EFAULT);
        Err(if is_the_disk { io::Error::from_raw_os_error(libc::EIO) } else { error })
    }
}

impl Deref for Mapped {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        // SAFETY: the mapping is `length` bytes long, or there is none and the length is 0, for which every
        // pointer that is not null will do. It lives as long as this value, and nobody writes to it: it is
        // read-only, and the caller of `of` keeps others from changing the file.
        unsafe { std::slice::from_raw_parts(self.start.as_ptr(), self.length) }
    }
}

impl Drop for Mapped {
    fn drop(&mut self) {
        if self.length > 0 {
            // SAFETY: start and length are those of a mapping that this value alone owns.
            unsafe { libc::munmap(self.start.as_ptr().cast(), self.length) };
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::Path;

    use super::*;

    #[test]
    fn a_file_is_its_bytes() {
        let path = std::env::temp_dir().join(format!("weir-mapped-{}", std::process::id()));
        for length in [0, 1, 4_096, 70_001] {
            let bytes: Vec<u8> = (0..length).map(|at| (at * 31 % 251) as u8).collect();
            fs::write(&path, &bytes).expect("write");
            let mapped = Mapped::of(&File::open(&path).expect("open")).expect("map");
            assert!(*mapped == bytes, "{length} bytes");
        }
        fs::remove_file(&path).expect("remove");
    }

    #[test]
    fn what_cannot_be_read_is_an_error() {
        let folder = File::open(Path::new("/")).expect("open");
        assert!(Mapped::of(&folder).is_err());
    }
}
