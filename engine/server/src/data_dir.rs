//! The folder of `--data-dir`: who may use it, the secret that outlives the process, and the log's files.
//!
//! `lock` is held (`flock`) by the process that uses the folder, `secret` has the 32 bytes that seals stand
//! on, `log/` has the segments of all shards.

use std::fmt;
use std::fs::{self, DirBuilder, File, OpenOptions, TryLockError};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

use weir_ring::log::{Directory, Segment};
use weir_ring::mapped::Mapped;

/// Bytes of the secret.
const SECRET_BYTES: usize = 32;

/// How long a lock is waited for, and how often it is tried.
const PATIENCE: Duration = Duration::from_secs(2);
const PAUSE: Duration = Duration::from_millis(20);

/// The folder, held by this process until the value goes.
#[derive(Debug)]
pub(crate) struct DataDir {
    path: PathBuf,
    /// Locked.
    _lock: File,
}

/// Why the folder cannot be used.
#[derive(Debug)]
pub(crate) enum DataDirError {
    /// Another process holds it.
    Held { path: PathBuf, holder: String },
    /// The secret is not one.
    Secret { path: PathBuf, bytes: usize },
    /// The system refuses it.
    System { path: PathBuf, error: io::Error },
}

impl DataDir {
    /// Takes the folder for this process, and makes what is missing of it.
    ///
    /// # Errors
    /// Another process holds it, or it cannot be read or written.
    pub(crate) fn open(path: &Path) -> Result<DataDir, DataDirError> {
        let failed = |error| DataDirError::System { path: path.to_owned(), error };
        let mut builder = DirBuilder::new();
        builder.recursive(true).mode(0o700).create(path.join("log")).map_err(failed)?;
        let lock = lock(path)?;
        // The names that were just made are on the disk before anything below them is.
        sync(path).map_err(failed)?;
        Ok(DataDir { path: path.to_owned(), _lock: lock })
    }

    /// The secret of all processes that ever used the folder; `fresh` if there is none yet.
    ///
    /// # Errors
    /// What is there is none, or it cannot be read or written.
    pub(crate) fn secret(&self, fresh: [u8; SECRET_BYTES]) -> Result<[u8; SECRET_BYTES], DataDirError> {
        let path = self.path.join("secret");
        match fs::read(&path) {
            Ok(bytes) => bytes
                .as_slice()
                .try_into()
                .map_err(|_| DataDirError::Secret { path: path.clone(), bytes: bytes.len() }),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                self.write_secret(&path, &fresh).map_err(|error| DataDirError::System { path, error })?;
                Ok(fresh)
            }
            Err(error) => Err(DataDirError::System { path, error }),
        }
    }

    /// Under its name there is never a part of it.
    fn write_secret(&self, path: &Path, secret: &[u8]) -> io::Result<()> {
        let unfinished = path.with_extension("new");
        let mut options = OpenOptions::new();
        let mut file = options.write(true).create(true).truncate(true).mode(0o600).open(&unfinished)?;
        file.write_all(secret)?;
        file.sync_all()?;
        fs::rename(&unfinished, path)?;
        sync(&self.path)
    }

    /// The directory of shard `series`' log; see [`Directory::open`].
    ///
    /// # Errors
    /// It cannot be opened.
    pub(crate) fn log(&self, series: u16, segment_bytes: u64) -> Result<Directory, DataDirError> {
        let path = self.log_path();
        Directory::open(&path, series, segment_bytes).map_err(|error| DataDirError::System { path, error })
    }

    /// All segments there are, of all series, in their order.
    ///
    /// # Errors
    /// The log's folder cannot be read.
    pub(crate) fn segments(&self) -> Result<Vec<Segment>, DataDirError> {
        let path = self.log_path();
        let names = || -> io::Result<Vec<Segment>> {
            let mut segments = Vec::new();
            for entry in fs::read_dir(&path)? {
                segments.extend(entry?.file_name().to_str().and_then(Segment::from_file_name));
            }
            segments.sort_unstable();
            Ok(segments)
        };
        names().map_err(|error| DataDirError::System { path: path.clone(), error })
    }

    /// What `segment` holds. The room that was set aside for it and never used is given back first.
    ///
    /// # Errors
    /// It cannot be read.
    pub(crate) fn read(&self, segment: Segment) -> Result<Mapped, DataDirError> {
        let path = self.log_path().join(segment.file_name());
        let read = || -> io::Result<Mapped> {
            let file = OpenOptions::new().read(true).write(true).open(&path)?;
            file.set_len(file.metadata()?.len())?;
            Mapped::of(&file)
        };
        read().map_err(|error| DataDirError::System { path: path.clone(), error })
    }

    fn log_path(&self) -> PathBuf {
        self.path.join("log")
    }
}

