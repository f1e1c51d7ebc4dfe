//! The live line, on a terminal only.

use std::{
    io::IsTerminal as _,
    time::{Duration, Instant},
};

use indicatif::{ProgressBar, ProgressStyle};

/// How often the line changes.
const REFRESH: Duration = Duration::from_millis(200);

/// A bar with what happened so far.
pub(crate) struct Progress {
    bar: ProgressBar,
    started: Instant,
    shown: Instant,
    count: u64,
    timed: bool,
}

impl Progress {
    /// A bar that fills with time.
    pub(crate) fn timed(length: Duration) -> Self {
        Self::new(length.as_millis() as u64, true)
    }

    /// A bar that fills with the count.
    pub(crate) fn counted(length: u64) -> Self {
        Self::new(length, false)
    }

    fn new(length: u64, timed: bool) -> Self {
        let bar = if std::io::stderr().is_terminal() {
            let style = ProgressStyle::with_template("{elapsed_precise} {bar:30} {msg}");
            ProgressBar::new(length).with_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()))
        } else {
            ProgressBar::hidden()
        };
        let now = Instant::now();
        Self { bar, started: now, shown: now, count: 0, timed }
    }

    /// Shows the count, its rate and the errors.
    pub(crate) fn show(&mut self, now: Instant, count: u64, errors: u64) {
        let since = now - self.shown;
        if self.bar.is_hidden() || since < REFRESH {
            return;
        }
        let rate = (count - self.count) as f64 / since.as_secs_f64();
        let position = if self.timed { (now - self.started).as_millis() as u64 } else { count };
        self.bar.set_position(position);
        self.bar.set_message(format!("{count} ({rate:.0}/s), {errors} errors"));
        (self.shown, self.count) = (now, count);
    }

    /// Takes the line away.
    pub(crate) fn finish(&self) {
        self.bar.finish_and_clear();
    }
}
