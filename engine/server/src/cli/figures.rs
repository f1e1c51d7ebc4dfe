//! `weir stats` and `weir analyze`: what a running gateway measures, and what it makes of it.

use std::process::ExitCode;

use serde_json::Value;

use super::Failure;
use super::admin::Target;
use super::style::{cell, printable, table};

/// What a transport is shown with, in this order.
const TRANSPORT: [&str; 8] = [
    "connections",
    "messages_in",
    "messages_out",
    "messages_per_second",
    "avg_latency_ms",
    "p99_latency_ms",
    "errors_per_minute",
    "healthy",
];

/// Totals that are shown below.
const TOTALS: [&str; 11] = [
    "driver",
    "uptime_seconds",
    "connections",
    "accepted",
    "sessions",
    "topics",
    "http_requests",
    "limited",
    "denied",
    "gaps",
    "outbox_bytes",
];

/// Prints the figures of all transports, totals and alerts.
///
/// # Errors
/// The gateway is not there, or refuses.
pub(super) fn stats(target: &Target, environment: &[(String, String)]) -> Result<ExitCode, Failure> {
    let answer = target.admin(environment)?.get("/mcp/stats")?;
    target.show(&answer, figures);
    Ok(ExitCode::SUCCESS)
}

/// Prints trends, forecasts, alerts, how old connections are, and who behaves oddly.
///
/// # Errors
/// The gateway is not there, or refuses.
pub(super) fn analyze(target: &Target, environment: &[(String, String)]) -> Result<ExitCode, Failure> {
    let answer = target.admin(environment)?.get("/mcp/admin/intelligence")?;
    target.show(&answer, analysis);
    Ok(ExitCode::SUCCESS)
}

fn figures(answer: &Value) -> String {
    let names = ["websocket", "http_sse", "longpoll"];
    let rows = names.map(|name| {
        let figures = TRANSPORT.iter().map(|key| cell(&answer[name][key]));
        std::iter::once(name.to_owned()).chain(figures).collect()
    });
    let head: Vec<&str> = std::iter::once("transport").chain(TRANSPORT).collect();
    let totals = TOTALS.map(|key| vec![key.to_owned(), cell(&answer[key])]);
    [table(&head, &rows), table(&["total", ""], &totals), notices("alerts", &answer["alerts"])].join("\n")
}

fn analysis(answer: &Value) -> String {
    let metrics = rows(&answer["metrics"], |metric| {
        vec![
            text(&metric["metric"]),
            text(&metric["unit"]),
            cell(&metric["now"]),
            cell(&metric["minute"]["p50"]),
            cell(&metric["hour"]["p50"]),
            cell(&metric["hour"]["p99"]),
            cell(&metric["hour"]["max"]),
            cell(&metric["trend"]["per_minute"]),
            cell(&metric["limit_in_s"]),
        ]
    });
    let head = [
        "metric",
        "unit",
        "now",
        "minute p50",
        "hour p50",
        "hour p99",
        "hour max",
        "per minute",
        "limit in s",
    ];
    let ages = answer["clients"]["ages"].as_object().into_iter().flatten();
    // In the order of the ages, not of their names.
    let mut ages: Vec<Vec<String>> = ages.map(|(age, count)| vec![age.clone(), cell(count)]).collect();
    ages.sort_by_key(|row| {
        (row[0].ends_with('+'), row[0].split('-').next().and_then(|hours| hours.parse::<u8>().ok()))
    });
    let suspects = rows(&answer["clients"]["suspects"], |suspect| {
        let offences = suspect["offences"].as_object().into_iter().flatten();
        let offences: Vec<String> = offences.map(|(name, count)| format!("{name} {count}")).collect();
        vec![
            text(&suspect["who"]),
            text(&suspect["kind"]),
            cell(&suspect["score"]),
            cell(&suspect["refused_for"]),
            offences.join(", "),
        ]
    });
    let suspects = match suspects.is_empty() {
        true => "nobody is suspicious\n".to_owned(),
        false => table(&["suspect", "kind", "score", "refused for s", "offences"], &suspects),
    };
    let parts = [
        table(&head, &metrics),
        notices("now", &answer["active"]),
        notices("before", &answer["history"]),
        table(&["age", "connections"], &ages),
        suspects,
    ];
    parts.join("\n")
}

/// What was told, a line each.
fn notices(name: &str, notices: &Value) -> String {
    let lines = notices.as_array().into_iter().flatten().map(|notice| {
        format!(
            "{}  {:<9}  {}\n",
            text(&notice["timestamp"]),
            text(&notice["kind"]),
            text(&notice["message"])
        )
    });
    let lines: String = lines.collect();
    if lines.is_empty() { format!("{name}: none\n") } else { format!("{name}:\n{lines}") }
}

fn rows(list: &Value, row: impl Fn(&Value) -> Vec<String>) -> Vec<Vec<String>> {
    list.as_array().into_iter().flatten().map(row).collect()
}

fn text(value: &Value) -> String {
    value.as_str().map_or_else(|| "-".to_owned(), printable)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn figures_are_tables() {
        let answer = json!({
            "websocket": {"connections": 2, "p99_latency_ms": 1.5, "healthy": true},
            "connections": 3,
            "alerts": [{"timestamp": "2026-01-01T00:00:00.000Z", "kind": "threshold", "message": "memory: much"}],
        });
        let text = figures(&answer);
        assert!(text.contains("websocket            2"), "{text}");
        assert!(text.contains("1.5") && text.contains("true"), "{text}");
        assert!(text.contains("2026-01-01T00:00:00.000Z  threshold  memory: much"), "{text}");
        assert!(figures(&json!({})).contains("alerts: none"), "an older gateway says less");
    }

    #[test]
    fn an_analysis_names_ages_in_their_order_and_suspects() {
        let answer = json!({
            "metrics": [{"metric": "cpu", "unit": "%", "now": 12.5, "minute": {"p50": 11.0}}],
            "clients": {
                "ages": {"0-1h": 1, "1-6h": 2, "24h+": 4, "6-24h": 3},
                "suspects": [{"who": "u1", "kind": "client", "score": 3.0, "offences": {"rapid_reconnect": 6}}],
            },
        });
        let text = analysis(&answer);
        let at = |part: &str| text.find(part).unwrap_or_else(|| panic!("{part} is not in {text}"));
        assert!(at("0-1h") < at("1-6h") && at("1-6h") < at("6-24h") && at("6-24h") < at("24h+"));
        assert!(at("u1") < at("rapid_reconnect 6"));
        assert!(at("cpu") < at("12.5"));
    }
}
