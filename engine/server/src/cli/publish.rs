//! `weir publish`: one message to a client, or to all of a topic.

use std::io::{self, IsTerminal, Read};
use std::process::ExitCode;
use std::time::Duration;

use clap::Args;
use serde_json::value::RawValue;
use serde_json::{Value, json};
use ureq::http::{Method, header};

use super::admin::{AdminFailure, segment};
use super::data::{Caller, Listener};
use super::style::{cell, good, warning};
use super::{Failure, say};
use crate::config::duration;

/// Most bytes of what is read from standard input: more than any gateway takes.
const INPUT_BYTES_MAX: u64 = 64 << 20;

/// How long the gateway may take for its answer, beside what it is asked to wait.
const ANSWER: Duration = Duration::from_secs(10);

/// What the publisher is called where nobody proves anything.
const NAME: &str = "weir-cli";

/// What is sent, and to whom.
#[derive(Debug, Args)]
#[command(
    override_usage = "weir publish [OPTIONS] CLIENT [DATA]\n       weir publish [OPTIONS] --topic TOPIC [DATA]"
)]
pub(super) struct Publish {
    /// The client's name (not with --topic), then the data: JSON [default: read from standard input]
    #[arg(value_name = "CLIENT|DATA", num_args = 0..=2)]
    words: Vec<String>,
    /// To all who have joined this topic
    #[arg(long, value_name = "TOPIC")]
    topic: Option<String>,
    /// What kind of message it is
    #[arg(long = "type", value_name = "NAME", default_value = "message")]
    kind: String,
    /// urgent and high go first, low is shed first
    #[arg(long, value_parser = ["urgent", "high", "normal", "low"], conflicts_with = "topic")]
    priority: Option<String>,
    /// Which of the client's connections take it
    #[arg(long, value_parser = ["auto", "websocket", "http_sse", "all"], conflicts_with = "topic")]
    transport: Option<String>,
    /// It is of no use after this time, such as 500ms, 30s or 5m
    #[arg(long, value_name = "TIME", value_parser = time, conflicts_with = "topic")]
    ttl: Option<Duration>,
    /// The same key again, within idempotency.window, is the same message and not a second one
    #[arg(long, value_name = "KEY", conflicts_with = "topic")]
    idempotency_key: Option<String>,
    /// Wait until the client has acknowledged it, this long at most; exit code 1 if it does not
    #[arg(long, value_name = "TIME", value_parser = time, conflicts_with = "topic")]
    wait: Option<Duration>,
    #[command(flatten)]
    listener: Listener,
    /// Print the answer as JSON
    #[arg(long)]
    json: bool,
}

pub(super) fn time(text: &str) -> Result<Duration, String> {
    let fits = |time: &Duration| !time.is_zero();
    duration(text)
        .filter(fits)
        .ok_or_else(|| "must be a whole number of ms, s, m or h, such as 30s".to_owned())
}

/// Sends it.
///
/// # Errors
/// What is sent is no message, nobody answers, or the gateway refuses.
pub(super) fn run(publish: &Publish, environment: &[(String, String)]) -> Result<ExitCode, Failure> {
    let (path, data) = publish.target()?;
    let caller = publish.listener.caller(NAME, Some(&["publish", "write"]), environment)?;
    let answer = publish.send(&caller, &path, &data)?;
    say(&if publish.json { answer.to_string() } else { line(&answer) });
    Ok(ExitCode::SUCCESS)
}

impl Publish {
    /// The path that it goes to, and the data.
    fn target(&self) -> Result<(String, Box<RawValue>), AdminFailure> {
        let mut words = self.words.iter();
        let path = match &self.topic {
            Some(topic) => format!("/mcp/topics/{}/messages", segment(topic)),
            None => match words.next() {
                Some(client) => format!("/mcp/clients/{}/messages", segment(client)),
                None => return Err(AdminFailure::Usage("name a CLIENT, or a topic with --topic")),
            },
        };
        let data = match (words.next(), words.next()) {
            (_, Some(_)) => return Err(AdminFailure::Usage("with --topic there is no CLIENT, only DATA")),
            (Some(text), None) if text != "-" => text.clone(),
            _ => input()?,
        };
        let data = serde_json::from_str(&data).map_err(|error| AdminFailure::Data(error.to_string()))?;
        Ok((path, data))
    }

    fn send(&self, caller: &Caller, path: &str, data: &RawValue) -> Result<Value, Failure> {
        let mut options = json!({ "type": self.kind });
        let millis = |time: Duration| u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
        let given = [
            ("priority", self.priority.as_deref().map(Value::from)),
            ("transport", self.transport.as_deref().map(Value::from)),
            ("idempotency_key", self.idempotency_key.as_deref().map(Value::from)),
            ("ttl_ms", self.ttl.map(millis).map(Value::from)),
            ("timeout_ms", self.wait.map(millis).map(Value::from)),
        ];
        for (name, value) in given {
            if let Some(value) = value {
                options[name] = value;
            }
        }
        // The data goes out as it was written: numbers keep all their digits.
        let options = options.to_string();
        let body = format!("{},\"data\":{}}}", options.strip_suffix('}').unwrap_or(&options), data.get());
        let request = caller.request(Method::POST, path)?.header(header::CONTENT_TYPE, "application/json");
        let request = request.body(body).map_err(|error| caller.unreachable(error.into()))?;
        let agent = caller.agent(Some(ANSWER + self.wait.unwrap_or_default()), false);
        let answer = agent.run(request).map_err(|error| caller.unreachable(error))?;
        Ok(caller.json(answer)?)
    }
}

/// What has become of it, for people.
fn line(answer: &Value) -> String {
    let place = format!("{}-{}", cell(&answer["epoch"]), cell(&answer["sequence"]));
    if let Some(count) = answer["delivered_to"].as_u64() {
        return format!("{place}  to {count} who have joined");
    }
    let state = cell(&answer["state"]);
    let is_there = ["delivered", "acknowledged"].contains(&state.as_str());
    format!("{place}  {}", if is_there { good(&state) } else { warning(&state) })
}

fn input() -> Result<String, AdminFailure> {
    if io::stdin().is_terminal() {
        return Err(AdminFailure::Data("there is none, as argument or on standard input".to_owned()));
    }
    let mut text = String::new();
    let read = io::stdin().take(INPUT_BYTES_MAX).read_to_string(&mut text);
    read.map(|_| text).map_err(|error| AdminFailure::Data(error.to_string()))
}

#[cfg(test)]
mod tests {
    use anstream::adapter::strip_str;

    use super::*;

    #[test]
    fn a_line_says_where_it_stands_and_what_became_of_it() {
        let plain = |answer: &Value| strip_str(&line(answer)).to_string();
        let answer = json!({"epoch": "5plqaj65", "sequence": 7, "state": "queued"});
        assert_eq!(plain(&answer), "5plqaj65-7  queued");
        let topic = json!({"epoch": "5plqaj65", "sequence": 1, "delivered_to": 3, "state": "delivered"});
        assert_eq!(plain(&topic), "5plqaj65-1  to 3 who have joined");
    }

    #[test]
    fn times_may_be_short_and_not_nothing() {
        assert_eq!(time("250ms"), Ok(Duration::from_millis(250)));
        assert!(time("0s").is_err() && time("soon").is_err());
    }
}
