//! The command line: commands, flags, exit codes.

mod admin;
mod ask;
mod check;
mod data;
mod doctor;
mod events;
mod figures;
mod manual;
mod publish;
mod serve;
mod stdio;
mod style;
mod tail;
#[cfg(test)]
mod tests;
mod token;
mod top;
mod trace;

use std::fmt;
use std::io::{self, Write};
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Parser, Subcommand};

use crate::config::{self, ConfigError, Flag, Settings, Sources};
use crate::tls::{self, Loaded, TlsError};

const EXIT_CODES: &str = "Exit codes:
  0    done; for serve: stopped by a signal, and all clients were told
  1    could not start, or broke; for commands that ask a gateway: nobody answers, it refuses, or has no such thing
  2    wrong words or configuration
  130  stopped at once by a second signal

The log goes to standard error; RUST_LOG=debug shows more of it.";

/// An MCP and real-time gateway: one io_uring or epoll loop per core. Without a command: serve.
#[derive(Debug, Parser)]
#[command(name = "weir", version, after_help = EXIT_CODES, args_conflicts_with_subcommands = true)]
struct Cli {
    #[command(subcommand)]
    command: Option<Command>,
    #[command(flatten)]
    serve: Serve,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run the gateway until SIGTERM or SIGINT
    #[command(after_help = EXIT_CODES)]
    Serve(Serve),
    /// Check what serve would use, and start nothing
    CheckConfig(check::Check),
    /// Make, check and refresh access tokens, and make API keys
    #[command(subcommand)]
    Token(token::Command),
    /// Print a running gateway's figures: transports, what it watches, alerts
    Stats(admin::Target),
    /// Print what a running gateway makes of its figures: trends, forecasts, what is odd, and who behaves oddly
    Analyze(admin::Target),
    /// Have the messages of one client followed, and print what they go through
    Trace(trace::Trace),
    /// Send a message to a client, or to all of a topic
    Publish(publish::Publish),
    /// Be a client, and print its messages as they come
    Tail(tail::Tail),
    /// Be an MCP server on standard input and output, for clients that start one: all goes to a gateway
    Stdio(stdio::Stdio),
    /// Watch a running gateway: cores, transports, breakers, signals, clients
    Top(top::Top),
    /// Say what on this host holds a gateway back, and what mends it; or plan a host
    Doctor(doctor::Doctor),
    /// Print completions for a shell
    Completions(manual::Completions),
    /// Print man pages
    Man(manual::Manual),
    /// Print the configuration that holds without a file: every key, explained
    DefaultConfig,
    /// Print every key with its default, bounds, variables, and whether a reload applies it
    ConfigDoc(check::ConfigDoc),
    #[command(flatten)]
    Ask(ask::Command),
}

/// What the gateway is started with. Values are judged by the keys they set.
#[derive(Debug, Default, Args)]
struct Serve {
    /// Configuration file [default: none is needed]
    #[arg(short, long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Data threads [default: one for each core]
    #[arg(long, value_name = "N", allow_hyphen_values = true)]
    shards: Option<String>,
    /// Cores to pin them to, such as 0,2-5 [default: all]
    #[arg(long, value_name = "LIST", allow_hyphen_values = true)]
    cores: Option<String>,
    /// Port of health, readiness and figures; 0: a free one [default: 4000]
    #[arg(long, value_name = "PORT", allow_hyphen_values = true)]
    admin_port: Option<String>,
    /// Data port, named for SSE and HTTP [default: 4001]
    #[arg(long, value_name = "PORT", allow_hyphen_values = true)]
    sse_port: Option<String>,
    /// Data port, named for WebSocket; both serve every transport [default: 4002]
    #[arg(long, value_name = "PORT", allow_hyphen_values = true)]
    ws_port: Option<String>,
    /// Address of all listeners [default: 127.0.0.1]
    #[arg(long, value_name = "ADDR", allow_hyphen_values = true)]
    bind: Option<String>,
    /// What data threads ask the kernel with: io_uring, epoll [default: auto, io_uring if it is allowed]
    #[arg(long, value_name = "NAME")]
    driver: Option<String>,
    /// Certificate that data ports show, PEM; with it they speak TLS only [default: none]
    #[arg(long, value_name = "FILE")]
    tls_cert: Option<String>,
    /// Its private key, PEM
    #[arg(long, value_name = "FILE")]
    tls_key: Option<String>,
    /// Folder for what must outlive the process [default: none, all is kept in memory]
    #[arg(long, value_name = "DIR")]
    data_dir: Option<String>,
    /// Succeed the gateway that runs: take its listening sockets and its streams, and let it drain
    #[arg(long)]
    takeover: bool,
    /// Rule file: what may be sent and asked for [default: none]
    #[arg(long, value_name = "FILE")]
    rules: Option<String>,
    /// Requests a second of each client; 0: no limit [default: 100]
    #[arg(long, value_name = "N", allow_hyphen_values = true)]
    rate_limit: Option<String>,
    /// Publishes a second of each backend; 0: no limit [default: 10000]
    #[arg(long, value_name = "N", allow_hyphen_values = true)]
    backend_rate_limit: Option<String>,
    /// Open /mcp/ws/echo
    #[arg(long)]
    test_endpoints: bool,
    /// Allow an address that is not loopback without authentication
    #[arg(long)]
    insecure: bool,
}

