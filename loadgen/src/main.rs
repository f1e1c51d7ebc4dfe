//! Load generator: WebSocket, Phoenix, SSE and MCP users on code that shares nothing with the server.
//!
//! One async task per user, all on one core. It prints rates, percentiles, the server's CPU and
//! memory, and how busy both sides were, and ends non-zero when any answer was wrong.

mod echo;
mod error;
mod fanout;
mod frame;
mod gauge;
mod http;
mod idle;
mod mcp;
mod mixed;
mod net;
mod phoenix;
mod process;
mod progress;
mod publish;
mod report;
mod slices;
mod sse;
mod storm;
mod tls;
mod wire;
mod ws;

use std::process::ExitCode;

use clap::{Parser, Subcommand};
use monoio::{IoUringDriver, RuntimeBuilder};

use crate::error::Error;

/// Entries of the submission queue: thousands of users act in one round of the loop.
const RING_ENTRIES: u32 = 16_384;

#[derive(Parser)]
#[command(version, about = "Load for a Weir gateway and its peers")]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Request and reply: MCP pings, or bytes, over one connection per user
    Echo(echo::Args),
    /// One message to thousands of subscribers, on Weir and on its peers
    Fanout(fanout::Args),
    /// Clients that rest: the server's memory for each
    Idle(idle::Args),
    /// MCP tool calls over Streamable HTTP, to a server or through a gateway
    Mcp(mcp::Args),
    /// Clients of both transports at once, each delivery checked
    Mixed(mixed::Args),
    /// Batches of messages, each acknowledged: how fast a server takes what it must keep
    Publish(publish::Args),
    /// An attack: silent and slow connections, reconnects, one client that sends too much
    Storm(storm::Args),
}

fn main() -> ExitCode {
    match run(Cli::parse().command) {
        Ok(0) => ExitCode::SUCCESS,
        Ok(errors) => {
            eprintln!("weir-loadgen: {errors} errors");
            ExitCode::FAILURE
        }
        Err(error) => {
            eprintln!("weir-loadgen: {error}");
            ExitCode::FAILURE
        }
    }
}

/// Runs the command on one io_uring loop; says how many users met an error.
fn run(command: Command) -> Result<u64, Error> {
    let mut ring = io_uring_of_monoio::IoUring::builder();
    // No interrupts between the cores when bytes arrive: the generator is in its loop anyway.
    ring.setup_single_issuer().setup_coop_taskrun();
    let mut runtime = RuntimeBuilder::<IoUringDriver>::new()
        .uring_builder(ring)
        .with_entries(RING_ENTRIES)
        .enable_timer()
        .build()
        .map_err(Error::io("set up io_uring"))?;
    runtime.block_on(async {
        match command {
            Command::Echo(args) => echo::run(args).await,
            Command::Fanout(args) => fanout::run(args).await,
            Command::Idle(args) => idle::run(args).await,
            Command::Mcp(args) => mcp::run(args).await,
            Command::Mixed(args) => mixed::run(args).await,
            Command::Publish(args) => publish::run(args).await,
            Command::Storm(args) => storm::run(args).await,
        }
    })
}
