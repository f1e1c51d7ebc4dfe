//! `weir stats` and `weir analyze`: what a running gateway measures, and what it makes of it.

use std::process::ExitCode;

use serde_json::Value;

use super::Failure;
use super::admin::{Target, table};

/// What a transport is told with, in this order.
const TRANSPORT: [&str; 7] = [
    "connections",
    "messages_in",
    "messages_out",
    "messages_per_second",
    "avg_latency_ms",
    "p99_latency_ms",
    "errors_per_minute",
];

/// Prints the figures of all transports.
///
/// # Errors
/// The gateway is not there, or refuses.
pub(super) fn stats(target: &Target, environment: &[(String, String)]) -> Result<ExitCode, Failure> {
    let answer = target.admin(environment)?.get("/mcp/stats")?;
    target.show(&answer, transports);
    Ok(ExitCode::SUCCESS)
}

/// Prints trends, forecasts, alerts and who behaves oddly.
///
/// # Errors
/// The gateway is not there, or refuses.
pub(super) fn analyze(target: &Target, environment: &[(String, String)]) -> Result<ExitCode, Failure> {
    let answer = target.admin(environment)?.get("/mcp/admin/intelligence")?;
    target.show(&answer, |answer| format!("{answer:#}"));
    Ok(ExitCode::SUCCESS)
}

fn transports(answer: &Value) -> String {
    let names = ["websocket", "http_sse", "longpoll"];
    let rows = names.map(|name| {
        let figures = TRANSPORT.iter().map(|key| cell(&answer[name][key]));
        std::iter::once(name.to_owned()).chain(figures).collect()
    });
    let head: Vec<&str> = std::iter::once("transport").chain(TRANSPORT).collect();
    table(&head, &rows)
}

/// A value as a table shows it.
fn cell(value: &Value) -> String {
    match value {
        Value::Null => "-".to_owned(),
        Value::String(text) => text.clone(),
        Value::Number(number) if number.is_f64() => format!("{:.2}", number.as_f64().unwrap_or(0.0)),
        other => other.to_string(),
    }
}
