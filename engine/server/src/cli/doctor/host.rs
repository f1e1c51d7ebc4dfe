//! What a host is set to: the values of knobs, as the kernel's files tell.

use std::fs;
use std::path::{Path, PathBuf};

use super::knob::{Kind, Knob};

/// The files of a host.
#[derive(Debug)]
pub(super) struct Host {
    /// What is below it is this host's, or that of the folder that `WEIR_ROOT` names.
    root: PathBuf,
    /// The cores that are online.
    pub(super) cores: Vec<usize>,
}

impl Host {
    pub(super) fn new(root: &str) -> Host {
        let root = PathBuf::from(if root.is_empty() { "/" } else { root });
        let online = fs::read_to_string(root.join("sys/devices/system/cpu/online")).unwrap_or_default();
        Host { root, cores: list(online.trim()) }
    }

    /// What the knob is set to, wherever it is; nothing that is not there or cannot be read.
    pub(super) fn values(&self, knob: &Knob) -> Vec<String> {
        let files = match knob.kind {
            Kind::Sysctl => vec![self.root.join("proc/sys").join(&knob.path)],
            Kind::Kernel => vec![self.root.join("proc/sys/kernel/osrelease")],
            Kind::File => self.found(&knob.path),
            Kind::Irq => {
                let numbers = self.found(&knob.path);
                let numbers = numbers.iter().filter_map(|found| found.file_name());
                numbers
                    .map(|number| self.root.join("proc/irq").join(number).join("smp_affinity_list"))
                    .collect()
            }
            Kind::Limit => return self.limit(&knob.path).into_iter().collect(),
        };
        files.iter().filter_map(|file| value(file)).collect()
    }

    /// A hard limit of this process, `memlock` in KiB.
    fn limit(&self, name: &str) -> Option<String> {
        let text = fs::read_to_string(self.root.join("proc/self/limits")).ok()?;
        let (title, unit) = match name {
            "nofile" => ("Max open files", 1),
            "memlock" => ("Max locked memory", 1_024),
            _ => return None,
        };
        let line = text.lines().find_map(|line| line.strip_prefix(title))?;
        let hard = line.split_whitespace().nth(1)?;
        Some(hard.parse::<u64>().map_or_else(|_| hard.to_owned(), |number| (number / unit).to_string()))
    }

    /// Files that a path finds in which `*` stands for any text without `/`, in their order.
    fn found(&self, pattern: &str) -> Vec<PathBuf> {
        let mut found = vec![self.root.clone()];
        for part in pattern.split('/').filter(|part| !part.is_empty()) {
            found = match part.split_once('*') {
                None => found.into_iter().map(|path| path.join(part)).filter(|path| path.exists()).collect(),
                Some((start, end)) => found.iter().flat_map(|path| children(path, start, end)).collect(),
            };
        }
        found.sort();
        found
    }
}

fn children(folder: &Path, start: &str, end: &str) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    let fits =
        |name: &str| name.len() >= start.len() + end.len() && name.starts_with(start) && name.ends_with(end);
    entries.filter(|entry| entry.file_name().to_str().is_some_and(fits)).map(|entry| entry.path()).collect()
}

/// A file's value: in one line, and of a list with a `[choice]` that choice.
fn value(file: &Path) -> Option<String> {
    let text = fs::read_to_string(file).ok()?;
    let text = text.split_whitespace().collect::<Vec<_>>().join(" ");
    let choice = text.split_once('[').and_then(|(_, rest)| rest.split_once(']'));
    let value = choice.map_or(text.clone(), |(choice, _)| choice.to_owned());
    (!value.is_empty()).then_some(value)
}

/// The numbers of a list such as `0-3,8`.
fn list(text: &str) -> Vec<usize> {
    let part = |part: &str| {
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        Some(first.parse().ok()?..=last.parse().ok()?)
    };
    text.split(',').filter_map(part).flatten().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_of_cores_are_numbers() {
        assert_eq!(list("0-2,8"), [0, 1, 2, 8]);
        assert!(list("").is_empty());
    }

    #[test]
    fn values_are_found_below_a_root() {
        let root = std::env::temp_dir().join(format!("weir-host-{}", std::process::id()));
        let write = |path: &str, text: &str| {
            let path = root.join(path);
            fs::create_dir_all(path.parent().expect("a folder")).expect("a folder");
            fs::write(path, text).expect("written");
        };
        write("sys/devices/system/cpu/online", "0-1\n");
        write("sys/kernel/mm/transparent_hugepage/enabled", "always [madvise] never\n");
        write(
            "proc/self/limits",
            "Limit  Soft  Hard  Units\nMax locked memory 65536 8388608 bytes\nMax open files 1024 unlimited files\n",
        );
        for queue in ["rx-1", "rx-0", "tx-0"] {
            write(&format!("sys/class/net/e0/queues/{queue}/rps_cpus"), &format!("{queue}\n"));
        }
        let host = Host::new(root.to_str().expect("a path"));
        let values = |kind, path: &str| {
            let text = String::new;
            host.values(&Knob {
                name: text(),
                kind,
                path: path.to_owned(),
                want: text(),
                why: text(),
                effect: text(),
                apply: text(),
                revert: text(),
            })
        };
        assert_eq!(host.cores, [0, 1]);
        assert_eq!(values(Kind::File, "/sys/kernel/mm/transparent_hugepage/enabled"), ["madvise"]);
        assert_eq!(values(Kind::File, "/sys/class/net/*/queues/rx-*/rps_cpus"), ["rx-0", "rx-1"]);
        assert_eq!(values(Kind::Limit, "memlock"), ["8192"]);
        assert_eq!(values(Kind::Limit, "nofile"), ["unlimited"]);
        assert!(values(Kind::Sysctl, "net/core/somaxconn").is_empty());
        fs::remove_dir_all(&root).expect("removed");
    }
}