/// Why a command came to nothing.
enum Failure {
    Config(ConfigError),
    NoKey(String),
    Tls(TlsError),
    Start(crate::start_error::StartError),
    Token(token::TokenFailure),
    Admin(admin::AdminFailure),
    Broken(io::Error),
    Panicked,
}

/// Runs the command that the process was called with.
pub(crate) fn run() -> ExitCode {
    let cli = Cli::parse();
    let environment = environment();
    let result = match cli.command.unwrap_or(Command::Serve(cli.serve)) {
        Command::Serve(options) => serve::run(&options, &environment),
        Command::CheckConfig(check) => check.run(&environment),
        Command::ConfigDoc(doc) => doc.run(),
        Command::Token(command) => token::run(command, &environment),
        Command::Stats(target) => figures::stats(&target, &environment),
        Command::Analyze(target) => figures::analyze(&target, &environment),
        Command::Ask(command) => ask::run(command, &environment),
        Command::Trace(trace) => trace::run(&trace, &environment),
        Command::Publish(publish) => publish::run(&publish, &environment),
        Command::Tail(tail) => tail::run(&tail, &environment),
        Command::Stdio(stdio) => stdio::run(&stdio, &environment),
        Command::Top(top) => top::run(&top, &environment),
        Command::Doctor(doctor) => doctor::run(&doctor, &environment),
        Command::Completions(order) => Ok(manual::completions(&order)),
        Command::Man(order) => manual::manual(&order),
        Command::DefaultConfig => {
            say(config::DEFAULT_FILE.trim_end());
            Ok(ExitCode::SUCCESS)
        }
    };
    result.unwrap_or_else(|failure| {
        // Nobody may read standard error; the code says it, too.
        let _ = writeln!(anstream::stderr(), "{} {failure}", style::bad("weir:"));
        failure.code()
    })
}

impl Serve {
    /// Where its configuration comes from.
    fn sources(&self, environment: &[(String, String)]) -> Sources {
        Sources { file: self.config.clone(), environment: environment.to_owned(), flags: self.flags() }
    }

    /// The flags that were given.
    fn flags(&self) -> Vec<Flag> {
        let test_endpoints = self.test_endpoints.then(|| "true".to_owned());
        let flags = [
            ("--shards", "server.shards", &self.shards),
            ("--cores", "server.cores", &self.cores),
            ("--admin-port", "server.admin_port", &self.admin_port),
            ("--sse-port", "server.sse_port", &self.sse_port),
            ("--ws-port", "server.ws_port", &self.ws_port),
            ("--bind", "server.bind", &self.bind),
            ("--driver", "server.driver", &self.driver),
            ("--tls-cert", "tls.cert", &self.tls_cert),
            ("--tls-key", "tls.key", &self.tls_key),
            ("--data-dir", "durability.dir", &self.data_dir),
            ("--rules", "rules.file", &self.rules),
            ("--rate-limit", "rate_limiting.default.limit", &self.rate_limit),
            ("--backend-rate-limit", "rate_limiting.backend.limit", &self.backend_rate_limit),
            ("--test-endpoints", "server.test_endpoints", &test_endpoints),
        ];
        let given = flags
            .into_iter()
            .filter_map(|(name, key, value)| Some(Flag { name, key, value: value.clone()? }));
        given.collect()
    }
}

impl Failure {
    fn code(&self) -> ExitCode {
        ExitCode::from(match self {
            Failure::Config(_) | Failure::NoKey(_) | Failure::Tls(_) => 2,
            Failure::Admin(failure) if failure.is_usage() => 2,
            Failure::Start(_) | Failure::Token(_) | Failure::Admin(_) => 1,
            Failure::Broken(_) | Failure::Panicked => 1,
        })
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Failure::Config(error) => write!(f, "{error}"),
            Failure::NoKey(said) => f.write_str(said),
            Failure::Tls(error) => write!(f, "{error}"),
            Failure::Start(error) => write!(f, "{error}"),
            Failure::Token(failure) => write!(f, "{failure}"),
            Failure::Admin(failure) => write!(f, "{failure}"),
            Failure::Broken(error) => write!(f, "the system took away what the gateway runs on: {error}"),
            Failure::Panicked => {
                f.write_str("a data thread panicked, which is a bug; its last words are above")
            }
        }
    }
}

/// Reads the files that `settings` name for TLS.
fn credentials(settings: &Settings) -> Result<Loaded, Failure> {
    tls::load(&settings.tls_files()).map_err(Failure::Tls)
}

/// All variables; what is not UTF-8 in them is replaced, and then fits no key.
fn environment() -> Vec<(String, String)> {
    let lossy = |text: std::ffi::OsString| text.to_string_lossy().into_owned();
    std::env::vars_os().map(|(name, value)| (lossy(name), lossy(value))).collect()
}

/// A line on standard output, in colours if that is a terminal, whether or not somebody still reads it.
fn say(line: &str) {
    let mut output = anstream::stdout().lock();
    let _ = writeln!(output, "{line}").and_then(|()| output.flush());
}
