//! Rings on several threads that get to know each other.

use std::os::fd::RawFd;
use std::sync::{Arc, Barrier, mpsc};

use weir_ring::clock::Clock;
use weir_ring::op::Completions;
use weir_ring::uring::{Peer, Uring};

/// Publishes the own ring and learns the others'. All stay until all are done.
pub(crate) struct Meeting {
    fds: Vec<mpsc::Sender<(usize, RawFd)>>,
    inbox: mpsc::Receiver<(usize, RawFd)>,
    pub(crate) end: Arc<Barrier>,
}

impl Meeting {
    pub(crate) fn of(members: usize) -> Vec<Meeting> {
        let end = Arc::new(Barrier::new(members));
        let (fds, inboxes): (Vec<_>, Vec<_>) = (0..members).map(|_| mpsc::channel()).unzip();
        inboxes.into_iter().map(|inbox| Meeting { fds: fds.clone(), inbox, end: end.clone() }).collect()
    }

    pub(crate) fn join(&self, me: usize, uring: &mut Uring) {
        self.fds.iter().for_each(|peer| peer.send((me, uring.fd())).expect("peer"));
        let mut peers: Vec<_> = self.fds.iter().map(|_| self.inbox.recv().expect("peer")).collect();
        peers.sort_unstable();
        uring.connect(peers.into_iter().map(|(_, fd)| Peer::Ring(fd)).collect());
    }
}

/// Waits without a limit and takes what comes, which must be nothing of a socket's.
pub(crate) fn sleep(uring: &mut Uring) {
    uring.wait(None, Clock::now().mono).expect("wait");
    assert!(uring.completions().next().is_none(), "a wake-up is no completion");
}
