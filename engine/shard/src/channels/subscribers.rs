//! The local side of topics: who on this shard takes a topic's live messages.

use std::collections::VecDeque;
use std::ops::Range;
use std::sync::Arc;

use foldhash::quality::FixedState;
use hashbrown::HashMap;
use weir_ring::time::Instant;
use weir_ring::token::Token;
use weir_transports::phoenix::Version;

use crate::channels::topics::TopicMessage;
use crate::stream::Position;

/// The ways a topic's message is encoded; each is done once for all who share it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Serializer {
    /// Phoenix V1 or V2.
    pub version: Version,
    /// What is around it.
    pub framing: Framing,
}

/// What a subscriber's messages are wrapped in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Framing {
    /// WebSocket frames.
    Plain,
    /// WebSocket frames with permessage-deflate.
    Deflated,
    /// Strings in the answer to a poll.
    Poll,
    /// Whatever its connection is, each with its own payload: encrypted.
    Sealed,
    /// Events of an SSE stream.
    Event,
    /// The same, each called `debug`.
    Debug,
}

/// All serializers, in the order of their groups. Events of SSE have no version.
pub(crate) const SERIALIZERS: [Serializer; 10] = [
    Serializer { version: Version::V2, framing: Framing::Plain },
    Serializer { version: Version::V2, framing: Framing::Deflated },
    Serializer { version: Version::V2, framing: Framing::Poll },
    Serializer { version: Version::V2, framing: Framing::Sealed },
    Serializer { version: Version::V2, framing: Framing::Event },
    Serializer { version: Version::V2, framing: Framing::Debug },
    Serializer { version: Version::V1, framing: Framing::Plain },
    Serializer { version: Version::V1, framing: Framing::Deflated },
    Serializer { version: Version::V1, framing: Framing::Poll },
    Serializer { version: Version::V1, framing: Framing::Sealed },
];

impl Serializer {
    /// The group of subscribers that share it.
    pub(crate) fn group(self) -> usize {
        self.framing as usize + if self.version == Version::V1 { 6 } else { 0 }
    }
}

/// Bytes that the kernel copies in the time that a send takes without them, roughly.
const SEND_BYTES: usize = 16 << 10;

/// One topic's subscribers on this shard, and what they are still to be sent.
#[derive(Debug, Default)]
pub(crate) struct Local {
    /// By serializer. Tokens of closed connections stay until the list is swept.
    pub groups: Groups,
    /// Messages that go to all of them, and to nobody who joins later.
    pending: Vec<TopicMessage>,
    /// When the first of these came.
    since: Instant,
    /// What is on its way and waits before `pending`, oldest first.
    rounds: VecDeque<Round>,
    /// Closed or left since the last sweep.
    stale: usize,
    /// The last message that came, or was there before.
    reached: Option<Position>,
    /// Stands in for the list while that is lent out.
    lent: bool,
}

/// Connections by serializer.
pub(crate) type Groups = [Vec<Token>; SERIALIZERS.len()];

/// Messages on their way to those who were subscribed as they came. It ends when all have been sent them, which may
/// take several turns.
#[derive(Debug)]
pub(crate) struct Round {
    /// In order.
    pub messages: Vec<TopicMessage>,
    /// When the first of them came.
    pub since: Instant,
    /// Of each group, how many are still to be sent them. Those are the group's first: it is gone through from the
    /// end, where whoever joins meanwhile is added.
    pub left: [u32; SERIALIZERS.len()],
    /// A group that has been sent them in part, and the frames for the others.
    pub encoded: Option<(usize, Vec<Arc<[u8]>>)>,
}

/// The topics this shard has subscribers of.
#[derive(Debug)]
pub(crate) struct Subscribers {
    topics: HashMap<Arc<str>, Local, FixedState>,
    /// Topics with something to be sent, since when. They take turns.
    waiting: VecDeque<(Arc<str>, Instant)>,
    /// Bytes that messages on their way are counted as.
    bytes: usize,
}

impl Subscribers {
    pub(crate) fn new(seed: u64) -> Subscribers {
        let topics = HashMap::with_hasher(FixedState::with_seed(seed));
        Subscribers { topics, waiting: VecDeque::new(), bytes: 0 }
    }

    /// Adds a connection to a topic's list. It gets what comes from now on, and nothing of what waits.
    pub(crate) fn add(&mut self, topic: &Arc<str>, serializer: Serializer, token: Token) {
        let local = self.topics.entry_ref(topic.as_ref() as &str).or_default();
        if let Some(round) = local.close() {
            local.rounds.push_back(round);
        }
        local.groups[serializer.group()].push(token);
    }

    /// Takes a live connection off a topic's list at once: it may join again.
    pub(crate) fn remove(&mut self, topic: &str, serializer: Serializer, token: Token) {
        let Some(local) = self.topics.get_mut(topic) else { return };
        local.remove(serializer.group(), token);
        if local.is_unused() {
            self.topics.remove(topic);
        }
    }

    /// A connection on the list has closed. It is swept later, many at a time.
    pub(crate) fn forget(&mut self, topic: &str, is_open: impl Fn(Token) -> bool) {
        let Some(local) = self.topics.get_mut(topic) else { return };
        local.stale += 1;
        if local.sweep(is_open) {
            self.topics.remove(topic);
        }
    }

    /// Takes messages for everybody who is subscribed now, if anybody is.
    pub(crate) fn enqueue(&mut self, topic: &Arc<str>, messages: Vec<TopicMessage>, now: Instant) {
        let Some(local) = self.topics.get_mut(&**topic) else { return };
        self.bytes += weight(&messages);
        if let (Some(reached), Some(last)) = (&mut local.reached, messages.last()) {
            reached.sequence = last.sequence;
        }
        if !local.is_waiting() {
            self.waiting.push_back((Arc::clone(topic), now));
        }
        if local.pending.is_empty() {
            (local.pending, local.since) = (messages, now);
        } else {
            local.pending.extend(messages);
        }
    }

