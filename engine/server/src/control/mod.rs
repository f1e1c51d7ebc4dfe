//! The control thread: the admin port, the children, signals, certificates, and the end. Off the data path, on ordinary libraries.

mod api;
pub(crate) mod audit;
mod blacklist;
pub(crate) mod bus;
pub(crate) mod children;
mod credentials;
mod current;
mod dashboard;
mod debug_log;
mod dlq;
mod draining;
mod features;
mod guard;
mod handlers;
mod hook;
pub(crate) mod https;
mod intelligence;
pub(crate) mod jwks;
mod lines;
mod listed;
mod mailbox;
pub(crate) mod memory;
mod metrics;
mod notify;
mod pages;
mod passage;
mod probe;
mod profile;
mod regulation;
pub(crate) mod reload;
mod requests;
mod revocations;
mod rules;
mod succession;
mod telemetry;
mod tokens;
mod troubles;

use std::future::IntoFuture;
use std::io;
use std::net::{SocketAddr, TcpListener};
use std::os::fd::OwnedFd;
use std::sync::Arc;

use axum::Router;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};
use tokio::task::AbortHandle;
use tracing::{info, warn};
use weir_ring::driver::Kind;
use weir_shard::limits::{Browser, Config};
use weir_shard::mail::DrainOrder;

use self::api::{Admin, Insight};
use self::bus::{Bus, Desk, Observer, Sink, Traces};
use self::children::{Children, GRACE, Stop};
use self::current::Current;
pub(crate) use self::dashboard::Facts;
use self::dashboard::{Chronicle, Dashboard};
use self::debug_log::DebugLog;
pub(crate) use self::draining::Doors;
use self::draining::Draining;
use self::features::Features;
pub(crate) use self::guard::Guard;
use self::intelligence::Intelligence;
pub(crate) use self::listed::Listed;
use self::mailbox::Mailbox;
use self::notify::Manager;
use self::passage::{Entrance, Exit};
use self::profile::Profiles;
use self::reload::{Beginning, Parts, Reloader};
use self::requests::Requests;
pub(crate) use self::revocations::Revocations;
use self::rules::Rulebook;
pub(crate) use self::succession::{Estate, Lineage, SharedDataDir};
use self::telemetry::Telemetry;
use crate::config::Webhook;
use crate::crew::Crew;
use crate::logging;
use crate::office::Office;

/// What the control thread is born with.
pub(crate) struct Control {
    /// What the shards run on.
    pub(crate) driver: Kind,
    /// What the dashboard shows of the start.
    pub(crate) page: Facts,
    /// What is read again with each SIGHUP.
    pub(crate) beginning: Beginning,
    pub(crate) office: Office,
    pub(crate) crew: Crew,
    /// What the shards have.
    pub(crate) config: Arc<Config>,
}

/// How the gateway ended.
#[derive(Debug)]
pub(crate) enum End {
    /// All shards are drained.
    Drained,
    /// A second signal did not want to wait.
    Forced,
    /// A data thread panicked.
    Panicked,
    /// A ring or the control thread broke.
    Broken(io::Error),
}

/// Serves until the data threads have ended, or must be left. The process may use `memory_budget` bytes. What is left out
/// of the log is said.
pub(crate) fn run(control: Control, memory_budget: u64, log: Arc<logging::Limit>) -> End {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let end = runtime.and_then(|runtime| {
        runtime.spawn(tell_left_out(log));
        runtime.block_on(serve(control, memory_budget))
    });
    end.unwrap_or_else(End::Broken)
}

/// Says what was left out of the log, each time that a span is over.
async fn tell_left_out(log: Arc<logging::Limit>) {
    let mut over = tokio::time::interval(logging::SPAN);
    loop {
        over.tick().await;
        log.tell();
    }
}

async fn serve(control: Control, memory_budget: u64) -> io::Result<End> {
    let Control { office, crew, config, .. } = control;
    let shards = crew.shards.len();
    let features = Features::new(&config, &office.alerts);
    let chronicle = Chronicle::default();
    let (bus, desks, traces) = listeners(office.sink, office.webhooks, (&features, &chronicle));
    let telemetry = Telemetry::start(office.collector, config.tracing.rate)?;
    let (leave, emigrants) = unbounded_channel();
    let (places, requests) = Requests::open(telemetry.clone(), leave);
    let mailbox = Mailbox::new(crew.links, crew.shards, places, office.audit, bus.clone());
    let settings = &control.beginning.configuration.settings;
    let keys =
        requests.serve(&mailbox, &bus, &crew.ring, &config, (office.handlers, settings.public_key_refresh()));
    let listed = Arc::new(office.listed);
    let intelligence = Intelligence::new(&config, &office.alerts, memory_budget, office.data_dir.as_deref());
    tokio::spawn(intelligence.clone().watch(mailbox.clone(), bus.clone(), features.clone()));
    let rules = Rulebook::new(settings.rules_file.clone(), &config, mailbox.clone(), bus.clone());
    let rules = Arc::new(rules);
    let (auth, pages) = (Current::new(config.auth.clone()), Current::new(pages::rules(&config.browser)));
    let parts = Parts {
        mailbox: mailbox.clone(),
        bus: bus.clone(),
        rules: rules.clone(),
        keys,
        auth: auth.clone(),
        pages: pages.clone(),
        blacklist: listed.clone(),
        intelligence: intelligence.clone(),
        features: features.clone(),
    };
    let reloader = Arc::new(Reloader::new(control.beginning, config, parts));
    let insight = Insight {
        driver: control.driver,
        bus,
        desks,
        traces,
        intelligence,
        rules,
        features,
        profiles: Profiles::default(),
        telemetry: telemetry.clone(),
        reloader: reloader.clone(),
        dashboard: Dashboard::new(control.page, chronicle),
    };
    let manager = Manager::of_environment();
    let draining = Draining::new(office.doors, office.drain_delay, manager.clone());
    let exit = Exit { emigrants, landed: crew.landed };
    let entrance = Entrance { mailbox: mailbox.clone(), ring: crew.ring.clone(), peers: crew.peers };
    let admin = Admin::new(mailbox.clone(), crew.ring, listed, auth, office.revocations, insight, draining);
    let admin = Arc::new(admin);
    tokio::spawn(mailbox.clone().receive(mailbox::watch(crew.waker)?));
    tokio::spawn(memory::watch(mailbox, memory_budget));
    tokio::spawn(reload::on_hangup(signal(SignalKind::hangup())?, reloader, manager.clone()));
    let own_ports = open(&admin, (office.admin, office.probe), (office.guard, pages))?;
    office.lineage.begin(&admin, own_ports, (exit, entrance));
    manager.ready();
    tokio::spawn(manager.watch(admin.clone()));
    let children = Children::start(office.spawners, GRACE)?;
    let end = until_the_end(shards, crew.ended, children, &admin).await?;
    if !matches!(end, End::Forced) {
        telemetry.finish().await;
    }
    Ok(end)
}

