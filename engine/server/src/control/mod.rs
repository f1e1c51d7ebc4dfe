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
mod probe;
mod profile;
mod regulation;
pub(crate) mod reload;
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
use tokio::sync::mpsc::{UnboundedReceiver, channel, unbounded_channel};
use tokio::task::AbortHandle;
use tracing::{info, warn};
use weir_ring::driver::Kind;
use weir_shard::limits::Config;

use self::api::{Admin, Insight};
use self::bus::{Audience, Bus, Desk, Observer, Sink, Traces};
use self::children::{Children, GRACE, Stop};
use self::credentials::Clerk;
use self::current::Current;
pub(crate) use self::dashboard::Facts;
use self::dashboard::{Chronicle, Dashboard};
use self::debug_log::DebugLog;
pub(crate) use self::draining::Doors;
use self::draining::Draining;
use self::features::Features;
pub(crate) use self::guard::Guard;
use self::handlers::Handlers;
use self::intelligence::Intelligence;
use self::jwks::Keeper;
pub(crate) use self::listed::Listed;
use self::mailbox::{Desks, Mailbox};
use self::notify::Manager;
use self::profile::Profiles;
use self::reload::{Beginning, Parts, Reloader};
pub(crate) use self::revocations::Revocations;
use self::rules::Rulebook;
pub(crate) use self::succession::{Estate, Lineage, SharedDataDir};
use self::telemetry::Telemetry;
use crate::config::{Settings, Webhook};
use crate::crew::Crew;
use crate::logging;
use crate::office::Office;
use crate::takeover::Predecessor;

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
    let Control { office, crew, .. } = control;
    let shards = crew.shards.len();
    let features = Features::new(&control.config, &office.alerts);
    let chronicle = Chronicle::default();
    let (bus, webhooks, traces) = listeners(office.sink, office.webhooks, (&features, &chronicle));
    let (wanted, asked_for_keys) = unbounded_channel();
    let (tokens_wanted, asked_for_tokens) = unbounded_channel();
    let (watched, changes) = unbounded_channel();
    let (handed, errands) = channel(handlers::WAITING_MAX);
    let telemetry = Telemetry::start(office.collector, control.config.tracing.rate)?;
    let desks = Desks { wanted, tokens_wanted, watched, handed, spans: telemetry.clone() };
    let mailbox = Mailbox::new(crew.links, crew.shards, desks, office.audit, bus.clone());
    tokio::spawn(Audience::new(&bus, mailbox.clone(), crew.ring.clone()).run(changes));
    tokio::spawn(Handlers::new(office.handlers, mailbox.clone()).run(errands));
    tokio::spawn(Clerk::new(&control.config, mailbox.clone()).run(asked_for_tokens));
    let Settings { rules_file, .. } = &control.beginning.configuration.settings;
    let refresh = control.beginning.configuration.settings.public_key_refresh();
    let keeper = Keeper::new(&control.config.auth, refresh, mailbox.clone());
    let (keys, renewed) = unbounded_channel();
    tokio::spawn(keeper.run(asked_for_keys, renewed));
    let listed = Arc::new(office.listed);
    let data_dir = office.data_dir.as_deref();
    let intelligence = Intelligence::new(&control.config, &office.alerts, memory_budget, data_dir);
    tokio::spawn(intelligence.clone().watch(mailbox.clone(), bus.clone(), features.clone()));
    let rules = Rulebook::new(rules_file.clone(), &control.config, mailbox.clone(), bus.clone());
    let rules = Arc::new(rules);
    let auth = Current::new(control.config.auth.clone());
    let pages = Current::new(pages::rules(&control.config.browser));
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
    let reloader = Arc::new(Reloader::new(control.beginning, control.config.clone(), parts));
    let insight = Insight {
        driver: control.driver,
        bus,
        desks: webhooks,
        traces,
        intelligence,
        rules,
        features,
        profiles: Profiles::default(),
        telemetry: telemetry.clone(),
        reloader: reloader.clone(),
        dashboard: Dashboard::new(control.page, chronicle),
    };
    let (ring, revocations) = (crew.ring, office.revocations);
    let manager = Manager::of_environment();
    let draining = Draining::new(office.doors, office.drain_delay, manager.clone());
    let admin = Admin::new(mailbox.clone(), ring, listed, auth, revocations, insight, draining);
    let admin = Arc::new(admin);
    if admin.dashboard().is_enabled() {
        tokio::spawn(admin.dashboard().clone().watch(admin.clone()));
    }
    let guard = Arc::new(office.guard);
    tokio::spawn(mailbox.clone().receive(mailbox::watch(crew.waker)?));
    tokio::spawn(memory::watch(mailbox, memory_budget));
    tokio::spawn(reload::on_hangup(signal(SignalKind::hangup())?, reloader, manager.clone()));
    let mut own_ports = Vec::new();
    for socket in office.admin {
        own_ports.push(listen(socket, api::router(admin.clone(), guard.clone(), pages.clone()))?);
    }
    for socket in office.probe {
        own_ports.push(listen(socket, probe::router(admin.clone()))?);
    }
    if let Some(predecessor) = office.lineage.predecessor {
        succeed(predecessor);
    }
    if let Some(estate) = office.lineage.estate {
        tokio::spawn(succession::wait(estate, admin.clone(), own_ports));
    }
    manager.ready();
    tokio::spawn(manager.watch(admin.clone()));
    let mut signals = Signals::new()?;
    let mut children = Children::start(office.spawners, GRACE)?;
    let mut end = end_of_shards(shards, crew.ended, &mut signals, &admin).await;
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
    if !matches!(end, End::Forced) {
        telemetry.finish().await;
    }
    Ok(end)
}

/// Serves `router` from now on, until it is told not to.
fn listen(socket: OwnedFd, router: Router) -> io::Result<AbortHandle> {
    let listener = TcpListener::from(socket);
    listener.set_nonblocking(true)?;
    let listener = tokio::net::TcpListener::from_std(listener)?;
    let service = router.into_make_service_with_connect_info::<SocketAddr>();
    Ok(tokio::spawn(axum::serve(listener, service).into_future()).abort_handle())
}

/// This gateway serves: the one before it may go.
fn succeed(predecessor: Predecessor) {
    let pid = predecessor.offer.pid;
    match predecessor.serving() {
        Ok(()) => info!(pid, "took over; the gateway before sends its clients here"),
        Err(error) => warn!(pid, "the gateway before has ended by itself: {error}"),
    }
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
                if !admin.begin_drain(name, None, false) {
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
