//! The way to a successor, as the running gateway goes it ([`crate::takeover`]): it waits on a Unix socket, and gives
//! its listening sockets and its streams to whoever of the same user asks.

use std::fmt;
use std::fs;
use std::io::{self, Read, Write};
use std::mem;
use std::os::fd::OwnedFd;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use tokio::task::{self, AbortHandle};
use tracing::{error, info, warn};
use weir_ring::pass;
use weir_ring::token::Member;
use weir_shard::mail::{Answer, DrainOrder, Mail, Question};

use super::api::Admin;
use super::passage::{Entrance, Exit};
use crate::data_dir::DataDir;
use crate::takeover::{
    GO, GREETING, Offer, PATIENCE, Predecessor, SERVING, read, write_offer, write_streams,
};

/// Who was before, and who may come after.
#[derive(Default)]
pub(crate) struct Lineage {
    /// What a successor is given, if one can be waited for.
    pub(crate) estate: Option<Estate>,
    /// The gateway that this one succeeds, until it serves.
    pub(crate) predecessor: Option<Predecessor>,
}

impl Lineage {
    /// This gateway serves: the one before it may go, and a successor may come, which makes it leave `own_ports`.
    pub(super) fn begin(
        self,
        admin: &Arc<Admin>,
        own_ports: Vec<AbortHandle>,
        (exit, entrance): (Exit, Entrance),
    ) {
        if let Some(predecessor) = self.predecessor {
            let pid = predecessor.offer.pid;
            match predecessor.serving() {
                Ok(stream) => {
                    info!(pid, "took over; the gateway before sends its clients here");
                    entrance.open(stream);
                }
                Err(error) => warn!(pid, "the gateway before has ended by itself: {error}"),
            }
        }
        if let Some(estate) = self.estate {
            tokio::spawn(wait(estate, admin.clone(), own_ports, exit));
        }
    }
}

/// What a successor is given beside the streams.
pub(crate) struct Estate {
    /// Where it is waited for.
    pub(crate) path: PathBuf,
    /// Names of the listeners, and their sockets.
    pub(crate) listeners: Vec<(String, Vec<OwnedFd>)>,
    /// What is sealed with.
    pub(crate) secret: [u8; 32],
    /// The data folder, held as long as this process may write there.
    pub(crate) data_dir: SharedDataDir,
}

/// The data folder, if there is one.
pub(crate) type SharedDataDir = Arc<Mutex<Option<DataDir>>>;

/// Why a successor did not take over.
#[derive(Debug)]
enum Failed {
    /// Before anything was given.
    Before(io::Error),
    /// A shard does not answer.
    Shard(Member),
    /// After the hand-over point.
    After(io::Error),
}

impl fmt::Display for Failed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Failed::Before(error) | Failed::After(error) => write!(f, "{error}"),
            Failed::Shard(shard) => write!(f, "shard {} did not answer", shard.0),
        }
    }
}

/// Waits for a successor, and drains once one serves. `admin_port` is what the admin port is accepted with.
async fn wait(estate: Estate, admin: Arc<Admin>, admin_port: Vec<AbortHandle>, exit: Exit) {
    let listener = match listen(&estate.path) {
        Ok(listener) => listener,
        Err(error) => {
            let path = estate.path.display();
            return warn!("no successor can be waited for at {path}: {error}; --takeover will not work");
        }
    };
    let estate = Arc::new(estate);
    loop {
        match accept(&listener).await {
            Ok(stream) => match hand_over(stream, &estate, &admin).await {
                Handed::Nothing => {}
                Handed::All(successor) => {
                    succeeded(successor, exit, &admin);
                    return admin_port.iter().for_each(AbortHandle::abort);
                }
            },
            Err(error) => warn!("a successor could not be met: {error}"),
        }
    }
}

/// Listens where nobody but this user can connect.
fn listen(path: &Path) -> io::Result<tokio::net::UnixListener> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let listener = UnixListener::bind(path)?;
    fs::set_permissions(path, fs::Permissions::from_mode(0o600))?;
    listener.set_nonblocking(true)?;
    tokio::net::UnixListener::from_std(listener)
}

async fn accept(listener: &tokio::net::UnixListener) -> io::Result<UnixStream> {
    let (stream, _) = listener.accept().await?;
    let stream = stream.into_std()?;
    stream.set_nonblocking(false)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    let user = pass::peer_user(&stream)?;
    if user != pass::own_user() && user != 0 {
        return Err(io::Error::new(io::ErrorKind::PermissionDenied, format!("it is user {user}")));
    }
    Ok(stream)
}

