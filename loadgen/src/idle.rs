//! Thousands of clients that do nothing: what each costs the server's memory and the kernel's.

use std::{
    fmt,
    time::{Duration, Instant},
};

use clap::ValueEnum;
use serde::Serialize;

use crate::{
    error::Error,
    gauge::Gauge,
    net::{Inbox, Outbox, Target},
    phoenix,
    process::{self, Slab},
    progress::Progress,
    report::OutputArgs,
    sse,
    ws::Socket,
};

/// Caches that are listed: those that grew by at least this many bytes a client.
const CACHE_BYTES_MIN: f64 = 16.0;

#[derive(clap::Args)]
pub(crate) struct Args {
    /// Where the clients connect
    #[arg(long, default_value = "ws://127.0.0.1:4002/mcp/ws")]
    url: String,
    /// Clients; one process may hold fewer than RLIMIT_NOFILE, often 20,000
    #[arg(long, default_value_t = 18_000, value_parser = clap::value_parser!(u32).range(1..))]
    users: u32,
    /// What each opens
    #[arg(long, value_enum, default_value_t = Transport::Ws)]
    transport: Transport,
    /// Seconds from the last client to the measurement: the server parks connections meanwhile
    #[arg(long, default_value_t = 20.0)]
    settle: f64,
    /// Server's process ids
    #[arg(long, value_delimiter = ',', required = true)]
    pid: Vec<u32>,
    #[command(flatten)]
    output: OutputArgs,
}

#[derive(Clone, Copy, Debug, PartialEq, Serialize, ValueEnum)]
#[serde(rename_all = "lowercase")]
enum Transport {
    /// Phoenix V2, joined to mcp:gateway
    Ws,
    /// Application SSE
    Sse,
    /// A bare TCP connection, to compare with a server that accepts and holds
    Tcp,
}

/// Opens the clients, lets them rest, measures.
pub(crate) async fn run(args: Args) -> Result<u64, Error> {
    let target: Target = args.url.parse()?;
    let gauge = Gauge::new();
    let before = Memory::read(&args.pid)?;
    let mut progress = Progress::counted(args.users.into());
    for number in 0..args.users {
        let client = Client::open(args.transport, &target, number).await?;
        monoio::spawn(hold(client, gauge.clone()));
        progress.show(Instant::now(), number.into(), gauge.errors());
    }
    progress.finish();
    let connected = Memory::read(&args.pid)?;
    monoio::time::sleep(Duration::from_secs_f64(args.settle)).await;
    let parked = Memory::read(&args.pid)?;
    let users = f64::from(args.users);
    args.output.emit(&Figures {
        users: args.users,
        transport: args.transport,
        settle_seconds: args.settle,
        rss_bytes_before: before.rss,
        rss_bytes_at_users: parked.rss,
        connected: connected.per_client(&before, users),
        parked: parked.per_client(&before, users),
        errors: gauge.errors(),
        first_error: gauge.first_error(),
    })?;
    Ok(gauge.errors())
}

enum Client {
    WebSocket(Socket),
    EventStream(sse::Stream),
    Connection(Inbox, #[expect(dead_code)] Outbox),
}

impl Client {
    async fn open(transport: Transport, target: &Target, number: u32) -> Result<Self, Error> {
        let client_id = format!("i{number}");
        match transport {
            Transport::Ws => {
                phoenix::join(target, number, &client_id, "mcp:gateway").await.map(Self::WebSocket)
            }
            Transport::Sse => sse::Stream::open(target, number, &client_id).await.map(Self::EventStream),
            Transport::Tcp => target.connect(number).map(|(inbox, outbox)| Self::Connection(inbox, outbox)),
        }
    }

    /// Takes what comes: heartbeats and pings.
    async fn receive(&mut self) -> Result<(), Error> {
        match self {
            Self::WebSocket(socket) => {
                socket.fill().await?;
                while socket.next()?.is_some() {}
                Ok(())
            }
            Self::EventStream(stream) => stream.event().await.map(drop),
            Self::Connection(inbox, _) => inbox.fill().await,
        }
    }
}

async fn hold(mut client: Client, gauge: Gauge) {
    loop {
        if let Err(error) = client.receive().await {
            return gauge.error(error);
        }
    }
}

/// Memory at one moment.
struct Memory {
    rss: u64,
    slab: Slab,
}

impl Memory {
    fn read(pids: &[u32]) -> Result<Self, Error> {
        Ok(Self { rss: process::rss_bytes(pids)?, slab: process::slab() })
    }

    fn per_client(&self, before: &Self, users: f64) -> PerClient {
        let each = |now: u64, then: u64| (now as f64 - then as f64) / users;
        let slab_caches = self
            .slab
            .caches
            .iter()
            .map(|(name, now)| (name.clone(), each(*now, before.slab.caches.get(name).copied().unwrap_or(0))))
            .filter(|(_, bytes)| bytes.abs() >= CACHE_BYTES_MIN)
            .collect();
        PerClient {
            rss_bytes: each(self.rss, before.rss),
            slab_bytes: each(self.slab.total, before.slab.total),
            slab_caches,
        }
    }
}

/// Growth since the first client, divided by the clients.
#[derive(Debug, Serialize)]
struct PerClient {
    /// The server's resident memory.
    rss_bytes: f64,
    /// The kernel's slab, of the generator's side too.
    slab_bytes: f64,
    /// The same by cache.
    slab_caches: Vec<(String, f64)>,
}

impl fmt::Display for PerClient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "RSS {:.0} B, slab of both sides {:.0} B", self.rss_bytes, self.slab_bytes)?;
        let of_io_uring = |name: &str| name == "io_kiocb" || name.starts_with("kmalloc-");
        let mut caches = self.slab_caches.iter().filter(|(name, _)| of_io_uring(name));
        caches.try_for_each(|(name, bytes)| write!(f, ", {name} {bytes:.0}"))
    }
}

#[derive(Debug, Serialize)]
struct Figures {
    users: u32,
    transport: Transport,
    settle_seconds: f64,
    rss_bytes_before: u64,
    rss_bytes_at_users: u64,
    connected: PerClient,
    parked: PerClient,
    errors: u64,
    first_error: Option<String>,
}

impl fmt::Display for Figures {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mib = |bytes: u64| bytes as f64 / (1 << 20) as f64;
        let (before, at) = (mib(self.rss_bytes_before), mib(self.rss_bytes_at_users));
        writeln!(
            f,
            "clients      {} ({:?}); server RSS {before:.1} MiB before, {at:.1} MiB with them",
            self.users, self.transport
        )?;
        writeln!(f, "each         at once: {}", self.connected)?;
        writeln!(f, "             after {} s: {}", self.settle_seconds, self.parked)?;
        match &self.first_error {
            None => write!(f, "errors       none"),
            Some(first) => write!(f, "errors       {}, the first: {first}", self.errors),
        }
    }
}
