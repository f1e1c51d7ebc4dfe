//! `weir serve`.

use std::fs;
use std::process::ExitCode;

use tracing::{info, warn};
use weir_ring::driver::Kind;

use super::{Failure, Serve, say};
use crate::control::End;
use crate::gateway::{Gateway, Origin};
use crate::logging;
use crate::tls::Loaded;

/// Runs the gateway until it ends.
///
/// # Errors
/// It could not be started, or broke.
pub(super) fn run(options: &Serve, environment: &[(String, String)]) -> Result<ExitCode, Failure> {
    let sources = options.sources(environment);
    let configuration = sources.read().map_err(Failure::Config)?;
    let limit = logging::start(configuration.settings.log);
    configuration.idle().iter().for_each(|idle| warn!("{idle}"));
    let Loaded { credentials, warnings } = super::credentials(&configuration.settings)?;
    warnings.iter().for_each(|warning| warn!("{warning}"));
    let secure = credentials.server.is_some();
    let asks_for_peers = configuration.settings.asks_for_peers();
    let origin = Origin { sources, insecure: options.insecure, takeover: options.takeover, environment };
    let gateway = Gateway::start(configuration, credentials, origin).map_err(Failure::Start)?;
    say(&banner(&gateway));
    for (address, name) in &gateway.addresses {
        say(&format!("listening on {address} ({name})"));
    }
    let driver = &gateway.driver;
    if let Some(refused) = &driver.refused {
        warn!("the driver is epoll, at a higher cost in CPU, because {refused}");
    }
    if driver.kind == Kind::IoUring && asks_for_peers && !kernel_names_peers() {
        warn!("this kernel does not say who connects: limits of network addresses need Linux 6.7 or later");
    }
    info!(driver = %driver.kind, connections_per_shard = driver.connections_per_shard, tls = secure, "ready");
    match gateway.run(limit) {
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

fn banner(Gateway { cores, driver, .. }: &Gateway) -> String {
    let version = env!("CARGO_PKG_VERSION");
    let (shards, plural) = (cores.len(), if cores.len() == 1 { "" } else { "s" });
    let cores = cores.iter().map(usize::to_string).collect::<Vec<_>>().join(",");
    format!("weir {version}: {shards} shard{plural} on core {cores}, {}", driver.kind)
}
