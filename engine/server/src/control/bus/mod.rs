//! The bus: what the shards and the control thread itself have to say, passed on to who wants to hear it. Publishing
//! waits for nobody: who does not keep up loses events of its own, and is told how many. Signals pass all events.

mod audience;
mod published;
mod sink;
mod stream;
mod traces;
mod webhook;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::broadcast::error::RecvError;
use tokio::sync::broadcast::{Receiver, Sender, channel};
use weir_shard::vsm::{Event, Topics};

pub(super) use self::audience::{Audience, Change};
pub(super) use self::published::{Matter, Published};
pub(crate) use self::sink::Sink;
pub(super) use self::stream::router;
pub(super) use self::traces::Traces;
pub(super) use self::webhook::{Desk, open};

/// Events that a subscriber may be behind.
const EVENTS_MAX: usize = 1_024;

/// Signals that a subscriber may be behind.
const SIGNALS_MAX: usize = 64;

/// Code that hears everything at once, on the control thread. It must not wait, and must not publish.
pub(crate) trait Observer: Send {
    /// Something was published.
    fn observe(&mut self, published: &Arc<Published>);
}

/// The bus. Clones share it.
#[derive(Clone)]
pub(crate) struct Bus {
    events: Sender<Arc<Published>>,
    signals: Sender<Arc<Published>>,
    observers: Arc<Mutex<Vec<Box<dyn Observer>>>>,
    flow: Arc<Mutex<Flow>>,
}

/// What has been on the bus, counted.
#[derive(Clone, Debug, Default)]
pub(super) struct Flow {
    /// By topic and name; all clients are one topic.
    pub(super) published: BTreeMap<(&'static str, &'static str), u64>,
    /// Lost by subscribers that did not keep up.
    pub(super) missed: u64,
    /// Left out by shards.
    pub(super) dropped: u64,
}

/// What one subscriber has yet to hear.
pub(super) struct Subscription {
    topics: Topics,
    events: Receiver<Arc<Published>>,
    signals: Receiver<Arc<Published>>,
    flow: Arc<Mutex<Flow>>,
}

/// What a subscriber hears.
#[derive(Debug)]
pub(super) enum Heard {
    Published(Arc<Published>),
    /// So many were lost, as it did not keep up.
    Missed(u64),
}

impl Bus {
    /// A bus that these observers hear.
    pub(crate) fn new(observers: Vec<Box<dyn Observer>>) -> Bus {
        let (events, signals) = (channel(EVENTS_MAX).0, channel(SIGNALS_MAX).0);
        Bus { events, signals, observers: Arc::new(Mutex::new(observers)), flow: Arc::default() }
    }

    /// Passes something on to who wants to hear it.
    pub(super) fn publish(&self, published: Published) {
        let published = Arc::new(published);
        lock(&self.flow).count(&published);
        for observer in self.observers.lock().unwrap_or_else(PoisonError::into_inner).iter_mut() {
            observer.observe(&published);
        }
        let channel = match published.matter {
            Matter::Event(_) => &self.events,
            Matter::Signal(_) => &self.signals,
        };
        // Nobody may be there.
        let _ = channel.send(published);
    }

    /// Hears `topics` from now on.
    pub(super) fn subscribe(&self, topics: Topics) -> Subscription {
        let (events, signals) = (self.events.subscribe(), self.signals.subscribe());
        Subscription { topics, events, signals, flow: Arc::clone(&self.flow) }
    }

    /// What has been on it.
    pub(super) fn flow(&self) -> Flow {
        lock(&self.flow).clone()
    }

    /// How many hear it now.
    pub(super) fn subscribers(&self) -> usize {
        self.events.receiver_count()
    }
}

impl Flow {
    fn count(&mut self, published: &Published) {
        *self.published.entry((published.topic().system(), published.name())).or_default() += 1;
        if let Matter::Event(Event::Dropped { count }) = published.matter {
            self.dropped += count;
        }
    }
}

fn lock(flow: &Mutex<Flow>) -> MutexGuard<'_, Flow> {
    flow.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Subscription {
    /// The next: signals before events. None: the bus is gone. Nothing is lost if it is given up.
    pub(super) async fn next(&mut self) -> Option<Heard> {
        loop {
            let received = tokio::select! {
                biased;
                signal = self.signals.recv() => signal,
                event = self.events.recv() => event,
            };
            match received {
                Ok(published) if self.topics.has(published.topic()) => {
                    return Some(Heard::Published(published));
                }
                Ok(_) => {}
                Err(RecvError::Lagged(missed)) => {
                    lock(&self.flow).missed += missed;
                    return Some(Heard::Missed(missed));
                }
                Err(RecvError::Closed) => return None,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use weir_ring::time::Wall;
    use weir_shard::vsm::{Cause, Event, Feeling, Signal, Source};

    use super::*;

    fn event(level: u8) -> Published {
        Published::event(Wall(0), Source::Shard(1), Event::SheddingChanged { level })
    }

    fn signal() -> Published {
        let (at, source, cause) = (Wall(0), Source::Control, Cause::Memory);
        Published::signal(Signal { at, source, signal: Feeling::Pain, cause, recovery_time_ms: None })
    }

    fn block_on<T>(future: impl Future<Output = T>) -> T {
        tokio::runtime::Builder::new_current_thread().build().expect("a runtime").block_on(future)
    }

    /// What `subscription` hears of what has been published.
    fn heard(subscription: &mut Subscription, count: usize) -> Vec<String> {
        let mut said = Vec::new();
        for _ in 0..count {
            said.push(match block_on(subscription.next()).expect("a bus") {
                Heard::Published(published) => published.name().to_owned(),
                Heard::Missed(count) => format!("missed {count}"),
            });
        }
        said
    }

    #[test]
    fn signals_pass_events_and_who_is_slow_loses_its_own() {
        let bus = Bus::new(Vec::new());
        let mut slow = bus.subscribe(Topics::all());
        let mut quick = bus.subscribe(Topics::all());
        for level in 0..3 {
            bus.publish(event(level));
        }
        bus.publish(signal());
        assert_eq!(heard(&mut quick, 2), ["pain", "shedding_changed"]);
        for _ in 0..EVENTS_MAX {
            bus.publish(event(3));
        }
        assert_eq!(heard(&mut slow, 3), ["pain", "missed 3", "shedding_changed"]);
        assert_eq!(heard(&mut quick, 2), ["missed 2", "shedding_changed"]);
    }

    #[test]
    fn who_wants_one_topic_hears_no_other() {
        let bus = Bus::new(Vec::new());
        let mut pains = bus.subscribe(Topics::of(["algedonic_channel"]).expect("a topic"));
        bus.publish(event(1));
        bus.publish(signal());
        assert_eq!(heard(&mut pains, 1), ["pain"]);
    }
}
