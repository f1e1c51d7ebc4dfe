//! Sessions: what a shard knows of a client while it is here and for a while after.

use std::hash::BuildHasher;

use foldhash::quality::FixedState;
use hashbrown::HashTable;
use weir_ring::time::Instant;
use weir_ring::token::Token;

use crate::mailbox::Mailbox;
use crate::policy::TokenBucket;
use crate::policy::routing::{Carrier, Routing, UNROUTED, Up};
use crate::route;
use crate::slots::Slots;
use crate::stream::Epoch;

/// One client on its home shard. All its connections, its bucket and its stream live here.
#[derive(Debug)]
pub(crate) struct Session {
    /// The client's name.
    pub(crate) client: Box<str>,
    /// Connections that take the client's stream.
    pub(crate) links: Links,
    /// WebSockets that are named for it, whether they take the stream or not: it lasts as long as they do.
    pub(crate) named: u32,
    /// Requests it may make.
    pub(crate) bucket: TokenBucket,
    /// Epoch of its stream.
    pub(crate) epoch: Epoch,
    /// Its stream, made by the first message.
    pub(crate) mailbox: Option<Box<Mailbox>>,
    /// Messages received from it; stays at the largest number that fits.
    pub(crate) received: u32,
    /// When it was last heard.
    pub(crate) heard: Instant,
    /// A look at its age is scheduled.
    pub(crate) watched: bool,
    /// Its name was proved: it is no guest's.
    pub(crate) proven: bool,
    /// Somebody has resumed with a token whose connection before was not here: it may be between two processes.
    pub(crate) resumed: bool,
    /// It may be one that is followed; the [`Tracer`](crate::vsm::trace::Tracer) knows.
    pub(crate) followed: bool,
}

const _: () = assert!(size_of::<Session>() <= 80);

impl Session {
    /// Whether nothing is connected for it.
    pub(crate) fn is_away(&self) -> bool {
        self.named == 0 && self.links.as_slice().is_empty()
    }

    /// Whether the gateway made its name up: no message can be for it once its connection is gone.
    pub(crate) fn is_minted(&self) -> bool {
        self.client.starts_with(route::MINTED)
    }

    /// What is known of its transports.
    pub(crate) fn routing(&self) -> &Routing {
        let routing = self.mailbox.as_ref().and_then(|mailbox| mailbox.routing.as_deref());
        routing.unwrap_or(&UNROUTED)
    }

    /// The same, if anything is.
    pub(crate) fn routing_mut(&mut self) -> Option<&mut Routing> {
        self.mailbox.as_mut()?.routing.as_deref_mut()
    }
}

/// A connection of a session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct LinkRef {
    /// Its slot.
    pub(crate) token: Token,
    /// How it carries the stream.
    pub(crate) carrier: Carrier,
}

/// A session's connections. Nearly always one, and then no allocation is needed.
#[derive(Debug, Default)]
pub(crate) enum Links {
    /// The client is away.
    #[default]
    None,
    /// The usual case.
    One(LinkRef),
    /// Several tabs, or both transports. Boxed: the usual case decides what a session takes.
    #[expect(clippy::box_collection, reason = "a vector's three words are a tenth of a session")]
    Many(Box<Vec<LinkRef>>),
}

impl Links {
    /// All of them, oldest first.
    pub(crate) fn as_slice(&self) -> &[LinkRef] {
        match self {
            Links::None => &[],
            Links::One(link) => std::slice::from_ref(link),
            Links::Many(links) => links,
        }
    }

    /// Whether one of them is of this kind.
    pub(crate) fn has(&self, carrier: Carrier) -> bool {
        self.as_slice().iter().any(|link| link.carrier == carrier)
    }

    /// Which transports they are of.
    pub(crate) fn up(&self) -> Up {
        Up { websocket: self.has(Carrier::WebSocket), sse: self.has(Carrier::Sse) }
    }

    /// Adds one.
    pub(crate) fn add(&mut self, link: LinkRef) {
        *self = match std::mem::take(self) {
            Links::None => Links::One(link),
            Links::One(first) => Links::Many(Box::new(vec![first, link])),
            Links::Many(mut links) => {
                links.push(link);
                Links::Many(links)
            }
        };
    }

    /// Removes the one at `token`; true if it was there.
    pub(crate) fn remove(&mut self, token: Token) -> bool {
        let before = self.as_slice().len();
        *self = match std::mem::take(self) {
            Links::One(link) if link.token == token => Links::None,
            Links::Many(mut links) => {
                links.retain(|link| link.token != token);
                match links[..] {
                    [] => Links::None,
                    [link] => Links::One(link),
                    _ => Links::Many(links),
                }
            }
            other => other,
        };
        self.as_slice().len() < before
    }
}

/// The sessions of one shard, by slot and by name.
#[derive(Debug)]
pub(crate) struct Sessions {
    slots: Slots<Session>,
    by_name: HashTable<Token>,
    hasher: FixedState,
}

impl Sessions {
    /// Room for `max` sessions; `seed` keeps the table's order out of an attacker's reach.
    pub(crate) fn new(max: u32, seed: u64) -> Sessions {
        Sessions {
            slots: Slots::with_max(max),
            by_name: HashTable::new(),
            hasher: FixedState::with_seed(seed),
        }
    }

    /// How many there are.
    pub(crate) fn len(&self) -> u32 {
        self.slots.len()
    }

    /// The session of `client`.
    pub(crate) fn find(&self, client: &str) -> Option<Token> {
        let hash = self.hasher.hash_one(client);
        let named = |id: &Token| self.slots.get(*id).is_some_and(|s| &*s.client == client);
        self.by_name.find(hash, named).copied()
    }

    /// The session of `client`, made by `make` if there is none.
    ///
    /// # Errors
    /// `Err` when the shard holds as many as it may.
    pub(crate) fn find_or_insert(
        &mut self,
        client: &str,
        make: impl FnOnce() -> Session,
    ) -> Result<Token, Full> {
        if let Some(id) = self.find(client) {
            return Ok(id);
        }
        let id = self.slots.insert(make()).map_err(|_| Full)?;
        let (slots, hasher) = (&self.slots, &self.hasher);
        let rehash = |id: &Token| slots.get(*id).map_or(0, |s| hasher.hash_one(&*s.client));
        self.by_name.insert_unique(hasher.hash_one(client), id, rehash);
        Ok(id)
    }

    /// The session in `id`'s slot.
    pub(crate) fn get(&self, id: Token) -> Option<&Session> {
        self.slots.get(id)
    }

    /// The session in `id`'s slot.
    pub(crate) fn get_mut(&mut self, id: Token) -> Option<&mut Session> {
        self.slots.get_mut(id)
    }

    /// All sessions.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (Token, &Session)> {
        self.slots.iter()
    }

    /// All sessions, to be changed.
    pub(crate) fn values_mut(&mut self) -> impl Iterator<Item = &mut Session> {
        self.slots.iter_mut().map(|(_, session)| session)
    }

    /// Forgets a session with its stream.
    pub(crate) fn remove(&mut self, id: Token) -> Option<Session> {
        let session = self.slots.remove(id)?;
        let hash = self.hasher.hash_one(&*session.client);
        if let Ok(entry) = self.by_name.find_entry(hash, |other| *other == id) {
            entry.remove();
        }
        Some(session)
    }
}

/// The shard holds as many sessions as it may.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Full;
