//! How each transport fares: rates and latencies of the last minute, whether it is healthy, and what to do if not.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use serde::Serialize;
use weir_shard::metrics::{Stats, Transport};

use super::sample::{Reading, millis};

/// How far back latencies and errors are looked at.
const LONG: Duration = Duration::from_secs(60);

/// How far back the rate of messages is looked at.
const SHORT: Duration = Duration::from_secs(10);

/// How often a reading is kept.
const STEP: Duration = Duration::from_secs(5);

/// Fewer errors in a minute are nobody's business.
const ERRORS: f64 = 10.0;

/// The part of a transport's connections that may be lost in a minute.
const LOST: f64 = 0.1;

/// Longer deliveries are slow, milliseconds.
const SLOW: f32 = 1_000.0;

/// Readings of the last minute.
#[derive(Debug, Default)]
pub(super) struct Minute(VecDeque<Reading>);

/// One transport.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(super) struct Figures {
    pub(super) messages_per_second: f64,
    /// None: nothing was delivered.
    pub(super) avg_latency_ms: Option<f32>,
    pub(super) p99_latency_ms: Option<f32>,
    pub(super) errors_per_minute: f64,
    pub(super) healthy: bool,
    /// What to do if it is not.
    pub(super) recommendation: Option<&'static str>,
}

impl Minute {
    /// Remembers a reading, unless another is nearly as new.
    pub(super) fn keep(&mut self, reading: &Reading) {
        if self.0.back().is_some_and(|last| reading.at.duration_since(last.at) < STEP) {
            return;
        }
        while self.0.front().is_some_and(|first| reading.at.duration_since(first.at) > LONG) {
            self.0.pop_front();
        }
        self.0.push_back(reading.clone());
    }

    /// How a transport fares until now. None: there is no reading to compare with.
    pub(super) fn figures(
        &self,
        total: &Stats,
        now: Instant,
        of: fn(&Stats) -> &Transport,
    ) -> Option<Figures> {
        let long = self.0.front()?;
        let short = self.0.iter().rfind(|reading| now.duration_since(reading.at) >= SHORT).unwrap_or(long);
        let since = |reading: &Reading| now.duration_since(reading.at).as_secs_f64().max(1e-3);
        let (current, then) = (of(total), of(&long.total));
        let messages = |transport: &Transport| transport.messages_in + transport.messages_out;
        let sent = messages(current).saturating_sub(messages(of(&short.total)));
        let latency = current.delivery.since(&then.delivery);
        // Of a gateway that has just started, no more than there were: a single one is no trend.
        let minutes = (since(long) / 60.0).max(1.0);
        let errors = current.errors.saturating_sub(then.errors) as f64 / minutes;
        let p99 = latency.quantile(0.99).map(millis);
        let recommendation = advice(current.connections, errors, p99);
        Some(Figures {
            messages_per_second: sent as f64 / since(short),
            avg_latency_ms: latency.mean().map(millis),
            p99_latency_ms: p99,
            errors_per_minute: errors,
            healthy: recommendation.is_none(),
            recommendation,
        })
    }
}

/// What to do, if there is anything.
fn advice(connections: u64, errors: f64, p99: Option<f32>) -> Option<&'static str> {
    if errors >= ERRORS && errors > LOST * (connections as f64 + errors) {
        return Some(
            "Many of its connections break: look at the network and proxies in between. Clients keep their messages on \
             another transport meanwhile (prefer=http_sse or websocket).",
        );
    }
    p99.is_some_and(|p99| p99 > SLOW).then_some(
        "Messages wait before they are sent: clients read slowly, or a core is busy. Look at cpu and at the clients' \
         queues.",
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reading(at: Instant, messages_out: u64, errors: u64) -> Reading {
        let mut total = Stats::default();
        (total.websocket.messages_out, total.websocket.errors) = (messages_out, errors);
        total.websocket.connections = 100;
        Reading { at, total, fullest: 0 }
    }

    #[test]
    fn rates_are_of_ten_seconds_and_errors_of_a_minute() {
        let (start, mut minute) = (Instant::now(), Minute::default());
        let at = |second| start + Duration::from_secs(second);
        assert_eq!(minute.figures(&Stats::default(), start, |stats| &stats.websocket), None);
        for second in 0..200 {
            // 10 a second, then 50; an error each second.
            let sent = if second < 150 { 10 * second } else { 1_500 + 50 * (second - 150) };
            minute.keep(&reading(at(second), sent, second));
            assert!(minute.0.len() <= 14);
        }
        let mut last = reading(at(200), 1_500 + 50 * 50, 200).total;
        last.websocket.delivery.record(Duration::from_millis(3));
        let figures = minute.figures(&last, at(200), |stats| &stats.websocket).expect("readings");
        assert_eq!(figures.messages_per_second, 50.0);
        assert!((59.0..=61.0).contains(&figures.errors_per_minute), "{figures:?}");
        assert!(!figures.healthy && figures.recommendation.is_some());
        assert!(figures.p99_latency_ms.is_some_and(|p99| (3.0..3.2).contains(&p99)), "{figures:?}");
    }

    #[test]
    fn advice_is_for_the_sick() {
        assert_eq!(advice(100, 9.0, None), None, "too few");
        assert_eq!(advice(10_000, 60.0, Some(1.0)), None, "few of many");
        assert!(advice(100, 60.0, Some(1.0)).is_some_and(|advice| advice.contains("break")));
        assert!(advice(100, 0.0, Some(2_000.0)).is_some_and(|advice| advice.contains("wait")));
    }
}
