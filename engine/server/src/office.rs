//! What the control thread works with, beside its place in the mesh: made at start, before the data threads are.

use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::time::Duration;

use tracing::info;
use weir_ring::clock::Clock;
use weir_ring::socket::Listening;
use weir_shard::limits::{Config, Mode};

use crate::admin_token;
use crate::config::{Alerts, Collector, Handler, Settings, Webhook};
use crate::control::audit::Audit;
use crate::control::bus::Sink;
use crate::control::children::{self, Spawner};
use crate::control::{Doors, Guard, Lineage, Listed, Revocations};
use crate::data_dir::DataDirError;
use crate::gateway::random;
use crate::start_error::StartError;
use crate::takeover::Predecessor;

/// The control thread's own.
pub(crate) struct Office {
    pub(crate) lineage: Lineage,
    /// The admin port's listening sockets.
    pub(crate) admin: Vec<OwnedFd>,
    /// Those of `admin.probe_bind`; none without.
    pub(crate) probe: Vec<OwnedFd>,
    /// Who may change something.
    pub(crate) guard: Guard,
    /// The upstreams that are children.
    pub(crate) spawners: Vec<Spawner>,
    pub(crate) audit: Audit,
    /// Where all that is said on the bus is written.
    pub(crate) sink: Option<Sink>,
    /// Who takes spans.
    pub(crate) collector: Option<Collector>,
    /// Who is told over HTTP.
    pub(crate) webhooks: Vec<Webhook>,
    /// Who answers over HTTP what clients push.
    pub(crate) handlers: Vec<Handler>,
    /// Those that the shards know.
    pub(crate) revocations: Revocations,
    /// Who may not come in: those that the shards know.
    pub(crate) listed: Listed,
    pub(crate) alerts: Alerts,
    /// What the data threads listen on.
    pub(crate) doors: Doors,
    /// How long `/ready` says no before the gateway begins to stop.
    pub(crate) drain_delay: Duration,
    /// Where what must outlive the process is kept.
    pub(crate) data_dir: Option<PathBuf>,
}

impl Office {
    /// Everything that the processes before have no part in.
    ///
    /// # Errors
    /// Something cannot be had; the error says what to do.
    pub(crate) fn open(
        settings: &Settings,
        config: &mut Config,
        (admin, probe): (Listening, Option<Listening>),
        doors: Doors,
    ) -> Result<Office, StartError> {
        let salt = random().map(u64::from_ne_bytes).map_err(StartError::System)?;
        Ok(Office {
            lineage: Lineage::default(),
            spawners: children::listen(settings, config, salt).map_err(StartError::System)?,
            guard: guard(settings, admin.address.port())?,
            admin: admin.sockets,
            probe: probe.map(|probe| probe.sockets).unwrap_or_default(),
            audit: audit(settings.audit_file.as_deref())?,
            sink: sink(settings.sink.as_deref())?,
            collector: settings.tracing.collector(),
            webhooks: settings.webhooks.clone(),
            handlers: settings.handlers.clone(),
            revocations: Revocations::default(),
            listed: Listed::in_memory(&config.blacklist),
            alerts: settings.alerts,
            doors,
            drain_delay: settings.drain_delay,
            data_dir: settings.data_dir.clone(),
        })
    }

    /// What the processes before have left: who may not come in, and which tokens are taken no more.
    ///
    /// # Errors
    /// The data folder cannot be read or written.
    pub(crate) fn remember(
        &mut self,
        settings: &Settings,
        predecessor: Option<&Predecessor>,
        config: &mut Config,
    ) -> Result<(), StartError> {
        self.revocations = revocations(settings, predecessor, config)?;
        self.listed = listed(settings, config)?;
        Ok(())
    }
}

/// The tokens that were withdrawn before, which the shards know from the start.
fn revocations(
    settings: &Settings,
    predecessor: Option<&Predecessor>,
    config: &mut Config,
) -> Result<Revocations, StartError> {
    let revocations = match (&settings.data_dir, predecessor) {
        (Some(data_dir), _) => Revocations::open(data_dir, Clock::now().wall)
            .map_err(|(path, error)| DataDirError::System { path, error })?,
        (None, Some(predecessor)) => Revocations::inherited(&predecessor.offer.withdrawn),
        (None, None) => Revocations::default(),
    };
    config.auth.revoked = revocations.all();
    Ok(revocations)
}

/// Who may not come in: whom the configuration names, and those of before. The shards know them from the start.
fn listed(settings: &Settings, config: &mut Config) -> Result<Listed, StartError> {
    let Some(data_dir) = &settings.data_dir else { return Ok(Listed::in_memory(&config.blacklist)) };
    let listed = Listed::open(&config.blacklist, data_dir, Clock::now().wall)
        .map_err(|(path, error)| DataDirError::System { path, error })?;
    config.blacklist = listed.all();
    Ok(listed)
}

/// The audit log's file, or the gateway's own log.
fn audit(path: Option<&Path>) -> Result<Audit, StartError> {
    let started = Audit::start(path);
    started.map_err(|error| match path {
        Some(path) => StartError::AuditFile { path: path.to_owned(), error },
        None => StartError::System(error),
    })
}

/// Where all that is said on the bus is written.
fn sink(path: Option<&Path>) -> Result<Option<Sink>, StartError> {
    let start = |path: &Path| {
        Sink::start(path).map_err(|error| StartError::SinkFile { path: path.to_owned(), error })
    };
    path.map(start).transpose()
}

/// Who may change something on the admin port.
fn guard(settings: &Settings, port: u16) -> Result<Guard, StartError> {
    if let Some(token) = &settings.admin_token {
        return Ok(Guard::Token(token.clone()));
    }
    if settings.auth_mode() == Mode::Off {
        return Ok(Guard::Loopback);
    }
    let path = admin_token::place(settings.data_dir.as_deref(), port);
    let token = admin_token::write(&path).map_err(StartError::AdminToken)?;
    info!(file = %path.display(), "the admin token is in a file");
    Ok(Guard::Token(token))
}
