//! The command line: commands, flags, exit codes.

mod admin;
mod ask;
mod figures;
mod serve;
#[cfg(test)]
mod tests;
mod token;
mod trace;

use std::fmt;
use std::io::{self, IsTerminal, Write};
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Parser, Subcommand};
use tracing_subscriber::EnvFilter;

use crate::config::{self, ConfigError, Flag, Settings};
use crate::tls::{self, Loaded, TlsError};

const EXIT_CODES: &str = "Exit codes:
  0    done; for serve: stopped by a signal, and all clients were told
  1    could not start, or broke; for commands that ask a gateway: nobody answers, or it refuses
  2    wrong flags or configuration
  130  stopped at once by a second signal

The log goes to standard error; RUST_LOG=debug shows more of it.";

/// An MCP and real-time gateway: one io_uring loop per core. Without a command: serve.
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
    CheckConfig(Serve),
    /// Make, check and refresh access tokens, and make API keys
    #[command(subcommand)]
    Token(token::Command),
    /// Print a running gateway's figures: transports, what it watches, alerts
    Stats(admin::Target),
    /// Print what a running gateway makes of its figures: trends, forecasts, what is odd, and who behaves oddly
    Analyze(admin::Target),
    /// Have the messages of one client followed, and print what they go through
    Trace(trace::Trace),
    /// Print the configuration that holds without a file: every key, explained
    DefaultConfig,
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
        Command::Serve(options) => {
            start_log();
            serve::run(&options, &environment)
        }
        Command::CheckConfig(options) => {
            options.settings(&environment).and_then(|settings| credentials(&settings)).map(|loaded| {
                loaded.warnings.iter().for_each(|warning| say(&format!("warning: {warning}")));
                say("the configuration is fine");
                ExitCode::SUCCESS
            })
        }
        Command::Token(command) => token::run(command, &environment),
        Command::Stats(target) => figures::stats(&target, &environment),
        Command::Analyze(target) => figures::analyze(&target, &environment),
        Command::Ask(command) => ask::run(command, &environment),
        Command::Trace(trace) => trace::run(&trace, &environment),
        Command::DefaultConfig => {
            say(config::DEFAULT_FILE.trim_end());
            Ok(ExitCode::SUCCESS)
        }
    };
    result.unwrap_or_else(|failure| {
        // Nobody may read standard error; the code says it, too.
        let _ = writeln!(io::stderr(), "weir: {failure}");
        failure.code()
    })
}

impl Serve {
    fn settings(&self, environment: &[(String, String)]) -> Result<Settings, Failure> {
        config::load(self.config.as_deref(), environment, &self.flags()).map_err(Failure::Config)
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
            Failure::Config(_) | Failure::Tls(_) => 2,
            Failure::Start(_) | Failure::Token(_) | Failure::Admin(_) => 1,
            Failure::Broken(_) | Failure::Panicked => 1,
        })
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Failure::Config(error) => write!(f, "{error}"),
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

/// A line on standard output, whether or not somebody still reads it.
fn say(line: &str) {
    let mut output = io::stdout().lock();
    let _ = writeln!(output, "{line}").and_then(|()| output.flush());
}

fn start_log() {
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("info"));
    let ansi = io::stderr().is_terminal();
    tracing_subscriber::fmt().with_env_filter(filter).with_writer(io::stderr).with_ansi(ansi).init();
}
