//! The gateway as a process: its ports, its data threads, and the control thread that outlives them.

use std::fs::File;
use std::io::{self, Read};
use std::mem;
use std::net::SocketAddr;
use std::os::fd::OwnedFd;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};

use tracing::{info, warn};
use weir_ring::affinity;
use weir_ring::socket::{self, Listening};
use weir_shard::limits::{Config, Mode};
use weir_shard::tls::Credentials;

use crate::config::{Configuration, Server, Settings, Sources};
use crate::control::reload::Beginning;
use crate::control::{self, Control, Doors, End, Estate, Facts, Lineage, SharedDataDir, memory};
use crate::crew::Crew;
use crate::data_dir::DataDir;
use crate::data_thread::Share;
use crate::driver::{self, Choice};
use crate::inheritance::{Inheritance, spread};
use crate::logging::Limit;
use crate::office::Office;
use crate::ports::Port;
use crate::recovery;
use crate::start_error::StartError;
use crate::takeover::{self, Offer, Predecessor, TakeoverError};

/// A gateway whose data threads run.
pub(crate) struct Gateway {
    /// Where it listens, with the listeners' names.
    pub(crate) addresses: Vec<(SocketAddr, &'static str)>,
    /// The core of each shard.
    pub(crate) cores: Vec<usize>,
    pub(crate) driver: Choice,
    /// Bytes the process may use.
    memory_budget: u64,
    control: Control,
    data_dir: SharedDataDir,
}

/// What a gateway is started from, beside its configuration.
pub(crate) struct Origin<'a> {
    /// What is read again when somebody asks for it.
    pub(crate) sources: Sources,
    /// It may be open to everybody.
    pub(crate) insecure: bool,
    /// It succeeds one that runs.
    pub(crate) takeover: bool,
    pub(crate) environment: &'a [(String, String)],
}

impl Gateway {
    /// Binds all ports, takes the data folder and starts all data threads, which begin with `configuration` and
    /// `credentials`.
    ///
    /// # Errors
    /// Something is missing; the error says what, and what to do. Threads that did start end with the
    /// process.
    pub(crate) fn start(
        configuration: Configuration,
        credentials: Credentials,
        origin: Origin<'_>,
    ) -> Result<Gateway, StartError> {
        let settings = &configuration.settings;
        let server = &settings.server;
        let authenticates = settings.auth_mode() != Mode::Off;
        if !server.bind.to_canonical().is_loopback() && !origin.insecure && !authenticates {
            return Err(StartError::Exposed(server.bind));
        }
        let cores = cores(server)?;
        let shards = cores.len() as u16;
        let (place, mut predecessor, mut inheritance) = inherit(&origin, settings)?;
        let options = socket::Options { user_timeout: server.user_timeout, ..Default::default() };
        let (mut shares, doors, mut addresses) = open_doors(settings, &cores, &mut inheritance, options)?;
        let ports: Vec<u16> = addresses.iter().map(|(address, _)| address.port()).collect();
        let (admin, probe) = open_own(server, &mut inheritance, options)?;
        addresses.push((admin.address, "admin"));
        addresses.extend(probe.iter().map(|probe| (probe.address, "probe")));
        let driver = driver::choose(server, shards)?;
        let listeners = shares.first().map_or(0, |share| share.listeners.len());
        let mut config = settings.shard(shards, driver.connections_per_shard, listeners as u8);
        config.auth.audiences = settings.audiences(&ports);
        config.secret = random().map_err(StartError::System)?;
        let mut office = Office::open(settings, &mut config, (admin, probe), doors)?;
        // From here on the gateway that this one succeeds appends nothing: little is left that can fail.
        let data_dir = go_on(settings, predecessor.as_mut(), &mut config, &mut shares)?;
        let data_dir: SharedDataDir = Arc::new(Mutex::new(data_dir));
        office.remember(settings, predecessor.as_ref(), &mut config)?;
        let estate = place.map(|path| estate(path, &office, config.secret, &data_dir));
        let estate = estate.transpose().map_err(StartError::System)?;
        office.lineage = Lineage { estate, predecessor };
        let memory_budget = settings.memory_budget.unwrap_or_else(memory::default_budget);
        let (config, credentials) = (config.into(), credentials.into());
        let crew = Crew::start(shares, driver.kind, &config, &credentials)?;
        let page = Facts {
            dashboard: settings.dashboard,
            cores: cores.clone(),
            drain_timeout: config.drain.timeout,
        };
        let beginning = Beginning { sources: origin.sources, configuration, ports };
        let control = Control { driver: driver.kind, page, beginning, office, crew, config };
        Ok(Gateway { addresses, cores, driver, memory_budget, control, data_dir })
    }

    /// Serves the admin port, on the calling thread, until the gateway ends. What is left out of the log is said.
    pub(crate) fn run(self, log: Arc<Limit>) -> End {
        let end = control::run(self.control, self.memory_budget, log);
        // Data threads that are left may still write: unless a successor has it, the folder is free when the process is
        // gone.
        mem::forget(self.data_dir);
        end
    }
}

