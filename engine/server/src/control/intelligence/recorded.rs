//! How often the detector is wrong, and whether it is right, on a recording of real load: 60 SSE clients that come and
//! go, a backend whose rate rises and falls (`tests/suite/clients/intelligence/record.js`), on a machine with two cores
//! on which compilers ran meanwhile. An empty line parts two recordings.

use super::anomaly::{self, Detector, News};
use super::metric::Metric;

const RECORDED: &str = include_str!("recorded.csv");

/// Each metric of each recording, second by second; what was not measured is NaN.
fn recorded() -> Vec<(Metric, Vec<f32>)> {
    let (head, rows) = RECORDED.split_once('\n').expect("a head");
    let metrics: Vec<Metric> = head.split(',').map(|name| Metric::named(name).expect("a metric")).collect();
    let series = rows.split("\n\n").flat_map(|part| {
        let rows: Vec<Vec<f32>> = part.lines().map(|row| row.split(',').map(value).collect()).collect();
        let column =
            move |(at, metric): (usize, &Metric)| (*metric, rows.iter().map(|row| row[at]).collect());
        metrics.iter().enumerate().map(column).collect::<Vec<_>>()
    });
    series.collect()
}

fn value(text: &str) -> f32 {
    text.parse().unwrap_or(f32::NAN)
}

/// The seconds in which anomalies begin.
fn begins(metric: Metric, values: &[f32]) -> Vec<usize> {
    let mut detector = Detector::default();
    let begins = |(second, value): (usize, &f32)| {
        let past = &values[second.saturating_sub(anomaly::WINDOW)..second];
        let mut past: Vec<f32> = past.iter().copied().filter(|value| !value.is_nan()).collect();
        let oddity = anomaly::judge(&mut past, *value, metric.floor())?;
        matches!(detector.look(oddity)?, News::Begins(_)).then_some(second)
    };
    values.iter().enumerate().filter(|(_, value)| !value.is_nan()).filter_map(begins).collect()
}

/// The same load on a gateway that has a hundred times as much of it: there no floor helps.
fn busy(metric: Metric, values: Vec<f32>) -> Vec<f32> {
    let grows = [Metric::ActiveConnections, Metric::MessageRate, Metric::RequestRate, Metric::ByteRate];
    let factor = if grows.contains(&metric) { 100.0 } else { 1.0 };
    values.iter().map(|value| value * factor).collect()
}

#[test]
fn false_alarms_are_as_rare_as_is_said() {
    let mut seconds = 0;
    let mut alarms = Vec::new();
    for (metric, values) in recorded() {
        seconds += values.len().saturating_sub(120);
        let values = busy(metric, values);
        alarms.extend(begins(metric, &values).into_iter().map(|second| (metric, second, values[second])));
    }
    println!("{} alarms in {seconds} seconds of a metric: {alarms:?}", alarms.len());
    assert!(alarms.is_empty(), "{alarms:?}");
}

#[test]
fn three_times_as_much_is_found_wherever_it_begins() {
    let rates = |(metric, _): &(Metric, Vec<f32>)| [Metric::MessageRate, Metric::ByteRate].contains(metric);
    let (mut found, mut tried) = (0, 0);
    for (metric, values) in recorded().into_iter().filter(rates) {
        let values = busy(metric, values);
        for start in (130..values.len().saturating_sub(20)).step_by(10) {
            let mut changed = values.clone();
            changed[start..start + 15].iter_mut().for_each(|value| *value *= 3.0);
            tried += 1;
            found += usize::from(
                begins(metric, &changed).iter().any(|second| (start..start + 10).contains(second)),
            );
        }
    }
    println!("{found} of {tried} found within 10 s");
    assert!(found * 2 > tried, "{found} of {tried}");
}
