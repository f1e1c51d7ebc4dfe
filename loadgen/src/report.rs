//! The figures of a run: for people on stdout, for scripts as JSON.

use std::{
    fmt, fs,
    io::{self, Write as _},
    path::{Path, PathBuf},
};

use hdrhistogram::Histogram;
use serde::Serialize;

use crate::error::Error;

/// Percentiles, microseconds.
#[derive(Clone, Copy, Debug, Serialize)]
pub(crate) struct Latency {
    pub(crate) p50: f64,
    pub(crate) p90: f64,
    pub(crate) p99: f64,
    pub(crate) p99_9: f64,
    pub(crate) max: f64,
}

impl Latency {
    /// Reads them from a histogram of nanoseconds.
    pub(crate) fn of(histogram: &Histogram<u64>) -> Self {
        let us = |ns: u64| ns as f64 / 1_000.0;
        let at = |quantile| us(histogram.value_at_quantile(quantile));
        Self { p50: at(0.5), p90: at(0.9), p99: at(0.99), p99_9: at(0.999), max: us(histogram.max()) }
    }
}

impl fmt::Display for Latency {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { p50, p90, p99, p99_9, max } = self;
        write!(f, "p50 {p50:.0}  p90 {p90:.0}  p99 {p99:.0}  p99.9 {p99_9:.0}  max {max:.0} us")
    }
}

/// CPU that was used in the window.
#[derive(Clone, Copy, Debug, Serialize)]
pub(crate) struct Usage {
    /// All threads together, seconds.
    pub(crate) cpu_seconds: f64,
    /// Part of one core: 1.0 is one core all the time.
    pub(crate) busy: f64,
}

impl Usage {
    /// `cpu_ns` used within `seconds`.
    pub(crate) fn new(cpu_ns: u64, seconds: f64) -> Self {
        let cpu_seconds = cpu_ns as f64 / 1e9;
        Self { cpu_seconds, busy: cpu_seconds / seconds }
    }
}

/// The figures of a window of load.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Load {
    pub(crate) seconds: f64,
    /// Replies or deliveries.
    pub(crate) messages: u64,
    pub(crate) messages_per_second: f64,
    /// Messages per second of CPU that all threads of the server used.
    pub(crate) messages_per_server_cpu_second: Option<f64>,
    /// Bytes on the TCP stream from the server.
    pub(crate) bytes_in_per_message: f64,
    /// Bytes on the TCP stream to the server.
    pub(crate) bytes_out_per_message: f64,
    pub(crate) latency: Latency,
    pub(crate) server: Option<Usage>,
    pub(crate) server_rss_bytes: Option<u64>,
    pub(crate) generator: Usage,
    pub(crate) errors: u64,
    pub(crate) first_error: Option<String>,
}

impl fmt::Display for Load {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "messages     {} in {:.2} s: {:.0}/s",
            self.messages, self.seconds, self.messages_per_second
        )?;
        if let Some(rate) = self.messages_per_server_cpu_second {
            writeln!(f, "             {rate:.0} per second of server CPU")?;
        }
        writeln!(f, "latency      {}", self.latency)?;
        if let (Some(server), Some(rss)) = (self.server, self.server_rss_bytes) {
            let mib = rss as f64 / (1 << 20) as f64;
            writeln!(f, "server       {:.0} % of a core, RSS {mib:.1} MiB", server.busy * 100.0)?;
        }
        writeln!(f, "generator    {:.0} % of a core", self.generator.busy * 100.0)?;
        match &self.first_error {
            None => write!(f, "errors       none"),
            Some(first) => write!(f, "errors       {}, the first: {first}", self.errors),
        }
    }
}

/// Where the figures go.
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct OutputArgs {
    /// Also write the figures to this file as JSON
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
}

impl OutputArgs {
    /// Prints `figures`, and writes them when asked to.
    pub(crate) fn emit(&self, figures: &(impl fmt::Display + Serialize)) -> Result<(), Error> {
        writeln!(io::stdout(), "{figures}").map_err(Error::io("print"))?;
        self.json.as_deref().map_or(Ok(()), |path| write_json(path, figures))
    }
}

fn write_json(path: &Path, figures: &impl Serialize) -> Result<(), Error> {
    let text = serde_json::to_string_pretty(figures)
        .map_err(|error| Error::Io { doing: "write JSON", source: error.into() })?;
    fs::write(path, text + "\n").map_err(Error::io("write the file of --json"))
}
