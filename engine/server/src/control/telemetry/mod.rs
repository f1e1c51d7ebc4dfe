//! Spans: from the shards to a collector, by OTLP over HTTP. A collector that is gone or slow costs its spans and nothing
//! else: what waits is bounded, what does not fit is counted, and nobody waits.

mod endpoints;
mod exporter;
mod otlp;
mod queue;

use std::io;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use serde::Serialize;
use tokio::time;
use weir_shard::span::Span;

pub(in crate::control) use self::endpoints::router;
use self::exporter::Exporter;
pub(in crate::control) use self::queue::Figures;
use self::queue::Queue;
use crate::config::Collector;

/// How long a stop waits for a collector that takes spans.
const FAREWELL: Duration = Duration::from_secs(2);

/// Takes the shards' spans. Clones share it.
#[derive(Clone)]
pub(in crate::control) struct Telemetry(Arc<Inner>);

struct Inner {
    /// Who takes them; none: nobody, and shards record none.
    collector: Option<Taker>,
    /// The part of the messages that is sampled, as the shards were last told.
    rate: Mutex<f64>,
}

/// A collector, as it is shown, and what waits for it.
struct Taker {
    origin: Box<str>,
    queue: Arc<Queue>,
}

/// How sampling and export do.
#[derive(Serialize)]
struct Report<'a> {
    rate: f64,
    endpoint: Option<&'a str>,
    #[serde(flatten)]
    figures: Figures,
}

impl Telemetry {
    /// Begins to export to `collector`; the shards begin with `rate`.
    ///
    /// # Errors
    /// The system has no thread left.
    pub(in crate::control) fn start(collector: Option<Collector>, rate: f64) -> io::Result<Telemetry> {
        let start = |collector: Collector| {
            let (origin, queue) = (collector.origin.clone(), Arc::new(Queue::default()));
            Exporter::start(collector, queue.clone())?;
            Ok::<_, io::Error>(Taker { origin, queue })
        };
        let collector = collector.map(start).transpose()?;
        Ok(Telemetry(Arc::new(Inner { collector, rate: Mutex::new(rate) })))
    }

    /// Takes what a shard has recorded, and how many spans it has left out.
    pub(in crate::control) fn take(&self, shard: u16, spans: Vec<Span>, dropped: u64) {
        if let Some(taker) = &self.0.collector {
            taker.queue.put(shard, spans, dropped);
        }
    }

    /// Waits until all is exported, but not long, and not for a collector that takes nothing.
    pub(in crate::control) async fn finish(&self) {
        if let Some(taker) = &self.0.collector {
            let _ = time::timeout(FAREWELL, taker.queue.finish()).await;
        }
    }

    /// What has become of spans.
    pub(in crate::control) fn figures(&self) -> Figures {
        self.0.collector.as_ref().map(|taker| taker.queue.figures()).unwrap_or_default()
    }

    fn rate(&self) -> f64 {
        *self.0.rate.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn set_rate(&self, rate: f64) {
        *self.0.rate.lock().unwrap_or_else(PoisonError::into_inner) = rate;
    }

    fn report(&self) -> Report<'_> {
        let taker = self.0.collector.as_ref();
        Report { rate: self.rate(), endpoint: taker.map(|taker| &*taker.origin), figures: self.figures() }
    }
}
