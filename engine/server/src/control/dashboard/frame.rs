//! What the page is told each time: how things stand.

use std::collections::BTreeMap;
use std::time::Instant;

use serde::Serialize;
use serde_json::Value;
use serde_json::value::RawValue;
use weir_ring::clock::Clock;
use weir_ring::time::Wall;
use weir_shard::metrics::{ControlView, Stats};

use super::chronicle::Standing;
use super::past::{Latency, Past, Point};
use super::{Answers, Facts};

/// What the shards said at one moment.
pub(super) struct Look {
    pub(super) at: Instant,
    pub(super) wall: Wall,
    uptime_seconds: u64,
    shards: Vec<Shard>,
}

struct Shard {
    stats: Box<Stats>,
    control: Option<Box<ControlView>>,
    /// It did not answer.
    late: bool,
}

/// How things stand.
#[derive(Serialize)]
pub(super) struct Frame<'a> {
    /// Milliseconds since 1970.
    at: u64,
    uptime_s: u64,
    /// What was counted since the last look.
    point: Option<&'a Point>,
    total: Stats,
    shards: Vec<Row<'a>>,
    control: Option<ControlView>,
    latency: Vec<Latency>,
    drain: Option<Drain>,
    /// Records of what hurts now, as the bus has them.
    pains: Vec<Box<RawValue>>,
    /// How often each event was said.
    counts: BTreeMap<&'static str, u64>,
    intelligence: Value,
}

/// One shard.
#[derive(Serialize)]
struct Row<'a> {
    core: usize,
    late: bool,
    connections: u64,
    websocket: u64,
    http_sse: u64,
    longpoll: u64,
    mcp_sessions: u64,
    mcp_calls: u64,
    sessions: u64,
    topics: u64,
    #[serde(flatten)]
    control: Option<Control<'a>>,
}

/// How one shard controls itself.
#[derive(Serialize)]
struct Control<'a> {
    admission: &'a str,
    shedding: u8,
    load: f64,
    turn_ms: f64,
    keys: u64,
}

/// How far an orderly stop is.
#[derive(Serialize)]
struct Drain {
    for_ms: u64,
    timeout_ms: u64,
    connections_then: u64,
    connections: u64,
    calls: u64,
}

impl Look {
    /// What the shards have just said; one that did not answer is as it was `before`.
    pub(super) fn of(answers: Vec<Answers>, before: &[Box<Stats>], uptime_seconds: u64) -> Look {
        let shards = answers.into_iter().enumerate().map(|(place, (stats, control))| {
            let late = stats.is_none();
            let stats = stats.or_else(|| before.get(place).cloned()).unwrap_or_default();
            Shard { stats, control, late }
        });
        Look { at: Instant::now(), wall: Clock::now().wall, uptime_seconds, shards: shards.collect() }
    }

    /// Of each shard.
    pub(super) fn stats(&self) -> Vec<Box<Stats>> {
        self.shards.iter().map(|shard| shard.stats.clone()).collect()
    }

    /// Of all of them.
    pub(super) fn total(&self) -> Stats {
        let mut total = Stats::default();
        self.shards.iter().for_each(|shard| total.add(&shard.stats));
        total
    }

    fn control(&self) -> Option<ControlView> {
        let mut views = self.shards.iter().filter_map(|shard| shard.control.as_deref());
        let mut total = views.next()?.clone();
        views.for_each(|view| total.add(view));
        Some(total)
    }
}

impl<'a> Frame<'a> {
    /// What there is to show.
    pub(super) fn of(
        look: &'a Look,
        past: &'a Past,
        facts: &Facts,
        standing: &Standing,
        intelligence: Value,
    ) -> Frame<'a> {
        let total = look.total();
        let drain = past.stop().map(|stop| Drain {
            for_ms: look.at.duration_since(stop.since).as_millis() as u64,
            timeout_ms: facts.drain_timeout.as_millis() as u64,
            connections_then: stop.connections,
            connections: total.connections,
            calls: total.mcp.calls,
        });
        // What was published is JSON.
        let pains =
            standing.pains.iter().filter_map(|pain| RawValue::from_string(pain.text().to_owned()).ok());
        let cores = facts.cores.iter().copied();
        Frame {
            at: look.wall.0,
            uptime_s: look.uptime_seconds,
            point: past.point(),
            total,
            shards: look.shards.iter().zip(cores).map(|(shard, core)| Row::of(shard, core)).collect(),
            control: look.control(),
            latency: past.latencies(),
            drain,
            pains: pains.collect(),
            counts: standing.counts.clone(),
            intelligence,
        }
    }
}

impl Row<'_> {
    fn of(shard: &Shard, core: usize) -> Row<'_> {
        let Stats { websocket, http_sse, longpoll, mcp, .. } = &*shard.stats;
        let control = shard.control.as_deref().map(|view| Control {
            admission: view.admission,
            shedding: view.shedding,
            load: heaviest(view),
            turn_ms: view.turn_ms,
            keys: view.keys,
        });
        Row {
            core,
            late: shard.late,
            connections: shard.stats.connections,
            websocket: websocket.connections,
            http_sse: http_sse.connections,
            longpoll: longpoll.connections,
            mcp_sessions: mcp.sessions,
            mcp_calls: mcp.calls,
            sessions: shard.stats.sessions,
            topics: shard.stats.topics,
            control,
        }
    }
}

/// The largest part of a shard's load.
fn heaviest(view: &ControlView) -> f64 {
    let load = view.load;
    [load.connections, load.turns, load.queued, load.outbox, load.calls, load.memory]
        .into_iter()
        .fold(0.0, f64::max)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::config::Dashboard;

    #[test]
    fn a_frame_says_how_each_shard_and_a_stop_stand() {
        let answer = |connections| {
            let control = ControlView { admission: "open", shedding: 1, ..ControlView::default() };
            (Some(Box::new(Stats { connections, ..Stats::default() })), Some(Box::new(control)))
        };
        let look = Look::of(vec![answer(4), answer(6)], &[], 3);
        let look = Look::of(vec![answer(4), (None, None)], &look.stats(), 3);
        let mut past = Past::new(Duration::from_secs(60));
        past.note(&look, true);
        let (cores, drain_timeout) = (vec![2, 3], Duration::from_secs(30));
        let facts = Facts { dashboard: Dashboard::default(), cores, drain_timeout };
        let standing = Standing { pains: Vec::new(), counts: BTreeMap::new() };
        let frame = Frame::of(&look, &past, &facts, &standing, Value::Null);
        let frame = serde_json::to_value(frame).expect("JSON");
        assert_eq!((&frame["uptime_s"], &frame["total"]["connections"]), (&3.into(), &10.into()));
        let [one, other] = [0, 1].map(|shard| &frame["shards"][shard]);
        assert_eq!((&one["core"], &one["late"], &one["shedding"]), (&2.into(), &false.into(), &1.into()));
        assert_eq!((&other["core"], &other["late"], other.get("shedding")), (&3.into(), &true.into(), None));
        assert_eq!(frame["drain"]["connections_then"], 10);
    }
}
