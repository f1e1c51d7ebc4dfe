//! One turn again and again, for tools that count instructions: unlike times, those are the same on a
//! machine that has other work.

use std::process::ExitCode;

use clap::{Parser, ValueEnum};
use weir_bench::repeat::Repeat;

/// Repeats one turn of a shard; prints how many operations it asked for in all.
#[derive(Parser)]
struct Arguments {
    turn: Turn,
    /// How often.
    #[arg(default_value_t = 10_000)]
    count: usize,
}

#[derive(Clone, Copy, ValueEnum)]
enum Turn {
    /// 16 pings of one client.
    Pings,
    /// A ping of each of 16 clients.
    Clients,
    /// A publish to 1,000 subscribers of a topic.
    Fanout,
    /// A publish to one client.
    Publish,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let mut repeat = match arguments.turn {
        Turn::Pings => Repeat::pings(1, 16),
        Turn::Clients => Repeat::pings(16, 1),
        Turn::Fanout => Repeat::fanout(1_000),
        Turn::Publish => Repeat::publish_to_client(),
    };
    let operations: usize = (0..arguments.count).map(|_| repeat.turn().len()).sum();
    println!("{operations} operations");
    ExitCode::SUCCESS
}
