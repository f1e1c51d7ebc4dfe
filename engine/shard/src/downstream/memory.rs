//! The process uses more memory than it may: newcomers are refused, publishes wait for room, and of the largest
//! streams the oldest messages go, each with a gap for whoever would have needed it.

use std::collections::BinaryHeap;
use std::sync::Arc;

use weir_ring::token::Token;

use crate::lane::Lane;
use crate::outbox::Outbox;
use crate::turn::{Cx, Shard};

/// Whose messages may go.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Hoard {
    Client(u32, u32, Lane),
    Topic(Arc<str>),
}

impl Hoard {
    fn client(id: Token, lane: Lane) -> Hoard {
        Hoard::Client(id.index, id.generation, lane)
    }
}

impl Shard {
    /// The control thread says how many bytes this shard is to give back; 0: there is memory again.
    pub(crate) fn squeeze(&mut self, bytes: usize, cx: &mut Cx<'_>) {
        if bytes == 0 {
            self.squeezed = None;
            return;
        }
        let mut largest = self.hoards();
        let mut freed = 0;
        while freed < bytes
            && let Some((size, hoard)) = largest.pop()
        {
            let evicted = self.evict_oldest(&hoard, cx);
            freed += evicted;
            if evicted > 0 && evicted < size {
                largest.push((size - evicted, hoard));
            }
        }
        self.stats.outbox_bytes -= freed as u64;
        self.stats.squeezed_bytes += freed as u64;
        self.squeezed = Some(self.stats.outbox_bytes as usize);
    }

    /// Bytes that all outboxes together may hold at this moment.
    pub(crate) fn outbox_bytes_max(&self) -> usize {
        self.squeezed
            .map_or(self.config.outbox_bytes_total_max, |most| most.min(self.config.outbox_bytes_total_max))
    }

    /// All streams from which something can be spared, by what they hold.
    fn hoards(&self) -> BinaryHeap<(usize, Hoard)> {
        let spares = |outbox: &Outbox| (!outbox.is_empty()).then(|| outbox.bytes());
        let lanes = self.sessions.iter().flat_map(|(id, session)| {
            let lanes = session.mailbox.iter().flat_map(|mailbox| mailbox.lanes());
            lanes.filter_map(move |(lane, stream)| Some((spares(&stream.outbox)?, Hoard::client(id, lane))))
        });
        let topics = self
            .topics
            .iter()
            .filter_map(|topic| Some((spares(topic.outbox())?, Hoard::Topic(Arc::clone(topic.name())))));
        lanes.chain(topics).collect()
    }

    /// Drops the oldest message of a stream, and says how many bytes that were.
    fn evict_oldest(&mut self, hoard: &Hoard, cx: &mut Cx<'_>) -> usize {
        match hoard {
            Hoard::Topic(name) => self.topics.evict_oldest(name),
            Hoard::Client(index, generation, lane) => {
                let id = Token { index: *index, generation: *generation };
                let mailbox = self.sessions.get_mut(id).and_then(|session| session.mailbox.as_mut());
                let Some(stream) = mailbox.and_then(|mailbox| mailbox.lane_mut(*lane)) else { return 0 };
                let evicted = stream.outbox.evict_oldest();
                self.forgotten(id, *lane, cx);
                evicted
            }
        }
    }
}
