//! Time as a value. Only `clock` reads it from the kernel.

use std::time::Duration;

/// One reading of both clocks, taken once before a turn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Now {
    /// For deadlines: never goes back.
    pub mono: Instant,
    /// For timestamps that people read: may jump.
    pub wall: Wall,
}

/// Monotonic time in nanoseconds from an arbitrary start.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Default, Hash)]
pub struct Instant(pub u64);

/// Wall clock in milliseconds since the Unix epoch.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Default, Hash)]
pub struct Wall(pub u64);

impl Instant {
    /// Whole milliseconds since the start of the clock.
    pub const fn as_millis(self) -> u64 {
        self.0 / 1_000_000
    }

    /// Whole seconds since the start of the clock; 136 years fit.
    pub const fn as_secs(self) -> u32 {
        (self.0 / 1_000_000_000) as u32
    }

    /// Time since `earlier`; zero if `earlier` lies ahead.
    pub const fn since(self, earlier: Instant) -> Duration {
        Duration::from_nanos(self.0.saturating_sub(earlier.0))
    }

    /// The instant `after` later, at most the end of time.
    #[must_use]
    pub const fn plus(self, after: Duration) -> Instant {
        let nanos = after.as_nanos();
        if nanos > u64::MAX as u128 {
            Instant(u64::MAX)
        } else {
            Instant(self.0.saturating_add(nanos as u64))
        }
    }
}
