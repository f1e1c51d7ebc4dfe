//! Publishes in batches over kept-alive connections: every message must be acknowledged, and every client's
//! messages must be numbered without a hole.

use std::{io::Write as _, time::Instant};

use crate::{
    error::Error,
    gauge::{Gauge, TimedWindow, WindowArgs},
    http::Poster,
    net::Target,
    report::OutputArgs,
};

#[derive(clap::Args)]
pub(crate) struct Args {
    /// The server
    #[arg(long, default_value = "http://127.0.0.1:4001/")]
    url: String,
    /// Connections, one batch in flight each
    #[arg(long, default_value_t = 16, value_parser = clap::value_parser!(u32).range(1..))]
    connections: u32,
    /// Messages of a batch; 1: single posts
    #[arg(long, default_value_t = 256, value_parser = clap::value_parser!(u32).range(1..))]
    batch: u32,
    /// Clients that each connection publishes to in turn; nobody else may
    #[arg(long, default_value_t = 64, value_parser = clap::value_parser!(u32).range(1..))]
    clients: u32,
    /// Bytes of a message's data
    #[arg(long, default_value_t = 64)]
    bytes: usize,
    #[command(flatten)]
    window: WindowArgs,
    #[command(flatten)]
    output: OutputArgs,
}

/// Connects and loads; says how many connections met an error. A message's latency is that of its batch.
pub(crate) async fn run(args: Args) -> Result<u64, Error> {
    let target: Target = args.url.parse()?;
    let gauge = Gauge::new();
    let mut publishers = Vec::new();
    for number in 0..args.connections {
        let clients = (0..args.clients).map(|client| Client::new(number, client)).collect();
        let poster = Poster::connect(&target, number)?;
        let data = "x".repeat(args.bytes);
        publishers.push(Publisher { poster, clients, next: 0, data, gauge: gauge.clone() });
    }
    for publisher in publishers {
        monoio::spawn(publisher.live(args.batch as usize));
    }
    let mut window = TimedWindow::open(&gauge, &args.window);
    window.wait().await?;
    if let Some(load) = window.load()? {
        args.output.emit(&load)?;
    }
    Ok(gauge.errors())
}

/// A receiver, and the number of its last message.
struct Client {
    name: String,
    sequence: Option<u64>,
}

impl Client {
    fn new(connection: u32, number: u32) -> Self {
        Self { name: format!("p{connection}-{number}"), sequence: None }
    }
}

struct Publisher {
    poster: Poster,
    clients: Vec<Client>,
    /// Whose turn it is.
    next: usize,
    data: String,
    gauge: Gauge,
}

impl Publisher {
    /// Publishes batch after batch until something fails.
    async fn live(mut self, batch: usize) {
        loop {
            if let Err(error) = self.publish(batch).await {
                return self.gauge.error(error);
            }
        }
    }

    /// One batch, and the check of its answer.
    async fn publish(&mut self, count: usize) -> Result<(), Error> {
        let first = self.next;
        let (path, kind, body) = if count == 1 { self.single() } else { self.lines(count) };
        self.poster.queue(&path, kind, &body);
        let start = Instant::now();
        let answer = self.poster.ask().await?;
        let taken = start.elapsed();
        let mut receipts = answer.split(|byte| *byte == b'\n').filter(|line| !line.is_empty());
        for at in 0..count {
            let place = (first + at) % self.clients.len();
            let receipt = receipts.next().ok_or_else(|| Error::Check("a receipt is missing".to_owned()))?;
            check(&mut self.clients[place], receipt)?;
            self.gauge.latency(taken);
        }
        self.next = (first + count) % self.clients.len();
        self.gauge.messages(count as u64);
        self.gauge.bytes_out(body.len());
        self.gauge.bytes_in(answer.len());
        match receipts.next() {
            Some(_) => Err(Error::Check("more receipts than messages".to_owned())),
            None => Ok(()),
        }
    }

    fn single(&self) -> (String, &'static str, Vec<u8>) {
        let body = format!(r#"{{"type":"bench","data":"{}"}}"#, self.data);
        let path = format!("/mcp/clients/{}/messages", self.clients[self.next].name);
        (path, "application/json", body.into_bytes())
    }

    fn lines(&self, count: usize) -> (String, &'static str, Vec<u8>) {
        let mut body = Vec::with_capacity(count * (self.data.len() + 64));
        for client in self.clients.iter().cycle().skip(self.next).take(count) {
            // Writing to a Vec cannot fail.
            let _ = writeln!(body, r#"{{"client":"{}","type":"bench","data":"{}"}}"#, client.name, self.data);
        }
        ("/mcp/batch".to_owned(), "application/x-ndjson", body)
    }
}

/// The receipt must have the number that follows the client's last one.
fn check(client: &mut Client, receipt: &[u8]) -> Result<(), Error> {
    let follows = |sequence: &u64| client.sequence.is_none_or(|last| last + 1 == *sequence);
    match sequence(receipt).filter(follows) {
        Some(sequence) => {
            client.sequence = Some(sequence);
            Ok(())
        }
        None => {
            let Client { name, sequence } = client;
            let text = String::from_utf8_lossy(receipt);
            Err(Error::Check(format!("the receipt after number {sequence:?} of {name} is {text}")))
        }
    }
}

/// The member `sequence` of a receipt; errors have none.
fn sequence(receipt: &[u8]) -> Option<u64> {
    const KEY: &[u8] = b"\"sequence\":";
    let digits = receipt.get(memchr::memmem::find(receipt, KEY)? + KEY.len()..)?;
    let end = digits.iter().position(|byte| !byte.is_ascii_digit()).unwrap_or(digits.len());
    std::str::from_utf8(&digits[..end]).ok()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn receipts_follow_each_other() {
        let mut client = Client::new(1, 2);
        let receipt = |n: u64| format!(r#"{{"epoch":"a","sequence":{n},"state":"queued"}}"#).into_bytes();
        check(&mut client, &receipt(7)).unwrap();
        check(&mut client, &receipt(8)).unwrap();
        assert!(check(&mut client, &receipt(10)).is_err());
        assert!(check(&mut client, br#"{"error":"insufficient_resources"}"#).is_err());
    }
}
