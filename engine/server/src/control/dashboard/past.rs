//! What the shards have counted over the time that the graphs show.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use serde::Serialize;
use weir_shard::metrics::{Histogram, Stats, Transport};

use super::frame::Look;

/// Into how many parts the time is cut within which percentiles forget what is older.
const PARTS: u32 = 12;

/// Points that are kept, whatever the configuration says.
const POINTS_MAX: usize = 3_600;

/// What was counted between two looks; all but percentiles and `connections` are counts of that time.
#[derive(Debug, Default, Serialize)]
pub(super) struct Point {
    /// Milliseconds since 1970.
    at: u64,
    seconds: f64,
    /// WebSocket, SSE and LongPoll, now.
    connections: [u64; 3],
    /// Messages of WebSocket, SSE and LongPoll, and HTTP requests.
    received: [u64; 4],
    /// The same, and answers to HTTP requests.
    sent: [u64; 4],
    bytes_in: u64,
    bytes_out: u64,
    operations: u64,
    turns: u64,
    spread: u64,
    /// Connections of WebSocket, SSE and LongPoll that broke.
    lost: [u64; 3],
    asks: u64,
    failures: u64,
    /// By a limit, a permission, a rule, the blacklist or suspicion, and for the network address.
    refused: [u64; 5],
    /// Newcomers and publishes, for want of room; and by a breaker.
    shed: [u64; 3],
    gaps: u64,
    overflowed: u64,
    dead: u64,
    tls_failed: u64,
    /// Deliveries by all transports, milliseconds.
    p50: Option<f64>,
    p99: Option<f64>,
    /// Turns, milliseconds.
    turn_p99: Option<f64>,
}

/// How long things took.
#[derive(Clone, Debug, Default)]
struct Times {
    websocket: Histogram,
    http_sse: Histogram,
    longpoll: Histogram,
    turn: Histogram,
}

/// How long one kind of thing took within the time that the graphs show.
#[derive(Debug, Serialize)]
pub(super) struct Latency {
    of: &'static str,
    count: u64,
    /// Milliseconds, as all that follow. None: there was nothing.
    mean: Option<f64>,
    p50: Option<f64>,
    p90: Option<f64>,
    p99: Option<f64>,
    p999: Option<f64>,
    max: Option<f64>,
}

/// An orderly stop under way.
#[derive(Clone, Copy, Debug)]
pub(super) struct Stop {
    pub(super) since: Instant,
    /// Connections there were when it began.
    pub(super) connections: u64,
}

/// All of it.
pub(super) struct Past {
    history: Duration,
    points: VecDeque<(Instant, Point)>,
    times: VecDeque<(Instant, Times)>,
    /// The newest counters, by shard.
    last: Option<(Instant, Vec<Box<Stats>>, Stats)>,
    stop: Option<Stop>,
}

impl Past {
    /// As far back as `history`; nothing was counted yet.
    pub(super) fn new(history: Duration) -> Past {
        Past { history, points: VecDeque::new(), times: VecDeque::new(), last: None, stop: None }
    }

    /// What each shard said last.
    pub(super) fn stats(&self) -> &[Box<Stats>] {
        self.last.as_ref().map_or(&[], |(_, stats, _)| stats)
    }

    /// The newest point, if there was a look before.
    pub(super) fn point(&self) -> Option<&Point> {
        self.points.back().map(|(_, point)| point)
    }

    /// All points, the oldest first.
    pub(super) fn points(&self) -> impl Iterator<Item = &Point> {
        self.points.iter().map(|(_, point)| point)
    }

    /// The orderly stop, if one is under way.
    pub(super) fn stop(&self) -> Option<Stop> {
        self.stop
    }

    /// The shards were asked.
    pub(super) fn note(&mut self, look: &Look, draining: bool) {
        let total = look.total();
        if draining && self.stop.is_none() {
            let before = self.last.as_ref().map_or(&total, |(_, _, before)| before);
            self.stop = Some(Stop { since: look.at, connections: before.connections });
        }
        if let Some((then, _, before)) = &self.last {
            let seconds = look.at.duration_since(*then).as_secs_f64().max(1e-3);
            let point = Point { at: look.wall.0, seconds, ..Point::between(before, &total) };
            self.points.push_back((look.at, point));
        }
        let old = |at: Instant| look.at.duration_since(at) > self.history;
        while self.points.front().is_some_and(|(at, _)| old(*at)) || self.points.len() > POINTS_MAX {
            self.points.pop_front();
        }
        let step = self.history / PARTS;
        if self.times.back().is_none_or(|(at, _)| look.at.duration_since(*at) >= step) {
            while self.times.front().is_some_and(|(at, _)| old(*at)) {
                self.times.pop_front();
            }
            self.times.push_back((look.at, Times::of(&total)));
        }
        self.last = Some((look.at, look.stats(), total));
    }

    /// How long deliveries and turns took.
    pub(super) fn latencies(&self) -> Vec<Latency> {
        let (Some((_, first)), Some((_, _, total))) = (self.times.front(), &self.last) else {
            return Vec::new();
        };
        let now = Times::of(total);
        let rows = [
            ("websocket", &now.websocket, &first.websocket),
            ("http_sse", &now.http_sse, &first.http_sse),
            ("longpoll", &now.longpoll, &first.longpoll),
            ("turn", &now.turn, &first.turn),
        ];
        rows.into_iter().map(|(of, now, then)| Latency::of(of, &now.since(then))).collect()
    }
}