/// Takes the lock, and leaves this process's number in it for the one that does not get it. Waits up to 2 s
/// for a process that was killed and still holds it.
fn lock(directory: &Path) -> Result<File, DataDirError> {
    let path = directory.join("lock");
    let failed = |error| DataDirError::System { path: path.clone(), error };
    let mut options = OpenOptions::new();
    options.read(true).write(true).create(true).truncate(false).mode(0o600);
    let mut file = options.open(&path).map_err(failed)?;
    let patience = Instant::now() + PATIENCE;
    loop {
        match file.try_lock() {
            Ok(()) => break,
            Err(TryLockError::Error(error)) => return Err(failed(error)),
            Err(TryLockError::WouldBlock) if Instant::now() < patience => thread::sleep(PAUSE),
            Err(TryLockError::WouldBlock) => {
                let holder = fs::read_to_string(&path).unwrap_or_default().trim().to_owned();
                return Err(DataDirError::Held { path: directory.to_owned(), holder });
            }
        }
    }
    file.set_len(0).and_then(|()| writeln!(file, "{}", std::process::id())).map_err(failed)?;
    Ok(file)
}

/// Waits until a folder's names are on the disk.
fn sync(directory: &Path) -> io::Result<()> {
    File::open(directory)?.sync_all()
}

impl fmt::Display for DataDirError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            DataDirError::Held { path, holder } => write!(
                f,
                "the data folder {} is used by another process{}; stop it or choose another folder with --data-dir",
                path.display(),
                if holder.is_empty() { String::new() } else { format!(" ({holder})") }
            ),
            DataDirError::Secret { path, bytes } => write!(
                f,
                "{} is damaged: {bytes} bytes instead of {SECRET_BYTES}; restore it, or remove it, and what was sealed \
                 for clients before will be refused",
                path.display()
            ),
            DataDirError::System { path, error } => {
                write!(
                    f,
                    "{}: {error}; make it readable and writable, or choose another folder with --data-dir",
                    path.display()
                )
            }
        }
    }
}

impl std::error::Error for DataDirError {}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    /// A path below which nothing is yet, gone with the value.
    struct Temporary(PathBuf);

    impl Temporary {
        fn new(name: &str) -> Temporary {
            Temporary(std::env::temp_dir().join(format!("weir-data-{}-{name}", std::process::id())))
        }
    }

    impl Drop for Temporary {
        fn drop(&mut self) {
            let _ = fs::remove_dir_all(&self.0);
        }
    }

    #[test]
    fn the_folder_is_made_and_nobody_elses() {
        let folder = Temporary::new("made");
        let path = folder.0.join("deep/below");
        DataDir::open(&path).expect("made");
        let mode = fs::metadata(path.join("log")).expect("log").permissions().mode();
        assert_eq!(mode & 0o777, 0o700);
    }

    /// Takes the whole patience: that it gives up is what is tested.
    #[test]
    fn a_second_user_is_refused_with_the_first_ones_number() {
        let folder = Temporary::new("held");
        let first = DataDir::open(&folder.0).expect("free");
        let error = DataDir::open(&folder.0).expect_err("held").to_string();
        let said = format!("is used by another process ({}); stop it", std::process::id());
        assert!(error.contains(&said), "{error}");
        drop(first);
        DataDir::open(&folder.0).expect("free again");
    }

    #[test]
    fn the_secret_stays_and_is_nobody_elses() {
        let folder = Temporary::new("secret");
        let data = DataDir::open(&folder.0).expect("free");
        assert_eq!(data.secret([1; 32]).expect("made"), [1; 32]);
        assert_eq!(data.secret([2; 32]).expect("read"), [1; 32]);
        let path = folder.0.join("secret");
        assert_eq!(fs::metadata(&path).expect("secret").permissions().mode() & 0o777, 0o600);
        fs::write(&path, [0; 31]).expect("write");
        let error = data.secret([2; 32]).expect_err("damaged").to_string();
        assert!(error.contains("31 bytes instead of 32"), "{error}");
    }

    #[test]
    fn segments_are_found_in_order_and_read() {
        let folder = Temporary::new("segments");
        let data = DataDir::open(&folder.0).expect("free");
        let written = [(1, 2), (0, 16), (0, 3)].map(|(series, number)| Segment { series, number });
        for segment in written {
            let name = folder.0.join("log").join(segment.file_name());
            fs::write(name, segment.file_name()).expect("write");
        }
        fs::write(folder.0.join("log/notes.txt"), "of somebody").expect("write");
        let found = data.segments().expect("readable");
        assert_eq!(found, [written[2], written[1], written[0]]);
        assert_eq!(&*data.read(found[1]).expect("readable"), b"0000-00000010.log");
        assert!(data.read(Segment { series: 9, number: 9 }).is_err());
    }

    #[test]
    fn what_is_no_folder_is_refused_with_its_name() {
        let folder = Temporary::new("file");
        fs::write(&folder.0, "a file").expect("write");
        let error = DataDir::open(&folder.0).expect_err("a file").to_string();
        assert!(error.contains("weir-data") && error.contains("--data-dir"), "{error}");
        fs::remove_file(&folder.0).expect("remove");
    }
}
