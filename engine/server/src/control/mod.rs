//! The control thread: the admin port, the children, signals, certificates, and the end. Off the data path, on ordinary libraries.

mod api;
pub(crate) mod audit;
mod blacklist;
pub(crate) mod bus;
pub(crate) mod children;
mod credentials;
mod dlq;
mod draining;
mod guard;
mod handlers;
mod hook;
pub(crate) mod https;
mod intelligence;
pub(crate) mod jwks;
mod lines;
mod mailbox;
pub(crate) mod memory;
mod notify;
mod pages;
mod regulation;
mod reload;
mod revocations;
mod rules;
mod succession;
mod tokens;
mod troubles;

use std::future::IntoFuture;
use std::io;
use std::net::{SocketAddr, TcpListener};
use std::os::fd::OwnedFd;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::mpsc::{UnboundedReceiver, channel, unbounded_channel};
use tracing::{info, warn};
use weir_ring::mesh::Links;
use weir_ring::waker::Waker;
use weir_shard::hash_ring::HashRing;
use weir_shard::limits::{Auth, Config};
use weir_shard::mail::Mail;

use self::api::{Admin, Insight};
use self::audit::Audit;
use self::blacklist::Listed;
use self::bus::{Audience, Bus, Desk, Observer, Sink, Traces};
use self::children::{Children, GRACE, Spawner, Stop};
use self::credentials::Clerk;
pub(crate) use self::draining::Doors;
use self::draining::Draining;
pub(crate) use self::guard::Guard;
use self::handlers::Handlers;
use self::intelligence::Intelligence;
use self::jwks::Keeper;
use self::mailbox::{Desks, Mailbox};
use self::notify::Manager;
pub(crate) use self::revocations::Revocations;
use self::rules::Rulebook;
pub(crate) use self::succession::{Estate, Lineage, SharedDataDir};
use crate::config::{Alerts, Files, Handler, Webhook};
use crate::takeover::Predecessor;

