//! The gateway as a process: its ports, its data threads, and the control thread that outlives them.

use std::fs::File;
use std::io::{self, Read};
use std::mem;
use std::net::SocketAddr;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, mpsc};
use std::time::Duration;

use tokio::sync::mpsc::unbounded_channel;
use tracing::{info, warn};
use weir_ring::clock::Clock;
use weir_ring::uring::Peer;
use weir_ring::waker::Waker;
use weir_ring::{affinity, mesh, socket};
use weir_shard::hash_ring::HashRing;
use weir_shard::limits::{Config, Mode};
use weir_shard::tls::Credentials;

use crate::admin_token;
use crate::config::{Alerts, Files, Handler, Server, Settings, Webhook};
use crate::control::audit::Audit;
use crate::control::bus::Sink;
use crate::control::children::{self, Spawner};
use crate::control::{self, Control, Doors, End, Estate, Guard, Lineage, Revocations, SharedDataDir, memory};
use crate::data_dir::{DataDir, DataDirError};
use crate::data_thread::{Seat, Share};
use crate::ending::Ending;
use crate::inheritance::{Inheritance, spread};
use crate::ports::Port;
use crate::recovery;
use crate::start_error::StartError;
use crate::takeover::{self, Offer, Predecessor, TakeoverError};

/// Letters that wait between two members, at most.
const LETTERS: usize = 1_024;

/// Descriptors beside the tables of sockets: listeners, rings, wakers, admin requests.
const DESCRIPTORS_RESERVED: u64 = 64;

/// A shard with fewer connections is of no use.
const CONNECTIONS_MIN: u32 = 128;

/// A gateway whose data threads run.
pub(crate) struct Gateway {
    /// Where it listens, with the listeners' names.
    pub(crate) addresses: Vec<(SocketAddr, &'static str)>,
    /// The core of each shard.
    pub(crate) cores: Vec<usize>,
    /// Connections one shard may hold.
    pub(crate) connections_per_shard: u32,
    /// Bytes the process may use.
    memory_budget: u64,
    control: Control,
    data_dir: SharedDataDir,
}

/// What a gateway is started from, beside its settings.
pub(crate) struct Origin<'a> {
    /// It may be open to everybody.
    pub(crate) insecure: bool,
    /// It succeeds one that runs.
    pub(crate) takeover: bool,
    pub(crate) environment: &'a [(String, String)],
}

impl Gateway {
    /// Binds all ports, takes the data folder and starts all data threads, which begin with `credentials`.
    ///
    /// # Errors
    /// Something is missing; the error says what, and what to do. Threads that did start end with the
    /// process.
    pub(crate) fn start(
        settings: &Settings,
        credentials: Credentials,
        origin: Origin<'_>,
    ) -> Result<Gateway, StartError> {
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
        let admin = Port::admin(server).listen(&mut inheritance, 1, options)?;
        for name in inheritance.left() {
            warn!(
                "a socket called {name:?} was passed on, and is not used: those that are, are sse, ws and admin"
            );
        }
        addresses.push((admin.address, "admin"));
        let connections_per_shard = connections_max(server)?;
        let listeners = shares.first().map_or(0, |share| share.listeners.len());
        let mut config = settings.shard(shards, connections_per_shard, listeners as u8);
        config.auth.audiences = settings.audiences(&ports);
        config.secret = random().map_err(StartError::System)?;
        let salt = random().map(u64::from_ne_bytes).map_err(StartError::System)?;
        let mut office = Office {
            lineage: Lineage::default(),
            spawners: children::listen(settings, &mut config, salt).map_err(StartError::System)?,
            guard: guard(settings, admin.address.port())?,
            public_key_refresh: settings.public_key_refresh(),
            audit: audit(settings.audit_file.as_deref())?,
            sink: sink(settings.sink.as_deref())?,
            webhooks: settings.webhooks.clone(),
            handlers: settings.handlers.clone(),
            revocations: Revocations::default(),
            tls: settings.tls_files(),
            rules: settings.rules_file.clone(),
            alerts: settings.alerts,
            doors,
            drain_delay: settings.drain_delay,
            data_dir: settings.data_dir.clone(),
            admin: admin.sockets,
        };
        // From here on the gateway that this one succeeds appends nothing: little is left that can fail.
        let data_dir = go_on(settings, predecessor.as_mut(), &mut config, &mut shares)?;
        let data_dir: SharedDataDir = Arc::new(Mutex::new(data_dir));
        office.revocations = revocations(settings, predecessor.as_ref(), &mut config)?;
        let estate = place.map(|path| estate(path, (&office.doors, &office.admin), config.secret, &data_dir));
        let estate = estate.transpose().map_err(StartError::System)?;
        office.lineage = Lineage { estate, predecessor };
        let control = start_threads(shares, &config.into(), &credentials.into(), office)?;
        let memory_budget = settings.memory_budget.unwrap_or_else(memory::default_budget);
        Ok(Gateway { addresses, cores, connections_per_shard, memory_budget, control, data_dir })
    }

