//! The memory budget: how much the process uses is looked at four times a second, and the shards are told what to
//! give back.

use std::fs;
use std::time::{Duration, Instant};

use tokio::time;
use weir_ring::token::Member;
use weir_shard::mail::Mail;
use weir_shard::vsm::{Cause, Feeling};

use super::mailbox::Mailbox;

/// How often memory is looked at.
const INTERVAL: Duration = Duration::from_millis(250);

/// How often shards are told again to give something back: what they gave is free a moment later.
const PATIENCE: Duration = Duration::from_secs(1);

/// Looks at memory and at what troubles have ended, as long as the process lives.
pub(super) async fn watch(mailbox: Mailbox, budget: u64) {
    let mut watched = Budget { budget, told: None };
    let mut ticks = time::interval(INTERVAL);
    loop {
        ticks.tick().await;
        mailbox.settle_troubles();
        let Some(used) = resident() else { continue };
        let Some(bytes) = watched.look(used, Instant::now()) else { continue };
        mailbox.feel(Cause::Memory, if bytes > 0 { Feeling::Pain } else { Feeling::Pleasure });
        let share = bytes.div_ceil(u64::from(mailbox.shards())) as usize;
        for shard in 0..mailbox.shards() {
            mailbox.send(Member(shard), Mail::Squeeze(share)).await;
        }
    }
}

/// What the process may use, and what was said about it.
#[derive(Debug)]
struct Budget {
    /// Bytes.
    budget: u64,
    /// It is exceeded, and the shards were told so then.
    told: Option<Instant>,
}

impl Budget {
    /// The process uses so many bytes: how many the shards are to be told to give back, if they are to be told
    /// anything. 0: there is enough again.
    fn look(&mut self, used: u64, now: Instant) -> Option<u64> {
        match self.told {
            None if used <= self.budget => None,
            Some(_) if used <= self.budget => {
                self.told = None;
                Some(0)
            }
            Some(told) if now.duration_since(told) < PATIENCE => None,
            _ => {
                self.told = Some(now);
                // A little more, so that the next message is not at once too much.
                Some(used - self.budget + self.budget / 20)
            }
        }
    }
}

/// Bytes of the process that are in memory (proc_pid_statm(5)).
pub(super) fn resident() -> Option<u64> {
    let text = fs::read_to_string("/proc/self/statm").ok()?;
    let pages: u64 = text.split(' ').nth(1)?.parse().ok()?;
    Some(pages * rustix::param::page_size() as u64)
}

/// Seven tenths of what the process may use: of the machine's memory, or of its control group's if that is less.
pub(crate) fn default_budget() -> u64 {
    let machine = fs::read_to_string("/proc/meminfo").ok().and_then(|text| total(&text));
    let group = fs::read_to_string("/proc/self/cgroup").ok().and_then(|text| limit_of_group(&text));
    machine.into_iter().chain(group).min().unwrap_or(u64::MAX) / 10 * 7
}

/// The machine's memory, as /proc/meminfo says.
fn total(text: &str) -> Option<u64> {
    let line = text.lines().find_map(|line| line.strip_prefix("MemTotal:"))?;
    let kib: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kib << 10)
}

/// The least limit of the process's control group and those above it, where /proc/self/cgroup says which that is
/// (cgroups(7), version 2).
fn limit_of_group(text: &str) -> Option<u64> {
    let group = text.lines().find_map(|line| line.strip_prefix("0::/"))?;
    let mut folder = std::path::Path::new("/sys/fs/cgroup").join(group);
    let mut least = None;
    while folder.starts_with("/sys/fs/cgroup") {
        let limit = fs::read_to_string(folder.join("memory.max")).ok();
        let limit: Option<u64> = limit.and_then(|text| text.trim().parse().ok());
        least = least.into_iter().chain(limit).min();
        folder.pop();
    }
    least
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_too_much_is_asked_back_and_a_little_more() {
        let mut budget = Budget { budget: 1_000, told: None };
        let start = Instant::now();
        let at = |millis| start + Duration::from_millis(millis);
        assert_eq!(budget.look(1_000, at(0)), None);
        assert_eq!(budget.look(1_200, at(250)), Some(250));
        assert_eq!(budget.look(1_200, at(500)), None, "it takes a moment");
        assert_eq!(budget.look(1_100, at(1_250)), Some(150));
        assert_eq!(budget.look(1_000, at(1_500)), Some(0));
        assert_eq!(budget.look(1_000, at(1_750)), None);
    }

    #[test]
    fn the_machine_and_this_process_have_memory() {
        assert!(resident().is_some_and(|bytes| bytes > 1 << 20));
        assert!(default_budget() < u64::MAX / 2);
        assert_eq!(total("MemTotal:       16384 kB\nMemFree: 1 kB\n"), Some(16 << 20));
        assert_eq!(limit_of_group("0::/no-such-group\n"), limit_of_group("0::/\n"));
    }
}