/// What the control thread is born with.
pub(crate) struct Control {
    /// The admin port's listening sockets.
    pub(crate) admin: Vec<OwnedFd>,
    /// The upstreams that are children.
    pub(crate) spawners: Vec<Spawner>,
    pub(crate) links: Links<Mail>,
    /// Its own.
    pub(crate) waker: Waker,
    /// The shards', by number.
    pub(crate) shards: Vec<Waker>,
    /// The same that the shards have.
    pub(crate) ring: HashRing,
    /// What TLS is made from, again with each SIGHUP.
    pub(crate) tls: Files,
    /// The rule file.
    pub(crate) rules: Option<PathBuf>,
    /// What the shards have.
    pub(crate) config: Arc<Config>,
    pub(crate) audit: Audit,
    /// Where all that is said on the bus is written.
    pub(crate) sink: Option<Sink>,
    /// Who is told over HTTP.
    pub(crate) webhooks: Vec<Webhook>,
    /// Who answers over HTTP what clients push.
    pub(crate) handlers: Vec<Handler>,
    /// Who may change something.
    pub(crate) guard: Guard,
    /// The shards' keys, and where more of them are fetched.
    pub(crate) auth: Auth,
    /// How often.
    pub(crate) public_key_refresh: Duration,
    /// Those that the shards know.
    pub(crate) revocations: Revocations,
    pub(crate) alerts: Alerts,
    /// Where what must outlive the process is kept.
    pub(crate) data_dir: Option<PathBuf>,
    /// What the data threads listen on.
    pub(crate) doors: Doors,
    /// How long `/ready` says no before the gateway begins to stop.
    pub(crate) drain_delay: Duration,
    /// Who was before, and who may come after.
    pub(crate) lineage: Lineage,
    /// A word of each data thread when it ends.
    pub(crate) ended: UnboundedReceiver<io::Result<()>>,
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

/// Serves until the data threads have ended, or must be left. The process may use `memory_budget` bytes.
pub(crate) fn run(control: Control, memory_budget: u64) -> End {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let end = runtime.and_then(|runtime| runtime.block_on(serve(control, memory_budget)));
    end.unwrap_or_else(End::Broken)
}

async fn serve(control: Control, memory_budget: u64) -> io::Result<End> {
    let shards = control.shards.len();
    let (bus, webhooks, traces) = listeners(control.sink, control.webhooks);
    let (wanted, asked_for_keys) = unbounded_channel();
    let (tokens_wanted, asked_for_tokens) = unbounded_channel();
    let (watched, changes) = unbounded_channel();
    let (handed, errands) = channel(handlers::WAITING_MAX);
    let desks = Desks { wanted, tokens_wanted, watched, handed };
    let mailbox = Mailbox::new(control.links, control.shards, desks, control.audit, bus.clone());
    tokio::spawn(Audience::new(&bus, mailbox.clone(), control.ring.clone()).run(changes));
    tokio::spawn(Handlers::new(control.handlers, mailbox.clone()).run(errands));
    tokio::spawn(Clerk::new(&control.config, mailbox.clone()).run(asked_for_tokens));
    let keeper = Keeper::new(&control.auth, control.public_key_refresh, mailbox.clone());
    tokio::spawn(keeper.run(asked_for_keys));
    let listed = Listed::new(&control.config.blacklist);
    let data_dir = control.data_dir.as_deref();
    let intelligence = Intelligence::new(&control.config, &control.alerts, memory_budget, data_dir);
    if control.alerts.samples {
        tokio::spawn(intelligence.clone().watch(mailbox.clone(), bus.clone()));
    }
    let rules = Arc::new(Rulebook::new(control.rules, &control.config, mailbox.clone(), bus.clone()));
    let insight = Insight { bus, desks: webhooks, traces, intelligence, rules: rules.clone() };
    let (ring, revocations) = (control.ring, control.revocations);
    let manager = Manager::of_environment();
    let draining = Draining::new(control.doors, control.drain_delay, manager.clone());
    let admin = Admin::new(mailbox.clone(), ring, listed, control.auth, revocations, insight, draining);
    let admin = Arc::new(admin);
    let guard = Arc::new(control.guard);
    tokio::spawn(mailbox.clone().receive(mailbox::watch(control.waker)?));
    tokio::spawn(memory::watch(mailbox.clone(), memory_budget));
    tokio::spawn(reload::on_hangup(
        signal(SignalKind::hangup())?,
        control.tls,
        rules,
        mailbox,
        manager.clone(),
    ));
    let mut admin_port = Vec::new();
    for socket in control.admin {
        let listener = TcpListener::from(socket);
        listener.set_nonblocking(true)?;
        let listener = tokio::net::TcpListener::from_std(listener)?;
        let router = api::router(admin.clone(), guard.clone(), &control.config.browser);
        let service = router.into_make_service_with_connect_info::<SocketAddr>();
        admin_port.push(tokio::spawn(axum::serve(listener, service).into_future()).abort_handle());
    }
    if let Some(predecessor) = control.lineage.predecessor {
        succeed(predecessor);
    }
    if let Some(estate) = control.lineage.estate {
        tokio::spawn(succession::wait(estate, admin.clone(), admin_port));
    }
    manager.ready();
    tokio::spawn(manager.watch(admin.clone()));
    let mut signals = Signals::new()?;
    let mut children = Children::start(control.spawners, GRACE)?;
    let mut end = end_of_shards(shards, control.ended, &mut signals, &admin).await;
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

/// This gateway serves: the one before it may go.
fn succeed(predecessor: Predecessor) {
    let pid = predecessor.offer.pid;
    match predecessor.serving() {
        Ok(()) => info!(pid, "took over; the gateway before sends its clients here"),
        Err(error) => warn!(pid, "the gateway before has ended by itself: {error}"),
    }
}

/// The bus, and those who hear it from the start.
fn listeners(sink: Option<Sink>, webhooks: Vec<Webhook>) -> (Bus, Vec<Desk>, Traces) {
    let traces = Traces::default();
    let desks: Vec<Desk> = webhooks.into_iter().map(bus::open).collect();
    let sink = sink.map(|sink| Box::new(sink) as Box<dyn Observer>);
    let told = desks.iter().map(|desk| Box::new(desk.clone()) as Box<dyn Observer>);
    let traced = Box::new(traces.clone()) as Box<dyn Observer>;
    (Bus::new(sink.into_iter().chain(told).chain([traced]).collect()), desks, traces)
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
