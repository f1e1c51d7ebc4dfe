//! The control thread: the admin port, the children, signals, certificates, and the end. Off the data path, on ordinary libraries.

mod api;
pub(crate) mod audit;
mod blacklist;
pub(crate) mod children;
mod credentials;
mod dlq;
mod guard;
mod https;
pub(crate) mod jwks;
mod mailbox;
mod pages;
mod reload;
mod revocations;
mod tokens;

use std::future::IntoFuture;
use std::io;
use std::net::{SocketAddr, TcpListener};
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::time::Duration;

use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};
use tracing::{info, warn};
use weir_ring::mesh::Links;
use weir_ring::waker::Waker;
use weir_shard::hash_ring::HashRing;
use weir_shard::limits::{Auth, Config};
use weir_shard::mail::Mail;

use self::api::Admin;
use self::audit::Audit;
use self::blacklist::Listed;
use self::children::{Children, GRACE, Spawner, Stop};
use self::credentials::Clerk;
pub(crate) use self::guard::Guard;
use self::jwks::Keeper;
use self::mailbox::Mailbox;
pub(crate) use self::revocations::Revocations;
use crate::config::Files;

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
    /// What the shards have.
    pub(crate) config: Arc<Config>,
    pub(crate) audit: Audit,
    /// Who may change something.
    pub(crate) guard: Guard,
    /// The shards' keys, and where more of them are fetched.
    pub(crate) auth: Auth,
    /// How often.
    pub(crate) public_key_refresh: Duration,
    /// Those that the shards know.
    pub(crate) revocations: Revocations,
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

/// Serves until the data threads have ended, or must be left.
pub(crate) fn run(control: Control) -> End {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let end = runtime.and_then(|runtime| runtime.block_on(serve(control)));
    end.unwrap_or_else(End::Broken)
}

async fn serve(control: Control) -> io::Result<End> {
    let shards = control.shards.len();
    let (ask, wanted) = unbounded_channel();
    let (ask_for_token, tokens_wanted) = unbounded_channel();
    let mailbox = Mailbox::new(control.links, control.shards, ask, ask_for_token, control.audit);
    tokio::spawn(Clerk::new(&control.config, mailbox.clone()).run(tokens_wanted));
    let keeper = Keeper::new(&control.auth, control.public_key_refresh, mailbox.clone());
    tokio::spawn(keeper.run(wanted));
    let listed = Listed::new(&control.config.blacklist);
    let admin = Admin::new(mailbox.clone(), control.ring, listed, control.auth, control.revocations);
    let admin = Arc::new(admin);
    let guard = Arc::new(control.guard);
    tokio::spawn(mailbox.clone().receive(mailbox::watch(control.waker)?));
    tokio::spawn(reload::on_hangup(signal(SignalKind::hangup())?, control.tls, mailbox));
    for socket in control.admin {
        let listener = TcpListener::from(socket);
        listener.set_nonblocking(true)?;
        let listener = tokio::net::TcpListener::from_std(listener)?;
        let router = api::router(admin.clone(), guard.clone(), &control.config.browser);
        let service = router.into_make_service_with_connect_info::<SocketAddr>();
        tokio::spawn(axum::serve(listener, service).into_future());
    }
    let mut signals = Signals::new()?;
    let mut children = Children::start(control.spawners, GRACE)?;
    let mut end = end_of_shards(shards, control.ended, &mut signals, &admin).await;
    if let End::Drained = end {
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

/// Waits until the shards have ended, or must be left.
async fn end_of_shards(
    shards: usize,
    mut ended: UnboundedReceiver<io::Result<()>>,
    signals: &mut Signals,
    admin: &Admin,
) -> End {
    let mut left = shards;
    loop {
        tokio::select! {
            name = signals.next() => {
                if admin.is_draining() {
                    warn!("{name} again: ending without waiting for clients");
                    return End::Forced;
                }
                info!("{name}: telling clients, then ending; the same again ends at once");
                admin.drain().await;
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
