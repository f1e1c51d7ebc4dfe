//! How often the detector is wrong, and how soon it is right, on a recording of real load: 60 SSE clients that come and
//! go, a backend whose rate rises and falls (`tests/suite/clients/intelligence/record.js`), on a machine with two cores
//! that others used, too.

use std::collections::BTreeMap;

use super::anomaly::{self, Detector, News};
use super::metric::Metric;

const RECORDED: &str = include_str!("recorded.csv");

/// The recorded seconds of each metric, one that was not measured as NaN.
fn recorded() -> BTreeMap<&'static str, (Metric, Vec<f32>)> {
    let (head, rows) = RECORDED.split_once('\n').expect("a head");
    let mut columns: Vec<(Metric, Vec<f32>)> =
        head.split(',').map(|name| (Metric::named(name).expect("a metric"), Vec::new())).collect();
    for row in rows.lines() {
        for ((_, values), text) in columns.iter_mut().zip(row.split(',')) {
            values.push(text.parse().unwrap_or(f32::NAN));
        }
    }
    columns.into_iter().map(|(metric, values)| (metric.name(), (metric, values))).collect()
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

/// The same load on a gateway that has a hundred times as much of it: no floor helps.
fn busy(metric: Metric, values: &[f32]) -> Vec<f32> {
    let grows = [Metric::ActiveConnections, Metric::MessageRate, Metric::RequestRate, Metric::ByteRate];
    let factor = if grows.contains(&metric) { 100.0 } else { 1.0 };
    values.iter().map(|value| value * factor).collect()
}

/// As docs/control.md says: at most so many an hour, of all metrics together.
#[test]
fn false_alarms_are_as_rare_as_is_said() {
    for (load, said) in [("as recorded", 1.0), ("a hundred times", 4.0)] {
        let (mut hours, mut alarms) = (0.0_f64, Vec::new());
        for (name, (metric, mut values)) in recorded() {
            hours = values.len() as f64 / 3_600.0;
            if said > 1.0 {
                values = busy(metric, &values);
            }
            alarms.extend(begins(metric, &values).into_iter().map(|second| (name, second, values[second])));
        }
        println!("{load}: {} alarms in {hours:.2} h: {alarms:?}", alarms.len());
        assert!(alarms.len() as f64 <= (said * hours).max(1.0), "{load}: {alarms:?}");
    }
}

/// What is really odd is found: three times the usual, wherever it begins.
#[test]
fn what_is_three_times_as_much_is_found_at_once() {
    for name in ["message_rate", "byte_rate"] {
        let (metric, values) = recorded().remove(name).expect("recorded");
        let values = busy(metric, &values);
        let starts: Vec<usize> = (200..values.len() - 40).step_by(20).collect();
        let found = starts.iter().filter(|&&start| {
            let mut changed = values.clone();
            changed[start..start + 30].iter_mut().for_each(|value| *value *= 3.0);
            begins(metric, &changed).iter().any(|second| (start..start + 10).contains(second))
        });
        let found = found.count();
        println!("{name}: {found} of {} found", starts.len());
        assert!(found * 10 >= starts.len() * 9, "{name}: {found} of {}", starts.len());
    }
}
