//! Drivers on several threads that get to know each other.

use std::sync::{Arc, Barrier, mpsc};

use weir_ring::clock::Clock;
use weir_ring::driver::Driver;
use weir_ring::op::Completions;
use weir_ring::peer::Peer;

/// Publishes the way to the own driver and learns the others'. All stay until all are done.
pub(crate) struct Meeting {
    others: Vec<mpsc::Sender<(usize, Peer)>>,
    inbox: mpsc::Receiver<(usize, Peer)>,
    pub(crate) end: Arc<Barrier>,
}

impl Meeting {
    pub(crate) fn of(members: usize) -> Vec<Meeting> {
        let end = Arc::new(Barrier::new(members));
        let (others, inboxes): (Vec<_>, Vec<_>) = (0..members).map(|_| mpsc::channel()).unzip();
        inboxes.into_iter().map(|inbox| Meeting { others: others.clone(), inbox, end: end.clone() }).collect()
    }

    pub(crate) fn join(&self, me: usize, driver: &mut Driver) {
        self.others.iter().for_each(|peer| peer.send((me, driver.peer())).expect("peer"));
        let mut peers: Vec<_> = self.others.iter().map(|_| self.inbox.recv().expect("peer")).collect();
        peers.sort_unstable_by_key(|(member, _)| *member);
        driver.connect(peers.into_iter().map(|(_, peer)| peer).collect());
    }
}

/// Waits without a limit and takes what comes, which must be nothing of a socket's.
pub(crate) fn sleep(driver: &mut Driver) {
    driver.wait(None, Clock::now().mono).expect("wait");
    assert!(driver.completions().next().is_none(), "a wake-up is no completion");
}
