//! What the process uses of the machine, as the kernel tells it.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::time::Instant;

/// How data threads are named.
const DATA_THREAD: &str = "weir-";

/// The CPU time of the data threads, looked at from time to time.
#[derive(Debug, Default)]
pub(super) struct Cpu {
    /// Ticks of each thread at the last look, and when that was.
    before: Option<(Instant, BTreeMap<Box<str>, u64>)>,
}

impl Cpu {
    /// How busy the busiest data thread was since the last look, percent. None: there was none, or it is not told.
    pub(super) fn busiest(&mut self, now: Instant) -> Option<f32> {
        let ticks = data_threads();
        let (then, before) = self.before.replace((now, ticks.clone()))?;
        let most =
            ticks.iter().filter_map(|(thread, ticks)| ticks.checked_sub(*before.get(thread)?)).max()?;
        let seconds = most as f64 / rustix::param::clock_ticks_per_second() as f64;
        let elapsed = now.duration_since(then).as_secs_f64();
        (elapsed > 0.0).then(|| (seconds / elapsed * 100.0).min(100.0) as f32)
    }
}

/// Ticks of CPU time of each data thread (proc_pid_stat(5)).
fn data_threads() -> BTreeMap<Box<str>, u64> {
    let tasks = fs::read_dir("/proc/self/task").into_iter().flatten().flatten();
    let texts = tasks.filter_map(|task| fs::read_to_string(task.path().join("stat")).ok());
    texts.filter_map(|text| ticks(&text)).filter(|(name, _)| name.starts_with(DATA_THREAD)).collect()
}

/// The name of a thread, and its ticks in user space and in the kernel.
fn ticks(stat: &str) -> Option<(Box<str>, u64)> {
    let (front, rest) = stat.rsplit_once(')')?;
    let (_, name) = front.split_once('(')?;
    let mut fields = rest.split_ascii_whitespace().skip(11).map(str::parse::<u64>);
    let (user, system) = (fields.next()?.ok()?, fields.next()?.ok()?);
    Some((name.into(), user + system))
}

/// Bits a second of the machine's fastest link that is up, where it tells: /sys/class/net (sysfs-class-net).
pub(super) fn link_bits() -> Option<f64> {
    let links = fs::read_dir("/sys/class/net").ok()?.flatten();
    let up = links.map(|link| link.path()).filter(|path| said(path, "operstate").as_deref() == Some("up"));
    let megabits = up.filter_map(|path| said(&path, "speed")?.parse::<i64>().ok()).max()?;
    (megabits > 0).then(|| megabits as f64 * 1e6)
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
    fn a_thread_s_time_is_read() {
        let stat = "12 (weir-0) S 1 2 3 4 5 6 7 8 9 10 150 50 0 0 20 0 1 0 100 200 300";
        assert_eq!(ticks(stat), Some(("weir-0".into(), 200)));
        assert_eq!(ticks("12 (a) b) S 1 2 3 4 5 6 7 8 9 10 1 2 3"), Some(("a) b".into(), 3)));
        assert_eq!(ticks("12 (weir-0) S 1 2"), None);
        assert_eq!(ticks(""), None);
        assert!(fs::read_to_string("/proc/thread-self/stat").is_ok_and(|stat| ticks(&stat).is_some()));
    }

    #[test]
    fn the_file_system_has_an_end() {
        assert!(disk(&std::env::temp_dir()).is_some_and(|part| (0.0..=100.0).contains(&part)));
        assert_eq!(disk(Path::new("/no/such/folder")), None);
    }
}
