//! The control thread's blacklist: the one that it shows, and what of it outlives the process where there is a data
//! folder.
//!
//! The file has one JSON object a line, `{"subject", "until", "reason"}` (milliseconds since 1970; null: for good), or
//! `{"subject", "removed": true}`; the last line about somebody counts. What the configuration names is not in it, and
//! is back after a restart whatever was removed.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use serde::{Deserialize, Serialize};
use weir_ring::time::Wall;
use weir_shard::limits::{Listing, Subject, Terms};
use weir_shard::policy::blacklist::{Blacklist, Change};

/// Lines of a file that is written anew once it has as many as these, and twice as many as there are entries.
const LINES: usize = 10_000;

/// The list. All shards have the same.
#[derive(Debug)]
pub(crate) struct Listed(Mutex<Inner>);

#[derive(Debug)]
struct Inner {
    list: Blacklist,
    /// Those of the configuration.
    configured: Vec<Listing>,
    /// None: it is kept in memory alone.
    file: Option<Journal>,
}

/// The file.
#[derive(Debug)]
struct Journal {
    path: PathBuf,
    file: File,
    lines: usize,
}

/// Why the list does not change.
#[derive(Debug)]
pub(super) enum Unchanged {
    /// It holds as many as it may.
    Full,
    /// There is no such entry.
    Unknown,
    /// The disk refuses it.
    Storage(io::Error),
}

/// A line of the file.
#[derive(Deserialize, Serialize)]
struct Line {
    subject: String,
    #[serde(default)]
    until: Option<u64>,
    #[serde(default)]
    reason: Box<str>,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    removed: bool,
}

impl Listed {
    /// Those that are configured, and nothing else, until the process ends.
    pub(crate) fn in_memory(configured: &[Listing]) -> Listed {
        Listed(Mutex::new(Inner::of(configured, Blacklist::with(configured, 0), None)))
    }

    /// Those that are configured, and those of the processes before, of which a part of the last line may be missing.
    ///
    /// # Errors
    /// The file cannot be read or written.
    pub(crate) fn open(
        configured: &[Listing],
        data_dir: &Path,
        now: Wall,
    ) -> Result<Listed, (PathBuf, io::Error)> {
        let path = data_dir.join("blacklist");
        let read = || -> io::Result<Listed> {
            let text = match fs::read_to_string(&path) {
                Err(error) if error.kind() == io::ErrorKind::NotFound => String::new(),
                text => text?,
            };
            let mut own = Blacklist::new(0);
            for line in text.lines().filter_map(|line| serde_json::from_str::<Line>(line).ok()) {
                // The list that wrote it was not full, either.
                let _ = line.change().map(|change| own.change(change));
            }
            own.sweep(now);
            let own: Vec<Listing> =
                own.entries().map(|(subject, terms)| Listing { subject, terms: terms.clone() }).collect();
            let file = Some(Journal::write(path.clone(), &own)?);
            let all: Vec<Listing> = configured.iter().cloned().chain(own).collect();
            Ok(Listed(Mutex::new(Inner::of(configured, Blacklist::with(&all, 0), file))))
        };
        read().map_err(|error| (path.clone(), error))
    }

    /// All of them, as a shard is given them at start.
    pub(crate) fn all(&self) -> Vec<Listing> {
        let entries = |inner: &mut Inner| {
            let entries = inner.list.entries();
            entries.map(|(subject, terms)| Listing { subject, terms: terms.clone() }).collect()
        };
        self.with(entries)
    }

    /// All of them that hold, in their order.
    pub(super) fn holding(&self, now: Wall) -> Vec<Listing> {
        self.with(|inner| inner.list.sweep(now));
        let mut all = self.all();
        all.sort_by_cached_key(|listing| listing.subject.to_string());
        all
    }

    /// Makes a change. It is on the disk when this returns.
    ///
    /// # Errors
    /// The list is as before.
    pub(super) fn change(&self, change: &Change, now: Wall) -> Result<(), Unchanged> {
        self.with(|inner| {
            inner.list.sweep(now);
            if let Change::Remove(subject) = change
                && !inner.list.entries().any(|(other, _)| other == *subject)
            {
                return Err(Unchanged::Unknown);
            }
            if matches!(change, Change::Add(..)) && !inner.list.has_room() {
                return Err(Unchanged::Full);
            }
            // On the disk first: what is said to hold does so after a restart, too.
            if let Some(file) = &mut inner.file {
                file.append(change).map_err(Unchanged::Storage)?;
            }
            inner.list.change(change.clone()).map_err(|_| Unchanged::Full)?;
            inner.tidy().map_err(Unchanged::Storage)
        })
    }

    /// The configuration names these now: what changes by it. Others stay as they are.
    pub(super) fn renew(&self, configured: &[Listing]) -> Vec<Change> {
        self.with(|inner| {
            let old = std::mem::replace(&mut inner.configured, configured.to_vec());
            let gone = old.iter().filter(|listing| !configured.contains(listing));
            let come = configured.iter().filter(|listing| !old.contains(listing));
            let gone = gone.map(|listing| Change::Remove(listing.subject.clone()));
            let come = come.map(|listing| Change::Add(listing.subject.clone(), listing.terms.clone()));
            let changes: Vec<Change> = gone.chain(come).collect();
            for change in &changes {
                // The list holds more than a configuration names.
                let _ = inner.list.change(change.clone());
            }
            changes
        })
    }

