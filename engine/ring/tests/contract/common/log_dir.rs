//! A directory for a log, gone with the value.

use std::fs;
use std::path::{Path, PathBuf};

use weir_ring::log::{Directory, Segment};

pub(crate) struct LogDir(PathBuf);

impl LogDir {
    /// An empty directory named after the test.
    pub(crate) fn new(test: &str) -> LogDir {
        let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("{test}-{}", std::process::id()));
        fs::create_dir_all(&path).expect("a new directory");
        LogDir(path)
    }

    pub(crate) fn open(&self, series: u16, segment_bytes: u64) -> Option<Directory> {
        Some(Directory::open(&self.0, series, segment_bytes).expect("the directory"))
    }

    pub(crate) fn file(&self, series: u16, number: u32) -> PathBuf {
        self.0.join(Segment { series, number }.file_name())
    }

    pub(crate) fn read(&self, number: u32) -> Vec<u8> {
        fs::read(self.file(3, number)).expect("the segment")
    }
}

impl Drop for LogDir {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}
