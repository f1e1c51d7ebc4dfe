//! Idempotency keys: what was done under one is not done again for a while, and is answered as it was the
//! first time. A lost answer is no lost effect, so whoever waits in vain says the same again.

#[cfg(test)]
mod tests;

use std::collections::VecDeque;

use foldhash::quality::FixedState;
use hashbrown::HashMap;
use weir_ring::time::Instant;

use crate::error::Error;
use crate::limits;
use crate::message::Receipt;

/// Bytes of a key as the log keeps it.
pub(crate) const KEY_IN_LOG: usize = 28;

/// Longest key, bytes.
const KEY_BYTES_MAX: usize = 128;

/// What a key is, for whoever sent none.
const WANTED: &str = "an idempotency key is a string of 1 to 128 bytes";

/// What a key is valid for: the same text elsewhere is another key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Scope<'a> {
    /// What backends publish to one client.
    Client(&'a str),
    /// What backends publish to a topic.
    Topic(&'a str),
    /// What one client pushes to a topic.
    Event { topic: &'a str, client: &'a str },
    /// What one client pushes for backends.
    Push { client: &'a str },
}

/// Names one deed, and says by a checksum what it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Key {
    /// SHA-1 of scope and key. Nobody can find a key of his own that stands for another's.
    name: [u8; 20],
    /// Length and CRC-32 of what was sent under the key.
    content: u64,
}

impl Key {
    /// A key of `scope` for what has these parts.
    ///
    /// # Errors
    /// `Malformed`: empty, or too long.
    pub(crate) fn new<'a>(
        scope: Scope<'_>,
        text: &str,
        parts: impl IntoIterator<Item = &'a [u8]>,
    ) -> Result<Key, Error> {
        if text.is_empty() || text.len() > KEY_BYTES_MAX {
            return Err(Error::malformed(WANTED));
        }
        let mut name = sha1_smol::Sha1::new();
        let (kind, of, client) = match scope {
            Scope::Client(client) => ("client", "", client),
            Scope::Topic(topic) => ("topic", topic, ""),
            Scope::Event { topic, client } => ("event", topic, client),
            Scope::Push { client } => ("push", "", client),
        };
        // Names of clients and topics have no control characters.
        for part in [kind, "\n", of, "\n", client, "\n", text] {
            name.update(part.as_bytes());
        }
        let (mut checksum, mut length) = (crc32fast::Hasher::new(), 0);
        for part in parts {
            checksum.update(&(part.len() as u64).to_le_bytes());
            checksum.update(part);
            length += part.len() as u64;
        }
        let content = length << 32 | u64::from(checksum.finalize());
        Ok(Key { name: name.digest().bytes(), content })
    }

    /// As the log keeps it.
    pub(crate) fn to_bytes(self) -> [u8; KEY_IN_LOG] {
        let mut bytes = [0; KEY_IN_LOG];
        bytes[..20].copy_from_slice(&self.name);
        bytes[20..].copy_from_slice(&self.content.to_le_bytes());
        bytes
    }

    /// The reverse; `None`: no key was written.
    pub(crate) fn of_bytes(bytes: &[u8]) -> Option<Key> {
        let (name, content) = bytes.split_first_chunk::<20>()?;
        Some(Key { name: *name, content: u64::from_le_bytes(content.try_into().ok()?) })
    }
}

/// What was answered the first time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Reply {
    /// None yet: it is on its way to the disk.
    Begun,
    /// To a publish.
    Published(Receipt),
    /// To a push: how many backends read pushes then.
    Pushed { handlers: u32 },
}

/// Why something with a key is not done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Refusal {
    /// The key stands for something else.
    Conflict,
    /// There is no room for another key.
    Full,
}

/// The keys of one shard, for the length of the window.
#[derive(Debug)]
pub(crate) struct Keys {
    done: HashMap<[u8; 20], Done, FixedState>,
    /// The oldest first.
    order: VecDeque<(Instant, [u8; 20])>,
    limits: limits::Idempotency,
}

#[derive(Debug)]
struct Done {
    at: Instant,
    content: u64,
    reply: Reply,
}

impl Keys {
    pub(crate) fn new(limits: &limits::Idempotency, seed: u64) -> Keys {
        let done = HashMap::with_hasher(FixedState::with_seed(seed));
        Keys { done, order: VecDeque::new(), limits: limits.clone() }
    }

    /// How many there are.
    pub(crate) fn len(&self) -> usize {
        self.done.len()
    }

    /// What was answered under this key, if anything: then it is not done again.
    ///
    /// # Errors
    /// It is not to be done.
    pub(crate) fn find(&mut self, key: &Key, now: Instant) -> Result<Option<Reply>, Refusal> {
        self.forget_old(now);
        match self.done.get(&key.name) {
            Some(done) if done.content == key.content => Ok(Some(done.reply)),
            Some(_) => Err(Refusal::Conflict),
            None if self.order.len() >= self.limits.keys_max => Err(Refusal::Full),
            None => Ok(None),
        }
    }

    /// It is being done, or was done, and this is the answer.
    pub(crate) fn note(&mut self, key: &Key, reply: Reply, now: Instant) {
        let Keys { done, order, .. } = self;
        let begin = || {
            order.push_back((now, key.name));
            Done { at: now, content: key.content, reply }
        };
        done.entry(key.name).or_insert_with(begin).reply = reply;
    }

    /// What was published under keys, and these as the log keeps them.
    pub(crate) fn published(&self) -> impl Iterator<Item = (Receipt, [u8; KEY_IN_LOG])> {
        self.done.iter().filter_map(|(name, done)| match done.reply {
            Reply::Published(receipt) => {
                Some((receipt, Key { name: *name, content: done.content }.to_bytes()))
            }
            Reply::Begun | Reply::Pushed { .. } => None,
        })
    }

    /// It was not done after all.
    pub(crate) fn forget(&mut self, key: &Key) {
        self.done.remove(&key.name);
    }

    /// Forgets the keys whose window has passed.
    pub(crate) fn forget_old(&mut self, now: Instant) {
        while let Some((at, name)) = self.order.front().copied()
            && now.since(at) >= self.limits.window
        {
            self.order.pop_front();
            // One that was not done after all may have been begun anew.
            if self.done.get(&name).is_some_and(|done| done.at == at) {
                self.done.remove(&name);
            }
        }
    }
}

impl From<Refusal> for Error {
    fn from(refusal: Refusal) -> Error {
        match refusal {
            Refusal::Conflict => Error::KeyReused,
            Refusal::Full => Error::insufficient_resources(),
        }
    }
}

/// The member `idempotency_key` of a push's payload.
///
/// # Errors
/// `Malformed`: it is there and no text.
pub(crate) fn key_in(payload: &str) -> Result<Option<String>, Error> {
    #[derive(serde::Deserialize)]
    struct Keyed {
        idempotency_key: Option<String>,
    }
    // Few pushes have one, and only those are parsed.
    if !payload.contains("\"idempotency_key\"") || !payload.trim_start().starts_with('{') {
        return Ok(None);
    }
    match serde_json::from_str::<Keyed>(payload) {
        Ok(keyed) => Ok(keyed.idempotency_key),
        Err(_) => Err(Error::malformed(WANTED)),
    }
}
