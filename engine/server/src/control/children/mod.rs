//! Upstreams that talk on standard input and output. A shard connects to a Unix socket as it would to a server,
//! and the other end becomes a child's input and output. The bytes between them pass this thread by; it starts
//! children, logs what they say on standard error, and sees to it that they end.

mod child;
mod stderr;
#[cfg(test)]
mod tests;

use std::io;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixListener};
use std::process;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::UnixStream;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time;
use tracing::warn;
use weir_ring::token::Address;
use weir_shard::limits::{Config, Target, TargetKind};

use crate::config::{Command, Settings};

/// How long a child has for each step of its end: from the end of its input to SIGTERM, from there to SIGKILL.
pub(super) const GRACE: Duration = Duration::from_secs(2);

/// How long accepting waits when the system has no descriptor left.
const RETRY: Duration = Duration::from_millis(100);

/// One upstream that is a command: who connects to its socket gets a child.
pub(crate) struct Spawner {
    upstream: Arc<str>,
    listener: UnixListener,
    command: Command,
    /// Children at a time, those that are ending included.
    most: usize,
}

/// How far the end of all children has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Stop {
    /// They may live.
    No,
    /// Their input ends, and they have their time.
    Gently,
    /// SIGKILL.
    AtOnce,
}

/// Tells how far it has come.
#[derive(Clone)]
struct Stopping(watch::Receiver<Stop>);

impl Stopping {
    /// Returns when it has come as far as `stop`.
    async fn reached(&mut self, stop: Stop) {
        // Who would tell ends with all who listen.
        let _ = self.0.wait_for(|now| *now >= stop).await;
    }
}

/// All children of all upstreams.
pub(super) struct Children {
    stop: watch::Sender<Stop>,
    spawners: JoinSet<()>,
}

/// Opens a socket for each upstream that is a command, and makes it that upstream's target in `config`. With the
/// random `salt` in their names, nobody else can have them first.
///
/// # Errors
/// The system has no socket left.
pub(crate) fn listen(settings: &Settings, config: &mut Config, salt: u64) -> io::Result<Vec<Spawner>> {
    let shards = u32::from(config.shards);
    let commands = settings.commands().map(|(place, command)| {
        let upstream = &mut config.upstreams[place];
        let name = format!("weir-{}-{salt:016x}-{}", process::id(), upstream.name);
        let address = Address::Local(name.as_str().into());
        upstream.targets = vec![Target { address, kind: TargetKind::Child, weight: 1 }];
        let listener = UnixListener::bind_addr(&SocketAddr::from_abstract_name(&name)?)?;
        listener.set_nonblocking(true)?;
        // Where one is ending, another may be wanted already.
        let most = (upstream.pool.size + upstream.pool.overflow) * shards;
        let upstream = upstream.name.as_ref().into();
        Ok(Spawner { upstream, listener, command: command.clone(), most: most as usize })
    });
    commands.collect()
}

impl Children {
    /// Takes connections from now on.
    ///
    /// # Errors
    /// The event loop does not take the listeners.
    pub(super) fn start(spawners: Vec<Spawner>, grace: Duration) -> io::Result<Children> {
        let (stop, stopping) = watch::channel(Stop::No);
        let mut tasks = JoinSet::new();
        for Spawner { upstream, listener, command, most } in spawners {
            let listener = tokio::net::UnixListener::from_std(listener)?;
            let door =
                Door { upstream, command: command.into(), most, grace, stopping: Stopping(stopping.clone()) };
            tasks.spawn(door.keep(listener));
        }
        Ok(Children { stop, spawners: tasks })
    }

    /// Ends all children, as `stop` says, and returns when none is left. May be called again to hurry.
    pub(super) async fn end(&mut self, stop: Stop) {
        self.stop.send_replace(stop);
        while self.spawners.join_next().await.is_some() {}
    }
}

/// Who lets in the connections of one upstream.
struct Door {
    upstream: Arc<str>,
    command: Arc<Command>,
    most: usize,
    grace: Duration,
    stopping: Stopping,
}

impl Door {
    /// Makes connections into children until the end, and waits for that of each.
    async fn keep(mut self, listener: tokio::net::UnixListener) {
        let mut children = JoinSet::new();
        let mut strangers = false;
        loop {
            let stream = tokio::select! {
                accepted = listener.accept() => accepted.map(|(stream, _)| stream),
                Some(_) = children.join_next() => continue,
                () = self.stopping.reached(Stop::Gently) => break,
            };
            match stream {
                Ok(stream) if !is_own(&stream) => {
                    if !strangers {
                        warn!(upstream = %self.upstream, "another process wants a child and does not get one");
                    }
                    strangers = true;
                }
                Ok(_) if children.len() >= self.most => warn!(
                    upstream = %self.upstream,
                    "there are {} children, and more may not be started: raise pool.size or pool.overflow",
                    self.most
                ),
                Ok(stream) => {
                    children.spawn(child::run(self.order(), stream));
                }
                Err(error) => {
                    warn!(upstream = %self.upstream, "no child can be started for now: {error}");
                    time::sleep(RETRY).await;
                }
            }
        }
        drop(listener);
        while children.join_next().await.is_some() {}
    }

    fn order(&self) -> child::Order {
        child::Order {
            upstream: self.upstream.clone(),
            command: self.command.clone(),
            grace: self.grace,
            stopping: self.stopping.clone(),
        }
    }
}

/// Whether the peer is this process: an abstract socket has no owner and no mode, so anybody on the machine may
/// connect (unix(7), SO_PEERCRED).
fn is_own(stream: &UnixStream) -> bool {
    stream.peer_cred().is_ok_and(|peer| peer.pid() == i32::try_from(process::id()).ok())
}
