//! What the process uses of the machine, as the kernel tells it.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::time::Instant;

/// How data threads are named, before their number.
const DATA_THREAD: &str = "weir-";

/// The CPU time of the data threads, looked at from time to time.
#[derive(Debug, Default)]
pub(super) struct Cpu {
    /// When the last look was, and what was seen.
    before: Option<(Instant, BTreeMap<u16, Thread>)>,
}

/// A data thread.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::control) struct Thread {
    /// Of CPU time, in user space and in the kernel.
    pub(in crate::control) ticks: u64,
    /// Where it last ran; it is pinned there.
    pub(in crate::control) core: u16,
}

impl Cpu {
    /// How busy the busiest core was with data threads since the last look, percent. None: there was no look, or nothing
    /// is told.
    pub(super) fn busiest(&mut self, now: Instant) -> Option<f32> {
        let threads = data_threads();
        let (then, before) = self.before.replace((now, threads.clone()))?;
        let seconds = most(&before, &threads)? as f64 / rustix::param::clock_ticks_per_second() as f64;
        let elapsed = now.duration_since(then).as_secs_f64();
        (elapsed > 0.0).then(|| (seconds / elapsed * 100.0).min(100.0) as f32)
    }
}

/// The ticks that passed on the core with the most.
fn most(before: &BTreeMap<u16, Thread>, now: &BTreeMap<u16, Thread>) -> Option<u64> {
    let mut cores = BTreeMap::new();
    for (number, thread) in now {
        let earlier = before.get(number).map_or(thread.ticks, |earlier| earlier.ticks);
        *cores.entry(thread.core).or_insert(0) += thread.ticks.saturating_sub(earlier);
    }
    cores.into_values().max()
}

/// The data threads by their numbers.
pub(in crate::control) fn data_threads() -> BTreeMap<u16, Thread> {
    let tasks = fs::read_dir("/proc/self/task").into_iter().flatten().flatten();
    let texts = tasks.filter_map(|task| fs::read_to_string(task.path().join("stat")).ok());
    texts.filter_map(|text| thread(&text)).collect()
}

/// A data thread, as proc_pid_stat(5) has it. None: it is another.
fn thread(stat: &str) -> Option<(u16, Thread)> {
    let (front, rest) = stat.rsplit_once(')')?;
    let number = front.split_once('(')?.1.strip_prefix(DATA_THREAD)?.parse().ok()?;
    // The first of them is the third of all.
    let fields: Vec<&str> = rest.split_ascii_whitespace().collect();
    let field = |number: usize| fields.get(number - 3)?.parse::<u64>().ok();
    Some((number, Thread { ticks: field(14)? + field(15)?, core: field(39)? as u16 }))
}

/// CPU time of all threads so far, seconds: proc_pid_stat(5), fields 14 and 15.
pub(super) fn cpu_seconds() -> Option<f64> {
    let stat = fs::read_to_string("/proc/self/stat").ok()?;
    let fields = stat.rsplit_once(')')?.1.split_ascii_whitespace();
    // The first of them is the third of all.
    let ticks: u64 = fields.skip(14 - 3).take(2).map(|field| field.parse::<u64>().unwrap_or(0)).sum();
    Some(ticks as f64 / rustix::param::clock_ticks_per_second() as f64)
}

/// Bits a second of the machine's fastest link that is up, where it tells: /sys/class/net (sysfs-class-net).
pub(super) fn link_bits() -> Option<f64> {
    let links = fs::read_dir("/sys/class/net").ok()?.flatten();
    let up = links.map(|link| link.path()).filter(|path| said(path, "operstate").as_deref() == Some("up"));
    let megabits = up.filter_map(|path| said(&path, "speed")?.parse::<i64>().ok()).max()?;
    (megabits > 0).then_some(megabits as f64 * 1e6)
}

fn said(link: &Path, what: &str) -> Option<String> {
    fs::read_to_string(link.join(what)).ok().map(|text| text.trim().to_owned())
}

/// How full the file system of `folder` is, percent, as its users see it.
pub(super) fn disk(folder: &Path) -> Option<f32> {
    let facts = rustix::fs::statvfs(folder).ok()?;
    let used = facts.f_blocks.checked_sub(facts.f_bfree)?;
    let all = used + facts.f_bavail;
    (all > 0).then(|| (used as f64 / all as f64 * 100.0) as f32)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn threads_share_cores() {
        let stat = |name: &str, user: u64, core: u16| {
            format!("12 ({name}) S 4 5 6 7 8 9 10 11 12 13 {user} 50 {}{core} 40 41", "0 ".repeat(23))
        };
        assert_eq!(thread(&stat("weir-0", 150, 1)), Some((0, Thread { ticks: 200, core: 1 })));
        assert_eq!(thread(&stat("weir-sink", 1, 1)), None);
        assert_eq!(thread(&stat("a) weir-0", 1, 1)), None);
        assert_eq!(thread("12 (weir-0) S 1 2"), None);
        assert_eq!(thread(""), None);
        let at = |ticks: [u64; 3]| {
            let cores = ticks.into_iter().zip([0, 1, 1]);
            (0..).zip(cores.map(|(ticks, core)| Thread { ticks, core })).collect::<BTreeMap<u16, _>>()
        };
        assert_eq!(most(&at([0, 0, 0]), &at([70, 40, 50])), Some(90), "two on one core");
        assert_eq!(most(&BTreeMap::new(), &at([70, 40, 50])), Some(0), "new threads");
        assert_eq!(most(&BTreeMap::new(), &BTreeMap::new()), None);
    }

    #[test]
    fn a_process_has_used_some_cpu() {
        assert!(cpu_seconds().is_some_and(|seconds| (0.0..1e9).contains(&seconds)));
    }

    #[test]
    fn the_file_system_has_an_end() {
        assert!(disk(&std::env::temp_dir()).is_some_and(|part| (0.0..=100.0).contains(&part)));
        assert_eq!(disk(Path::new("/no/such/folder")), None);
    }
}
