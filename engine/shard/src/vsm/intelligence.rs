//! What S4 says: how the gateway performs, and what is found in its figures.

use serde::Serialize;

use super::signal::Severity;

/// How the gateway performed in one second.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Performance {
    /// Open connections of clients.
    pub active_connections: u64,
    /// Messages received and sent, a second.
    pub message_rate: f32,
    /// What 99 % of the deliveries of the second did not exceed, milliseconds. None: there was none.
    pub latency_p99: Option<f32>,
    /// Connections by what they carry.
    pub transport_distribution: Distribution,
    /// Connections lost to an error and requests to MCP servers that failed, a second.
    pub error_rate: f32,
    /// The part of the connections to MCP servers that is at work, 0 to 1. None: there is none.
    pub pool_utilization: Option<f32>,
}

/// Connections by what they carry.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Distribution {
    /// WebSockets.
    pub websocket: u64,
    /// SSE streams.
    pub http_sse: u64,
    /// LongPoll sessions.
    pub longpoll: u64,
}

/// Something found in the figures, or its end.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Notice {
    /// What is found.
    #[serde(flatten)]
    pub finding: Finding,
    /// The metric's name.
    pub metric: &'static str,
    /// Whether it is there.
    pub state: NoticeState,
    /// How bad it is.
    pub severity: Severity,
    /// The metric's value.
    pub value: f32,
    /// For people.
    pub message: String,
    /// What to do about it.
    pub suggested_action: &'static str,
    /// RFC 3339.
    pub timestamp: String,
    /// Of what is over: how long it was there.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub lasted_ms: Option<u64>,
}

/// What was found.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Finding {
    /// The value is at its threshold.
    Alert { threshold: f32 },
    /// It will reach its limit in so many seconds.
    Forecast { limit_in_s: u64 },
    /// It is far from what is usual, by so many deviations.
    Anomaly { usual: f32, score: f32 },
}

/// Whether a finding is there.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum NoticeState {
    /// From now on.
    Raised,
    /// Not any more.
    Cleared,
}

impl Finding {
    /// The name on the bus.
    pub const fn name(self) -> &'static str {
        match self {
            Finding::Alert { .. } => "alert",
            Finding::Forecast { .. } => "forecast",
            Finding::Anomaly { .. } => "anomaly",
        }
    }
}
