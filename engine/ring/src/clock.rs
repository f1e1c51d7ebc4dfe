//! The one place that reads time from the kernel.

use crate::time::{Instant, Now, Wall};

/// The machine's clocks, read through the vDSO: no system call, about 20 ns each.
#[derive(Clone, Copy, Debug)]
pub struct Clock;

impl Clock {
    /// `CLOCK_MONOTONIC`, as of now.
    pub fn mono() -> Instant {
        let mono = read(libc::CLOCK_MONOTONIC);
        Instant(mono.tv_sec as u64 * 1_000_000_000 + mono.tv_nsec as u64)
    }

    /// `CLOCK_MONOTONIC` and `CLOCK_REALTIME`, as of now.
    pub fn now() -> Now {
        let wall = read(libc::CLOCK_REALTIME);
        Now { mono: Clock::mono(), wall: Wall(wall.tv_sec as u64 * 1_000 + wall.tv_nsec as u64 / 1_000_000) }
    }
}

fn read(clock: libc::clockid_t) -> libc::timespec {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: `time` is a valid place for the call to write one timespec to, and it is kept no longer
    // than the call.
    let result = unsafe { libc::clock_gettime(clock, &mut time) };
    assert_eq!(result, 0, "every Linux has both clocks");
    time
}

#[cfg(test)]
mod tests {
    use std::time::{SystemTime, UNIX_EPOCH};

    use super::*;

    #[test]
    fn monotonic_time_never_goes_back_and_wall_time_is_the_systems() {
        let mut last = Clock::now();
        for _ in 0..1_000 {
            let now = Clock::now();
            assert!(now.mono >= last.mono);
            last = now;
        }
        let before = SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970").as_millis() as u64;
        assert!(Clock::now().wall.0.abs_diff(before) < 60_000, "within a minute of the standard library");
    }
}
