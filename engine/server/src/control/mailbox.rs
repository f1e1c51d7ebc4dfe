//! Letters between the control thread and the shards: questions with answers, and orders.

use std::collections::BTreeMap;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::io::unix::AsyncFd;
use tokio::sync::mpsc::UnboundedSender;
use tokio::sync::oneshot;
use tokio::time;
use weir_ring::mesh::{Links, Push};
use weir_ring::token::Member;
use weir_ring::waker::Waker;
use weir_shard::mail::{Answer, Mail, Question, TokenWanted};

use super::audit::Audit;

/// How long a shard may take to answer. It takes a turn, so this is much.
const PATIENCE: Duration = Duration::from_secs(2);

/// How long a letter waits in front of a full queue before it is tried again.
const RETRY: Duration = Duration::from_millis(1);

/// A shard did not answer in time: it is stalled, overloaded or ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct NoAnswer;

/// The control thread's own `waker`, as its event loop watches it.
///
/// # Errors
/// The event loop does not take it.
pub(super) fn watch(waker: Waker) -> io::Result<AsyncFd<Waker>> {
    #[expect(
        deprecated,
        reason = "its successor is unsafe for those who do not own the descriptor; a Waker does"
    )]
    AsyncFd::new(waker)
}

/// The control thread's end of the mesh. Clones share it; the lock is only ever taken on that thread.
#[derive(Clone)]
pub(super) struct Mailbox(Arc<Mutex<Inner>>);

struct Inner {
    links: Links<Mail>,
    wakers: Vec<Waker>,
    asked: u64,
    /// Shards that want keys.
    wanted: UnboundedSender<Member>,
    tokens_wanted: UnboundedSender<Box<TokenWanted>>,
    waiting: BTreeMap<u64, oneshot::Sender<Answer>>,
    audit: Audit,
}

impl Mailbox {
    /// Shards that want keys are told to `wanted`, tokens for upstreams to `tokens_wanted`, what they have for the audit
    /// log to `audit`.
    pub(super) fn new(
        links: Links<Mail>,
        wakers: Vec<Waker>,
        wanted: UnboundedSender<Member>,
        tokens_wanted: UnboundedSender<Box<TokenWanted>>,
        audit: Audit,
    ) -> Mailbox {
        let waiting = BTreeMap::new();
        Mailbox(Arc::new(Mutex::new(Inner {
            links,
            wakers,
            asked: 0,
            wanted,
            tokens_wanted,
            waiting,
            audit,
        })))
    }

    /// Number of shards.
    pub(super) fn shards(&self) -> u16 {
        self.lock().wakers.len() as u16
    }

    /// Sends `letter`, however long the shard's queue stays full.
    pub(super) async fn send(&self, to: Member, mut letter: Mail) {
        loop {
            let sent = self.lock().try_send(to, letter);
            let Err(unsent) = sent else { return };
            letter = unsent;
            time::sleep(RETRY).await;
        }
    }

    /// Asks a shard.
    ///
    /// # Errors
    /// No answer for 2 s.
    pub(super) async fn ask(&self, shard: Member, question: Question) -> Result<Answer, NoAnswer> {
        let (ask, from, answer) = self.lock().expect_answer();
        let answered = time::timeout(PATIENCE, async {
            self.send(shard, Mail::Ask { from, ask, question }).await;
            answer.await
        });
        match answered.await {
            Ok(Ok(answer)) => Ok(answer),
            _ => {
                self.lock().waiting.remove(&ask);
                Err(NoAnswer)
            }
        }
    }

    /// Takes what arrives, each time the waker says so. Ends only with the process.
    ///
    /// # Errors
    /// The runtime is gone.
    pub(super) async fn receive(self, waker: AsyncFd<Waker>) -> io::Result<()> {
        let mut inbox = Vec::new();
        loop {
            // Noticed first, read second: what comes in between wakes again.
            let mut ready = waker.readable().await?;
            waker.get_ref().clear();
            ready.clear_ready();
            let mut inner = self.lock();
            inner.links.receive(&mut inbox);
            for letter in inbox.drain(..) {
                inner.read(letter);
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Inner {
    fn try_send(&mut self, to: Member, letter: Mail) -> Result<(), Mail> {
        if self.links.send(to, letter)? == Push::Wake {
            self.wakers[usize::from(to.0)].wake();
        }
        Ok(())
    }

    fn expect_answer(&mut self) -> (u64, Member, oneshot::Receiver<Answer>) {
        let (sender, receiver) = oneshot::channel();
        self.asked += 1;
        self.waiting.insert(self.asked, sender);
        (self.asked, self.links.me(), receiver)
    }

    /// Shards write answers, of which one that comes too late has no addressee, and ask for keys and tokens.
    fn read(&mut self, letter: Mail) {
        match letter {
            Mail::Answer { ask, answer } => {
                if let Some(waiting) = self.waiting.remove(&ask) {
                    let _ = waiting.send(answer);
                }
            }
            Mail::Audit(records) => self.audit.take(records),
            // Who serves them ends with the process.
            Mail::KeysWanted { from } => drop(self.wanted.send(from)),
            Mail::TokenWanted(wanted) => drop(self.tokens_wanted.send(wanted)),
            _ => {}
        }
    }
}
