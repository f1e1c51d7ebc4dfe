//! Load generator: WebSocket, Phoenix and SSE users on code that shares nothing with the server.
//!
//! One async task per user, all on one core. It prints rates, percentiles, the server's CPU and
//! memory, and how busy both sides were, and ends non-zero when any answer was wrong.

mod echo;
mod error;
mod frame;
mod gauge;
mod http;
mod net;
mod process;
mod progress;
mod report;
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
    let mut runtime = RuntimeBuilder::<IoUringDriver>::new()
        .with_entries(RING_ENTRIES)
        .enable_timer()
        .build()
        .map_err(Error::io("set up io_uring"))?;
    runtime.block_on(async {
        match command {
            Command::Echo(args) => echo::run(args).await,
        }
    })
}
