//! `weir trace`: what the messages of one client go through, as it happens.

use std::process::ExitCode;
use std::time::Duration;

use clap::Args;
use form_urlencoded::byte_serialize;
use serde_json::{Value, json};

use super::admin::{AdminFailure, Target};
use super::{Failure, say};
use crate::config::duration;

/// Which client, and for how long.
#[derive(Debug, Args)]
pub(super) struct Trace {
    /// The client's name
    client: String,
    /// How long: a whole number of ms, s, m or h, from 1s to 1h
    #[arg(long = "for", value_name = "TIME", default_value = "60s", value_parser = time)]
    time: Duration,
    #[command(flatten)]
    target: Target,
}

fn time(text: &str) -> Result<Duration, String> {
    let fits = |time: &Duration| (1..=3_600).contains(&time.as_secs());
    duration(text).filter(fits).ok_or_else(|| "must be from 1s to 1h, such as 60s".to_owned())
}

/// Prints what was kept of the client, then what comes, until the time is over.
pub(super) fn run(trace: &Trace, environment: &[(String, String)]) -> Result<ExitCode, Failure> {
    let Trace { client, time, target } = trace;
    let admin = target.admin(environment)?;
    let name = byte_serialize(client.as_bytes()).collect::<String>().replace('+', "%20");
    let path = format!("/mcp/admin/trace/{name}");
    let show = |event: &Value| say(if target.is_json() { event.to_string() } else { line(event) }.as_str());
    // First, so that nothing is missed between the two.
    let events = admin.events(&format!("/mcp/admin/events?topics=client:{name}"), *time)?;
    let kept = admin.get(&path)?;
    kept["events"].as_array().into_iter().flatten().for_each(show);
    admin.post(&path, &json!({ "for_s": time.as_secs() }))?;
    for event in events {
        let event: Result<Value, _> = serde_json::from_str(&event);
        show(&event.map_err(|_| AdminFailure::Garbled { url: path.clone() })?);
    }
    Ok(ExitCode::SUCCESS)
}

/// An event for people.
fn line(event: &Value) -> String {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let data = &event["data"];
    let (time, step) = (text(&event["timestamp"]), text(&event["event"]));
    let (operation, kind, detail) = (text(&data["operation"]), text(&data["type"]), text(&data["detail"]));
    let trace = data["trace_id"].as_str().map(|trace| format!("  trace {trace}")).unwrap_or_default();
    format!("{time}  {operation}  {step:<12}  {kind}  {detail}{trace}").trim_end().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_says_when_what_and_why() {
        let event = json!({
            "event": "denied", "timestamp": "2026-11-21T17:00:00.000Z",
            "data": {"operation": "0001000000000002", "type": "chat", "detail": "client"},
        });
        assert_eq!(line(&event), "2026-11-21T17:00:00.000Z  0001000000000002  denied        chat  client");
    }

    #[test]
    fn a_trace_lasts_a_second_to_an_hour() {
        assert_eq!(time("90s"), Ok(Duration::from_secs(90)));
        assert!(time("0s").is_err() && time("2h").is_err() && time("x").is_err());
    }
}
