//! The gateway's own log: lines on standard error, for people or as JSON, and not too many of one kind.

mod limit;

use std::io::{self, IsTerminal};
use std::sync::Arc;

use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{EnvFilter, Layer, fmt};

pub(crate) use self::limit::{Limit, SPAN};
use crate::config::{Format, Log};

/// Begins to write the log. Who runs the gateway lets the limit say what it has left out.
pub(crate) fn start(log: Log) -> Arc<Limit> {
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("info"));
    let lines = fmt::layer().with_writer(io::stderr);
    let lines = match log.format {
        Format::Text => lines.with_ansi(io::stderr().is_terminal()).boxed(),
        Format::Json => {
            lines.json().flatten_event(true).with_current_span(false).with_span_list(false).boxed()
        }
    };
    let limit = Arc::new(Limit::new(log.repeat));
    tracing_subscriber::registry().with(filter).with(limit.clone().layer()).with(lines).init();
    limit
}
