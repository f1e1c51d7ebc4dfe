//! `weir stdio`: an MCP server on standard input and output, for clients that start one, which passes all on to a gateway.

mod bridge;
mod message;
mod session;
mod tools;

use std::io::{self, BufRead, Read};
use std::process::ExitCode;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use clap::Args;

use self::bridge::Bridge;
use self::message::{Message, failure};
use super::Failure;
use super::data::Listener;
use super::publish::time;

/// Most bytes of a line; more than any gateway takes.
const LINE_BYTES_MAX: u64 = 64 << 20;

/// Codes of JSON-RPC.
const PARSE_ERROR: i64 = -32_700;
const BUSY: i64 = -32_000;

#[derive(Debug, Args)]
pub(super) struct Stdio {
    #[command(flatten)]
    listener: Listener,
    /// How long a gateway that does not listen is waited for: it may be starting
    #[arg(long, value_name = "TIME", value_parser = time, default_value = "10s")]
    patience: Duration,
}

/// Passes on what comes until standard input ends, then what is still under way.
///
/// # Errors
/// The configuration is wrong, or standard input cannot be read. A gateway that does not answer is an answer.
pub(super) fn run(order: &Stdio, environment: &[(String, String)]) -> Result<ExitCode, Failure> {
    let name = format!("stdio-{}", std::process::id());
    let caller = order.listener.caller(&name, Some(&["read", "write"]), environment)?;
    let bridge = Arc::new(Bridge::new(caller, order.patience));
    let mut input = io::stdin().lock();
    while let Some(line) = read(&mut input).map_err(Failure::Broken)? {
        if !line.is_empty() {
            take(&bridge, line);
        }
    }
    bridge.end();
    Ok(ExitCode::SUCCESS)
}

/// The next line. None: there is no more.
fn read(input: &mut impl BufRead) -> io::Result<Option<String>> {
    let mut line = Vec::new();
    let count = input.take(LINE_BYTES_MAX).read_until(b'\n', &mut line)?;
    if count as u64 == LINE_BYTES_MAX {
        return Err(io::Error::new(io::ErrorKind::InvalidData, "a line is longer than 64 MiB"));
    }
    Ok((count > 0).then(|| String::from_utf8_lossy(&line).trim().to_owned()))
}

/// Deals with one line. What is answered has a thread of its own; what is not goes in order, and what begins a session goes
/// before all that follows.
fn take(bridge: &Arc<Bridge>, line: String) {
    let message = match Message::read(&line) {
        Ok(message) => message,
        Err(error) => return bridge.write(&failure("null", PARSE_ERROR, &error)),
    };
    if message.is("initialize") && message.is_of_session() {
        return bridge.begin(&line, &message);
    }
    if message.asks.is_empty() {
        return bridge.tell(&line, &message);
    }
    if !bridge.enter() {
        let busy = "too many requests are under way; wait for some answers";
        return message.asks.iter().for_each(|id| bridge.write(&failure(id, BUSY, busy)));
    }
    let bridge = bridge.clone();
    thread::spawn(move || {
        bridge.ask(&line, message);
        bridge.leave();
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_end_with_the_input() {
        let mut input = io::Cursor::new(b"{}\r\n\n{\"a\":1}".to_vec());
        let mut next = || read(&mut input).expect("read");
        assert_eq!(next().as_deref(), Some("{}"));
        assert_eq!(next().as_deref(), Some(""));
        assert_eq!(next().as_deref(), Some("{\"a\":1}"));
        assert_eq!(next(), None);
    }
}
