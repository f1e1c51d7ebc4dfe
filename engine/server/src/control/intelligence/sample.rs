//! One second's values, from what the shards counted before and after it.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use weir_shard::metrics::{Histogram, Stats};

use super::board::Values;
use super::metric::Metric;
use super::process;

/// What the shards said at one moment.
#[derive(Clone, Debug)]
pub(super) struct Reading {
    pub(super) at: Instant,
    /// Of all shards.
    pub(super) total: Stats,
    /// Connections of the shard with the most.
    pub(super) fullest: u64,
}

/// What there is of what may run out.
#[derive(Debug)]
pub(super) struct Capacity {
    /// Bytes.
    pub(super) memory: u64,
    /// Connections that one shard serves.
    pub(super) connections: u32,
    /// Bits a second of the network link. None: nobody knows.
    pub(super) link_bits: Option<f64>,
    pub(super) data_dir: Option<PathBuf>,
}

/// What the kernel says at the same moment.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Usage {
    /// Percent of the busiest data thread's core.
    pub(super) cpu: Option<f32>,
    /// Bytes in memory.
    pub(super) memory: Option<u64>,
    /// Percent of the data folder's file system.
    pub(super) disk: Option<f32>,
}

impl Reading {
    /// What `shards` said at `at`.
    pub(super) fn of(shards: &[Box<Stats>], at: Instant) -> Reading {
        let mut total = Stats::default();
        shards.iter().for_each(|stats| total.add(stats));
        let fullest = shards.iter().map(|stats| stats.connections).max().unwrap_or(0);
        Reading { at, total, fullest }
    }

    /// The values of the time since `before`.
    pub(super) fn values(&self, before: &Reading, usage: Usage, capacity: &Capacity) -> Values {
        let (now, then) = (&self.total, &before.total);
        let seconds = self.at.duration_since(before.at).as_secs_f64().max(1e-3);
        let rate =
            |count: fn(&Stats) -> u64| (count(now).saturating_sub(count(then)) as f64 / seconds) as f32;
        let bits = rate(|stats| stats.bytes_in).max(rate(|stats| stats.bytes_out)) * 8.0;
        let mut values = [f32::NAN; Metric::ALL.len()];
        for metric in Metric::ALL {
            values[metric as usize] = match metric {
                Metric::Cpu => usage.cpu.unwrap_or(f32::NAN),
                Metric::Memory => {
                    usage.memory.map_or(f32::NAN, |bytes| percent(bytes as f64, capacity.memory as f64))
                }
                Metric::Connections => percent(self.fullest as f64, capacity.connections.into()),
                Metric::Bandwidth => capacity.link_bits.map_or(f32::NAN, |link| percent(bits.into(), link)),
                Metric::Disk => usage.disk.unwrap_or(f32::NAN),
                Metric::ActiveConnections => now.connections.saturating_sub(now.mcp.connections) as f32,
                Metric::MessageRate => rate(messages),
                Metric::RequestRate => rate(|stats| stats.http_requests),
                Metric::ByteRate => rate(|stats| stats.bytes_in + stats.bytes_out),
                Metric::LatencyP99 => p99(&deliveries(now).since(&deliveries(then))),
                Metric::TurnP99 => p99(&now.turn.since(&then.turn)),
                Metric::ErrorRate => rate(errors),
                Metric::RefusalRate => rate(|stats| {
                    stats.limited + stats.denied + stats.forbidden + stats.kept_out + stats.turned_away
                }),
                Metric::OutboxBytes => now.outbox_bytes as f32,
            };
        }
        values
    }
}

impl Capacity {
    /// What the kernel says now; `memory` is what the process uses, bytes.
    pub(super) fn usage(&self, cpu: &mut process::Cpu, memory: Option<u64>, now: Instant) -> Usage {
        Usage { cpu: cpu.busiest(now), memory, disk: self.data_dir.as_deref().and_then(process::disk) }
    }
}

/// How long all deliveries took, whatever the transport.
fn deliveries(stats: &Stats) -> Histogram {
    let mut all = stats.websocket.delivery.clone();
    all.add(&stats.http_sse.delivery);
    all.add(&stats.longpoll.delivery);
    all
}

fn messages(stats: &Stats) -> u64 {
    let transports = [&stats.websocket, &stats.http_sse, &stats.longpoll];
    transports.iter().map(|transport| transport.messages_in + transport.messages_out).sum()
}

fn errors(stats: &Stats) -> u64 {
    let transports = [&stats.websocket, &stats.http_sse, &stats.longpoll];
    transports.iter().map(|transport| transport.errors).sum::<u64>() + stats.upstream.failures
}

fn p99(times: &Histogram) -> f32 {
    times.quantile(0.99).map_or(f32::NAN, millis)
}

/// Milliseconds.
pub(super) fn millis(time: Duration) -> f32 {
    (time.as_secs_f64() * 1e3) as f32
}

fn percent(part: f64, all: f64) -> f32 {
    if all > 0.0 { (part / all * 100.0) as f32 } else { f32::NAN }
}
