//! The data threads together: all started, connected to one another and to the control thread.

use std::io;
use std::sync::{Arc, mpsc};

use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};
use weir_ring::driver::Kind;
use weir_ring::landing::{Landed, Landing};
use weir_ring::mesh::{self, Links};
use weir_ring::peer::Peer;
use weir_ring::waker::Waker;
use weir_shard::hash_ring::HashRing;
use weir_shard::limits::Config;
use weir_shard::mail::Mail;
use weir_shard::tls::Credentials;

use crate::data_thread::{Seat, Share};
use crate::ending::Ending;
use crate::gateway::random;
use crate::start_error::StartError;

/// Letters that wait between two members, at most.
const LETTERS: usize = 1_024;

/// The data threads, as the control thread knows them.
pub(crate) struct Crew {
    /// The control thread's own.
    pub(crate) links: Links<Mail>,
    /// Its own.
    pub(crate) waker: Waker,
    /// The shards', by number.
    pub(crate) shards: Vec<Waker>,
    /// How all members give each other sockets, by number.
    pub(crate) peers: Vec<Peer>,
    /// Sockets that the control thread is given.
    pub(crate) landed: mpsc::Receiver<Landed>,
    /// The same that the shards have.
    pub(crate) ring: HashRing,
    /// A word of each data thread when it ends.
    pub(crate) ended: UnboundedReceiver<io::Result<()>>,
}

impl Crew {
    /// Starts one data thread for each of `shares` and connects all members of the mesh.
    ///
    /// # Errors
    /// A thread cannot be started, or cannot work. Those that did start end with the process.
    pub(crate) fn start(
        shares: Vec<Share>,
        driver: Kind,
        config: &Arc<Config>,
        credentials: &Arc<Credentials>,
    ) -> Result<Crew, StartError> {
        let shards = shares.len() as u16;
        let waker = Waker::new().map_err(StartError::System)?;
        let wakers =
            shares.iter().map(|_| Waker::new()).collect::<Result<Vec<_>, _>>().map_err(StartError::System)?;
        let ending = Arc::new(Ending::new(shards));
        let mut links = mesh::connect(shards + 1, LETTERS).into_iter();
        let (ready, drivers) = mpsc::channel();
        let (ended, all_ended) = unbounded_channel();
        let mut introductions = Vec::new();
        for ((share, waker), links) in shares.into_iter().zip(&wakers).zip(links.by_ref()) {
            let (introduce, peers) = mpsc::channel();
            introductions.push(introduce);
            let seat = Seat {
                driver,
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
        let (landing, landed) = Landing::new(waker.clone());
        let mut peers = vec![Peer::Landing(landing); usize::from(shards) + 1];
        for _ in 0..shards {
            let (member, peer) =
                drivers.recv().map_err(|_| StartError::ThreadDied)?.map_err(StartError::Thread)?;
            peers[usize::from(member.0)] = peer;
        }
        for introduce in introductions {
            introduce.send(peers.clone()).map_err(|_| StartError::ThreadDied)?;
        }
        Ok(Crew {
            links: links.next().expect("the control thread is the last member"),
            waker,
            shards: wakers,
            peers,
            landed,
            ring: HashRing::of_shards(shards, config.vnodes),
            ended: all_ended,
        })
    }
}
