//! Where a shard's log lies, and what its files are called.

use std::fs::File;
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd};
use std::path::Path;

/// One file of a log: which shard wrote it, and the how manieth of that shard's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Segment {
    /// The number of the shard, in the process that wrote it.
    pub series: u16,
    /// Rises within a series; numbers may be left out.
    pub number: u32,
}

impl Segment {
    /// `SERIES-NUMBER.log`, in hexadecimal, so that names sort as segments do.
    pub fn file_name(self) -> String {
        format!("{:04x}-{:08x}.log", self.series, self.number)
    }

    /// The reverse; `None` for every other name.
    pub fn from_file_name(name: &str) -> Option<Segment> {
        let (series, number) = name.strip_suffix(".log")?.split_once('-')?;
        let segment = Segment {
            series: u16::from_str_radix(series, 16).ok()?,
            number: u32::from_str_radix(number, 16).ok()?,
        };
        (segment.file_name() == name).then_some(segment)
    }
}

/// The directory of a shard's log.
#[derive(Debug)]
pub struct Directory {
    directory: OwnedFd,
    pub(crate) series: u16,
    pub(crate) segment_bytes: u64,
}

impl Directory {
    /// The directory `path`, for the log of shard `series`. Each segment has room for `segment_bytes` set
    /// aside when it begins, which spares most appends a change of the file's extents.
    ///
    /// # Errors
    /// As `open(2)`.
    pub fn open(path: &Path, series: u16, segment_bytes: u64) -> io::Result<Directory> {
        Ok(Directory { directory: File::open(path)?.into(), series, segment_bytes })
    }

    pub(crate) fn fd(&self) -> RawFd {
        self.directory.as_raw_fd()
    }

    pub(crate) fn as_fd(&self) -> BorrowedFd<'_> {
        self.directory.as_fd()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn names_sort_as_segments_do(a: (u16, u32), b: (u16, u32)) {
            let [a, b] = [a, b].map(|(series, number)| Segment { series, number });
            prop_assert_eq!(a.cmp(&b), a.file_name().cmp(&b.file_name()));
            prop_assert_eq!(Segment::from_file_name(&a.file_name()), Some(a));
        }
    }

    #[test]
    fn other_files_are_no_segments() {
        for name in
            ["lock", "0000-00000001.log~", "0000-0000001.log", "0000-0000000G.log", "+000-00000001.log"]
        {
            assert_eq!(Segment::from_file_name(name), None, "{name}");
        }
        assert_eq!(Segment { series: 1, number: 0x2a }.file_name(), "0001-0000002a.log");
    }
}
