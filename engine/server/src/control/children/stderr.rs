//! What a child writes to standard error, as lines of the gateway's log.

use std::sync::Arc;
use std::time::Duration;

use rustix::process::Pid;
use tokio::io::AsyncReadExt;
use tokio::process::ChildStderr;
use tokio::time::{self, Instant};
use tracing::info;

/// Lines of one child that are logged in each [`SPAN`].
const LINES_MAX: u32 = 100;
const SPAN: Duration = Duration::from_secs(1);

/// Bytes of a line; a longer one is logged in pieces.
const LINE_BYTES_MAX: usize = 4_096;

/// Logs `stderr` until its end.
pub(super) async fn log(upstream: Arc<str>, pid: Pid, mut stderr: ChildStderr) {
    let mut chunk = [0; LINE_BYTES_MAX];
    let mut line = Vec::new();
    let mut pace = Pace::new(Instant::now());
    loop {
        let read = match pace.due() {
            Some(due) => time::timeout_at(due, stderr.read(&mut chunk)).await.ok(),
            None => Some(stderr.read(&mut chunk).await),
        };
        let bytes = match read {
            Some(Ok(0) | Err(_)) => break,
            Some(Ok(len)) => &chunk[..len],
            None => &[],
        };
        tell(&upstream, pid, pace.left_out(Instant::now()));
        for byte in bytes {
            if *byte != b'\n' {
                line.push(*byte);
            }
            if *byte == b'\n' || line.len() == LINE_BYTES_MAX {
                say(&upstream, pid, &mut line, &mut pace);
            }
        }
    }
    say(&upstream, pid, &mut line, &mut pace);
    tell(&upstream, pid, pace.left_out);
}

/// Logs `line`, unless it is empty or one too many, and empties it.
fn say(upstream: &str, pid: Pid, line: &mut Vec<u8>, pace: &mut Pace) {
    if !line.is_empty() && pace.admits() {
        info!(upstream, %pid, "{}", printable(line));
    }
    line.clear();
}

fn tell(upstream: &str, pid: Pid, left_out: u64) {
    if left_out > 0 {
        info!(upstream, %pid, "{left_out} lines of the child are left out: more than {LINES_MAX} a second");
    }
}

/// As text that cannot disguise itself as other lines of the log or steer a terminal.
fn printable(line: &[u8]) -> String {
    let text = String::from_utf8_lossy(line);
    let text = text.trim_end_matches('\r').chars();
    text.map(|c| if c.is_control() && c != '\t' { char::REPLACEMENT_CHARACTER } else { c }).collect()
}

/// How many lines there were in the present span.
struct Pace {
    since: Instant,
    lines: u32,
    left_out: u64,
}

impl Pace {
    fn new(now: Instant) -> Pace {
        Pace { since: now, lines: 0, left_out: 0 }
    }

    /// Whether one more line may be logged; if not, it counts as left out.
    fn admits(&mut self) -> bool {
        let admits = self.lines < LINES_MAX;
        if admits {
            self.lines += 1;
        } else {
            self.left_out += 1;
        }
        admits
    }

    /// When it is to be told that lines were left out.
    fn due(&self) -> Option<Instant> {
        (self.left_out > 0).then(|| self.since + SPAN)
    }

    /// Begins a new span if the present one is over; how many lines the old one left out.
    fn left_out(&mut self, now: Instant) -> u64 {
        if now < self.since + SPAN {
            return 0;
        }
        let left_out = self.left_out;
        *self = Pace::new(now);
        left_out
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_beyond_the_pace_are_left_out_and_counted() {
        let start = Instant::now();
        let mut pace = Pace::new(start);
        assert_eq!((0..150).filter(|_| pace.admits()).count(), 100);
        assert_eq!(pace.due(), Some(start + SPAN));
        assert_eq!(pace.left_out(start + SPAN / 2), 0);
        assert!(!pace.admits());
        assert_eq!(pace.left_out(start + SPAN), 51);
        assert_eq!((pace.due(), pace.left_out(start + 3 * SPAN)), (None, 0));
        assert!(pace.admits());
    }

    #[test]
    fn lines_are_made_printable() {
        assert_eq!(printable(b"a\tb\r"), "a\tb");
        assert_eq!(printable(b"\x1b[31mred \xff"), "\u{fffd}[31mred \u{fffd}");
    }
}
