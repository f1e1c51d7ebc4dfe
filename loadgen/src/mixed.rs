//! Application clients of both transports at once: every message that is posted to one of them
//! must arrive there, once, in order and unaltered.

use std::{
    cell::Cell,
    rc::Rc,
    time::{Duration, Instant},
};

use serde_json::Value;

use crate::{
    error::Error,
    gauge::{Gauge, TICK, Window},
    http::Poster,
    net::Target,
    phoenix,
    report::OutputArgs,
    sse,
    ws::Socket,
};

/// Deliveries that are not there this long after the last post are lost.
const DELIVERY_TIMEOUT: Duration = Duration::from_secs(30);

/// Connections that post, each one message at a time.
const POSTERS: u32 = 8;

/// The message type that all posts have.
const TYPE: &str = "mixed";

#[derive(clap::Args)]
pub(crate) struct Args {
    /// Where the clients connect; posts go to the same port
    #[arg(long, default_value = "ws://127.0.0.1:4002/mcp/ws")]
    url: String,
    /// Clients: even numbers over WebSocket, odd ones over SSE
    #[arg(long, default_value_t = 10_000)]
    users: u32,
    /// What the clients' names begin with; clients that the server knows already are taken for others
    #[arg(long, default_value = "m")]
    names: String,
    /// Messages for each client
    #[arg(long, default_value_t = 3)]
    messages: u32,
    /// Posts per second, below the 10,000/s that a backend may publish
    #[arg(long, default_value_t = 5_000.0)]
    rate: f64,
    /// Server's process ids: their CPU and memory stand beside the figures
    #[arg(long, value_delimiter = ',')]
    pid: Vec<u32>,
    #[command(flatten)]
    output: OutputArgs,
}

/// Connects everybody, posts, waits for every delivery; says how many errors there were.
pub(crate) async fn run(args: Args) -> Result<u64, Error> {
    let target: Target = args.url.parse()?;
    let gauge = Gauge::new();
    let start = Instant::now();
    let mut posted = Vec::new();
    for number in 0..args.users {
        let client = Client::open(&target, &args.names, number).await?;
        let at = Rc::new(Cell::new(start));
        posted.push(at.clone());
        monoio::spawn(receive(client, number, at, gauge.clone()));
    }
    eprintln!("{} clients are connected after {:.2} s", args.users, start.elapsed().as_secs_f64());
    let mut window = Window::new(&gauge, &args.pid);
    window.begin()?;
    let posted: Rc<[_]> = posted.into();
    for first in 0..POSTERS.min(args.users) {
        let names = args.names.clone();
        let posts = Posts { first, names, users: args.users, messages: args.messages, rate: args.rate };
        monoio::spawn(post(posts, Poster::connect(&target, first)?, posted.clone(), gauge.clone()));
    }
    let due = u64::from(args.users) * u64::from(args.messages);
    let deadline = Instant::now() + Duration::from_secs_f64(due as f64 / args.rate) + DELIVERY_TIMEOUT;
    while gauge.count() < due && gauge.errors() == 0 {
        if Instant::now() > deadline {
            gauge.error(Error::Check(format!("{} of {due} deliveries are missing", due - gauge.count())));
        }
        monoio::time::sleep(TICK).await;
    }
    window.end()?;
    if let Some(load) = window.load()? {
        args.output.emit(&load)?;
    }
    Ok(gauge.errors())
}

/// The part of the posts that one connection makes: to users `first`, `first + POSTERS`, ...
struct Posts {
    first: u32,
    names: String,
    users: u32,
    messages: u32,
    rate: f64,
}

async fn post(posts: Posts, mut poster: Poster, posted: Rc<[Rc<Cell<Instant>>]>, gauge: Gauge) {
    let start = Instant::now();
    for n in 1..=posts.messages {
        for number in (posts.first..posts.users).step_by(POSTERS as usize) {
            let before = u64::from(n - 1) * u64::from(posts.users) + u64::from(number);
            let due = start + Duration::from_secs_f64(before as f64 / posts.rate);
            let now = Instant::now();
            if due > now {
                monoio::time::sleep(due - now).await;
            }
            posted[number as usize].set(Instant::now());
            let body = format!(r#"{{"type":"{TYPE}","data":{{"client":{number},"n":{n}}}}}"#);
            let path = format!("/mcp/clients/{}{number}/messages", posts.names);
            poster.queue(&path, "application/json", body.as_bytes());
            if let Err(error) = poster.send(1).await {
                return gauge.error(error);
            }
        }
    }
}

enum Client {
    WebSocket(Socket),
    EventStream(sse::Stream),
}

impl Client {
    async fn open(target: &Target, names: &str, number: u32) -> Result<Self, Error> {
        let client_id = format!("{names}{number}");
        match number % 2 {
            0 => phoenix::join(target, number, &client_id, "mcp:gateway").await.map(Self::WebSocket),
            _ => sse::Stream::open(target, number, &client_id).await.map(Self::EventStream),
        }
    }

    /// Waits for the envelope of the next message; heartbeats and the like pass unseen.
    async fn envelope(&mut self) -> Result<Value, Error> {
        loop {
            let envelope = match self {
                Self::WebSocket(socket) => {
                    let [.., payload] = phoenix::parse(&socket.text().await?)?;
                    payload
                }
                Self::EventStream(stream) => {
                    let data = stream.event().await?.data;
                    serde_json::from_str(&data)
                        .map_err(|_| Error::Protocol(format!("an event's data is not JSON: {data}")))?
                }
            };
            if envelope["type"] == TYPE {
                return Ok(envelope);
            }
        }
    }
}

/// Checks every delivery of one client.
async fn receive(mut client: Client, number: u32, posted: Rc<Cell<Instant>>, gauge: Gauge) {
    for n in 1u64.. {
        let checked = client.envelope().await.and_then(|envelope| check(&envelope, number, n));
        match checked {
            Ok(()) => {
                gauge.latency(posted.get().elapsed());
                gauge.messages(1);
            }
            Err(error) => return gauge.error(error),
        }
    }
}

/// The `n`th message of a new client has sequence `n` and the data that was posted.
fn check(envelope: &Value, number: u32, n: u64) -> Result<(), Error> {
    let data = &envelope["data"];
    if envelope["sequence"] == n && data["client"] == number && data["n"] == n {
        return Ok(());
    }
    Err(Error::Check(format!("client {number} was due message {n} and got {envelope}")))
}
