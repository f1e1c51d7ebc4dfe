//! The local side of topics: who on this shard takes a topic's live messages.

use std::sync::Arc;

use foldhash::quality::FixedState;
use hashbrown::HashMap;
use weir_ring::token::Token;
use weir_transports::phoenix::Version;

use crate::channels::topics::TopicMessage;

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
}

/// All serializers, in the order of their groups. Events of SSE have no version.
pub(crate) const SERIALIZERS: [Serializer; 9] = [
    Serializer { version: Version::V2, framing: Framing::Plain },
    Serializer { version: Version::V2, framing: Framing::Deflated },
    Serializer { version: Version::V2, framing: Framing::Poll },
    Serializer { version: Version::V2, framing: Framing::Sealed },
    Serializer { version: Version::V2, framing: Framing::Event },
    Serializer { version: Version::V1, framing: Framing::Plain },
    Serializer { version: Version::V1, framing: Framing::Deflated },
    Serializer { version: Version::V1, framing: Framing::Poll },
    Serializer { version: Version::V1, framing: Framing::Sealed },
];

impl Serializer {
    /// The group of subscribers that share it.
    pub(crate) fn group(self) -> usize {
        self.framing as usize + if self.version == Version::V1 { 5 } else { 0 }
    }
}

/// One topic's subscribers on this shard, and what they get at the end of the turn.
#[derive(Debug, Default)]
pub(crate) struct Local {
    /// By serializer. Tokens of closed connections stay until the list is swept.
    pub groups: [Vec<Token>; SERIALIZERS.len()],
    /// Messages of this turn.
    pub pending: Vec<TopicMessage>,
    /// Closed or left since the last sweep.
    stale: usize,
    /// Stands in for the list while that is lent out.
    lent: bool,
}

/// The topics this shard has subscribers of.
#[derive(Debug)]
pub(crate) struct Subscribers {
    topics: HashMap<Arc<str>, Local, FixedState>,
    /// Topics with pending messages.
    dirty: Vec<Arc<str>>,
}

impl Subscribers {
    pub(crate) fn new(seed: u64) -> Subscribers {
        Subscribers { topics: HashMap::with_hasher(FixedState::with_seed(seed)), dirty: Vec::new() }
    }

    /// Adds a connection to a topic's list.
    pub(crate) fn add(&mut self, topic: &Arc<str>, serializer: Serializer, token: Token) {
        let local = self.topics.entry_ref(topic.as_ref() as &str).or_default();
        local.groups[serializer.group()].push(token);
    }

    /// Takes a live connection off a topic's list at once: it may join again.
    pub(crate) fn remove(&mut self, topic: &str, serializer: Serializer, token: Token) {
        let Some(local) = self.topics.get_mut(topic) else { return };
        let group = &mut local.groups[serializer.group()];
        if let Some(at) = group.iter().position(|other| *other == token) {
            group.swap_remove(at);
        }
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

    /// Keeps messages for the end of the turn, if anybody here takes them.
    pub(crate) fn enqueue(&mut self, topic: &Arc<str>, messages: Vec<TopicMessage>) {
        let Some(local) = self.topics.get_mut(&**topic) else { return };
        if local.pending.is_empty() {
            self.dirty.push(Arc::clone(topic));
        }
        local.pending.extend(messages);
    }

    /// The next topic with pending messages, its list lent out; give it back with `put_back`.
    pub(crate) fn next_dirty(&mut self) -> Option<(Arc<str>, Local)> {
        loop {
            let topic = self.dirty.pop()?;
            if let Some(local) = self.take(&topic) {
                return Some((topic, local));
            }
        }
    }

    /// Lends out a topic's list if it has pending messages.
    pub(crate) fn take(&mut self, topic: &str) -> Option<Local> {
        let local = self.topics.get_mut(topic)?;
        if local.pending.is_empty() {
            return None;
        }
        Some(std::mem::replace(local, Local { lent: true, ..Local::default() }))
    }

    /// Takes a lent list back. Connections that could not keep up with it have closed meanwhile.
    pub(crate) fn put_back(&mut self, topic: &str, mut lent: Local, is_open: impl Fn(Token) -> bool) {
        let Some(local) = self.topics.get_mut(topic) else { return };
        lent.pending.clear();
        lent.stale += local.stale;
        *local = lent;
        if local.sweep(is_open) {
            self.topics.remove(topic);
        }
    }
}

impl Local {
    /// Takes closed connections off the list once they are more than half of it. True if nobody is left.
    fn sweep(&mut self, is_open: impl Fn(Token) -> bool) -> bool {
        if self.lent {
            return false;
        }
        if self.stale * 2 > self.groups.iter().map(Vec::len).sum() {
            self.stale = 0;
            for group in &mut self.groups {
                group.retain(|token| is_open(*token));
                group.shrink_to(group.len() * 2);
            }
        }
        self.is_unused()
    }

    fn is_unused(&self) -> bool {
        self.pending.is_empty() && self.groups.iter().all(Vec::is_empty)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_closes_while_the_list_is_lent_takes_nobody_along() {
        let (slow, other) = (Token { index: 1, generation: 0 }, Token { index: 2, generation: 0 });
        let topic: Arc<str> = "topic:a".into();
        let message = TopicMessage { sequence: 1, body: [].into(), binary: false, except: None };
        let mut subscribers = Subscribers::new(1);
        for token in [slow, other] {
            subscribers.add(&topic, SERIALIZERS[0], token);
        }
        subscribers.enqueue(&topic, vec![message.clone()]);
        let (_, lent) = subscribers.next_dirty().expect("a list");
        subscribers.forget(&topic, |token| token == other);
        subscribers.put_back(&topic, lent, |token| token == other);
        subscribers.enqueue(&topic, vec![message]);
        let (_, lent) = subscribers.next_dirty().expect("the list of those who are still here");
        assert!(lent.groups[0].contains(&other));
        subscribers.forget(&topic, |_| false);
        subscribers.put_back(&topic, lent, |_| false);
        assert!(subscribers.topics.is_empty());
    }
}