/// Waits until shards and children have ended, or must be left.
async fn until_the_end(
    shards: usize,
    ended: UnboundedReceiver<io::Result<()>>,
    mut children: Children,
    admin: &Arc<Admin>,
) -> io::Result<End> {
    let mut signals = Signals::new()?;
    let mut end = end_of_shards(shards, ended, &mut signals, admin).await;
    if let End::Drained = end {
        admin.ended().await;
        tokio::select! {
            () = children.end(Stop::Gently) => {}
            name = signals.next() => {
                warn!("{name} again: ending without waiting for children");
                end = End::Forced;
            }
        }
    }
    children.end(Stop::AtOnce).await;
    Ok(end)
}

/// Serves the admin port, and where probes ask.
fn open(
    admin: &Arc<Admin>,
    (own, probes): (Vec<OwnedFd>, Vec<OwnedFd>),
    (guard, pages): (Guard, Current<Browser>),
) -> io::Result<Vec<AbortHandle>> {
    if admin.dashboard().is_enabled() {
        tokio::spawn(admin.dashboard().clone().watch(admin.clone()));
    }
    let guard = Arc::new(guard);
    let router = || api::router(admin.clone(), guard.clone(), pages.clone());
    let own = own.into_iter().map(|socket| listen(socket, router()));
    let probes = probes.into_iter().map(|socket| listen(socket, probe::router(admin.clone())));
    own.chain(probes).collect()
}

/// Serves `router` from now on, until it is told not to.
fn listen(socket: OwnedFd, router: Router) -> io::Result<AbortHandle> {
    let listener = TcpListener::from(socket);
    listener.set_nonblocking(true)?;
    let listener = tokio::net::TcpListener::from_std(listener)?;
    let service = router.into_make_service_with_connect_info::<SocketAddr>();
    Ok(tokio::spawn(axum::serve(listener, service).into_future()).abort_handle())
}

/// The bus, and those who hear it from the start.
fn listeners(
    sink: Option<Sink>,
    webhooks: Vec<Webhook>,
    (features, chronicle): (&Features, &Chronicle),
) -> (Bus, Vec<Desk>, Traces) {
    let traces = Traces::default();
    let desks: Vec<Desk> = webhooks.into_iter().map(bus::open).collect();
    let sink = sink.map(|sink| Box::new(sink) as Box<dyn Observer>);
    let told = desks.iter().map(|desk| Box::new(desk.clone()) as Box<dyn Observer>);
    let traced = Box::new(traces.clone()) as Box<dyn Observer>;
    let debug = Box::new(DebugLog::new(features.clone())) as Box<dyn Observer>;
    let chronicled = Box::new(chronicle.clone()) as Box<dyn Observer>;
    (Bus::new(sink.into_iter().chain(told).chain([traced, debug, chronicled]).collect()), desks, traces)
}

/// Waits until the shards have ended, or must be left.
async fn end_of_shards(
    shards: usize,
    mut ended: UnboundedReceiver<io::Result<()>>,
    signals: &mut Signals,
    admin: &Arc<Admin>,
) -> End {
    let mut left = shards;
    loop {
        tokio::select! {
            name = signals.next() => {
                if !admin.begin_drain(DrainOrder { reason: name.into(), ..DrainOrder::default() }) {
                    warn!("{name} again: ending without waiting for clients");
                    return End::Forced;
                }
                info!("{name}: telling clients, then ending; the same again ends at once");
            }
            end = ended.recv() => match end {
                Some(Ok(())) => left -= 1,
                Some(Err(error)) => return End::Broken(error),
                None if left == 0 => return End::Drained,
                None => return End::Panicked,
            },
        }
    }
}

/// The signals that ask for an end.
struct Signals {
    terminate: Signal,
    interrupt: Signal,
}

impl Signals {
    fn new() -> io::Result<Signals> {
        Ok(Signals {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
        })
    }

    async fn next(&mut self) -> &'static str {
        tokio::select! {
            _ = self.terminate.recv() => "SIGTERM",
            _ = self.interrupt.recv() => "SIGINT",
        }
    }
}
