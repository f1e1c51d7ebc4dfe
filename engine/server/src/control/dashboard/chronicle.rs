//! What was said on the bus of late, for pages that are opened later: news, what hurts, and how often what happened.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use weir_shard::vsm::{Cause, Event, Feeling, Topic};

use crate::control::bus::{Matter, Observer, Published};

/// News that are remembered.
const NEWS_MAX: usize = 100;

/// Signals that are remembered, however much else happens.
const SIGNALS_MAX: usize = 50;

/// What is remembered. Clones share it.
#[derive(Clone, Default)]
pub(in crate::control) struct Chronicle(Arc<Mutex<Inner>>);

#[derive(Default)]
struct Inner {
    news: VecDeque<Arc<Published>>,
    signals: VecDeque<Arc<Published>>,
    /// What hurts now, by what it is.
    pains: BTreeMap<Cause, Arc<Published>>,
    /// How often each event was said.
    counts: BTreeMap<&'static str, u64>,
}

/// How things stand.
pub(super) struct Standing {
    /// Signals of what hurts now.
    pub(super) pains: Vec<Arc<Published>>,
    /// How often each event was said.
    pub(super) counts: BTreeMap<&'static str, u64>,
}

impl Observer for Chronicle {
    fn observe(&mut self, published: &Arc<Published>) {
        self.lock().note(published);
    }
}

impl Chronicle {
    /// Signals and news, each the oldest first.
    pub(super) fn told(&self) -> Vec<Arc<Published>> {
        let inner = self.lock();
        inner.signals.iter().chain(&inner.news).cloned().collect()
    }

    pub(super) fn standing(&self) -> Standing {
        let inner = self.lock();
        Standing { pains: inner.pains.values().cloned().collect(), counts: inner.counts.clone() }
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Inner {
    fn note(&mut self, published: &Arc<Published>) {
        if !is_news(published) {
            return;
        }
        *self.counts.entry(published.name()).or_default() += 1;
        let Matter::Signal(signal) = &published.matter else {
            return remember(&mut self.news, NEWS_MAX, published);
        };
        match signal.signal {
            Feeling::Pain => drop(self.pains.insert(signal.cause.clone(), published.clone())),
            Feeling::Pleasure => drop(self.pains.remove(&signal.cause)),
        }
        remember(&mut self.signals, SIGNALS_MAX, published);
    }
}

/// Whether it is worth a line: figures of each moment, single connections and messages are not.
pub(super) fn is_news(published: &Published) -> bool {
    let figures = |event: &Event| {
        matches!(
            event,
            Event::GatewayPerformance(_)
                | Event::Connections { .. }
                | Event::ConnectionOpened { .. }
                | Event::ConnectionClosed { .. }
                | Event::Refused(_)
                | Event::Judged { .. }
        )
    };
    match &published.matter {
        Matter::Signal(_) => true,
        Matter::Event(event) => !figures(event) && !matches!(published.topic(), Topic::Client(_)),
    }
}

fn remember(list: &mut VecDeque<Arc<Published>>, most: usize, published: &Arc<Published>) {
    if list.len() == most {
        list.pop_front();
    }
    list.push_back(published.clone());
}

#[cfg(test)]
mod tests {
    use weir_ring::time::Wall;
    use weir_shard::vsm::{Opened, Signal, Source};

    use super::*;

    fn event(event: Event) -> Arc<Published> {
        Arc::new(Published::event(Wall(0), Source::Shard(0), event))
    }

    fn signal(signal: Feeling, cause: Cause) -> Arc<Published> {
        let (at, source) = (Wall(0), Source::Control);
        Arc::new(Published::signal(Signal { at, source, signal, cause, recovery_time_ms: None }))
    }

    #[test]
    fn a_pain_stands_until_it_is_over_however_much_happens() {
        let mut inner = Inner::default();
        inner.note(&signal(Feeling::Pain, Cause::Memory));
        inner.note(&signal(Feeling::Pain, Cause::Storage));
        for _ in 0..2 * NEWS_MAX {
            inner.note(&event(Event::SheddingChanged { level: 1 }));
        }
        for shard in 0..2 * SIGNALS_MAX as u16 {
            inner.note(&signal(Feeling::Pleasure, Cause::ShardLate(shard)));
        }
        inner.note(&signal(Feeling::Pleasure, Cause::Storage));
        assert_eq!(inner.pains.keys().collect::<Vec<_>>(), [&Cause::Memory]);
        assert_eq!((inner.news.len(), inner.signals.len()), (NEWS_MAX, SIGNALS_MAX));
        assert_eq!((inner.counts["shedding_changed"], inner.counts["pain"]), (2 * NEWS_MAX as u64, 2));
    }

    #[test]
    fn figures_of_each_moment_are_no_news() {
        let mut inner = Inner::default();
        let none = Opened::default();
        inner.note(&event(Event::Connections { websocket: none, http_sse: none, longpoll: none }));
        assert!(inner.news.is_empty() && inner.counts.is_empty());
    }
}
