//! `weir serve`.

use std::fs;
use std::process::ExitCode;

use tracing::{info, warn};

use super::{Failure, Serve, say};
use crate::config;
use crate::control::End;
use crate::gateway::{Gateway, Origin};
use crate::tls::Loaded;

/// Runs the gateway until it ends.
///
/// # Errors
/// It could not be started, or broke.
pub(super) fn run(options: &Serve, environment: &[(String, String)]) -> Result<ExitCode, Failure> {
    let settings = options.settings(environment)?;
    for variable in config::without_effect(environment) {
        warn!("the environment variable {variable} is no setting of this version and has no effect");
    }
    let Loaded { credentials, warnings } = super::credentials(&settings)?;
    warnings.iter().for_each(|warning| warn!("{warning}"));
    let secure = credentials.server.is_some();
    let origin = Origin { insecure: options.insecure, takeover: options.takeover, environment };
    let gateway = Gateway::start(&settings, credentials, origin).map_err(Failure::Start)?;
    say(&banner(&gateway.cores));
    for (address, name) in &gateway.addresses {
        say(&format!("listening on {address} ({name})"));
    }
    if settings.asks_for_peers() && !kernel_names_peers() {
        warn!("this kernel does not say who connects: limits of network addresses need Linux 6.7 or later");
    }
    info!(connections_per_shard = gateway.connections_per_shard, tls = secure, "ready");
    match gateway.run() {
        End::Drained => Ok(ExitCode::SUCCESS),
        End::Forced => Ok(ExitCode::from(130)),
        End::Panicked => Err(Failure::Panicked),
        End::Broken(error) => Err(Failure::Broken(error)),
    }
}

/// Whether the kernel tells a ring who is at the other end of a socket: Linux 6.7 and later do.
fn kernel_names_peers() -> bool {
    let release = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    let mut numbers = release.split(['.', '-']).map_while(|part| part.parse::<u32>().ok());
    (numbers.next(), numbers.next()) >= (Some(6), Some(7))
}

fn banner(cores: &[usize]) -> String {
    let version = env!("CARGO_PKG_VERSION");
    let (shards, plural) = (cores.len(), if cores.len() == 1 { "" } else { "s" });
    let cores = cores.iter().map(usize::to_string).collect::<Vec<_>>().join(",");
    format!("weir {version}: {shards} shard{plural} on core {cores}, io_uring")
}
