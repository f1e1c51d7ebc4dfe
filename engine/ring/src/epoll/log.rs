//! The shard's log. Files are never ready or not: a write waits for the disk. So appends and removals are done
//! by a thread of their own, in the order in which they were asked for, and the driver is woken with the answers.
//!
//! The thread has the core of the shard, from which it inherits it: it copies into the page cache, then sleeps.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::sync::mpsc;
use std::thread::{self, JoinHandle};

use rustix::fs::{AtFlags, FallocateFlags, Mode, OFlags, fallocate, fsync, openat, unlinkat};

use super::Epoll;
use crate::log::{Directory, Segment};
use crate::op::{Completion, Errno};
use crate::waker::Waker;

/// What the thread is asked for.
enum Job {
    Append { number: u32, bytes: Vec<u8> },
    Discard(Segment),
}

/// What has become of an append.
struct Appended {
    bytes: Vec<u8>,
    errno: Option<Errno>,
}

/// The driver's end of the log.
pub(super) struct Log {
    /// None once there will be no more.
    jobs: Option<mpsc::Sender<Job>>,
    answers: mpsc::Receiver<Appended>,
    thread: Option<JoinHandle<()>>,
    /// An append is under way.
    appending: bool,
}

impl Log {
    /// Starts the thread, which wakes with `waker`.
    pub(super) fn start(directory: Directory, waker: Waker) -> io::Result<Log> {
        let (jobs, asked) = mpsc::channel();
        let (answer, answers) = mpsc::channel();
        let name = format!("weir-log-{}", directory.series);
        let mut writer = Writer { directory, file: None };
        let thread = thread::Builder::new().name(name).spawn(move || {
            for job in asked {
                if let Some(appended) = writer.work(job) {
                    // The driver may be gone.
                    let _ = answer.send(appended);
                    waker.wake();
                }
            }
        })?;
        Ok(Log { jobs: Some(jobs), answers, thread: Some(thread), appending: false })
    }

    fn ask(&self, job: Job) {
        if let Some(jobs) = &self.jobs {
            // The thread ends with the sender, not before.
            let _ = jobs.send(job);
        }
    }
}

impl Drop for Log {
    /// Ends the thread, once what it was asked for is done.
    fn drop(&mut self) {
        self.jobs = None;
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// The thread's end.
struct Writer {
    directory: Directory,
    /// The segment that is appended to; none before the first and after an error.
    file: Option<LogFile>,
}

struct LogFile {
    number: u32,
    file: File,
    length: u64,
}

impl Writer {
    fn work(&mut self, job: Job) -> Option<Appended> {
        match job {
            Job::Append { number, bytes } => {
                let appended = self.append(number, &bytes);
                if appended.is_err() {
                    self.file = None;
                }
                let errno = appended.err().map(|error| Errno(error.raw_os_error().unwrap_or(libc::EIO)));
                Some(Appended { bytes, errno })
            }
            Job::Discard(segment) => {
                // What could not be removed stays, and is found again at the next start.
                let _ = unlinkat(self.directory.as_fd(), segment.file_name(), AtFlags::empty());
                None
            }
        }
    }

    /// Writes `bytes` at the end of segment `number`, and waits until they, and the length that makes them
    /// readable, are on the disk.
    fn append(&mut self, number: u32, bytes: &[u8]) -> io::Result<()> {
        let log = match self.file.take() {
            Some(log) if log.number == number => self.file.insert(log),
            _ => {
                let log = LogFile { number, file: self.begin(number)?, length: 0 };
                self.file.insert(log)
            }
        };
        log.file.write_all_at(bytes, log.length)?;
        log.file.sync_data()?;
        log.length += bytes.len() as u64;
        Ok(())
    }

    /// A new file with room set aside for all of the segment, and its name on the disk.
    fn begin(&self, number: u32) -> io::Result<File> {
        let Directory { series, segment_bytes, .. } = self.directory;
        let name = Segment { series, number }.file_name();
        let flags = OFlags::CREATE | OFlags::EXCL | OFlags::WRONLY | OFlags::CLOEXEC;
        let file = openat(self.directory.as_fd(), name, flags, Mode::RUSR | Mode::WUSR)?;
        // A gain, not a need: not every file system can, and a full one may still take this append.
        let _ = fallocate(&file, FallocateFlags::KEEP_SIZE, 0, segment_bytes);
        fsync(self.directory.as_fd())?;
        Ok(file.into())
    }
}

impl Epoll {
    /// Appends `bytes` to the segment `number`.
    pub(super) fn append(&mut self, number: u32, bytes: Vec<u8>) {
        let log = self.log.as_mut().expect("the settings name a directory");
        assert!(!log.appending && !bytes.is_empty(), "one append at a time, of something");
        log.appending = true;
        log.ask(Job::Append { number, bytes });
    }

    /// Removes a segment's file, after those asked for before.
    pub(super) fn discard(&mut self, series: u16, number: u32) {
        let log = self.log.as_ref().expect("the settings name a directory");
        log.ask(Job::Discard(Segment { series, number }));
    }

    /// Takes the thread's answers.
    pub(super) fn hear_of_log(&mut self) {
        let Some(log) = &mut self.log else { return };
        if let Ok(Appended { bytes, errno }) = log.answers.try_recv() {
            log.appending = false;
            self.tell(Completion::Appended { bytes, errno });
        }
    }
}