    /// What came before the next message of a topic: as its home says to who is subscribed now.
    pub(crate) fn note_reached(&mut self, topic: &str, at: Position) {
        if let Some(local) = self.topics.get_mut(topic) {
            local.reached = Some(at);
        }
    }

    /// Up to where all who are subscribed were sent the topic; none: some were not, or nobody knows.
    pub(crate) fn reached(&self, topic: &str) -> Option<Position> {
        self.topics.get(topic).filter(|local| !local.is_waiting())?.reached
    }

    /// The next topic with something to be sent, its list lent out; give it back with `put_back`.
    pub(crate) fn next_waiting(&mut self) -> Option<(Arc<str>, Local)> {
        loop {
            let (topic, _) = self.waiting.pop_front()?;
            if let Some(local) = self.topics.get_mut(&topic).filter(|local| local.is_waiting()) {
                return Some((topic, std::mem::replace(local, Local { lent: true, ..Local::default() })));
            }
        }
    }

    /// Takes a lent list back, and what is left of its oldest round. Connections that could not keep up with it have
    /// closed meanwhile.
    pub(crate) fn put_back(
        &mut self,
        topic: Arc<str>,
        mut lent: Local,
        round: Round,
        is_open: impl Fn(Token) -> bool,
    ) {
        if round.is_done() {
            self.bytes -= weight(&round.messages);
        } else {
            lent.rounds.push_front(round);
        }
        let Some(local) = self.topics.get_mut(&topic) else { return };
        lent.stale += local.stale;
        *local = lent;
        if local.sweep(is_open) {
            self.topics.remove(&topic);
        } else if local.is_waiting() {
            let since = local.rounds.front().map_or(local.since, |round| round.since);
            self.waiting.push_back((topic, since));
        }
    }

    /// Since when something has been waiting.
    pub(crate) fn waiting_since(&self) -> Option<Instant> {
        self.waiting.iter().map(|(_, since)| *since).min()
    }

    /// Whether nothing is left to be sent.
    pub(crate) fn is_done(&self) -> bool {
        self.waiting.is_empty()
    }

    /// Bytes that messages on their way are counted as.
    pub(crate) fn bytes(&self) -> usize {
        self.bytes
    }
}

impl Local {
    /// Its oldest round.
    pub(crate) fn next_round(&mut self) -> Option<Round> {
        self.rounds.pop_front().or_else(|| self.close())
    }

    /// What has come so far goes to those who are here now.
    fn close(&mut self) -> Option<Round> {
        if self.pending.is_empty() {
            return None;
        }
        let left = self.groups.each_ref().map(|group| group.len() as u32);
        let messages = std::mem::take(&mut self.pending);
        Some(Round { messages, since: self.since, left, encoded: None })
    }

    /// Each round has a bound in the group, and bounds rise with the rounds: of each stretch between two the last moves
    /// into the hole that the stretch before leaves.
    fn remove(&mut self, group: usize, token: Token) {
        let tokens = &mut self.groups[group];
        let Some(mut hole) = tokens.iter().position(|other| *other == token) else { return };
        for round in &mut self.rounds {
            let left = &mut round.left[group];
            if hole < *left as usize {
                *left -= 1;
                tokens.swap(hole, *left as usize);
                hole = *left as usize;
            }
        }
        tokens.swap_remove(hole);
    }

    /// Takes closed connections off the list once they are more than half of it. True if nobody is left.
    fn sweep(&mut self, is_open: impl Fn(Token) -> bool) -> bool {
        if self.lent {
            return false;
        }
        if self.stale * 2 > self.groups.iter().map(Vec::len).sum() {
            self.stale = 0;
            for group in 0..SERIALIZERS.len() {
                self.sweep_group(group, &is_open);
            }
        }
        self.is_unused()
    }

    fn sweep_group(&mut self, group: usize, is_open: &impl Fn(Token) -> bool) {
        let tokens = &mut self.groups[group];
        let mut from = 0;
        let mut open = 0;
        for round in &mut self.rounds {
            let left = &mut round.left[group];
            open += tokens[from..*left as usize].iter().filter(|token| is_open(**token)).count();
            from = *left as usize;
            *left = open as u32;
        }
        tokens.retain(|token| is_open(*token));
        tokens.shrink_to(tokens.len() * 2);
    }

    fn is_waiting(&self) -> bool {
        !self.pending.is_empty() || !self.rounds.is_empty()
    }

    fn is_unused(&self) -> bool {
        !self.is_waiting() && self.groups.iter().all(Vec::is_empty)
    }
}

impl Round {
    /// What it counts as for each subscriber: a send, and one more for every so many bytes that take as long.
    pub(crate) fn cost(&self) -> usize {
        1 + self.messages.iter().map(|message| message.body.len()).sum::<usize>() / SEND_BYTES
    }

    /// At most `most` of those who are still to be sent it: which group, and where in it they are. They count as served.
    pub(crate) fn next_part(&mut self, most: usize) -> Option<(usize, Range<usize>)> {
        let group = self.left.iter().position(|left| *left > 0)?;
        let left = self.left[group] as usize;
        let rest = left.saturating_sub(most);
        self.left[group] = rest as u32;
        Some((group, rest..left))
    }

    /// Whether everybody has been sent it.
    fn is_done(&self) -> bool {
        self.left.iter().all(|left| *left == 0)
    }
}

/// What messages on their way are counted as, bytes.
fn weight(messages: &[TopicMessage]) -> usize {
    messages.iter().map(|message| message.body.len() + size_of::<Round>()).sum()
}

#[cfg(test)]
mod tests;
