//! Letters between the control thread and the shards: questions with answers, and orders.

use std::collections::BTreeMap;
use std::io;
use std::mem;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::io::unix::AsyncFd;
use tokio::sync::mpsc::{Sender, UnboundedSender};
use tokio::sync::oneshot;
use tokio::time;
use weir_ring::clock::Clock;
use weir_ring::mesh::{Links, Push};
use weir_ring::token::Member;
use weir_ring::waker::Waker;
use weir_shard::mail::{Answer, Errand, Mail, Question, TokenWanted};
use weir_shard::vsm::{Cause, Fact, Feeling, Signal, Source};

use super::audit::Audit;
use super::bus::{Bus, Change, Published};
use super::passage::Leaver;
use super::telemetry::Telemetry;
use super::troubles::{self, Troubles};

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

/// Those who serve what shards ask for.
pub(super) struct Desks {
    /// Shards that want keys.
    pub(super) wanted: UnboundedSender<Member>,
    /// Tokens for upstreams.
    pub(super) tokens_wanted: UnboundedSender<Box<TokenWanted>>,
    /// What clients watch.
    pub(super) watched: UnboundedSender<Change>,
    /// Pushes for handlers.
    pub(super) handed: Sender<Box<Errand>>,
    /// What was recorded of messages.
    pub(super) spans: Telemetry,
    /// Connections that leave for a successor; the end: there are no more.
    pub(super) emigrants: UnboundedSender<Leaver>,
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
    /// What clients watch.
    watched: UnboundedSender<Change>,
    /// Pushes for handlers.
    handed: Sender<Box<Errand>>,
    spans: Telemetry,
    emigrants: UnboundedSender<Leaver>,
    waiting: BTreeMap<u64, oneshot::Sender<Answer>>,
    audit: Audit,
    troubles: Troubles,
    bus: Bus,
    /// Keeps its room.
    inbox: Vec<Mail>,
}

impl Mailbox {
    /// What shards ask for is told to `desks`, what they have for the audit log to `audit`, and events and signals to
    /// `bus`.
    pub(super) fn new(
        links: Links<Mail>,
        wakers: Vec<Waker>,
        desks: Desks,
        audit: Audit,
        bus: Bus,
    ) -> Mailbox {
        let waiting = BTreeMap::new();
        let Desks { wanted, tokens_wanted, watched, handed, spans, emigrants } = desks;
        Mailbox(Arc::new(Mutex::new(Inner {
            links,
            wakers,
            asked: 0,
            wanted,
            tokens_wanted,
            watched,
            handed,
            spans,
            emigrants,
            waiting,
            audit,
            troubles: Troubles::default(),
            bus,
            inbox: Vec::new(),
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
        self.ask_for(shard, question, PATIENCE).await
    }

    /// Asks a shard what may take it so long.
    ///
    /// # Errors
    /// No answer in that time.
    pub(super) async fn ask_for(
        &self,
        shard: Member,
        question: Question,
        patience: Duration,
    ) -> Result<Answer, NoAnswer> {
        let (ask, from, answer) = self.lock().expect_answer();
        let answered = time::timeout(patience, async {
            self.send(shard, Mail::Ask { from, ask, question }).await;
            answer.await
        });
        match answered.await {
            Ok(Ok(answer)) => {
                self.feel(Cause::ShardLate(shard.0), Feeling::Pleasure);
                Ok(answer)
            }
            _ => {
                self.lock().waiting.remove(&ask);
                self.feel(Cause::ShardLate(shard.0), Feeling::Pain);
                Err(NoAnswer)
            }
        }
    }

    /// Takes what arrives, each time the waker says so. Ends only with the process.
    ///
    /// # Errors
    /// The runtime is gone.
    pub(super) async fn receive(self, waker: AsyncFd<Waker>) -> io::Result<()> {
        loop {
            // Noticed first, read second: what comes in between wakes again.
            let mut ready = waker.readable().await?;
            waker.get_ref().clear();
            ready.clear_ready();
            self.lock().read_all();
        }
    }

    /// All shards have ended: what they wrote last is read. The thread may not have got round to it, as their end
    /// and their letters wake it apart.
    pub(super) fn read_last(&self) {
        self.lock().read_all();
    }

    /// No more connections leave.
    pub(super) fn end_emigration(&self) {
        let _ = self.lock().emigrants.send(None);
    }

    /// Something hurts the control thread itself, or does not any more.
    pub(super) fn feel(&self, cause: Cause, signal: Feeling) {
        let (at, source) = (Clock::now().wall, Source::Control);
        self.lock().feel(Signal { at, source, signal, cause, recovery_time_ms: None });
    }

    /// Says what pains are over.
    pub(super) fn settle_troubles(&self) {
        let mut inner = self.lock();
        for signal in inner.troubles.settle(Instant::now(), Clock::now().wall) {
            inner.signal(signal);
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

    fn read_all(&mut self) {
        let mut inbox = mem::take(&mut self.inbox);
        self.links.receive(&mut inbox);
        // What hurts goes before everything else.
        for letter in inbox.extract_if(.., |letter| matches!(letter, Mail::Signal(_))) {
            self.read(letter);
        }
        for letter in inbox.drain(..) {
            self.read(letter);
        }
        self.inbox = inbox;
    }

    fn expect_answer(&mut self) -> (u64, Member, oneshot::Receiver<Answer>) {
        let (sender, receiver) = oneshot::channel();
        self.asked += 1;
        self.waiting.insert(self.asked, sender);
        (self.asked, self.links.me(), receiver)
    }

    fn feel(&mut self, signal: Signal) {
        if let Some(signal) = self.troubles.note(signal, Instant::now()) {
            self.signal(signal);
        }
    }

    /// Says a signal: to those who listen, then in the log.
    fn signal(&self, signal: Signal) {
        self.bus.publish(Published::signal(signal.clone()));
        troubles::log(&signal);
    }

    /// Shards write answers, of which one that comes too late has no addressee, ask for keys and tokens, and tell what
    /// happens and what hurts.
    fn read(&mut self, letter: Mail) {
        match letter {
            Mail::Answer { ask, answer } => {
                if let Some(waiting) = self.waiting.remove(&ask) {
                    let _ = waiting.send(answer);
                }
            }
            Mail::Signal(signal) => self.feel(*signal),
            Mail::Events { from, facts } => {
                for Fact { at, event } in facts {
                    self.bus.publish(Published::event(at, Source::Shard(from.0), event));
                }
            }
            Mail::Audit(records) => self.audit.take(records),
            Mail::Spans { from, spans, dropped } => self.spans.take(from.0, spans, dropped),
            // Who serves them ends with the process.
            Mail::KeysWanted { from } => drop(self.wanted.send(from)),
            Mail::TokenWanted(wanted) => drop(self.tokens_wanted.send(wanted)),
            // A client whose push finds no room here is not answered, and gives up.
            Mail::Handle(errand) => drop(self.handed.try_send(errand)),
            Mail::Moved { transfer, parcel, .. } => {
                if let Some(emigrant) = parcel.into_emigrant() {
                    let _ = self.emigrants.send(Some((transfer, emigrant)));
                }
            }
            Mail::Audience { topic, watched } => drop(self.watched.send((topic, watched))),
            _ => {}
        }
    }
}
