//! S4, intelligence: what the shards count is looked at each second and remembered for an hour. From it come rates,
//! percentiles, trends and forecasts, what is odd, and alerts before something runs out. All of it happens on the
//! control thread; a shard answers one question a second.

mod alert;
mod anomaly;
mod board;
mod endpoints;
mod features;
mod forecast;
mod metric;
mod notice;
pub(super) mod process;
#[cfg(test)]
mod recorded;
mod sample;
mod series;
#[cfg(test)]
mod tests;
mod transports;
mod trend;

use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tokio::time::{self, MissedTickBehavior};
use tracing::{info, warn};
use weir_ring::clock::Clock;
use weir_ring::token::Member;
use weir_shard::limits::{Config, SLOTS_RESERVED};
use weir_shard::mail::{Answer, Question};
use weir_shard::metrics::{Cost, Costs, Stats};
use weir_shard::vsm::{Distribution, Event, Finding, Notice, NoticeState, Performance, Source};

use self::board::Board;
pub(super) use self::endpoints::router;
use self::features::Bill;
pub(super) use self::features::Item;
use self::metric::Metric;
use self::process::Cpu;
use self::sample::{Capacity, Reading};
use self::transports::Minute;
use super::bus::{Bus, Published};
use super::features::Features;
use super::mailbox::Mailbox;
use super::memory;
use crate::config::Alerts;

/// How often the shards are asked.
const INTERVAL: Duration = Duration::from_secs(1);

/// What is known. Clones share it; the lock is only ever taken on the control thread.
#[derive(Clone)]
pub(super) struct Intelligence(Arc<Mutex<Mind>>);

struct Mind {
    board: Board,
    minute: Minute,
    capacity: Capacity,
    cpu: Cpu,
    started: Instant,
    /// Bytes in memory before the first client.
    resident_at_start: Option<u64>,
    last: Option<Reading>,
    /// What looking takes.
    looks: Cost,
    /// One turn of so many is timed.
    timed_turns: u32,
}

impl Intelligence {
    /// Nothing is known yet. The process may use `memory` bytes, and keeps what must outlive it in `data_dir`.
    pub(super) fn new(
        config: &Config,
        alerts: &Alerts,
        memory: u64,
        data_dir: Option<&Path>,
    ) -> Intelligence {
        let link_bits = link_bits(alerts);
        let capacity = Capacity {
            memory,
            connections: config.connections_max.saturating_sub(SLOTS_RESERVED),
            link_bits,
            data_dir: data_dir.map(Path::to_owned),
        };
        Intelligence(Arc::new(Mutex::new(Mind {
            board: Board::new(alerts),
            minute: Minute::default(),
            capacity,
            cpu: Cpu::default(),
            started: Instant::now(),
            resident_at_start: memory::resident(),
            last: None,
            looks: Cost::default(),
            timed_turns: config.timed_turns,
        })))
    }

    /// Other thresholds hold from now on. What is known stays.
    pub(super) fn renew(&self, alerts: &Alerts) {
        let mut mind = self.lock();
        mind.board.renew(alerts);
        mind.capacity.link_bits = link_bits(alerts);
    }

