//! Spans that wait for the collector, and what has become of the others.

use std::collections::VecDeque;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use serde::Serialize;
use tokio::sync::Notify;
use weir_shard::span::Span;

/// Spans that wait; more are dropped.
const SPANS_MAX: usize = 8_192;

/// How long the first span of a batch waits for others.
const PAUSE: Duration = Duration::from_secs(1);

/// A span, and the shard that has recorded it.
pub(super) type Recorded = (u16, Span);

/// What waits. The lock is held for as long as it takes to move some.
#[derive(Default)]
pub(super) struct Queue {
    state: Mutex<State>,
    /// There is more.
    filled: Condvar,
    /// There is nothing more, or will not be.
    settled: Notify,
}

#[derive(Default)]
struct State {
    waiting: VecDeque<Recorded>,
    figures: Figures,
    /// The process ends: what waits is not to wait for more.
    finishing: bool,
}

/// What has become of spans.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub(in crate::control) struct Figures {
    /// Not sent yet, or not answered yet.
    pub(in crate::control) waiting: u64,
    /// Taken by the collector.
    pub(in crate::control) exported: u64,
    /// Dropped, as too many waited.
    pub(in crate::control) dropped: u64,
    /// Sent, and not taken.
    pub(in crate::control) failed: u64,
    /// The collector did not take the last that it was sent.
    pub(in crate::control) failing: bool,
}

impl Queue {
    /// Takes spans as far as there is room.
    pub(super) fn put(&self, shard: u16, spans: Vec<Span>, dropped: u64) {
        let mut state = self.lock();
        let room = SPANS_MAX.saturating_sub(state.waiting.len()).min(spans.len());
        state.figures.dropped += dropped + (spans.len() - room) as u64;
        state.figures.waiting += room as u64;
        state.waiting.extend(spans.into_iter().take(room).map(|span| (shard, span)));
        drop(state);
        self.filled.notify_one();
    }

    /// Waits for the next spans, at most `most`: until there are as many, or the first has waited long enough.
    pub(super) fn take(&self, most: usize) -> Vec<Recorded> {
        let mut state = self.lock();
        let mut due = None;
        loop {
            let (waiting, now) = (state.waiting.len(), Instant::now());
            let over = due.is_some_and(|due| now >= due) || state.finishing;
            if waiting >= most || waiting > 0 && over {
                return state.waiting.drain(..waiting.min(most)).collect();
            }
            state = if waiting == 0 {
                self.filled.wait(state).unwrap_or_else(PoisonError::into_inner)
            } else {
                let due = *due.get_or_insert(now + PAUSE);
                let waited = self.filled.wait_timeout(state, due.saturating_duration_since(now));
                waited.unwrap_or_else(PoisonError::into_inner).0
            };
        }
    }

    /// Of spans that were taken, so many were exported, and so many were not.
    pub(super) fn sent(&self, exported: u64, failed: u64) {
        let mut state = self.lock();
        let figures = &mut state.figures;
        figures.waiting -= exported + failed;
        figures.exported += exported;
        figures.failed += failed;
        drop(state);
        self.settled.notify_one();
    }

    /// The collector takes what it is sent from now on, or does not; whether that is news.
    pub(super) fn set_failing(&self, failing: bool) -> bool {
        let before = std::mem::replace(&mut self.lock().figures.failing, failing);
        self.settled.notify_one();
        before != failing
    }

    /// Waits until nothing waits, or the collector takes nothing.
    pub(super) async fn finish(&self) {
        self.lock().finishing = true;
        self.filled.notify_one();
        loop {
            let Figures { waiting, failing, .. } = self.figures();
            if waiting == 0 || failing {
                return;
            }
            self.settled.notified().await;
        }
    }

    pub(super) fn figures(&self) -> Figures {
        self.lock().figures
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use weir_shard::span::Stage;

    use super::*;
    use crate::control::telemetry::otlp::tests::span;

    fn spans(count: usize) -> Vec<Span> {
        vec![span(Stage::Accept); count]
    }

    #[test]
    fn what_does_not_fit_is_counted() {
        let queue = Queue::default();
        queue.put(0, spans(SPANS_MAX - 1), 2);
        queue.put(1, spans(5), 0);
        let figures = Figures { waiting: SPANS_MAX as u64, dropped: 2 + 4, ..Figures::default() };
        assert_eq!(queue.figures(), figures);
    }

    #[tokio::test]
    async fn a_batch_is_full_or_the_last() {
        let queue = Queue::default();
        queue.put(0, spans(5), 0);
        assert_eq!(queue.take(4).len(), 4);
        let rest = async {
            let rest = queue.take(4).len();
            queue.sent(3, 2);
            rest
        };
        assert_eq!(tokio::join!(queue.finish(), rest).1, 1);
        assert_eq!(queue.figures(), Figures { exported: 3, failed: 2, ..Figures::default() });
    }

    #[tokio::test]
    async fn an_end_waits_for_no_collector_that_takes_nothing() {
        let queue = Queue::default();
        queue.put(0, spans(5), 0);
        assert!(queue.set_failing(true) && !queue.set_failing(true));
        queue.finish().await;
        assert_eq!(queue.take(10).len(), 5, "and no span waits for another");
    }
}
