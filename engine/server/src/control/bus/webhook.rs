//! Webhooks: each is told what it wants to hear, one request for each event, in order. What it does not take is sent
//! again, later and later. Signals have a queue of their own and wait for no event.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use super::Observer;
use super::published::{Matter, Published};
use crate::config::Webhook;
use crate::control::hook::{Untaken, post};
use crate::control::https;
use crate::gateway::random;
use serde::Serialize;
use tokio::sync::Notify;
use tokio::{task, time};
use tracing::{info, warn};
use ureq::Agent;

/// Events, and signals, that wait for one webhook. Beyond, the oldest goes.
const WAITING_MAX: usize = 1_000;

/// What is not taken is sent again after about so long, then after twice as long.
const BACKOFF: Duration = Duration::from_millis(500);

/// The longest pause.
const BACKOFF_MAX: Duration = Duration::from_secs(30);

/// What one webhook has yet to be told. Clones share it.
#[derive(Clone)]
pub(crate) struct Desk {
    webhook: Arc<Webhook>,
    events: Arc<Lane>,
    signals: Arc<Lane>,
}

/// One queue of a webhook, and its counters.
#[derive(Default)]
struct Lane {
    queue: Mutex<Queue>,
    ready: Notify,
}

#[derive(Default)]
struct Queue {
    waiting: VecDeque<Arc<Published>>,
    /// Dropped since the last request.
    dropped: u64,
    /// One was taken and is being sent.
    sending: bool,
    figures: Figures,
}

/// What has become of what a webhook was to be told.
#[derive(Clone, Copy, Debug, Default, Serialize)]
pub(in crate::control) struct Figures {
    /// Not sent yet, now.
    pub(in crate::control) waiting: usize,
    /// Taken by the receiver.
    pub(in crate::control) delivered: u64,
    /// Given up after all tries, or refused for good.
    pub(in crate::control) lost: u64,
    /// Dropped, as too many waited.
    pub(in crate::control) dropped: u64,
    /// Requests that were sent again.
    pub(in crate::control) retried: u64,
}

/// Sends what is in one queue.
struct Courier {
    webhook: Arc<Webhook>,
    lane: Arc<Lane>,
    agent: Agent,
    /// The last try failed.
    failing: bool,
    /// Of this life of the gateway, and how many events it has sent: names each.
    salt: [u8; 4],
    sent: u64,
}

/// Begins to serve a webhook.
pub(in crate::control) fn open(webhook: Webhook) -> Desk {
    let webhook = Arc::new(webhook);
    let lane = || {
        let lane = Arc::new(Lane::default());
        let agent = https::agent(&webhook.hook.url, webhook.hook.timeout);
        let courier = Courier {
            webhook: webhook.clone(),
            lane: lane.clone(),
            agent,
            failing: false,
            salt: random().unwrap_or_default(),
            sent: 0,
        };
        tokio::spawn(courier.run());
        lane
    };
    Desk { events: lane(), signals: lane(), webhook }
}

impl Desk {
    /// Whether the webhook has been told everything, or will not be.
    pub(in crate::control) fn is_idle(&self) -> bool {
        self.events.is_idle() && self.signals.is_idle()
    }

    /// How the webhook does.
    pub(in crate::control) fn figures(&self) -> serde_json::Value {
        let (events, signals) = (self.events.figures(), self.signals.figures());
        serde_json::json!({"name": self.webhook.hook.name, "events": events, "signals": signals})
    }

    /// What the configuration calls it.
    pub(in crate::control) fn name(&self) -> &str {
        &self.webhook.hook.name
    }

    /// Events and signals together.
    pub(in crate::control) fn counts(&self) -> Figures {
        let (events, signals) = (self.events.figures(), self.signals.figures());
        Figures {
            waiting: events.waiting + signals.waiting,
            delivered: events.delivered + signals.delivered,
            lost: events.lost + signals.lost,
            dropped: events.dropped + signals.dropped,
            retried: events.retried + signals.retried,
        }
    }
}

impl Observer for Desk {
    fn observe(&mut self, published: &Arc<Published>) {
        if !self.webhook.topics.has(published.topic()) {
            return;
        }
        match published.matter {
            Matter::Event(_) => self.events.put(published.clone()),
            Matter::Signal(_) => self.signals.put(published.clone()),
        }
    }
}

impl Lane {
    fn put(&self, published: Arc<Published>) {
        let mut queue = self.queue.lock().unwrap_or_else(PoisonError::into_inner);
        if queue.waiting.len() >= WAITING_MAX {
            queue.waiting.pop_front();
            queue.dropped += 1;
            queue.figures.dropped += 1;
        }
        queue.waiting.push_back(published);
        self.ready.notify_one();
    }

