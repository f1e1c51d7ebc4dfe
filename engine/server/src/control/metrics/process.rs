//! The process as the kernel sees it, by the names that all programs use for it.

use std::fs;

use super::page::Page;

/// Bytes, seconds and counts of proc_pid_stat(5), proc_pid_fd(5) and proc_pid_limits(5).
#[derive(Debug, Default, PartialEq)]
struct Process {
    cpu_seconds: f64,
    /// Since the epoch.
    start_seconds: Option<f64>,
    resident_bytes: u64,
    virtual_bytes: u64,
    threads: u64,
}

/// What the kernel does not tell is left out.
pub(super) fn write(page: &mut Page) {
    let read = |path: &str| fs::read_to_string(path).ok();
    let booted = read("/proc/stat").and_then(|text| booted(&text));
    if let Some(process) = read("/proc/self/stat").and_then(|text| Process::read(&text, booted)) {
        process.write(page);
    }
    if let Ok(open) = fs::read_dir("/proc/self/fd") {
        page.gauge("process_open_fds", "File descriptors; sockets in tables of rings are none.")
            .sample(&[], open.count());
    }
    if let Some(most) = read("/proc/self/limits").and_then(|text| most_files(&text)) {
        page.gauge("process_max_fds", "The most file descriptors there may be.").sample(&[], most);
    }
}

impl Process {
    fn read(stat: &str, booted: Option<f64>) -> Option<Process> {
        let (_, rest) = stat.rsplit_once(')')?;
        // The first of them is the third of all.
        let fields: Vec<&str> = rest.split_ascii_whitespace().collect();
        let field = |number: usize| fields.get(number - 3)?.parse::<u64>().ok();
        let seconds = |ticks: u64| ticks as f64 / rustix::param::clock_ticks_per_second() as f64;
        let started = field(22)?;
        Some(Process {
            cpu_seconds: seconds(field(14)? + field(15)?),
            start_seconds: booted.map(|booted| booted + seconds(started)),
            resident_bytes: field(24)? * rustix::param::page_size() as u64,
            virtual_bytes: field(23)?,
            threads: field(20)?,
        })
    }

    fn write(&self, page: &mut Page) {
        page.counter(
            "process_cpu_seconds_total",
            "CPU time of all threads, in user space and in the kernel.",
        )
        .sample(&[], self.cpu_seconds);
        page.gauge("process_resident_memory_bytes", "Memory that is there.").sample(&[], self.resident_bytes);
        page.gauge("process_virtual_memory_bytes", "Memory that is mapped.").sample(&[], self.virtual_bytes);
        page.gauge("process_threads", "Threads.").sample(&[], self.threads);
        if let Some(start) = self.start_seconds {
            page.gauge("process_start_time_seconds", "When the process began, since 1970.")
                .sample(&[], start);
        }
    }
}

/// When the machine began, as /proc/stat says.
fn booted(text: &str) -> Option<f64> {
    text.lines().find_map(|line| line.strip_prefix("btime "))?.trim().parse().ok()
}

/// The soft limit, as /proc/self/limits says.
fn most_files(text: &str) -> Option<u64> {
    let line = text.lines().find_map(|line| line.strip_prefix("Max open files"))?;
    line.split_ascii_whitespace().next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_kernel_says_is_read() {
        assert_eq!(booted("cpu 1\nbtime 1700000000\n"), Some(1_700_000_000.0));
        assert_eq!(most_files("Max open files            1024                 4096   files\n"), Some(1_024));
        let stat = fs::read_to_string("/proc/self/stat").expect("a process");
        let process = Process::read(&stat, Some(0.0)).expect("figures");
        assert!(
            process.resident_bytes > 0
                && process.virtual_bytes > process.resident_bytes
                && process.threads > 0
        );
        assert_eq!(Process::read("1 (weir) S 1", None), None);
    }
}