    fn with<T>(&self, work: impl FnOnce(&mut Inner) -> T) -> T {
        work(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Inner {
    fn of(configured: &[Listing], list: Blacklist, file: Option<Journal>) -> Inner {
        Inner { list, configured: configured.to_vec(), file }
    }

    /// Writes the file anew if most of it is of no use.
    fn tidy(&mut self) -> io::Result<()> {
        let Some(file) = &self.file else { return Ok(()) };
        let entries = self.list.entries();
        if file.lines < LINES || file.lines < 2 * entries.count() {
            return Ok(());
        }
        let own = self.list.entries().map(|(subject, terms)| Listing { subject, terms: terms.clone() });
        let own: Vec<Listing> = own.filter(|listing| !self.configured.contains(listing)).collect();
        self.file = Some(Journal::write(file.path.clone(), &own)?);
        Ok(())
    }
}

impl Journal {
    /// A file of these alone. Under its name there is never a part of it.
    fn write(path: PathBuf, listings: &[Listing]) -> io::Result<Journal> {
        let unfinished = path.with_extension("new");
        let mut options = OpenOptions::new();
        let mut file = options.write(true).create(true).truncate(true).mode(0o600).open(&unfinished)?;
        for Listing { subject, terms } in listings {
            file.write_all(Line::of(&Change::Add(subject.clone(), terms.clone())).text().as_bytes())?;
        }
        file.sync_all()?;
        fs::rename(&unfinished, &path)?;
        Ok(Journal { path, file, lines: listings.len() })
    }

    fn append(&mut self, change: &Change) -> io::Result<()> {
        self.lines += 1;
        self.file.write_all(Line::of(change).text().as_bytes())?;
        self.file.sync_data()
    }
}

impl Line {
    fn of(change: &Change) -> Line {
        match change {
            Change::Add(subject, Terms { until, reason }) => Line {
                subject: subject.to_string(),
                until: until.map(|until| until.0),
                reason: reason.clone(),
                removed: false,
            },
            Change::Remove(subject) => {
                Line { subject: subject.to_string(), until: None, reason: "".into(), removed: true }
            }
        }
    }

    /// None: it names nobody.
    fn change(self) -> Option<Change> {
        let subject: Subject = self.subject.parse().ok()?;
        Some(match self.removed {
            true => Change::Remove(subject),
            false => Change::Add(subject, Terms { until: self.until.map(Wall), reason: self.reason }),
        })
    }

    fn text(&self) -> String {
        // Texts and numbers are always JSON.
        format!("{}\n", serde_json::to_string(self).unwrap_or_default())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A folder that is gone at the end of the test.
    struct Temporary(PathBuf);

    impl Temporary {
        fn new(name: &str) -> Temporary {
            let path = std::env::temp_dir().join(format!("weir-listed-{}-{name}", std::process::id()));
            fs::create_dir_all(&path).expect("a folder");
            Temporary(path)
        }

        fn open(&self, now: u64) -> Listed {
            let configured = Listing::configured("client:configured".parse().expect("a subject"));
            Listed::open(&[configured], &self.0, Wall(now)).expect("a file")
        }
    }

    impl Drop for Temporary {
        fn drop(&mut self) {
            let _ = fs::remove_dir_all(&self.0);
        }
    }

    fn add(listed: &Listed, subject: &str, until: Option<u64>) {
        let terms = Terms { until: until.map(Wall), reason: "a \"reason\"\n".into() };
        let change = Change::Add(subject.parse().expect("a subject"), terms);
        listed.change(&change, Wall(0)).expect("room");
    }

    fn names(listed: &Listed) -> Vec<String> {
        listed.holding(Wall(0)).iter().map(|listing| listing.subject.to_string()).collect()
    }

    #[test]
    fn entries_outlive_the_process_until_their_time_is_over() {
        let folder = Temporary::new("stays");
        let first = folder.open(0);
        for (subject, until) in [("10.0.0.0/8", None), ("client:a b", Some(20)), ("client:gone", None)] {
            add(&first, subject, until);
        }
        let gone = Change::Remove("client:gone".parse().expect("a subject"));
        first.change(&gone, Wall(0)).expect("it is there");
        assert!(matches!(first.change(&gone, Wall(0)), Err(Unchanged::Unknown)));
        let again = folder.open(19);
        assert_eq!(names(&again), ["10.0.0.0/8", "client:a b", "client:configured"]);
        assert_eq!(
            &*again.all().iter().find(|it| it.terms.until.is_some()).expect("one").terms.reason,
            "a \"reason\"\n"
        );
        assert_eq!(names(&folder.open(20)), ["10.0.0.0/8", "client:configured"]);
    }

    #[test]
    fn a_line_that_was_cut_is_left_out_and_the_file_does_not_grow_for_ever() {
        let folder = Temporary::new("cut");
        fs::write(folder.0.join("blacklist"), "{\"subject\":\"client:a\"}\n{\"subject\":\"client:b\",\"un")
            .expect("written");
        let listed = folder.open(0);
        assert_eq!(names(&listed), ["client:a", "client:configured"]);
        listed.with(|inner| inner.file.as_mut().expect("a file").lines = LINES);
        add(&listed, "client:c", None);
        let text = fs::read_to_string(folder.0.join("blacklist")).expect("the file");
        assert_eq!(text.lines().count(), 2, "{text}");
    }
}
