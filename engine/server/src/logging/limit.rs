//! Lines of one kind, as many as there may be: what goes wrong a thousand times a second is said some times, and how often
//! it was.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use tracing::{Event, Metadata, Subscriber, warn};
use tracing_subscriber::Layer;
use tracing_subscriber::layer::Context;

/// How long lines of one kind are counted together.
pub(crate) const SPAN: Duration = Duration::from_secs(10);

/// What has bounds of its own: the audit log where it has no file, and what children say.
const EXEMPT: [&str; 2] = ["audit", "weir::control::children::stderr"];

/// Counts lines by what says them.
#[derive(Debug)]
pub(crate) struct Limit {
    /// Lines of one kind in a span; 0: no limit.
    most: u32,
    kinds: Mutex<BTreeMap<Kind, Lines>>,
}

/// The place in the code that says a line.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Kind {
    file: &'static str,
    line: u32,
}

/// Lines of one kind.
#[derive(Clone, Copy, Debug)]
struct Lines {
    since: Instant,
    said: u32,
    left_out: u64,
}

impl Limit {
    pub(super) fn new(most: u32) -> Limit {
        Limit { most, kinds: Mutex::default() }
    }

    /// As a part of the log.
    pub(super) fn layer(self: Arc<Limit>) -> Limited {
        Limited(self)
    }

    /// Whether one more line of a kind is said.
    fn admits(&self, kind: Kind, now: Instant) -> bool {
        let mut kinds = self.kinds.lock().unwrap_or_else(PoisonError::into_inner);
        let lines = kinds.entry(kind).or_insert(Lines { since: now, said: 0, left_out: 0 });
        // What was left out is told first.
        if now.duration_since(lines.since) >= SPAN && lines.left_out == 0 {
            *lines = Lines { since: now, said: 0, left_out: 0 };
        }
        let admits = lines.said < self.most;
        if admits {
            lines.said += 1;
        } else {
            lines.left_out += 1;
        }
        admits
    }

    /// What was left out of spans that are over.
    fn left_out(&self, now: Instant) -> Vec<(Kind, u64)> {
        let mut kinds = self.kinds.lock().unwrap_or_else(PoisonError::into_inner);
        let over = kinds.extract_if(.., |_, lines| now.duration_since(lines.since) >= SPAN);
        over.filter(|(_, lines)| lines.left_out > 0).map(|(kind, lines)| (kind, lines.left_out)).collect()
    }

    /// Says what was left out.
    pub(crate) fn tell(&self) {
        for (Kind { file, line }, left_out) in self.left_out(Instant::now()) {
            warn!(
                left_out,
                source = format!("{file}:{line}"),
                "lines like those of this source are left out: log.repeat"
            );
        }
    }
}

/// The limit, as a part of the log.
pub(super) struct Limited(Arc<Limit>);

impl<S: Subscriber> Layer<S> for Limited {
    fn event_enabled(&self, event: &Event<'_>, _: Context<'_, S>) -> bool {
        let said = event.metadata();
        self.0.most == 0 || EXEMPT.contains(&said.target()) || self.0.admits(kind_of(said), Instant::now())
    }
}

fn kind_of(said: &'static Metadata<'static>) -> Kind {
    Kind { file: said.file().unwrap_or(said.target()), line: said.line().unwrap_or_default() }
}

#[cfg(test)]
mod tests {
    use super::*;

    const KIND: Kind = Kind { file: "a.rs", line: 7 };
    const OTHER: Kind = Kind { file: "a.rs", line: 8 };

    #[test]
    fn what_is_left_out_is_counted_by_kind_and_told_once() {
        let (limit, now) = (Limit::new(2), Instant::now());
        let said = (0..5).filter(|_| limit.admits(KIND, now)).count();
        assert_eq!((said, limit.admits(OTHER, now)), (2, true));
        assert_eq!(limit.left_out(now), [], "the span is not over");
        let later = now + SPAN;
        assert!(!limit.admits(KIND, later), "first it is told what was left out");
        assert_eq!(limit.left_out(later), [(KIND, 4)]);
        assert!(limit.admits(KIND, later) && limit.left_out(later + SPAN).is_empty());
    }

    #[test]
    fn a_span_without_too_many_lines_ends_by_itself() {
        let (limit, now) = (Limit::new(2), Instant::now());
        for span in 0..5 {
            assert!(limit.admits(KIND, now + span * SPAN) && limit.admits(KIND, now + span * SPAN));
        }
    }
}
