//! What the operator is told: that something comes near its limit, will reach it, or is odd; and that it is over.

use serde::Serialize;
use weir_ring::time::Wall;
use weir_shard::message::timestamp;

use super::anomaly::Oddity;
use super::metric::Metric;

/// What is told.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(crate) struct Notice {
    #[serde(flatten)]
    pub(crate) finding: Finding,
    pub(crate) metric: Metric,
    pub(crate) state: State,
    pub(crate) severity: Severity,
    /// The metric's value.
    pub(crate) value: f32,
    pub(crate) message: String,
    pub(crate) suggested_action: &'static str,
    /// RFC 3339.
    pub(crate) timestamp: String,
    /// Of what is over: how long it was there.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) lasted_ms: Option<u64>,
    #[serde(skip)]
    at: Wall,
}

/// What was found.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub(crate) enum Finding {
    /// The value is at its threshold.
    Threshold { threshold: f32 },
    /// It will reach its limit.
    Forecast { limit_in_s: u64 },
    /// It is far from what it was, by so many deviations.
    Anomaly { usual: f32, score: f32 },
}

/// Whether it is there.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum State {
    Raised,
    Cleared,
}

/// How bad it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Severity {
    Low,
    Medium,
    High,
}

impl Finding {
    pub(super) const fn anomaly(oddity: Oddity) -> Finding {
        Finding::Anomaly { usual: oddity.median, score: oddity.score }
    }

    const fn severity(self) -> Severity {
        match self {
            Finding::Threshold { .. } => Severity::High,
            Finding::Forecast { .. } => Severity::Medium,
            Finding::Anomaly { .. } => Severity::Low,
        }
    }

    /// Whether both are of one kind.
    fn is_like(self, other: Finding) -> bool {
        std::mem::discriminant(&self) == std::mem::discriminant(&other)
    }

    fn says(self, metric: Metric, value: f32) -> String {
        let subject = metric.subject();
        match self {
            Finding::Threshold { threshold } => {
                format!("{subject}: {value:.0} % in use, and {threshold:.0} % is much")
            }
            Finding::Forecast { limit_in_s } => {
                let time = match limit_in_s {
                    0..120 => format!("{limit_in_s} s"),
                    _ => format!("{} min", limit_in_s / 60),
                };
                format!(
                    "{subject}: the limit is reached in {time} if it goes on like this; {value:.0} % are in use"
                )
            }
            Finding::Anomaly { usual, score } => {
                let (unit, side) = (metric.unit(), if score > 0.0 { "above" } else { "below" });
                format!("{subject}: {value:.1} {unit} is far {side} the usual {usual:.1}")
            }
        }
    }
}

impl Notice {
    /// Something is there now.
    pub(super) fn raised(finding: Finding, metric: Metric, value: f32, at: Wall) -> Notice {
        Notice {
            finding,
            metric,
            state: State::Raised,
            severity: finding.severity(),
            value,
            message: finding.says(metric, value),
            suggested_action: metric.advice(),
            timestamp: timestamp(at),
            lasted_ms: None,
            at,
        }
    }

    /// The same is over.
    pub(super) fn over(self, value: f32, at: Wall) -> Notice {
        let lasted_ms = at.0.saturating_sub(self.at.0);
        Notice {
            state: State::Cleared,
            value,
            message: format!("{}: over after {} s", self.metric.subject(), lasted_ms / 1_000),
            timestamp: timestamp(at),
            lasted_ms: Some(lasted_ms),
            ..self
        }
    }

    /// Whether it is about the same kind of finding for the same metric.
    pub(super) fn is_of(&self, finding: Finding, metric: Metric) -> bool {
        self.metric == metric && self.finding.is_like(finding)
    }
}
