//! A client's own stream: the outboxes of its lanes, and how far each has been written.

use weir_ring::time::Instant;

use crate::acks::{Acks, Job, Ledger};
use crate::lane::{Lane, Lanes};
use crate::limits;
use crate::marks::Marks;
use crate::outbox::Outbox;
use crate::policy::routing::Routing;
use crate::stream::{Epoch, Position, Sequence};

/// One lane.
#[derive(Debug)]
pub(crate) struct LaneStream {
    /// Its memory.
    pub(crate) outbox: Outbox,
    /// Highest number ever written to one of the client's connections.
    pub(crate) written: Sequence,
    /// Where the client's last connection was when it went.
    pub(crate) left_at: Sequence,
}

/// All lanes of one client in one epoch.
#[derive(Debug)]
pub(crate) struct Mailbox {
    epoch: Epoch,
    lanes: Lanes<LaneStream>,
    /// Which transport takes what; made when there is a choice.
    pub(crate) routing: Option<Box<Routing>>,
    /// What is kept of a client that acknowledges; nothing of most.
    pub(crate) ledger: Option<Box<Ledger>>,
    /// Some of its messages are traced.
    pub(crate) traced: bool,
}

impl LaneStream {
    const fn new(epoch: Epoch) -> LaneStream {
        LaneStream { outbox: Outbox::new(epoch), written: 0, left_at: 0 }
    }
}

impl Mailbox {
    /// The empty mailbox of a new life.
    pub(crate) const fn new(epoch: Epoch) -> Mailbox {
        Mailbox {
            epoch,
            lanes: Lanes::new(LaneStream::new(epoch)),
            routing: None,
            ledger: None,
            traced: false,
        }
    }

    /// A lane, if it was ever used.
    pub(crate) fn lane(&self, lane: Lane) -> Option<&LaneStream> {
        self.lanes.get(lane)
    }

    /// A lane, if it was ever used.
    pub(crate) fn lane_mut(&mut self, lane: Lane) -> Option<&mut LaneStream> {
        self.lanes.get_mut(lane)
    }

    /// The lanes in use, the most urgent first.
    pub(crate) fn lanes(&self) -> impl Iterator<Item = (Lane, &LaneStream)> {
        self.lanes.iter()
    }

    /// A lane's outbox, made if need be.
    pub(crate) fn open(&mut self, lane: Lane) -> &mut Outbox {
        let epoch = self.epoch;
        &mut self.lanes.open(lane, |_| LaneStream::new(epoch)).outbox
    }

    /// Puts back a lane as it was before a restart. How far it was written is not known: what is kept may have
    /// reached the client, and what it has not acknowledged may not.
    pub(crate) fn restore(&mut self, lane: Lane, outbox: Outbox) {
        let epoch = self.epoch;
        let (written, left_at) = (outbox.head(), outbox.acknowledged());
        *self.lanes.open(lane, |_| LaneStream::new(epoch)) = LaneStream { outbox, written, left_at };
    }

    /// A bit for each lane that has had a message, in the order of [`Lane::ALL`].
    pub(crate) fn used(&self) -> u8 {
        let used = self.lanes().filter(|(_, stream)| stream.outbox.head() > 0);
        used.fold(0, |bits, (lane, _)| bits | 1 << lane as u8)
    }

    /// Takes back what is not durable, and says how many bytes that were.
    pub(crate) fn roll_back(&mut self) -> usize {
        self.lanes.values_mut().map(|stream| stream.outbox.roll_back()).sum()
    }

    /// Messages ever written to one of the client's connections.
    pub(crate) fn written(&self) -> u64 {
        self.lanes().map(|(_, lane)| lane.written).sum()
    }

    /// The client's last connection is gone; it was there.
    pub(crate) fn left_at(&mut self, marks: &Marks) {
        for lane in Lane::ALL {
            if let Some(stream) = self.lane_mut(lane) {
                stream.left_at = marks.get(lane).cursor;
            }
        }
    }

    /// Whether only the normal lane was ever used.
    pub(crate) fn is_plain(&self) -> bool {
        self.lanes.is_plain()
    }

    /// How a message stands with a client that acknowledges.
    pub(crate) fn job(&self, lane: Lane, sequence: Sequence) -> Option<Job> {
        self.ledger.as_ref()?.job(lane, sequence)
    }

    /// Lets go of everything up to these numbers, one for each lane, and says how many bytes that were.
    pub(crate) fn let_go(&mut self, through: &[Sequence; Lane::ALL.len()]) -> usize {
        let mut freed_bytes = 0;
        for lane in Lane::ALL {
            let position = Position { epoch: self.epoch, sequence: through[lane as usize] };
            if let Some(stream) = self.lane_mut(lane)
                && position.sequence >= stream.outbox.floor()
            {
                freed_bytes += stream.outbox.acknowledge(position).unwrap_or(0);
            }
        }
        freed_bytes
    }

    /// Messages that the client has not acknowledged: those in flight if it acknowledges, else all that are kept.
    pub(crate) fn pending(&self) -> usize {
        let acks = self.ledger.as_ref().and_then(|ledger| ledger.acks.as_ref());
        acks.map_or_else(|| self.len(), Acks::pending)
    }

    /// Messages kept.
    pub(crate) fn len(&self) -> usize {
        self.lanes().map(|(_, lane)| lane.outbox.len()).sum()
    }

    /// Bytes of the messages kept.
    pub(crate) fn bytes(&self) -> usize {
        self.lanes().map(|(_, lane)| lane.outbox.bytes()).sum()
    }

    /// Drops what is too old, and says how many bytes that were.
    pub(crate) fn trim_age(&mut self, now: Instant, limits: &limits::Outbox) -> usize {
        self.lanes.values_mut().map(|lane| lane.outbox.trim_age(now, limits)).sum()
    }
}