impl Point {
    /// What was counted from `then` to `now`.
    fn between(then: &Stats, now: &Stats) -> Point {
        let count = |of: fn(&Stats) -> u64| of(now).saturating_sub(of(then));
        let transports = [
            (&then.websocket, &now.websocket),
            (&then.http_sse, &now.http_sse),
            (&then.longpoll, &now.longpoll),
        ];
        let counts =
            |of: fn(&Transport) -> u64| transports.map(|(then, now)| of(now).saturating_sub(of(then)));
        let with_requests = |of: fn(&Transport) -> u64| {
            let [websocket, http_sse, longpoll] = counts(of);
            [websocket, http_sse, longpoll, count(|stats| stats.http_requests)]
        };
        let mut delivery = Histogram::default();
        transports.iter().for_each(|(then, now)| delivery.add(&now.delivery.since(&then.delivery)));
        Point {
            connections: transports.map(|(_, now)| now.connections),
            received: with_requests(|transport| transport.messages_in),
            sent: with_requests(|transport| transport.messages_out),
            bytes_in: count(|stats| stats.bytes_in),
            bytes_out: count(|stats| stats.bytes_out),
            operations: count(|stats| stats.operations),
            turns: count(|stats| stats.turns),
            spread: count(|stats| stats.spread),
            lost: counts(|transport| transport.errors),
            asks: count(|stats| stats.upstream.asks),
            failures: count(|stats| stats.upstream.failures),
            refused: [
                count(|stats| stats.limited),
                count(|stats| stats.denied),
                count(|stats| stats.forbidden),
                count(|stats| stats.kept_out),
                count(|stats| stats.turned_away),
            ],
            shed: [
                count(|stats| stats.control.newcomers_refused),
                count(|stats| stats.control.shed_high + stats.control.shed_normal + stats.control.shed_low),
                count(|stats| stats.control.breaker_refused),
            ],
            gaps: count(|stats| stats.gaps),
            overflowed: count(|stats| stats.overflowed),
            dead: count(|stats| stats.delivery.dead),
            tls_failed: count(|stats| stats.tls.failed),
            p50: quantile(&delivery, 0.5),
            p99: quantile(&delivery, 0.99),
            turn_p99: quantile(&now.turn.since(&then.turn), 0.99),
            ..Point::default()
        }
    }
}

impl Times {
    fn of(stats: &Stats) -> Times {
        Times {
            websocket: stats.websocket.delivery.clone(),
            http_sse: stats.http_sse.delivery.clone(),
            longpoll: stats.longpoll.delivery.clone(),
            turn: stats.turn.clone(),
        }
    }
}

impl Latency {
    fn of(of: &'static str, times: &Histogram) -> Latency {
        Latency {
            of,
            count: times.len(),
            mean: times.mean().map(millis),
            p50: quantile(times, 0.5),
            p90: quantile(times, 0.9),
            p99: quantile(times, 0.99),
            p999: quantile(times, 0.999),
            max: quantile(times, 1.0),
        }
    }
}

fn quantile(times: &Histogram, part: f64) -> Option<f64> {
    times.quantile(part).map(millis)
}

/// Milliseconds, to the microsecond.
fn millis(time: Duration) -> f64 {
    (time.as_secs_f64() * 1e6).round() / 1e3
}

#[cfg(test)]
mod tests {
    use super::*;

    fn look(at: Instant, change: impl FnOnce(&mut Stats)) -> Look {
        let mut stats = Stats::default();
        change(&mut stats);
        let mut look = Look::of(vec![(Some(Box::new(stats)), None)], &[], 0);
        look.at = at;
        look
    }

    #[test]
    fn points_count_what_came_between_two_looks_and_old_ones_go() {
        let (start, mut past) = (Instant::now(), Past::new(Duration::from_secs(60)));
        let at = |second| start + Duration::from_secs(second);
        past.note(&look(at(0), |stats| stats.limited = 100), false);
        assert!(past.point().is_none(), "there is nothing to compare with");
        for second in 1..=200 {
            past.note(
                &look(at(second), |stats| {
                    (stats.limited, stats.websocket.messages_in) = (100 + second, 10 * second);
                    (1..=second).for_each(|ms| stats.websocket.delivery.record(Duration::from_millis(ms)));
                }),
                false,
            );
        }
        let point = past.point().expect("a point");
        assert_eq!((point.received, point.refused), ([10, 0, 0, 0], [1, 0, 0, 0, 0]));
        assert_eq!((past.points.len(), point.seconds), (61, 1.0));
        assert!(past.times.len() <= 14);
    }

    #[test]
    fn a_stop_is_measured_by_what_was_there_before() {
        let (start, mut past) = (Instant::now(), Past::new(Duration::from_secs(60)));
        past.note(&look(start, |stats| stats.connections = 500), false);
        assert!(past.stop().is_none());
        for left in [300, 200] {
            past.note(&look(start + Duration::from_secs(1), |stats| stats.connections = left), true);
            assert_eq!(past.stop().map(|stop| stop.connections), Some(500));
        }
    }
}
