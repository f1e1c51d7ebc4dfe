//! What is known of the last hour, and what was found in it: a function of the values of each second.

use std::array;
use std::collections::VecDeque;
use std::time::Duration;

use serde::Serialize;
use weir_ring::time::Wall;
use weir_shard::vsm::{Distribution, Finding, Notice, NoticeState, Performance};

use super::alert::{self, Alert};
use super::anomaly::{self, Detector, Oddity};
use super::forecast;
use super::metric::Metric;
use super::notice::Raised;
use super::series::{SECONDS, Series, Summary};
use super::trend::{self, Trend};
use crate::config::Alerts;

/// What runs out sooner than this is told, seconds; what does not in twice the time, is not told any longer.
const HORIZON: f32 = 900.0;

/// An alert is cleared this much below its threshold, percentage points.
const CLEARANCE: f32 = 5.0;

/// Notices that are remembered.
const NOTICES_MAX: usize = 100;

/// The value of each metric in one second; NaN where nothing was measured.
pub(super) type Values = [f32; Metric::ALL.len()];

/// All metrics.
#[derive(Debug)]
pub(crate) struct Board {
    series: [Series; Metric::ALL.len()],
    alerts: Vec<(Metric, Alert)>,
    /// How near the end is, as seconds below 0.
    forecasts: [Alert; Metric::FILLING.len()],
    detectors: [Detector; Metric::WATCHED.len()],
    /// Whether anything found is told.
    tells: bool,
    /// What was raised and not cleared.
    active: Vec<Raised>,
    /// What was told, the oldest first.
    told: VecDeque<Notice>,
}

/// One metric, as the operator sees it.
#[derive(Debug, Serialize)]
pub(super) struct Outlook {
    metric: &'static str,
    unit: &'static str,
    now: Option<f32>,
    /// The last minute.
    minute: Option<Summary>,
    /// The last hour.
    hour: Option<Summary>,
    trend: Option<Slope>,
    /// Until the trend meets the limit, seconds.
    limit_in_s: Option<u64>,
    /// It is far from what it was.
    odd: bool,
}

/// A trend in the operator's units.
#[derive(Debug, Serialize)]
struct Slope {
    per_minute: f64,
    fit: f64,
}

impl Board {
    /// Nothing is known yet.
    pub(super) fn new(alerts: &Alerts) -> Board {
        Board {
            series: array::from_fn(|_| Series::default()),
            alerts: configured(alerts).collect(),
            forecasts: [Alert::new(-HORIZON, -2.0 * HORIZON); _],
            detectors: array::from_fn(|_| Detector::default()),
            tells: alerts.enabled,
            active: Vec::new(),
            told: VecDeque::new(),
        }
    }

    /// Whether anything found is told from now on.
    pub(super) fn set_tells(&mut self, tells: bool) {
        self.tells = tells;
    }

    /// Other thresholds hold from now on. What was raised at one that is gone, or is not told any more, is forgotten.
    pub(super) fn renew(&mut self, alerts: &Alerts) {
        for (metric, mut alert) in configured(alerts) {
            match self.alerts.iter_mut().find(|(other, _)| *other == metric) {
                Some((_, old)) => {
                    alert.follow(old);
                    *old = alert;
                }
                None => self.alerts.push((metric, alert)),
            }
        }
        self.alerts.retain(|(metric, _)| configured(alerts).any(|(other, _)| other == *metric));
        self.tells = alerts.enabled;
        let Board { alerts, active, tells, .. } = self;
        let watched = |raised: &Raised| alerts.iter().any(|(metric, _)| raised.is_about(*metric));
        active.retain(|raised| *tells && (!raised.is_alert() || watched(raised)));
    }

    /// A second has passed. Says what is to be told.
    pub(super) fn note(&mut self, second: u64, values: &Values, at: Wall) -> Vec<Notice> {
        let mut news = self.odd(values);
        for (metric, series) in Metric::ALL.into_iter().zip(&mut self.series) {
            series.put(second, values[metric as usize]);
        }
        news.extend(self.near());
        news.extend(self.foreseen());
        if !self.tells {
            return Vec::new();
        }
        news.into_iter()
            .filter_map(|(metric, finding, state)| self.tell(metric, finding, state, at))
            .collect()
    }

    /// What has come to its threshold, or gone from it.
    fn near(&mut self) -> Vec<(Metric, Finding, NoticeState)> {
        let Board { alerts, series, .. } = self;
        let looks = alerts.iter_mut().filter_map(|(metric, alert)| {
            let state = state(alert.look(series[*metric as usize].last())?);
            Some((*metric, Finding::Alert { threshold: alert.threshold() }, state))
        });
        looks.collect()
    }

    /// What will reach its limit soon, or will not any longer.
    fn foreseen(&mut self) -> Vec<(Metric, Finding, NoticeState)> {
        let left = Metric::FILLING.map(|metric| self.limit_in(metric));
        let looks = self.forecasts.iter_mut().zip(Metric::FILLING).zip(left);
        let looks = looks.filter_map(|((alert, metric), left)| {
            let near = left.map_or(f32::NEG_INFINITY, |left| -left.as_secs_f32());
            let limit_in_s = left.map_or(0, |left| left.as_secs());
            Some((metric, Finding::Forecast { limit_in_s }, state(alert.look(Some(near))?)))
        });
        looks.collect()
    }

