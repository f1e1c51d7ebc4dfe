//! `weir tail`: the messages of one client, as they come. It is that client's SSE connection, so what it shows counts as
//! delivered.

use std::io::Write;
use std::process::ExitCode;
use std::thread;
use std::time::{Duration, Instant};

use clap::Args;
use serde_json::{Value, json};
use ureq::Body;
use ureq::http::{Method, Response, header};

use super::admin::{AdminFailure, segment};
use super::data::{Caller, Listener};
use super::events::{Event, Events};
use super::publish::time;
use super::style::{cell, dim, head, printable, warning};
use super::{Failure, say};

/// The pause before a stream is opened again, unless the gateway says another, and the longest.
const PAUSE: Duration = Duration::from_secs(1);
const PAUSE_MAX: Duration = Duration::from_secs(10);

/// Whose messages, and how many.
#[derive(Debug, Args)]
pub(super) struct Tail {
    /// The client's name; it is this command that is connected as the client
    client: String,
    /// Begin behind this message, as its id says, such as 5plqaj65-7
    #[arg(long, value_name = "ID")]
    from: Option<String>,
    /// End after so many messages
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    count: Option<u64>,
    /// End after this time, such as 30s or 5m
    #[arg(long = "for", value_name = "TIME", value_parser = time)]
    time: Option<Duration>,
    #[command(flatten)]
    listener: Listener,
    /// Print one JSON object a line: {event, id, data}
    #[arg(long)]
    json: bool,
}

/// Where it stands between two connections.
struct Progress {
    /// Behind which message to go on.
    cursor: String,
    shown: u64,
    pause: Duration,
    end: Option<Instant>,
}

/// Prints what comes, and goes on where it was after the gateway was away.
///
/// # Errors
/// Nobody answers at first, or the gateway refuses.
pub(super) fn run(tail: &Tail, environment: &[(String, String)]) -> Result<ExitCode, Failure> {
    let caller = tail.listener.caller(&tail.client, None, environment)?;
    let cursor = tail.from.clone().unwrap_or_default();
    let end = tail.time.map(|time| Instant::now() + time);
    let mut progress = Progress { cursor, shown: 0, pause: PAUSE, end };
    let mut answer = match tail.open(&caller, &progress) {
        Err(Failure::Admin(AdminFailure::Unreachable { error: ureq::Error::Timeout(_), .. }))
            if progress.is_over(tail.count) =>
        {
            return Ok(ExitCode::SUCCESS);
        }
        answer => answer?,
    };
    loop {
        tail.show(Events::of(answer), &mut progress);
        if progress.is_over(tail.count) {
            return Ok(ExitCode::SUCCESS);
        }
        tail.note("the stream has ended; coming back");
        answer = match tail.reopen(&caller, &mut progress)? {
            Some(answer) => answer,
            None => return Ok(ExitCode::SUCCESS),
        };
    }
}

impl Tail {
    /// Opens the stream behind the cursor.
    fn open(&self, caller: &Caller, progress: &Progress) -> Result<Response<Body>, Failure> {
        let path = format!("/mcp/sse?client_id={}", segment(&self.client));
        let mut request = caller.request(Method::GET, &path)?.header(header::ACCEPT, "text/event-stream");
        if !progress.cursor.is_empty() {
            request = request.header("Last-Event-ID", &progress.cursor);
        }
        let request = request.body(()).map_err(|error| caller.unreachable(error.into()))?;
        let answer = caller.agent(progress.left(), true).run(request);
        let answer = answer.map_err(|error| caller.unreachable(error))?;
        if answer.status().is_success() {
            return Ok(answer);
        }
        caller.json(answer)?;
        Err(AdminFailure::Garbled { url: caller.url.clone() }.into())
    }

    /// As [`Tail::open`], as often as it takes while nobody answers. None: the time is over.
    fn reopen(&self, caller: &Caller, progress: &mut Progress) -> Result<Option<Response<Body>>, Failure> {
        loop {
            thread::sleep(progress.left().map_or(progress.pause, |left| progress.pause.min(left)));
            if progress.is_over(self.count) {
                return Ok(None);
            }
            match self.open(caller, progress) {
                Ok(answer) => return Ok(Some(answer)),
                Err(Failure::Admin(
                    AdminFailure::Unreachable { .. } | AdminFailure::Refused { status: 503, .. },
                )) => {
                    progress.pause = (progress.pause * 2).min(PAUSE_MAX);
                }
                Err(failure) => return Err(failure),
            }
        }
    }

    /// Prints events until the stream ends or there were enough.
    fn show(&self, mut events: Events, progress: &mut Progress) {
        while let Some(event) = events.next() {
            progress.pause = events.retry().map_or(PAUSE, Duration::from_millis).min(PAUSE_MAX);
            if !event.id.is_empty() {
                progress.cursor.clone_from(&event.id);
            }
            self.print(&event);
            if event.name == "message" {
                progress.shown += 1;
            }
            if progress.is_over(self.count) {
                return;
            }
        }
    }

    fn print(&self, event: &Event) {
        let Event { id, name, data } = event;
        if name == "heartbeat" {
            return;
        }
        let data: Value = serde_json::from_str(data).unwrap_or_else(|_| data.as_str().into());
        if self.json {
            return say(&json!({ "event": name, "id": id, "data": data }).to_string());
        }
        match name.as_str() {
            "message" => say(&line(&data)),
            "connected" => {
                let recovered = if data["recovered"] == true { ", nothing is missing" } else { "" };
                self.note(&format!("connected as {}{recovered}", cell(&data["client_id"])));
            }
            "gap" => {
                let (from, to) = (cell(&data["from"]), cell(&data["to"]));
                let reason = cell(&data["reason"]);
                self.note(&warning(&format!("messages {from} to {to} will not come: {reason}")));
            }
            other => self.note(&format!("{} {}", printable(other), cell(&data))),
        }
    }

    /// What is no message, for people.
    fn note(&self, text: &str) {
        if !self.json {
            let _ = writeln!(anstream::stderr(), "{}", dim(&format!("-- {text}")));
        }
    }
}

impl Progress {
    /// What is left of the time; None: it does not end.
    fn left(&self) -> Option<Duration> {
        self.end.map(|end| end.saturating_duration_since(Instant::now()))
    }

    fn is_over(&self, count: Option<u64>) -> bool {
        count.is_some_and(|count| self.shown >= count) || self.left().is_some_and(|left| left.is_zero())
    }
}

/// A message for people.
fn line(message: &Value) -> String {
    let again = if message["redelivery"] == true { warning("  again") } else { String::new() };
    let (time, id) = (cell(&message["timestamp"]), cell(&message["id"]));
    let kind = head(&cell(&message["type"]));
    format!("{}  {id}  {kind}  {}{again}", dim(&time), cell_json(&message["data"]))
}

/// JSON as it is, a text in its quotes.
fn cell_json(value: &Value) -> String {
    printable(&value.to_string())
}

#[cfg(test)]
mod tests {
    use anstream::adapter::strip_str;

    use super::*;

    #[test]
    fn a_line_has_time_id_type_and_data() {
        let message = json!({"id": "5plqaj65-1", "type": "chat", "timestamp": "2026-11-21T06:17:31.511Z",
            "data": "hi", "redelivery": true});
        let line = strip_str(&line(&message)).to_string();
        assert_eq!(line, "2026-11-21T06:17:31.511Z  5plqaj65-1  chat  \"hi\"  again");
    }
}
