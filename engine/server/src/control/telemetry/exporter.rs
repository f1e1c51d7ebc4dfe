//! Posts spans to the collector, one batch at a time, on a thread of its own, which may wait.

use std::sync::Arc;
use std::time::Duration;
use std::{io, thread};

use tracing::{info, warn};
use ureq::Agent;

use super::otlp::{self, Anchor, Resource};
use super::queue::{Figures, Queue};
use crate::config::Collector;
use crate::control::https;
use crate::gateway::random;

/// How long the collector may take to answer, as OTLP's exporters have it by default.
const TIMEOUT: Duration = Duration::from_secs(10);

/// A batch that is not taken is sent again after about so long, then after twice as long.
const BACKOFF: Duration = Duration::from_secs(1);

/// The longest pause, also if the collector asks for a longer one.
const BACKOFF_MAX: Duration = Duration::from_secs(30);

/// How often a batch is sent before it is given up.
const ATTEMPTS_MAX: u32 = 5;

/// Bytes of the longest answer that is read.
const ANSWER_BYTES_MAX: u64 = 64 << 10;

/// Sends what waits.
pub(super) struct Exporter {
    collector: Collector,
    queue: Arc<Queue>,
    agent: Agent,
    resource: Resource,
    anchor: Anchor,
}

/// What became of a batch.
#[derive(Debug, PartialEq, Eq)]
enum Outcome {
    /// It was taken, but for so many spans, for this reason.
    Taken { rejected: u64, why: String },
    /// It may be taken later, not before so long.
    Later { why: String, after: Option<Duration> },
    /// It never will be.
    Refused(String),
}

impl Exporter {
    /// Begins to export what comes into `queue`.
    ///
    /// # Errors
    /// The system has no thread left.
    pub(super) fn start(collector: Collector, queue: Arc<Queue>) -> io::Result<()> {
        let agent = https::agent(&collector.url, TIMEOUT);
        let resource = Resource::new(random()?);
        let exporter = Exporter { collector, queue, agent, resource, anchor: Anchor::now() };
        thread::Builder::new().name("weir-otlp".into()).spawn(|| exporter.run())?;
        Ok(())
    }

    /// Exports until the process ends.
    fn run(mut self) {
        loop {
            let spans = self.queue.take(self.collector.batch_size);
            let count = spans.len() as u64;
            self.anchor = self.anchor.kept();
            let body = otlp::encode(&self.resource, spans, self.anchor);
            let rejected = self.export(&body).map_or(count, |rejected| rejected.min(count));
            self.queue.sent(count - rejected, rejected);
        }
    }

    /// Sends a batch until it is taken; how many of its spans were not. `None`: it was given up.
    fn export(&self, body: &[u8]) -> Option<u64> {
        for attempt in 1..=ATTEMPTS_MAX {
            match post(&self.agent, &self.collector, body) {
                Outcome::Taken { rejected, why } => {
                    self.takes();
                    if rejected > 0 {
                        let collector = &*self.collector.origin;
                        warn!(collector, rejected, "the collector has not taken all spans of a batch: {why}");
                    }
                    return Some(rejected);
                }
                Outcome::Later { why, after } => {
                    self.fails(&why);
                    if attempt < ATTEMPTS_MAX {
                        thread::sleep(pause(attempt, after));
                    }
                }
                Outcome::Refused(why) => {
                    self.fails(&why);
                    return None;
                }
            }
        }
        None
    }

    fn takes(&self) {
        if self.queue.set_failing(false) {
            let Figures { dropped, failed, .. } = self.queue.figures();
            let collector = &*self.collector.origin;
            info!(collector, dropped, failed, "the collector takes spans again");
        }
    }

    /// Said once until it succeeds again.
    fn fails(&self, why: &str) {
        if self.queue.set_failing(true) {
            let collector = &*self.collector.origin;
            warn!(collector, "the collector does not take spans: {why}; spans are lost, and nothing else is");
        }
    }
}

/// Posts a batch.
fn post(agent: &Agent, collector: &Collector, body: &[u8]) -> Outcome {
    let mut request = agent.post(&*collector.url).header("Content-Type", "application/x-protobuf");
    for (name, value) in &collector.headers {
        request = request.header(&**name, value.expose());
    }
    let mut answer = match request.send(body) {
        Ok(answer) => answer,
        // A URL in its words would show the path, which may hold a secret.
        Err(ureq::Error::BadUri(_)) => return Outcome::Refused("its URL cannot be asked".into()),
        Err(error) => return Outcome::Later { why: error.to_string(), after: None },
    };
    let status = answer.status().as_u16();
    let after =
        answer.headers().get("Retry-After").and_then(|value| value.to_str().ok()?.trim().parse().ok());
    let body = answer.body_mut().with_config().limit(ANSWER_BYTES_MAX).read_to_vec().unwrap_or_default();
    outcome(status, after.map(Duration::from_secs), &body)
}

/// What an answer says (OTLP 1.x, "OTLP/HTTP Response").
fn outcome(status: u16, after: Option<Duration>, body: &[u8]) -> Outcome {
    let why = format!("it answers {status}");
    match status {
        200..300 => {
            let (rejected, why) = otlp::rejected(body);
            Outcome::Taken { rejected, why }
        }
        429 | 502..=504 => Outcome::Later { why, after },
        _ => Outcome::Refused(why),
    }
}

/// How long to wait before the next try: as the collector asks, else longer each time, and never quite the same.
fn pause(attempt: u32, after: Option<Duration>) -> Duration {
    let most = BACKOFF.saturating_mul(1 << (attempt - 1).min(16)).min(BACKOFF_MAX);
    let part = random::<1>().map_or(255, |[byte]| byte);
    let own = most / 2 + most / 2 * u32::from(part) / 255;
    after.map_or(own, |after| after.min(BACKOFF_MAX).max(own))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_says_whether_to_come_again() {
        let ten = Some(Duration::from_secs(10));
        assert_eq!(outcome(200, None, b""), Outcome::Taken { rejected: 0, why: String::new() });
        for status in [429, 502, 503, 504] {
            assert!(
                matches!(outcome(status, ten, b""), Outcome::Later { after, .. } if after == ten),
                "{status}"
            );
        }
        for status in [301, 400, 401, 404, 413, 500] {
            assert!(matches!(outcome(status, ten, b""), Outcome::Refused(_)), "{status}");
        }
    }

    #[test]
    fn pauses_double_are_bounded_and_heed_the_collector() {
        for attempt in 1..40 {
            let most = BACKOFF.saturating_mul(1 << (attempt - 1).min(16)).min(BACKOFF_MAX);
            assert!((most / 2..=most).contains(&pause(attempt, None)), "{attempt}");
        }
        assert_eq!(pause(1, Some(Duration::from_secs(7))), Duration::from_secs(7));
        assert_eq!(pause(1, Some(Duration::from_secs(3_600))), BACKOFF_MAX);
    }
}
