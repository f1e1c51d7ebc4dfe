//! What the observed processes and the kernel have used, from /proc.

use std::{collections::BTreeMap, fs, io};

use crate::error::Error;

/// CPU time of all threads of all `pids` since their start, nanoseconds (schedstat: not sampled).
pub(crate) fn cpu_ns(pids: &[u32]) -> Result<u64, Error> {
    let mut total = 0;
    for &pid in pids {
        total += cpu_of(pid).map_err(|source| Error::Process { pid, source })?;
    }
    Ok(total)
}

fn cpu_of(pid: u32) -> io::Result<u64> {
    let mut total = 0;
    for task in fs::read_dir(format!("/proc/{pid}/task"))? {
        // A thread may end between the listing and the reading.
        if let Ok(text) = fs::read_to_string(task?.path().join("schedstat")) {
            total += number(text.split_whitespace().next());
        }
    }
    Ok(total)
}

/// Resident memory of all `pids`, bytes. smaps_rollup counts pages; VmRSS may lag behind it.
pub(crate) fn rss_bytes(pids: &[u32]) -> Result<u64, Error> {
    let mut total = 0;
    for &pid in pids {
        let text = fs::read_to_string(format!("/proc/{pid}/smaps_rollup"))
            .map_err(|source| Error::Process { pid, source })?;
        total += kib_after(&text, "Rss:") * 1024;
    }
    Ok(total)
}

/// The kernel's slab memory.
#[derive(Clone, Debug, Default)]
pub(crate) struct Slab {
    /// All of it, bytes.
    pub(crate) total: u64,
    /// Per cache, bytes of the objects in use. Empty unless root reads it.
    pub(crate) caches: BTreeMap<String, u64>,
}

/// Reads /proc/meminfo and, when allowed, /proc/slabinfo.
///
/// Root has the allocator give back its empty pages first: what a burst of joins left there is
/// nobody's memory, and differs by 30 B per client from run to run.
pub(crate) fn slab() -> Slab {
    give_back_empty_slabs();
    let meminfo = fs::read_to_string("/proc/meminfo").unwrap_or_default();
    let slabinfo = fs::read_to_string("/proc/slabinfo").unwrap_or_default();
    Slab { total: kib_after(&meminfo, "Slab:") * 1024, caches: caches(&slabinfo) }
}

/// SLUB's `shrink` (Documentation/ABI/testing/sysfs-kernel-slab). Who may not write there reads
/// the slabs as they are.
fn give_back_empty_slabs() {
    for cache in fs::read_dir("/sys/kernel/slab").into_iter().flatten().flatten() {
        let _ = fs::write(cache.path().join("shrink"), "1");
    }
}

/// `name active_objs num_objs objsize ...` (slabinfo(5)).
fn caches(slabinfo: &str) -> BTreeMap<String, u64> {
    slabinfo
        .lines()
        .skip(2)
        .filter_map(|line| {
            let mut words = line.split_whitespace();
            let name = words.next()?.to_owned();
            let active = number(words.next());
            Some((name, active * number(words.nth(1))))
        })
        .collect()
}

fn kib_after(text: &str, key: &str) -> u64 {
    let line = text.lines().find_map(|line| line.strip_prefix(key));
    number(line.and_then(|rest| rest.split_whitespace().next()))
}

fn number(word: Option<&str>) -> u64 {
    word.and_then(|word| word.parse().ok()).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slabinfo_gives_bytes_in_use_per_cache() {
        let text =
            "slabinfo - version: 2.1\n# name <active_objs> <num_objs> <objsize>\nio_kiocb 10 16 256 1 : x\n";
        assert_eq!(caches(text), BTreeMap::from([("io_kiocb".to_owned(), 2_560)]));
    }

    #[test]
    fn own_process_is_observed() {
        let pid = std::process::id();
        assert!(rss_bytes(&[pid]).unwrap() > 0);
        assert!(cpu_ns(&[pid]).is_ok());
        assert!(matches!(cpu_ns(&[u32::MAX]), Err(Error::Process { .. })));
    }
}