/// What has become of a hand-over.
enum Handed {
    /// This gateway goes on.
    Nothing,
    /// It ends; to who serves, if somebody does.
    All(Option<UnixStream>),
}

/// This gateway drains; connections that are at rest go on in the one that serves.
fn succeeded(successor: Option<UnixStream>, exit: Exit, admin: &Arc<Admin>) {
    let opened = successor.map(|successor| exit.open(successor));
    let emigrates = match opened {
        None => false,
        Some(Ok(exit)) => {
            admin.draining().wait_for(exit);
            true
        }
        Some(Err(error)) => {
            warn!("connections cannot be passed on: {error}; they are closed");
            false
        }
    };
    let order = DrainOrder { reason: "takeover".into(), succeeded: true, emigrates, ..DrainOrder::default() };
    admin.begin_drain(order);
}

async fn hand_over(stream: UnixStream, estate: &Arc<Estate>, admin: &Arc<Admin>) -> Handed {
    let durable = lock(estate).is_some();
    match give(stream, estate, admin).await {
        Ok(successor) => {
            info!("a successor serves: passing clients on, then ending");
            return Handed::All(Some(successor));
        }
        Err(failed @ Failed::Before(_)) => warn!("a successor did not come to take over: {failed}"),
        Err(failed) if durable && lock(estate).is_none() => {
            error!("a successor was lost after the log was handed over ({failed}): ending; start again");
            admin.draining().shut_doors();
            return Handed::All(None);
        }
        Err(failed) => {
            warn!("a successor was lost while it took over ({failed}): going on as before");
            for shard in admin.shards() {
                admin.send(shard, Mail::Thaw).await;
            }
        }
    }
    Handed::Nothing
}

/// The stream to the successor, which serves.
async fn give(stream: UnixStream, estate: &Arc<Estate>, admin: &Arc<Admin>) -> Result<UnixStream, Failed> {
    let (offered, withdrawn) = (estate.clone(), admin.withdrawn());
    let stream = blocking(move || offer(stream, &offered, withdrawn)).await.map_err(Failed::Before)?;
    info!("a successor takes over");
    let mut parts = Vec::new();
    for shard in admin.shards() {
        match admin.ask_for(shard, Question::HandOver, PATIENCE).await {
            Ok(Answer::Streams(streams)) => parts.push(streams),
            _ => return Err(Failed::Shard(shard)),
        }
    }
    // The log is written no more: the folder is the successor's.
    if mem::take(&mut *lock(estate)).is_some() {
        parts.clear();
    }
    let serves = move || {
        let mut stream = stream;
        write_streams(&mut stream, &parts)?;
        expect(&mut stream, SERVING)?;
        Ok(stream)
    };
    blocking(serves).await.map_err(Failed::After)
}

/// Up to the hand-over point.
fn offer(mut stream: UnixStream, estate: &Estate, withdrawn: Vec<(String, u64)>) -> io::Result<UnixStream> {
    expect(&mut stream, GREETING)?;
    let listeners = estate.listeners.iter().map(|(name, sockets)| (name.clone(), sockets.len())).collect();
    let offer = Offer {
        pid: std::process::id(),
        version: env!("CARGO_PKG_VERSION").into(),
        listeners,
        secret: estate.secret,
        durable: lock(estate).is_some(),
        withdrawn,
    };
    write_offer(&mut stream, &offer)?;
    for (_, sockets) in &estate.listeners {
        pass::send(&stream, sockets)?;
    }
    stream.flush()?;
    expect(&mut stream, GO)?;
    Ok(stream)
}

/// The next that is said is this.
fn expect<const N: usize>(stream: &mut impl Read, word: &[u8; N]) -> io::Result<()> {
    if &read::<N>(stream)? == word { Ok(()) } else { Err(io::ErrorKind::InvalidData.into()) }
}

fn lock(estate: &Estate) -> std::sync::MutexGuard<'_, Option<DataDir>> {
    estate.data_dir.lock().unwrap_or_else(PoisonError::into_inner)
}

async fn blocking<T: Send + 'static>(work: impl FnOnce() -> io::Result<T> + Send + 'static) -> io::Result<T> {
    task::spawn_blocking(work).await.unwrap_or_else(|error| Err(io::Error::other(error)))
}
