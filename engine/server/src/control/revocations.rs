//! Tokens that were withdrawn: what all shards are told, and what outlives the process where there is a data folder.
//!
//! The file has one JSON object a line, `{"jti", "until"}` (milliseconds since 1970); at start those whose time has
//! come are left out.

use std::collections::BTreeMap;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use weir_ring::time::Wall;
use weir_shard::limits::Revocation;

/// Most tokens that are withdrawn at a time: as many as a shard remembers.
const TOKENS_MAX: usize = 65_536;

/// All that hold.
#[derive(Debug, Default)]
pub(crate) struct Revocations {
    known: BTreeMap<Box<str>, Wall>,
    /// None: they are kept in memory alone.
    file: Option<File>,
}

/// Why a token is not revoked.
#[derive(Debug)]
pub(crate) enum Unrevoked {
    /// So many are that it would be forgotten.
    Full,
    /// The disk refuses it.
    Storage(io::Error),
}

/// A line of the file.
#[derive(Deserialize, Serialize)]
struct Line<'a> {
    jti: std::borrow::Cow<'a, str>,
    until: u64,
}

impl Revocations {
    /// Those of the processes before, of which a part of the last line may be missing.
    ///
    /// # Errors
    /// The file cannot be read or written.
    pub(crate) fn open(data_dir: &Path, now: Wall) -> Result<Revocations, (PathBuf, io::Error)> {
        let path = data_dir.join("revoked");
        let read = || -> io::Result<Revocations> {
            let text = match fs::read_to_string(&path) {
                Err(error) if error.kind() == io::ErrorKind::NotFound => String::new(),
                text => text?,
            };
            let lines = text.lines().filter_map(|line| serde_json::from_str::<Line<'_>>(line).ok());
            let mut known = BTreeMap::<Box<str>, Wall>::new();
            for Line { jti, until } in lines.filter(|line| line.until > now.0) {
                let longest = known.entry(jti.into()).or_default();
                *longest = Wall(until).max(*longest);
            }
            // Under its name there is never a part of it.
            let unfinished = path.with_extension("new");
            let mut options = OpenOptions::new();
            let mut file = options.write(true).create(true).truncate(true).mode(0o600).open(&unfinished)?;
            for (token_id, until) in &known {
                file.write_all(line(token_id, *until).as_bytes())?;
            }
            file.sync_all()?;
            fs::rename(&unfinished, &path)?;
            Ok(Revocations { known, file: Some(file) })
        };
        read().map_err(|error| (path.clone(), error))
    }

    /// Those of the gateway that this one succeeds, to be kept in memory as it did.
    pub(crate) fn inherited(tokens: &[(String, u64)]) -> Revocations {
        let known = tokens.iter().map(|(token_id, until)| (token_id.as_str().into(), Wall(*until)));
        Revocations { known: known.collect(), file: None }
    }

    /// All of them, as a shard is given them at start.
    pub(crate) fn all(&self) -> Box<[Revocation]> {
        let known = self.known.iter();
        known.map(|(token_id, until)| Revocation { token_id: token_id.clone(), until: *until }).collect()
    }

    /// One more. It is on the disk when this returns.
    ///
    /// # Errors
    /// It is not revoked.
    pub(super) fn add(&mut self, token_id: &str, until: Wall, now: Wall) -> Result<(), Unrevoked> {
        if self.known.len() >= TOKENS_MAX && !self.known.contains_key(token_id) {
            self.known.retain(|_, until| *until > now);
            if self.known.len() >= TOKENS_MAX {
                return Err(Unrevoked::Full);
            }
        }
        if let Some(file) = &mut self.file {
            let written = file.write_all(line(token_id, until).as_bytes()).and_then(|()| file.sync_data());
            written.map_err(Unrevoked::Storage)?;
        }
        let known = self.known.entry(token_id.into()).or_insert(until);
        *known = until.max(*known);
        Ok(())
    }
}

fn line(token_id: &str, until: Wall) -> String {
    let line = Line { jti: token_id.into(), until: until.0 };
    // Texts and numbers are always JSON.
    format!("{}\n", serde_json::to_string(&line).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A folder that is gone at the end of the test.
    struct Temporary(PathBuf);

    impl Temporary {
        fn new(name: &str) -> Temporary {
            let path = std::env::temp_dir().join(format!("weir-revoked-{}-{name}", std::process::id()));
            fs::create_dir_all(&path).expect("a folder");
            Temporary(path)
        }
    }

    impl Drop for Temporary {
        fn drop(&mut self) {
            let _ = fs::remove_dir_all(&self.0);
        }
    }

    fn names(revocations: &Revocations) -> Vec<(String, u64)> {
        revocations.all().iter().map(|one| (one.token_id.to_string(), one.until.0)).collect()
    }

    #[test]
    fn what_is_revoked_stays_so_for_its_time() {
        let folder = Temporary::new("stays");
        let mut first = Revocations::open(&folder.0, Wall(0)).expect("a file");
        for (token_id, until) in [("a", 10), ("b\n\"", 30), ("a", 20), ("b\n\"", 5)] {
            first.add(token_id, Wall(until), Wall(0)).expect("room");
        }
        assert_eq!(names(&first), [("a".into(), 20), ("b\n\"".into(), 30)]);
        let again = Revocations::open(&folder.0, Wall(19)).expect("a file");
        assert_eq!(again.known.get("a"), Some(&Wall(20)));
        let later = Revocations::open(&folder.0, Wall(20)).expect("a file");
        assert!(!later.known.contains_key("a"));
    }

    #[test]
    fn a_line_that_was_cut_is_left_out() {
        let folder = Temporary::new("cut");
        let text = format!("{}{{\"jti\":\"c\",\"un", line("a", Wall(9)));
        fs::write(folder.0.join("revoked"), text).expect("written");
        let mut found = Revocations::open(&folder.0, Wall(0)).expect("a file");
        assert_eq!(names(&found), [("a".into(), 9)]);
        found.add("d", Wall(9), Wall(0)).expect("room");
        let again = Revocations::open(&folder.0, Wall(0)).expect("a file");
        assert_eq!(names(&again), [("a".into(), 9), ("d".into(), 9)]);
    }

    #[test]
    fn there_are_so_many_at_most() {
        let mut revocations = Revocations::default();
        for number in 0..TOKENS_MAX {
            revocations.add(&number.to_string(), Wall(10), Wall(0)).expect("room");
        }
        assert!(matches!(revocations.add("one more", Wall(20), Wall(9)), Err(Unrevoked::Full)));
        assert!(revocations.add("7", Wall(20), Wall(9)).is_ok(), "it takes no room");
        assert!(revocations.add("one more", Wall(20), Wall(10)).is_ok());
    }
}
