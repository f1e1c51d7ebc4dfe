//! Connections that go on in a successor: how they leave the gateway that drains, and come to the one that serves.

use std::collections::BTreeMap;
use std::io;
use std::iter;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::sync::mpsc;
use std::thread::{self, JoinHandle};

use tokio::sync::mpsc::{Receiver, UnboundedReceiver, channel};
use tracing::{info, warn};
use weir_ring::landing::{Courier, Landed};
use weir_ring::peer::Peer;
use weir_ring::token::{Member, Transfer};
use weir_shard::hash_ring::HashRing;
use weir_shard::mail::Emigrant;

use super::mailbox::Mailbox;
use crate::takeover::{CONNECTIONS_MAX, read_connections, write_connections};

/// A connection that leaves, whose socket comes by that transfer; none: there are no more.
pub(super) type Leaver = Option<(Transfer, Emigrant)>;

/// A connection and its socket.
type Connection = (Emigrant, OwnedFd);

/// Where connections come out of the shards.
pub(super) struct Exit {
    pub(super) emigrants: UnboundedReceiver<Leaver>,
    pub(super) landed: mpsc::Receiver<Landed>,
}

/// Where they go in.
pub(super) struct Entrance {
    pub(super) mailbox: Mailbox,
    /// Who is home to whom.
    pub(super) ring: HashRing,
    /// How shards are given sockets, by their numbers.
    pub(super) peers: Vec<Peer>,
}

impl Exit {
    /// Passes on to the successor what comes out, on a thread of its own, until there is no more.
    ///
    /// # Errors
    /// The system has no thread left.
    pub(super) fn open(self, successor: UnixStream) -> io::Result<JoinHandle<()>> {
        thread::Builder::new().name("weir-exit".into()).spawn(move || self.run(successor))
    }

    fn run(mut self, mut successor: UnixStream) {
        let (mut sockets, mut count) = (BTreeMap::new(), 0);
        while let Some(first) = self.emigrants.blocking_recv() {
            let more = iter::from_fn(|| self.emigrants.try_recv().ok()).take(CONNECTIONS_MAX - 1);
            let leavers: Vec<Leaver> = iter::once(first).chain(more).collect();
            let over = leavers.iter().any(Option::is_none);
            // Each is there before its letter.
            sockets.extend(self.landed.try_iter());
            let found = |(transfer, emigrant)| Some((emigrant, sockets.remove(&transfer)?));
            let batch: Vec<Connection> = leavers.into_iter().flatten().filter_map(found).collect();
            count += batch.len();
            if let Err(error) = write_connections(&mut successor, batch) {
                return warn!(
                    "the successor takes no more connections ({error}); their clients come back to it"
                );
            }
            if over {
                break;
            }
        }
        info!(count, "connections went over");
    }
}

impl Entrance {
    /// Takes in what the gateway before passes on, until it has ended.
    pub(super) fn open(self, predecessor: UnixStream) {
        let (sender, batches) = channel(1);
        let reader = move || {
            let mut predecessor = predecessor;
            let lost = loop {
                match read_connections(&mut predecessor) {
                    // Who takes them in ends with the process.
                    Ok(Some(batch)) => drop(sender.blocking_send(batch)),
                    Ok(None) => return,
                    Err(error) => break error,
                }
            };
            warn!("connections of the gateway before are lost: {lost}");
        };
        match thread::Builder::new().name("weir-entrance".into()).spawn(reader) {
            Ok(_) => drop(tokio::spawn(self.run(batches))),
            Err(error) => warn!("connections of the gateway before cannot be taken in: {error}"),
        }
    }

    async fn run(self, mut batches: Receiver<Vec<Connection>>) {
        let mut courier = Courier::default();
        let (mut taken, mut refused) = (0_u64, 0_u64);
        while let Some(batch) = batches.recv().await {
            for (emigrant, socket) in batch {
                let home = self.ring.home(emigrant.client().as_bytes());
                let transfer = Transfer(u64::from(self.mailbox.shards()) << 32 | (taken + refused));
                // Only what has a socket gets a letter: it would wait for one for ever.
                match courier.deliver(socket, &self.peers[usize::from(home)], transfer) {
                    Ok(()) => {
                        self.mailbox.send(Member(home), emigrant.letter(transfer)).await;
                        taken += 1;
                    }
                    Err(_) => refused += 1,
                }
            }
        }
        if taken + refused > 0 {
            info!(taken, refused, "connections came over");
        }
    }
}
