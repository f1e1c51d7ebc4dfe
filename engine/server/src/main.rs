//! Weir: an MCP and real-time gateway for Linux servers.

mod admin_token;
mod cli;
mod config;
mod control;
mod crew;
mod data_dir;
mod data_thread;
mod driver;
mod ending;
mod gateway;
mod holder;
mod inheritance;
mod logging;
mod minting;
mod office;
mod ports;
mod pump;
mod recovery;
mod start_error;
mod takeover;
mod tls;

use std::process::ExitCode;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    // Without it Weir serves just as well, in more memory.
    let _ = weir_ring::memory::small_pages();
    cli::run()
}
