//! The shard's log: one append at a time, each request of it made when the one before has completed.
//!
//! A segment begins with a new file (`open`), room set aside for all of it (`fallocate`) and its name on the
//! disk (`fsync` of the directory). From then on an append is one request: a write with `RWF_DSYNC`, which
//! completes when the bytes are on the disk, as a write and an `fdatasync` would. A linked pair of those
//! costs the same, can be cut in two where the submission queue ends, and is broken by a short write; here
//! the rest is just written next.

use std::collections::VecDeque;
use std::ffi::CString;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};

use super::batch::Event;
use super::{Uring, entry};
use crate::log::{Directory, Segment};
use crate::op::Errno;

/// A shard's log and what is under way on it.
pub(super) struct Log {
    directory: Directory,
    /// The highest segment asked for, and its file's name.
    last: Option<(u32, CString)>,
    /// Its file; none before it is made and after an error.
    file: Option<LogFile>,
    append: Option<Append>,
    /// Names of files to remove; the removal of the first is under way.
    doomed: VecDeque<CString>,
}

struct LogFile {
    fd: OwnedFd,
    length: u64,
    stage: Stage,
}

/// What is to be done next with a file.
enum Stage {
    Reserve,
    SyncName,
    Write,
}

/// The append under way. Its bytes stay as they are until it ends.
struct Append {
    bytes: Vec<u8>,
    /// How many of them are on the disk.
    written: usize,
}

impl Log {
    pub(super) fn new(directory: Directory) -> Log {
        Log { directory, last: None, file: None, append: None, doomed: VecDeque::new() }
    }

    /// Makes `number` the segment that is appended to.
    fn turn_to(&mut self, number: u32) {
        let last = self.last.as_ref().map(|(last, _)| *last);
        if self.file.is_none() || last != Some(number) {
            assert!(last < Some(number), "segments are begun once, in rising order");
            self.file = None;
            self.last = Some((number, file_name(self.directory.series, number)));
        }
    }

    /// Takes the result of the request under way: whether the append can go on.
    fn advance(&mut self, result: i32) -> Result<(), Errno> {
        match (&mut self.file, &mut self.append) {
            _ if matches!(-result, libc::EINTR | libc::EAGAIN) => {}
            // Room set aside is a gain, not a need: not every file system can, and a full one may still
            // take this append.
            (Some(file @ LogFile { stage: Stage::Reserve, .. }), _) => file.stage = Stage::SyncName,
            _ if result < 0 => return Err(Errno(-result)),
            (file @ None, _) => {
                // SAFETY: the kernel has just opened it for this request, and nobody else knows it.
                let fd = unsafe { OwnedFd::from_raw_fd(result) };
                *file = Some(LogFile { fd, length: 0, stage: Stage::Reserve });
            }
            (Some(file @ LogFile { stage: Stage::SyncName, .. }), _) => file.stage = Stage::Write,
            (Some(file), Some(append)) if result > 0 => {
                file.length += result as u64;
                append.written += result as usize;
            }
            _ => return Err(Errno(libc::EIO)),
        }
        Ok(())
    }
}

impl Append {
    fn rest(&self) -> &[u8] {
        &self.bytes[self.written.min(self.bytes.len())..]
    }
}

fn file_name(series: u16, number: u32) -> CString {
    CString::new(Segment { series, number }.file_name()).expect("hexadecimal digits are no zero bytes")
}

impl Uring {
    /// Appends `bytes` to the segment `number`.
    pub(super) fn append(&mut self, number: u32, bytes: Vec<u8>) {
        let log = self.log.as_mut().expect("the settings name a directory");
        assert!(log.append.is_none() && !bytes.is_empty(), "one append at a time, of something");
        log.turn_to(number);
        log.append = Some(Append { bytes, written: 0 });
        self.go_on();
    }

    /// The append's request has completed: on to the next one, or to the answer.
    pub(super) fn on_append(&mut self, result: i32) -> Option<Event> {
        let log = self.log.as_mut()?;
        let outcome = log.advance(result);
        if outcome.is_ok() && log.append.as_ref().is_some_and(|append| !append.rest().is_empty()) {
            self.go_on();
            return None;
        }
        if outcome.is_err() {
            log.file = None;
        }
        let Append { bytes, .. } = log.append.take()?;
        Some(Event::Appended { bytes, errno: outcome.err() })
    }

    /// Makes the append's next request.
    fn go_on(&mut self) {
        let Some(Log { directory, last: Some((_, name)), file, append: Some(append), .. }) = &self.log else {
            return;
        };
        let request = match file {
            None => entry::create(directory.fd(), name),
            Some(LogFile { fd, length, stage }) => match stage {
                Stage::Reserve => entry::reserve(fd.as_raw_fd(), directory.segment_bytes),
                Stage::SyncName => entry::sync(directory.fd()),
                Stage::Write => entry::append(fd.as_raw_fd(), append.rest(), *length),
            },
        };
        // SAFETY: the request points to the segment's name or to the append's bytes. Nobody changes these
        // before the completion; the queue is dropped before `log`.
        unsafe { self.queue.push_lending(&request) }
    }

    /// Removes a segment's file, after those asked for before.
    pub(super) fn discard(&mut self, series: u16, number: u32) {
        let log = self.log.as_mut().expect("the settings name a directory");
        log.doomed.push_back(file_name(series, number));
        if log.doomed.len() == 1 {
            self.remove_next();
        }
    }

    /// A removal has completed. What could not be removed stays, and is found again at the next start.
    pub(super) fn on_discard(&mut self) {
        if let Some(log) = &mut self.log {
            log.doomed.pop_front();
        }
        self.remove_next();
    }

    fn remove_next(&mut self) {
        if let Some(Log { directory, doomed, .. }) = &self.log
            && let Some(name) = doomed.front()
        {
            let request = entry::remove(directory.fd(), name);
            // SAFETY: the name's bytes lie on the heap and stay until the completion takes them off
            // `doomed`; the queue is dropped before `log`.
            unsafe { self.queue.push_lending(&request) }
        }
    }
}