/// Where a successor is waited for, and what was open before: the sockets of the gateway that this one succeeds, or those
/// that a service manager passes on.
fn inherit(
    origin: &Origin<'_>,
    settings: &Settings,
) -> Result<(Option<PathBuf>, Option<Predecessor>, Inheritance), StartError> {
    let (server, data_dir) = (&settings.server, settings.data_dir.as_deref());
    let place = takeover::place(server.takeover.as_deref(), data_dir, server.admin_port, origin.environment);
    if !origin.takeover {
        let inheritance = Inheritance::of_manager(origin.environment).map_err(StartError::System)?;
        return Ok((place, None, inheritance));
    }
    let path = place.as_deref().ok_or(TakeoverError::NoPath)?;
    let (predecessor, sockets) = Predecessor::find(path, data_dir.is_some())?;
    let Offer { pid, version, .. } = &predecessor.offer;
    info!(pid, version, "taking over from the gateway that runs");
    Ok((place, Some(predecessor), Inheritance::of_predecessor(sockets)))
}

/// What each shard has of the data ports, all of it, and where they are.
type OpenDoors = (Vec<Share>, Doors, Vec<(SocketAddr, &'static str)>);

/// Listens on the data ports.
fn open_doors(
    settings: &Settings,
    cores: &[usize],
    inheritance: &mut Inheritance,
    options: socket::Options,
) -> Result<OpenDoors, StartError> {
    let peers = settings.asks_for_peers();
    let mut shares: Vec<Share> = cores.iter().map(|core| Share::of(*core, peers)).collect();
    let (mut doors, mut addresses) = (Doors::default(), Vec::new());
    for port in Port::data(&settings.server) {
        let listening = port.listen(inheritance, cores.len() as u16, options)?;
        addresses.push((listening.address, port.name));
        let each = spread(&listening.sockets, shares.len()).map_err(StartError::System)?;
        shares.iter_mut().zip(each).for_each(|(share, mine)| share.listeners.extend(mine));
        doors.add(port.name, listening.sockets);
    }
    Ok((shares, doors, addresses))
}

/// Listens on the admin port, and where probes ask if that is elsewhere.
fn open_own(
    server: &Server,
    inheritance: &mut Inheritance,
    options: socket::Options,
) -> Result<(Listening, Option<Listening>), StartError> {
    let admin = Port::admin(server).listen(inheritance, 1, options)?;
    let probe = Port::probe(server).map(|port| port.listen(inheritance, 1, options)).transpose()?;
    for name in inheritance.left() {
        warn!(
            "a socket called {name:?} was passed on, and is not used: those that are, are sse, ws, admin and probe"
        );
    }
    Ok((admin, probe))
}

/// Goes on with the streams of the process before: those that it hands over, those on the disk.
fn go_on(
    settings: &Settings,
    predecessor: Option<&mut Predecessor>,
    config: &mut Config,
    shares: &mut [Share],
) -> Result<Option<DataDir>, StartError> {
    if let Some(predecessor) = predecessor {
        config.secret = predecessor.offer.secret;
        let streams = predecessor.take_streams()?;
        let recovered = recovery::revive(&streams, config);
        shares.iter_mut().zip(recovered).for_each(|(share, mine)| share.recovered = Some(mine));
    }
    let data_dir = settings.data_dir.as_deref().map(DataDir::open).transpose()?;
    if let (Some(data_dir), Some(bounds)) = (&data_dir, config.durability) {
        config.secret = data_dir.secret(config.secret)?;
        let recovered = recovery::recover(data_dir, config)?;
        for ((share, recovered), series) in shares.iter_mut().zip(recovered).zip(0..) {
            share.log = Some(data_dir.log(series, bounds.segment_bytes)?);
            share.recovered = Some(recovered);
        }
    }
    Ok(data_dir)
}

/// What a successor is given.
fn estate(path: PathBuf, office: &Office, secret: [u8; 32], data_dir: &SharedDataDir) -> io::Result<Estate> {
    let mut listeners = office.doors.copies()?;
    for (name, sockets) in [("admin", &office.admin), ("probe", &office.probe)] {
        let copies: Vec<OwnedFd> = sockets.iter().map(OwnedFd::try_clone).collect::<io::Result<_>>()?;
        if !copies.is_empty() {
            listeners.push((name.to_owned(), copies));
        }
    }
    Ok(Estate { path, listeners, secret, data_dir: data_dir.clone() })
}

/// The core of each shard. More shards than cores share them in turn.
fn cores(server: &Server) -> Result<Vec<usize>, StartError> {
    let allowed = affinity::cores();
    let chosen = if server.cores.is_empty() { &allowed } else { &server.cores };
    if let Some(&core) = chosen.iter().find(|core| !allowed.contains(core)) {
        return Err(StartError::NoSuchCore { core, allowed });
    }
    let shards = if server.shards == 0 { chosen.len() } else { server.shards.into() };
    let cores: Vec<usize> = chosen.iter().copied().cycle().take(shards).collect();
    if cores.is_empty() { Err(StartError::NoCores) } else { Ok(cores) }
}

/// Randomness of the kernel: a shard's seed, the secret of all shards, and what nobody may guess.
pub(crate) fn random<const N: usize>() -> io::Result<[u8; N]> {
    let mut bytes = [0; N];
    File::open("/dev/urandom")?.read_exact(&mut bytes)?;
    Ok(bytes)
}
