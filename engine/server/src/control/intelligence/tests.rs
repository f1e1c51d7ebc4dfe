use std::time::{Duration, Instant};

use weir_ring::time::Wall;
use weir_shard::metrics::Stats;
use weir_shard::vsm::{Finding, Notice, NoticeState};

use super::board::{Board, Values};
use super::metric::Metric;
use super::sample::{Capacity, Reading, Usage};
use crate::config::Alerts;

fn values(set: &[(Metric, f32)]) -> Values {
    let mut values = [0.0; Metric::ALL.len()];
    set.iter().for_each(|(metric, value)| values[*metric as usize] = *value);
    values
}

/// Plays a metric's values, one a second, and says what was told and when.
fn play(
    board: &mut Board,
    metric: Metric,
    seconds: std::ops::Range<u64>,
    value: impl Fn(u64) -> f32,
) -> Vec<(u64, Notice)> {
    let told = seconds.flat_map(|second| {
        let news = board.note(second, &values(&[(metric, value(second))]), Wall(second * 1_000));
        news.into_iter().map(move |notice| (second, notice))
    });
    told.collect()
}

#[test]
fn metrics_stand_in_their_own_places() {
    for (place, metric) in Metric::ALL.into_iter().enumerate() {
        assert_eq!(metric as usize, place);
        assert_eq!(Metric::named(metric.name()), Some(metric));
    }
}

#[test]
fn the_forecast_comes_before_the_alert_and_the_alert_before_the_limit() {
    let mut board = Board::new(&Alerts::default());
    // 100 % after 2,000 s.
    let told = play(&mut board, Metric::Connections, 0..2_000, |second| second as f32 / 20.0);
    let [(first, forecast), (second, alert)] = &told[..] else { panic!("{told:?}") };
    assert!(matches!(forecast.finding, Finding::Forecast { limit_in_s: 880..900 }), "{forecast:?}");
    assert_eq!(
        forecast.message,
        "connections: the limit is reached in 14 min if it goes on like this; 55 % are in use"
    );
    assert_eq!((*first, *second), (1_101, 1_801));
    assert_eq!(alert.message, "connections: 90 % in use, and 90 % is much");
    assert_eq!(board.active().count(), 2);
    let told = play(&mut board, Metric::Connections, 2_000..2_400, |_| 50.0);
    let ended: Vec<_> = told.iter().map(|(_, notice)| (notice.state, notice.lasted_ms.is_some())).collect();
    assert_eq!(ended, [(NoticeState::Cleared, true); 2]);
    assert!(board.active().next().is_none());
    assert_eq!(board.told().count(), 4);
}

#[test]
fn with_alerts_off_nothing_is_told_and_all_is_known() {
    let mut board = Board::new(&Alerts { enabled: false, ..Alerts::default() });
    assert_eq!(play(&mut board, Metric::Connections, 0..2_000, |second| second as f32 / 20.0), []);
    assert!(board.active().next().is_none());
    assert_eq!(board.recent(Metric::Connections, 2), [99.9, 99.95]);
}

#[test]
fn a_second_s_values_are_what_was_counted_in_it() {
    let start = Instant::now();
    let shard = |connections, messages| {
        let mut stats = Stats { connections, bytes_out: 1_000 * messages, ..Stats::default() };
        (stats.websocket.messages_in, stats.http_sse.messages_out) = (messages, messages);
        (stats.limited, stats.websocket.errors, stats.upstream.failures) = (messages, 3, messages / 10);
        Box::new(stats)
    };
    let before = Reading::of(&[shard(10, 100), shard(20, 100)], start);
    let mut busy = shard(30, 300);
    busy.mcp.connections = 5;
    (0..100).for_each(|millis| busy.http_sse.delivery.record(Duration::from_millis(millis)));
    let now = Reading::of(&[shard(10, 100), busy], start + Duration::from_secs(2));
    let capacity = Capacity { memory: 1_000, connections: 60, link_bits: Some(8e6), data_dir: None };
    let usage = Usage { cpu: Some(12.5), memory: Some(250), disk: None };
    let values = now.values(&before, usage, &capacity);
    let value = |metric: Metric| values[metric as usize];
    assert_eq!((value(Metric::Cpu), value(Metric::Memory), value(Metric::Connections)), (12.5, 25.0, 50.0));
    assert_eq!(value(Metric::ActiveConnections), 35.0, "without those to MCP servers");
    assert_eq!((value(Metric::MessageRate), value(Metric::RefusalRate)), (200.0, 100.0));
    assert_eq!((value(Metric::ByteRate), value(Metric::Bandwidth)), (100_000.0, 10.0));
    assert_eq!(value(Metric::ErrorRate), 10.0, "errors of before do not count");
    assert!((98.0..105.0).contains(&value(Metric::LatencyP99)), "{}", value(Metric::LatencyP99));
    assert!(value(Metric::Disk).is_nan() && value(Metric::TurnP99).is_nan(), "nobody knows");
}

#[test]
fn a_threshold_of_zero_is_none() {
    let mut board = Board::new(&Alerts { cpu: 0, ..Alerts::default() });
    assert_eq!(play(&mut board, Metric::Cpu, 0..100, |_| 100.0), []);
}

#[test]
fn a_burst_is_odd_once() {
    let mut board = Board::new(&Alerts::default());
    let value = |second| if (300..330).contains(&second) { 5_000.0 } else { 1_000.0 + (second % 10) as f32 };
    let told = play(&mut board, Metric::MessageRate, 0..400, value);
    let seen: Vec<_> = told.iter().map(|(second, notice)| (*second, notice.state)).collect();
    assert_eq!(seen, [(302, NoticeState::Raised), (339, NoticeState::Cleared)]);
    assert!(told[0].1.message.contains("far above the usual 100"), "{}", told[0].1.message);
}

#[test]
fn notices_are_bounded_and_seconds_may_be_missed() {
    let mut board = Board::new(&Alerts::default());
    for round in 0..200_u64 {
        play(&mut board, Metric::Cpu, round * 100..round * 100 + 20, |second| {
            if second % 100 < 3 { 99.0 } else { 1.0 }
        });
    }
    assert_eq!(board.told().count(), 100);
}
