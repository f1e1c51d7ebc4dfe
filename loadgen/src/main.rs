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
use monoio::{IoUringDriver, LegacyDriver, RuntimeBuilder};

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

/// Runs the command on one loop; says how many users met an error.
fn run(command: Command) -> Result<u64, Error> {
    match command {
        Command::Echo(args) => on_io_uring(echo::run(args)),
        Command::Fanout(args) => on_io_uring(fanout::run(args)),
        Command::Idle(args) => on_io_uring(idle::run(args)),
        Command::Mcp(args) => on_io_uring(mcp::run(args)),
        Command::Mixed(args) => on_io_uring(mixed::run(args)),
        Command::Publish(args) => on_io_uring(publish::run(args)),
        Command::Storm(args) => on_epoll(storm::run(args)),
    }
}

fn on_io_uring(load: impl Future<Output = Result<u64, Error>>) -> Result<u64, Error> {
    let mut ring = io_uring_of_monoio::IoUring::builder();
    // No interrupts between the cores when bytes arrive: the generator is in its loop anyway.
    ring.setup_single_issuer().setup_coop_taskrun();
    RuntimeBuilder::<IoUringDriver>::new()
        .uring_builder(ring)
        .with_entries(RING_ENTRIES)
        .enable_timer()
        .build()
        .map_err(Error::io("set up io_uring"))?
        .block_on(load)
}

/// For attackers, who share the server's cores only because the machine has no others: on io_uring a hundred
/// of their operations would be one system call, and a kernel that does not preempt (PREEMPT_NONE) would let the
/// server wait a millisecond for its end.
fn on_epoll(load: impl Future<Output = Result<u64, Error>>) -> Result<u64, Error> {
    RuntimeBuilder::<LegacyDriver>::new()
        .enable_timer()
        .build()
        .map_err(Error::io("set up epoll"))?
        .block_on(load)
}
