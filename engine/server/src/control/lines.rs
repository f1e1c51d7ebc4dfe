//! Files that lines are added to, which only this user may read.

use std::fs::OpenOptions;
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use tracing::warn;

/// Only this user may read who did what.
const FILE_MODE: u32 = 0o600;

/// Where lines go. Whoever writes them may wait.
pub(super) struct Lines {
    /// What it is, and where, for people.
    name: String,
    /// The key that says where.
    key: &'static str,
    to: Box<dyn Write + Send>,
    /// Lines that were not taken since some last were.
    lost: usize,
}

impl Lines {
    /// Opens the file, which is made if need be. `what` it is and the `key` that names it, for people.
    ///
    /// # Errors
    /// It cannot be written.
    pub(super) fn open(path: &Path, what: &str, key: &'static str) -> io::Result<Lines> {
        let file = OpenOptions::new().append(true).create(true).mode(FILE_MODE).open(path)?;
        Ok(Lines { name: format!("{what} {}", path.display()), key, to: Box::new(file), lost: 0 })
    }

    /// Standard output.
    pub(super) fn stdout(what: &str, key: &'static str) -> Lines {
        Lines { name: format!("{what} on standard output"), key, to: Box::new(io::stdout()), lost: 0 }
    }

    /// Appends `count` lines. That they are not taken is said once, and once that they are again.
    pub(super) fn append(&mut self, lines: &[u8], count: usize) {
        let Lines { name, key, to, lost } = self;
        match to.write_all(lines).and_then(|()| to.flush()) {
            Ok(()) if *lost > 0 => {
                warn!("the {name} is written again; {lost} records are lost");
                *lost = 0;
            }
            Ok(()) => {}
            Err(error) => {
                if *lost == 0 {
                    warn!("the {name} cannot be written: {error}; make room or name another {key}");
                }
                *lost += count;
            }
        }
    }
}
