//! What the operator is told: that something comes near its limit, will reach it, or is odd; and that it is over.

use weir_ring::time::Wall;
use weir_shard::message::timestamp;
use weir_shard::vsm::{Finding, Notice, NoticeState, Severity};

use super::metric::Metric;

/// Something that was raised and not cleared.
#[derive(Clone, Debug)]
pub(super) struct Raised {
    pub(super) notice: Notice,
    metric: Metric,
    at: Wall,
}

impl Raised {
    /// Something is there now.
    pub(super) fn new(finding: Finding, metric: Metric, value: f32, at: Wall) -> Raised {
        let notice = Notice {
            finding,
            metric: metric.name(),
            state: NoticeState::Raised,
            severity: severity(finding),
            value,
            message: message(finding, metric, value),
            suggested_action: metric.advice(),
            timestamp: timestamp(at),
            lasted_ms: None,
        };
        Raised { notice, metric, at }
    }

    /// It is over.
    pub(super) fn over(self, value: f32, at: Wall) -> Notice {
        let lasted_ms = at.0.saturating_sub(self.at.0);
        Notice {
            state: NoticeState::Cleared,
            value,
            message: format!("{}: over after {} s", self.metric.subject(), lasted_ms / 1_000),
            timestamp: timestamp(at),
            lasted_ms: Some(lasted_ms),
            ..self.notice
        }
    }

    /// Whether it is an alert.
    pub(super) const fn is_alert(&self) -> bool {
        matches!(self.notice.finding, Finding::Alert { .. })
    }

    /// Whether it is about this metric.
    pub(super) fn is_about(&self, metric: Metric) -> bool {
        self.metric == metric
    }

    /// Whether it is about the same kind of finding for the same metric.
    pub(super) fn is_of(&self, finding: Finding, metric: Metric) -> bool {
        self.metric == metric && self.notice.finding.name() == finding.name()
    }
}

const fn severity(finding: Finding) -> Severity {
    match finding {
        Finding::Alert { .. } => Severity::High,
        Finding::Forecast { .. } => Severity::Medium,
        Finding::Anomaly { .. } => Severity::Low,
    }
}

fn message(finding: Finding, metric: Metric, value: f32) -> String {
    let subject = metric.subject();
    match finding {
        Finding::Alert { threshold } => {
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