    /// Serves the admin port, on the calling thread, until the gateway ends.
    pub(crate) fn run(self) -> End {
        let end = control::run(self.control, self.memory_budget);
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
fn estate(
    path: PathBuf,
    (doors, admin): (&Doors, &[OwnedFd]),
    secret: [u8; 32],
    data_dir: &SharedDataDir,
) -> io::Result<Estate> {
    let mut listeners = doors.copies()?;
    let admin = admin.iter().map(OwnedFd::try_clone).collect::<io::Result<_>>()?;
    listeners.push(("admin".to_owned(), admin));
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

/// What the limit of descriptors leaves for the sockets of one shard: a ring's table may have as many as
/// the process (io_uring_register(2)), and sockets in it are no descriptors of the process.
fn connections_max(server: &Server) -> Result<u32, StartError> {
    let limit = socket::raise_nofile().map_err(StartError::System)?;
    let allowed = limit.saturating_sub(DESCRIPTORS_RESERVED).min(server.connections_per_shard.into()) as u32;
    if allowed < CONNECTIONS_MIN { Err(StartError::TooFewDescriptors { limit }) } else { Ok(allowed) }
}

/// What the control thread works with, beside its place in the mesh.
struct Office {
    lineage: Lineage,
    /// The admin port's listening sockets.
    admin: Vec<OwnedFd>,
    guard: Guard,
    spawners: Vec<Spawner>,
    public_key_refresh: Duration,
    audit: Audit,
    sink: Option<Sink>,
    webhooks: Vec<Webhook>,
    handlers: Vec<Handler>,
    revocations: Revocations,
    /// What TLS is made from.
    tls: Files,
    /// The rule file.
    rules: Option<PathBuf>,
    alerts: Alerts,
    doors: Doors,
    drain_delay: Duration,
    data_dir: Option<PathBuf>,
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

/// Starts one data thread for each of `shares` and connects all members of the mesh.
fn start_threads(
    shares: Vec<Share>,
    config: &Arc<Config>,
    credentials: &Arc<Credentials>,
    office: Office,
) -> Result<Control, StartError> {
    let shards = shares.len() as u16;
    let waker = Waker::new().map_err(StartError::System)?;
    let wakers =
        shares.iter().map(|_| Waker::new()).collect::<Result<Vec<_>, _>>().map_err(StartError::System)?;
    let ending = Arc::new(Ending::new(shards));
    let mut links = mesh::connect(shards + 1, LETTERS).into_iter();
    let (ready, rings) = mpsc::channel();
    let (ended, all_ended) = unbounded_channel();
    let mut introductions = Vec::new();
    for ((share, waker), links) in shares.into_iter().zip(&wakers).zip(links.by_ref()) {
        let (introduce, peers) = mpsc::channel();
        introductions.push(introduce);
        let seat = Seat {
            share,
            config: config.clone(),
            credentials: credentials.clone(),
            seed: random().map(u64::from_ne_bytes).map_err(StartError::System)?,
            waker: waker.clone(),
            links,
            ending: ending.clone(),
            ready: ready.clone(),
            peers,
            ended: ended.clone(),
        };
        seat.start().map_err(StartError::System)?;
    }
    // From here on only the threads hold these: if all of them are gone, nobody answers.
    drop((ready, ended));
    let mut fds = vec![-1; shards.into()];
    for _ in 0..shards {
        let (member, fd) = rings.recv().map_err(|_| StartError::ThreadDied)?.map_err(StartError::Thread)?;
        fds[usize::from(member.0)] = fd;
    }
    for introduce in introductions {
        let peers = fds.iter().map(|fd| Peer::Ring(*fd)).chain([Peer::Waker(waker.clone())]).collect();
        introduce.send(peers).map_err(|_| StartError::ThreadDied)?;
    }
    let nodes: Vec<(u16, u32)> = (0..shards).map(|shard| (shard, 1)).collect();
    Ok(Control {
        admin: office.admin,
        guard: office.guard,
        spawners: office.spawners,
        auth: config.auth.clone(),
        public_key_refresh: office.public_key_refresh,
        audit: office.audit,
        sink: office.sink,
        webhooks: office.webhooks,
        handlers: office.handlers,
        revocations: office.revocations,
        links: links.next().expect("the control thread is the last member"),
        waker,
        shards: wakers,
        ring: HashRing::new(&nodes, config.vnodes),
        tls: office.tls,
        rules: office.rules,
        alerts: office.alerts,
        lineage: office.lineage,
        doors: office.doors,
        drain_delay: office.drain_delay,
        data_dir: office.data_dir,
        config: config.clone(),
        ended: all_ended,
    })
}

/// Randomness of the kernel: a shard's seed, the secret of all shards, and what nobody may guess.
pub(crate) fn random<const N: usize>() -> io::Result<[u8; N]> {
    let mut bytes = [0; N];
    File::open("/dev/urandom")?.read_exact(&mut bytes)?;
    Ok(bytes)
}