    /// What is odd from now on, or usual again, as the new `values` stand to those before.
    fn odd(&mut self, values: &Values) -> Vec<(Metric, Finding, NoticeState)> {
        let mut news = Vec::new();
        for (metric, detector) in Metric::WATCHED.into_iter().zip(&mut self.detectors) {
            let value = values[metric as usize];
            if value.is_nan() {
                continue;
            }
            let past = self.series[metric as usize].recent(anomaly::WINDOW);
            let mut past: Vec<f32> = past.filter(|value| !value.is_nan()).collect();
            let Some(oddity) = anomaly::judge(&mut past, value, metric.floor()) else { continue };
            match detector.look(oddity) {
                Some(anomaly::News::Begins(oddity)) => {
                    news.push((metric, anomaly(oddity), NoticeState::Raised));
                }
                Some(anomaly::News::Ends) => news.push((metric, anomaly(oddity), NoticeState::Cleared)),
                None => {}
            }
        }
        news
    }

    /// Remembers what is told.
    fn tell(&mut self, metric: Metric, finding: Finding, state: NoticeState, at: Wall) -> Option<Notice> {
        let value = self.series[metric as usize].last().unwrap_or(f32::NAN);
        let notice = match state {
            NoticeState::Raised => {
                let raised = Raised::new(finding, metric, value, at);
                self.active.push(raised.clone());
                raised.notice
            }
            NoticeState::Cleared => {
                let place = self.active.iter().position(|raised| raised.is_of(finding, metric))?;
                self.active.remove(place).over(value, at)
            }
        };
        if self.told.len() == NOTICES_MAX {
            self.told.pop_front();
        }
        self.told.push_back(notice.clone());
        Some(notice)
    }

    /// Where a metric was going in the last minutes.
    fn trend(&self, metric: Metric) -> Option<Trend> {
        Trend::of(self.series[metric as usize].recent(trend::WINDOW))
    }

    /// How long it takes until all of it is used.
    fn limit_in(&self, metric: Metric) -> Option<Duration> {
        forecast::reaches(self.trend(metric)?, 100.0)
    }

    /// What was raised and not cleared.
    pub(super) fn active(&self) -> impl Iterator<Item = &Notice> {
        self.active.iter().map(|raised| &raised.notice)
    }

    /// What was told, the oldest first.
    pub(super) fn told(&self) -> impl Iterator<Item = &Notice> {
        self.told.iter()
    }

    /// A metric's value of the last second; none if nothing was measured.
    pub(super) fn last(&self, metric: Metric) -> Option<f32> {
        self.series[metric as usize].last()
    }

    /// The last `seconds` of a metric, the oldest first.
    pub(super) fn recent(&self, metric: Metric, seconds: usize) -> Vec<f32> {
        self.series[metric as usize].recent(seconds).collect()
    }

    /// How the gateway performed in the last second. None: nobody knows.
    pub(super) fn performance(
        &self,
        transport_distribution: Distribution,
        pool_utilization: Option<f32>,
    ) -> Option<Performance> {
        let last = |metric| self.last(metric);
        Some(Performance {
            active_connections: last(Metric::ActiveConnections)? as u64,
            message_rate: last(Metric::MessageRate)?,
            latency_p99: last(Metric::LatencyP99),
            transport_distribution,
            error_rate: last(Metric::ErrorRate)?,
            pool_utilization,
        })
    }

    /// All metrics, as the operator sees them.
    pub(super) fn outlooks(&self) -> impl Iterator<Item = Outlook> {
        Metric::ALL.into_iter().map(|metric| {
            let series = &self.series[metric as usize];
            let odd = Metric::WATCHED.iter().position(|watched| *watched == metric);
            let fills = Metric::FILLING.contains(&metric);
            Outlook {
                metric: metric.name(),
                unit: metric.unit(),
                now: series.last(),
                minute: series.summary(60),
                hour: series.summary(SECONDS),
                trend: self
                    .trend(metric)
                    .map(|trend| Slope { per_minute: trend.slope * 60.0, fit: trend.fit }),
                limit_in_s: fills.then(|| self.limit_in(metric)).flatten().map(|left| left.as_secs()),
                odd: odd.is_some_and(|place| self.detectors[place].is_odd()),
            }
        })
    }
}

/// Alerts at the thresholds that are set.
fn configured(alerts: &Alerts) -> impl Iterator<Item = (Metric, Alert)> + use<> {
    let thresholds = [
        (Metric::Cpu, alerts.cpu),
        (Metric::Memory, alerts.memory),
        (Metric::Connections, alerts.connections),
        (Metric::Bandwidth, alerts.bandwidth),
    ];
    thresholds.into_iter().filter(|(_, percent)| *percent > 0).map(|(metric, percent)| {
        let threshold = f32::from(percent);
        (metric, Alert::new(threshold, threshold - CLEARANCE))
    })
}

const fn anomaly(oddity: Oddity) -> Finding {
    Finding::Anomaly { usual: oddity.median, score: oddity.score }
}

const fn state(news: alert::News) -> NoticeState {
    match news {
        alert::News::Raised => NoticeState::Raised,
        alert::News::Cleared => NoticeState::Cleared,
    }
}
