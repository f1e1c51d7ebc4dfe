//! A data thread: pinned to its core, it makes its own driver, and pumps.

use std::io;
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::sync::mpsc;
use std::thread;

use tokio::sync::mpsc::UnboundedSender;
use weir_ring::affinity;
use weir_ring::clock::Clock;
use weir_ring::driver::{Driver, Kind};
use weir_ring::log::Directory;
use weir_ring::mesh::Links;
use weir_ring::peer::Peer;
use weir_ring::settings::{Settings, SetupError};
use weir_ring::token::Member;
use weir_ring::waker::Waker;
use weir_shard::Shard;
use weir_shard::durable;
use weir_shard::limits::Config;
use weir_shard::mail::Mail;
use weir_shard::tls::Credentials;

use crate::ending::Ending;
use crate::pump::Pump;

/// What a shard has for itself.
pub(crate) struct Share {
    pub(crate) core: usize,
    /// Listening sockets, in the order of [`weir_ring::token::Listener`].
    pub(crate) listeners: Vec<OwnedFd>,
    /// Something depends on who connects.
    pub(crate) peers: bool,
    /// Where its log goes, if there is one.
    pub(crate) log: Option<Directory>,
    /// What it goes on with, if another process was there before.
    pub(crate) recovered: Option<durable::Share>,
}

/// What a data thread is born with.
pub(crate) struct Seat {
    pub(crate) driver: Kind,
    pub(crate) share: Share,
    pub(crate) config: Arc<Config>,
    pub(crate) credentials: Arc<Credentials>,
    pub(crate) seed: u64,
    pub(crate) waker: Waker,
    pub(crate) links: Links<Mail>,
    pub(crate) ending: Arc<Ending>,
    /// Told once: how others reach the driver, or why there is none.
    pub(crate) ready: mpsc::Sender<Result<(Member, Peer), ThreadError>>,
    /// Answered once all drivers are there; closed if one is not.
    pub(crate) peers: mpsc::Receiver<Vec<Peer>>,
    /// Told once: all is drained, or the driver broke. Closed without a word by a panic.
    pub(crate) ended: UnboundedSender<io::Result<()>>,
}

/// Why a data thread cannot work.
#[derive(Debug)]
pub(crate) enum ThreadError {
    Pin { core: usize },
    Driver(SetupError),
}

impl Share {
    /// A core, and nothing yet to do on it.
    pub(crate) fn of(core: usize, peers: bool) -> Share {
        Share { core, listeners: Vec::new(), peers, log: None, recovered: None }
    }
}

impl Seat {
    /// Starts the thread.
    ///
    /// # Errors
    /// The system has no thread left.
    pub(crate) fn start(self) -> io::Result<()> {
        let name = format!("weir-{}", self.links.me().0);
        thread::Builder::new().name(name).spawn(move || self.run()).map(drop)
    }

    fn run(self) {
        let member = self.links.me();
        let Share { core, listeners, peers, log, recovered } = self.share;
        let mut settings = Settings::new(listeners, self.config.connections_max, self.waker);
        (settings.peers, settings.log) = (peers, log);
        let mut driver = match set_up(core, self.driver, settings) {
            Ok(driver) => driver,
            Err(error) => {
                // Nobody listens any more if another thread failed first.
                let _ = self.ready.send(Err(error));
                return;
            }
        };
        let _ = self.ready.send(Ok((member, driver.peer())));
        let Ok(peers) = self.peers.recv() else { return };
        driver.connect(peers);
        let mut shard = Shard::new(self.config, member, self.seed);
        shard.set_credentials(self.credentials);
        shard.set_clock(Clock::mono);
        if let Some(recovered) = recovered {
            shard.restore(recovered);
        }
        let end = Pump::new(driver, shard, self.links).run(&self.ending);
        // The control thread may be gone already, and the process with it.
        let _ = self.ended.send(end);
    }
}

fn set_up(core: usize, driver: Kind, settings: Settings) -> Result<Driver, ThreadError> {
    if !affinity::pin(core) {
        return Err(ThreadError::Pin { core });
    }
    // Without them it is served, only later now and then.
    let _ = affinity::prefer_short_slices();
    Driver::new(driver, settings).map_err(ThreadError::Driver)
}