    /// The oldest, and how many were dropped since the last.
    async fn take(&self) -> (Arc<Published>, u64) {
        loop {
            if let Some(taken) = self.try_take() {
                return taken;
            }
            self.ready.notified().await;
        }
    }

    fn try_take(&self) -> Option<(Arc<Published>, u64)> {
        let mut queue = self.queue.lock().unwrap_or_else(PoisonError::into_inner);
        queue.sending = !queue.waiting.is_empty();
        let published = queue.waiting.pop_front()?;
        Some((published, std::mem::take(&mut queue.dropped)))
    }

    fn is_idle(&self) -> bool {
        let queue = self.queue.lock().unwrap_or_else(PoisonError::into_inner);
        queue.waiting.is_empty() && !queue.sending
    }

    fn figures(&self) -> Figures {
        let queue = self.queue.lock().unwrap_or_else(PoisonError::into_inner);
        Figures { waiting: queue.waiting.len(), ..queue.figures }
    }

    fn count(&self, count: impl FnOnce(&mut Figures)) {
        count(&mut self.queue.lock().unwrap_or_else(PoisonError::into_inner).figures);
    }
}

impl Courier {
    async fn run(mut self) {
        loop {
            let (published, dropped) = self.lane.take().await;
            self.deliver(published, dropped).await;
        }
    }

    /// Sends it until it is taken, or has been tried often enough.
    async fn deliver(&mut self, published: Arc<Published>, dropped: u64) {
        let id = format!("{:08x}-{}", u32::from_ne_bytes(self.salt), self.sent);
        let headers = [("X-Weir-Delivery", id), ("X-Weir-Dropped", dropped.to_string())];
        self.sent += 1;
        for attempt in 0..=self.webhook.retries {
            if attempt > 0 {
                self.lane.count(|figures| figures.retried += 1);
                time::sleep(pause(attempt)).await;
            }
            let (webhook, agent) = (self.webhook.clone(), self.agent.clone());
            let (published, headers) = (published.clone(), headers.clone());
            let sent = task::spawn_blocking(move || {
                post(&agent, &webhook.hook, published.text().as_bytes(), &headers)
            });
            // It fails only when the runtime ends.
            let Ok(taken) = sent.await else { return };
            match taken {
                Ok(_) => return self.delivered(),
                Err(why) => {
                    self.failed(&why);
                    if why.is_final() {
                        break;
                    }
                }
            }
        }
        self.lane.count(|figures| figures.lost += 1);
    }

    fn delivered(&mut self) {
        self.lane.count(|figures| figures.delivered += 1);
        if std::mem::take(&mut self.failing) {
            info!(webhook = &*self.webhook.hook.name, "the webhook takes events again");
        }
    }

    /// Said once until it succeeds again.
    fn failed(&mut self, why: &Untaken) {
        if !std::mem::replace(&mut self.failing, true) {
            // Its URL may hold a secret.
            let name = &*self.webhook.hook.name;
            warn!(webhook = name, "the webhook does not take events: {why}; look at who should");
        }
    }
}

/// How long to wait before a try: longer each time, and never quite the same, so that what failed together does not
/// come back together.
fn pause(attempt: u32) -> Duration {
    let most = BACKOFF.saturating_mul(1 << (attempt - 1).min(16)).min(BACKOFF_MAX);
    let part = random::<1>().map_or(255, |[byte]| byte);
    most / 2 + most / 2 * u32::from(part) / 255
}

#[cfg(test)]
mod tests {
    use weir_ring::time::Wall;
    use weir_shard::vsm::{Event, Source};

    use super::*;

    fn event(level: u8) -> Arc<Published> {
        Arc::new(Published::event(Wall(0), Source::Control, Event::SheddingChanged { level }))
    }

    #[test]
    fn the_oldest_go_and_are_counted() {
        let lane = Lane::default();
        for level in 0..=255 {
            (0..4).for_each(|_| lane.put(event(level)));
        }
        let (oldest, dropped) = lane.try_take().expect("some wait");
        assert_eq!((oldest.text(), dropped), (event(6).text(), 24));
        assert_eq!(lane.try_take().expect("some wait").1, 0);
    }

    #[test]
    fn pauses_double_and_are_bounded() {
        for attempt in 1..40 {
            let most = BACKOFF.saturating_mul(1 << (attempt - 1).min(16)).min(BACKOFF_MAX);
            assert!((most / 2..=most).contains(&pause(attempt)), "{attempt}");
        }
    }
}
