//! Figures of one look, with what has changed since the look before.

use std::time::Instant;

use serde_json::Value;

use crate::cli::style::cell;

/// Transports, as figures and people name them.
const TRANSPORTS: [(&str, &str); 3] =
    [("websocket", "WebSocket"), ("http_sse", "SSE"), ("longpoll", "LongPoll")];

/// One look.
#[derive(Debug)]
pub(super) struct Figures {
    at: Instant,
    answer: Value,
    pub(super) transports: Vec<Transport>,
    pub(super) cores: Vec<Core>,
    /// Messages a second, both ways, of all transports. None: this is the first look.
    pub(super) rate: Option<f64>,
    /// Bits a second, in and out.
    pub(super) bits: Option<(f64, f64)>,
}

/// One transport.
#[derive(Debug)]
pub(super) struct Transport {
    pub(super) name: &'static str,
    pub(super) connections: String,
    pub(super) received: String,
    pub(super) sent: String,
    pub(super) p99: String,
    pub(super) errors: String,
    pub(super) is_healthy: bool,
}

/// One core's shard.
#[derive(Debug)]
pub(super) struct Core {
    pub(super) connections: String,
    pub(super) keys: String,
    pub(super) operations: String,
    pub(super) turn_ms: String,
    /// The largest part of what there may be.
    pub(super) load: f64,
}

impl Figures {
    pub(super) fn of(answer: Value, at: Instant, before: Option<&Figures>) -> Figures {
        let since = before.map(|before| Since {
            answer: &before.answer,
            seconds: at.duration_since(before.at).as_secs_f64().max(1e-3),
        });
        let rate = |pointer: &str| Some(since.as_ref()?.rate(&answer, pointer));
        let transports = TRANSPORTS.iter().map(|&(key, name)| {
            let figures = &answer["stats"][key];
            Transport {
                name,
                connections: cell(&figures["connections"]),
                received: shown(rate(&format!("/stats/{key}/messages_in"))),
                sent: shown(rate(&format!("/stats/{key}/messages_out"))),
                p99: cell(&figures["p99_latency_ms"]),
                errors: cell(&figures["errors_per_minute"]),
                is_healthy: figures["healthy"] != false,
            }
        });
        let transports: Vec<Transport> = transports.collect();
        let views = answer["control"]["shards"].as_array().map_or(0, Vec::len);
        let cores: Vec<Core> = (0..views).map(|shard| core(&answer, shard, since.as_ref())).collect();
        let all = TRANSPORTS
            .iter()
            .flat_map(|(key, _)| ["in", "out"].map(|way| rate(&format!("/stats/{key}/messages_{way}"))));
        let all: Option<f64> = all.sum();
        let bits = rate("/stats/bytes_in").zip(rate("/stats/bytes_out"));
        let bits = bits.map(|(received, sent)| (received * 8.0, sent * 8.0));
        Figures { at, transports, cores, rate: all, bits, answer }
    }

    /// What stands at `pointer` (RFC 6901).
    pub(super) fn at(&self, pointer: &str) -> &Value {
        self.answer.pointer(pointer).unwrap_or(&Value::Null)
    }

    pub(super) fn list(&self, pointer: &str) -> &[Value] {
        self.at(pointer).as_array().map(Vec::as_slice).unwrap_or_default()
    }
}

/// The look before.
struct Since<'a> {
    answer: &'a Value,
    seconds: f64,
}

impl Since<'_> {
    /// How much more a counter has, per second. One that is less began anew.
    fn rate(&self, now: &Value, pointer: &str) -> f64 {
        let count = |answer: &Value| answer.pointer(pointer).and_then(Value::as_f64).unwrap_or(0.0);
        (count(now) - count(self.answer)).max(0.0) / self.seconds
    }
}

fn core(answer: &Value, shard: usize, since: Option<&Since<'_>>) -> Core {
    let (view, stats) = (&answer["control"]["shards"][shard], &answer["stats"]["shards"][shard]);
    let loads = view["load"].as_object().into_iter().flatten();
    let load = loads.filter_map(|(_, part)| part.as_f64()).fold(0.0, f64::max);
    Core {
        connections: cell(&stats["connections"]),
        keys: cell(&view["keys"]),
        operations: shown(
            since.map(|since| since.rate(answer, &format!("/stats/shards/{shard}/operations"))),
        ),
        turn_ms: cell(&view["turn_ms"]),
        load,
    }
}

/// A number of few letters; "-" is not known yet.
pub(super) fn shown(number: Option<f64>) -> String {
    match number {
        None => "-".to_owned(),
        Some(number) if number >= 10e6 => format!("{:.0}M", number / 1e6),
        Some(number) if number >= 10e3 => format!("{:.1}k", number / 1e3),
        Some(number) => format!("{number:.0}"),
    }
}

/// Seconds as people say them.
pub(super) fn lasting(seconds: &Value) -> String {
    match seconds.as_u64() {
        None => "-".to_owned(),
        Some(seconds @ 0..60) => format!("{seconds}s"),
        Some(seconds @ 60..3_600) => format!("{}m{:02}s", seconds / 60, seconds % 60),
        Some(seconds @ 3_600..86_400) => format!("{}h{:02}m", seconds / 3_600, seconds % 3_600 / 60),
        Some(seconds) => format!("{}d{:02}h", seconds / 86_400, seconds % 86_400 / 3_600),
    }
}
