//! `tools/call` over Streamable HTTP: every connection is kept alive and has one request in flight.

mod answer;
mod request;
mod session;

use std::{cell::Cell, rc::Rc, str::FromStr, time::Instant};

use clap::ValueEnum;

use crate::{
    error::Error,
    gauge::{Gauge, TimedWindow, WindowArgs},
    http::{self, Head},
    net::{Inbox, Outbox, Target},
    report::OutputArgs,
};

use answer::Echo;
use request::Request;

#[derive(clap::Args)]
pub(crate) struct Args {
    /// The MCP endpoint
    #[arg(long, default_value = "http://127.0.0.1:4001/mcp")]
    url: String,
    /// Connections, one task and one request in flight each
    #[arg(long, default_value_t = 16, value_parser = clap::value_parser!(u32).range(1..))]
    connections: u32,
    /// Which revision the clients speak
    #[arg(long, value_enum, default_value_t = Era::Legacy)]
    era: Era,
    /// legacy: who has a session
    #[arg(long, value_enum, default_value_t = Sessions::Each)]
    sessions: Sessions,
    /// The tool; it answers with the text of its argument `message`
    #[arg(long, default_value = "echo", value_parser = Tool::from_str)]
    tool: Tool,
    /// Bytes of `message`
    #[arg(long, default_value_t = 11)]
    bytes: usize,
    /// The same requests to a server that is none of MCP: no session, and any answer of status 200 will do
    #[arg(long)]
    raw: bool,
    #[command(flatten)]
    window: WindowArgs,
    #[command(flatten)]
    output: OutputArgs,
}

/// What an MCP client says of itself with a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Era {
    /// 2025-11-25: `initialize` first, then the session's id
    Legacy,
    /// 2026-07-28: no session, each request says all
    Modern,
}

impl Era {
    /// The revision, as `MCP-Protocol-Version` has it.
    fn version(self) -> &'static str {
        match self {
            Self::Legacy => "2025-11-25",
            Self::Modern => "2026-07-28",
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Sessions {
    /// Every connection
    Each,
    /// All connections share one
    One,
}

/// A tool's name that needs no escape in JSON nor in a header (SEP-986).
#[derive(Clone, Debug)]
struct Tool(String);

impl FromStr for Tool {
    type Err = &'static str;

    fn from_str(name: &str) -> Result<Self, Self::Err> {
        let legal = |byte: u8| byte.is_ascii_alphanumeric() || b"_-./".contains(&byte);
        match !name.is_empty() && name.bytes().all(legal) {
            true => Ok(Self(name.to_owned())),
            false => Err("a tool's name consists of letters, digits, _, -, . and /"),
        }
    }
}

/// Connects, opens sessions, loads; says how many connections met an error.
pub(crate) async fn run(args: Args) -> Result<u64, Error> {
    let target: Target = args.url.parse()?;
    let gauge = Gauge::new();
    let ids = Ids::default();
    let message = message(args.bytes);
    let needs_session = args.era == Era::Legacy && !args.raw;
    let mut session = None;
    let mut users = Vec::new();
    for number in 0..args.connections {
        let (inbox, outbox) = target.connect(number)?;
        let mut exchange = Exchange { inbox, outbox };
        if needs_session && (args.sessions == Sessions::Each || number == 0) {
            session = session::open(&mut exchange, &target).await?;
        }
        let request = Request::new(&target, args.era, session.as_deref(), &args.tool.0, &message);
        let echo = (!args.raw).then(|| Echo { message: message.clone(), era: args.era });
        users.push(User { exchange, request, echo, ids: ids.clone(), gauge: gauge.clone() });
    }
    for user in users {
        monoio::spawn(user.live());
    }
    let mut window = TimedWindow::open(&gauge, &args.window);
    window.wait().await?;
    if let Some(load) = window.load()? {
        args.output.emit(&load)?;
    }
    Ok(gauge.errors())
}

/// What the tool is to echo.
fn message(bytes: usize) -> Rc<str> {
    "hello world".chars().cycle().take(bytes).collect::<String>().into()
}

/// The request ids of a run. No two requests have the same one: several peers serve equal ids one at a time.
#[derive(Clone, Default)]
struct Ids(Rc<Cell<u32>>);

impl Ids {
    fn next(&self) -> u32 {
        let id = request::FIRST_ID + self.0.get() % request::IDS;
        self.0.set(self.0.get() + 1);
        id
    }
}

/// A kept-alive connection, one exchange after the other.
struct Exchange {
    inbox: Inbox,
    outbox: Outbox,
}

impl Exchange {
    /// Sends what is queued and reads the response to its end; also how many bytes went out.
    async fn run(&mut self) -> Result<(Head, Vec<u8>, usize), Error> {
        let sent = self.outbox.flush().await?;
        let head = http::read_head(&mut self.inbox).await?;
        let body = http::read_body(&mut self.inbox, &head).await?;
        match self.inbox.bytes().is_empty() {
            true => Ok((head, body, sent)),
            false => Err(Error::Check("bytes came that nobody asked for".to_owned())),
        }
    }
}

struct User {
    exchange: Exchange,
    request: Request,
    /// What the answer must be; with `--raw` it is not looked at.
    echo: Option<Echo>,
    ids: Ids,
    gauge: Gauge,
}

impl User {
    /// Calls the tool until something fails.
    async fn live(mut self) {
        loop {
            if let Err(error) = self.call().await {
                return self.gauge.error(error);
            }
        }
    }

    async fn call(&mut self) -> Result<(), Error> {
        let id = self.ids.next();
        let at = Instant::now();
        self.request.queue(id, self.exchange.outbox.queue());
        let (head, body, sent) = self.exchange.run().await?;
        self.gauge.latency(at.elapsed());
        http::expect_status("tools/call", 200, &head, &body)?;
        if let Some(echo) = &self.echo {
            echo.check(&head, &body, id)?;
        }
        self.gauge.messages(1);
        self.gauge.bytes_out(sent);
        self.gauge.bytes_in(head.len() + body.len());
        Ok(())
    }
}