    /// Asks the shards each second, as long as the process lives.
    pub(super) async fn watch(self, mailbox: Mailbox, bus: Bus, features: Features) {
        let mut ticks = time::interval(INTERVAL);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Skip);
        loop {
            ticks.tick().await;
            let (on, tells) = features.watches();
            if !self.lock().goes_on(on, tells) {
                continue;
            }
            // A shard that does not answer leaves a second without values.
            let Some(shards) = ask(&mailbox).await else { continue };
            let (news, performance) = self.lock().note(&shards);
            let say = |event| bus.publish(Published::event(Clock::now().wall, Source::Control, event));
            for notice in news {
                log(&notice);
                say(Event::Noticed(notice.into()));
            }
            if let Some(performance) = performance {
                say(Event::GatewayPerformance(performance.into()));
            }
        }
    }

    /// Adds to the figures of each transport in `figures` how it fares, where that is known: `total` is what the shards
    /// count now.
    pub(super) fn complete(&self, figures: &mut Value, total: &Stats) {
        let mind = self.lock();
        let now = Instant::now();
        let transports = [
            ("websocket", mind.minute.figures(total, now, |stats| &stats.websocket)),
            ("http_sse", mind.minute.figures(total, now, |stats| &stats.http_sse)),
            ("longpoll", mind.minute.figures(total, now, |stats| &stats.longpoll)),
        ];
        for (name, fares) in transports {
            let fares = fares.and_then(|fares| serde_json::to_value(fares).ok());
            if let (Some(figures), Some(Value::Object(fares))) = (figures[name].as_object_mut(), fares) {
                figures.extend(fares);
            }
        }
        figures["process"] = json!({
            "cpu_seconds": process::cpu_seconds(),
            "resident_bytes": memory::resident(),
            "resident_bytes_at_start": mind.resident_at_start,
            "memory_budget": mind.capacity.memory,
        });
        figures["alerts"] = json!(mind.board.active().collect::<Vec<_>>());
    }

    /// What each feature costs, those of the control thread and timing itself included.
    pub(super) fn costs(&self, costs: &Costs) -> Vec<Item> {
        let mind = self.lock();
        Bill::of(costs).items(costs, mind.timed_turns, &mind.looks, INTERVAL)
    }

    /// Bytes that the process may use, and how many findings were raised and are not over.
    pub(super) fn brief(&self) -> (u64, usize) {
        let mind = self.lock();
        (mind.capacity.memory, mind.board.active().count())
    }

    /// The last second's value of each metric, null where nothing was measured, and what was raised and not cleared.
    pub(super) fn glance(&self) -> Value {
        let mind = self.lock();
        let values =
            Metric::ALL.into_iter().map(|metric| (metric.name().to_owned(), json!(mind.board.last(metric))));
        let active: Vec<_> = mind.board.active().collect();
        json!({ "values": values.collect::<serde_json::Map<_, _>>(), "active": active })
    }

    fn lock(&self) -> MutexGuard<'_, Mind> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Mind {
    /// Whether figures are taken, and whether what is found in them is told. What was taken before a pause is no
    /// beginning of a second.
    fn goes_on(&mut self, on: bool, tells: bool) -> bool {
        self.board.set_tells(tells);
        if !on {
            self.last = None;
        }
        on
    }

    /// The shards have said this. Says what is to be told, and how the gateway performs.
    fn note(&mut self, shards: &[Box<Stats>]) -> (Vec<Notice>, Option<Performance>) {
        let now = Instant::now();
        let found = self.look(shards, now);
        self.looks.count(now.elapsed());
        found
    }

    fn look(&mut self, shards: &[Box<Stats>], now: Instant) -> (Vec<Notice>, Option<Performance>) {
        let reading = Reading::of(shards, now);
        let usage = self.capacity.usage(&mut self.cpu, memory::resident(), now);
        self.minute.keep(&reading);
        let before = self.last.replace(reading);
        let (Some(before), Some(reading)) = (before, &self.last) else { return (Vec::new(), None) };
        let values = reading.values(&before, usage, &self.capacity);
        let second = now.duration_since(self.started).as_secs();
        let news = self.board.note(second, &values, Clock::now().wall);
        let Stats { websocket, http_sse, longpoll, mcp, .. } = &reading.total;
        let distribution = Distribution {
            websocket: websocket.connections,
            http_sse: http_sse.connections,
            longpoll: longpoll.connections,
        };
        let busy = (mcp.connections > 0).then(|| mcp.busy as f32 / mcp.connections as f32);
        (news, self.board.performance(distribution, busy))
    }
}

/// The part of the timed turns that each feature takes, where any was timed.
pub(super) fn shares(costs: &Costs) -> Vec<(&'static str, f64)> {
    Bill::of(costs).shares().collect()
}

/// What the link carries, bits a second, if it is known.
fn link_bits(alerts: &Alerts) -> Option<f64> {
    match alerts.link_megabits {
        0 => process::link_bits(),
        megabits => Some(f64::from(megabits) * 1e6),
    }
}

/// What every shard counts; none if one of them does not answer.
async fn ask(mailbox: &Mailbox) -> Option<Vec<Box<Stats>>> {
    let mut shards = Vec::new();
    for shard in 0..mailbox.shards() {
        match mailbox.ask(Member(shard), Question::Stats).await {
            Ok(Answer::Stats(stats)) => shards.push(stats),
            _ => return None,
        }
    }
    Some(shards)
}

fn log(notice: &Notice) {
    let Notice { message, suggested_action, .. } = notice;
    match (notice.state, notice.finding) {
        (NoticeState::Cleared, _) => info!("{message}"),
        (NoticeState::Raised, Finding::Anomaly { .. }) => info!("{message}. {suggested_action}"),
        (NoticeState::Raised, _) => warn!("{message}. {suggested_action}"),
    }
}
