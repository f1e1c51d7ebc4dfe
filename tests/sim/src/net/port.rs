//! What one shard sees of the network: its sockets, its listeners, and the completions that wait for it.

use std::collections::{BTreeSet, VecDeque};
use std::net::IpAddr;

use weir_ring::op::{Completion, Completions, Errno, RecvMode};
use weir_ring::token::{Listener, Socket, Token, Transfer};

use crate::rng::Rng;
use crate::text::Text;

/// A completion that owns its bytes.
#[derive(Debug)]
pub enum Item {
    /// As [`Completion::Accepted`].
    Accepted { listener: u8, socket: u32, peer: IpAddr },
    /// As [`Completion::AcceptFailed`].
    AcceptFailed { listener: u8, errno: i32 },
    /// As [`Completion::Connected`].
    Connected { token: Token, socket: u32 },
    /// As [`Completion::ConnectFailed`].
    ConnectFailed { token: Token, errno: i32 },
    /// As [`Completion::Received`].
    Received { token: Token, bytes: Text<Vec<u8>> },
    /// As [`Completion::Readable`].
    Readable { token: Token },
    /// As [`Completion::Ended`].
    Ended { token: Token, errno: Option<i32> },
    /// As [`Completion::Unsent`].
    Unsent { token: Token, tail: Text<Vec<u8>>, errno: Option<i32> },
    /// As [`Completion::Drained`].
    Drained { token: Token, errno: Option<i32> },
    /// As [`Completion::Closed`].
    Closed { token: Token },
    /// As [`Completion::HandedOver`].
    HandedOver { token: Token, errno: Option<i32> },
    /// As [`Completion::Appended`].
    Appended { bytes: Text<Vec<u8>>, errno: Option<i32> },
    /// As [`Completion::Arrived`].
    Arrived { transfer: Transfer, socket: u32 },
}

/// A `Drain` under way.
#[derive(Debug)]
pub struct Drain {
    /// In whose name.
    pub token: Token,
    /// All of it.
    pub bytes: Vec<u8>,
    /// How much the pipe took.
    pub placed: usize,
}

/// A socket in a shard's table.
#[derive(Debug)]
pub struct Sock {
    /// Its connection.
    pub conn: usize,
    /// Name given by `Connect` or the first `Recv`; `None` before.
    pub token: Option<Token>,
    /// How input is reported now.
    pub mode: RecvMode,
    /// The mode that was asked for and has not taken effect.
    pub next: Option<RecvMode>,
    /// Turn of the last `Send` or `Drain`.
    pub sent_in: u64,
    /// A `Send` came back as `Unsent` and no `Drain` is done since.
    pub unsent: bool,
    /// `Drain` under way.
    pub drain: Option<Drain>,
    /// `Shutdown` was asked for.
    pub shut: bool,
    /// `Close` was asked for.
    pub closing: bool,
    /// `HandOver` was asked for.
    pub moving: bool,
    /// Distinguishes the lives of a table's slot.
    pub life: u32,
}

/// A listening socket of one shard.
#[derive(Debug, Default)]
pub struct Accepting {
    /// The shard asked for connections.
    pub armed: bool,
    /// Connections nobody has accepted.
    pub backlog: VecDeque<usize>,
}

/// One shard's side of the network.
#[derive(Debug)]
pub struct Port {
    /// Sockets by number.
    pub table: Vec<Option<Sock>>,
    free: Vec<u32>,
    lives: u32,
    /// By number.
    pub listeners: Vec<Accepting>,
    /// Tokens (index, generation) whose `Connect` is not answered.
    pub connecting: BTreeSet<(u32, u32)>,
    /// Completions that wait, oldest first.
    pub queue: VecDeque<Item>,
    /// Turns taken.
    pub turns: u64,
}

impl Port {
    /// An empty table of `slots` sockets.
    pub fn new(slots: u32) -> Port {
        Port {
            table: (0..slots).map(|_| None).collect(),
            free: (0..slots).rev().collect(),
            lives: 0,
            listeners: Vec::new(),
            connecting: BTreeSet::new(),
            queue: VecDeque::new(),
            turns: 0,
        }
    }

    /// Everything but the counters is as for a new process.
    pub fn restart(&mut self) {
        let fresh = Port::new(self.table.len() as u32);
        *self = Port { lives: self.lives, turns: self.turns, ..fresh };
    }

    /// The listener of that number.
    pub fn listener(&mut self, number: usize) -> &mut Accepting {
        if self.listeners.len() <= number {
            self.listeners.resize_with(number + 1, Accepting::default);
        }
        &mut self.listeners[number]
    }

    /// A slot for `conn`; the one that was freed last comes first, so that names are reused at once.
    pub fn open(&mut self, conn: usize) -> Option<u32> {
        let socket = self.free.pop()?;
        self.lives += 1;
        self.table[socket as usize] = Some(Sock {
            conn,
            token: None,
            mode: RecvMode::Off,
            next: None,
            sent_in: u64::MAX,
            unsent: false,
            drain: None,
            shut: false,
            closing: false,
            moving: false,
            life: self.lives,
        });
        Some(socket)
    }

    /// Gives the slot back.
    pub fn release(&mut self, socket: u32) {
        self.table[socket as usize] = None;
        self.free.push(socket);
    }

    /// The socket of that number, if it is open.
    pub fn sock(&mut self, socket: u32) -> Option<&mut Sock> {
        self.table.get_mut(socket as usize)?.as_mut()
    }

    /// Open sockets.
    pub fn open_count(&self) -> usize {
        self.table.len() - self.free.len()
    }

    /// What the next turn gets. A part leaves the later ones for another turn; only what the sends of
    /// the last turn left over always comes with the next.
    pub fn batch(&mut self, part: bool, rng: &mut Rng) -> Batch {
        let mut items = std::mem::take(&mut self.queue);
        if part && items.len() > 1 {
            let taken = rng.between(1, items.len() as u64 - 1) as usize;
            let (unsent, later) =
                items.drain(taken..).partition::<VecDeque<_>, _>(|item| matches!(item, Item::Unsent { .. }));
            self.queue = later;
            items.extend(unsent);
        }
        Batch { items, lent: None }
    }
}

/// The completions of one turn.
#[derive(Debug)]
pub struct Batch {
    items: VecDeque<Item>,
    lent: Option<Item>,
}

impl Batch {
    /// What is left, in order.
    pub fn items(&self) -> impl Iterator<Item = &Item> {
        self.items.iter()
    }

    /// How many the turn has not taken.
    pub fn left(&self) -> usize {
        self.items.len()
    }
}

impl Completions for Batch {
    fn next(&mut self) -> Option<Completion<'_>> {
        self.lent = self.items.pop_front();
        Some(match self.lent.as_mut()? {
            Item::Accepted { listener, socket, peer } => Completion::Accepted {
                listener: Listener(*listener),
                socket: Socket(*socket),
                peer: Some(*peer),
            },
            Item::AcceptFailed { listener, errno } => {
                Completion::AcceptFailed { listener: Listener(*listener), errno: Errno(*errno) }
            }
            Item::Connected { token, socket } => {
                Completion::Connected { token: *token, socket: Socket(*socket) }
            }
            Item::ConnectFailed { token, errno } => {
                Completion::ConnectFailed { token: *token, errno: Errno(*errno) }
            }
            Item::Received { token, bytes } => Completion::Received { token: *token, bytes: &mut bytes.0 },
            Item::Readable { token } => Completion::Readable { token: *token },
            Item::Ended { token, errno } => Completion::Ended { token: *token, errno: errno.map(Errno) },
            Item::Unsent { token, tail, errno } => {
                Completion::Unsent { token: *token, tail, errno: errno.map(Errno) }
            }
            Item::Drained { token, errno } => Completion::Drained { token: *token, errno: errno.map(Errno) },
            Item::Closed { token } => Completion::Closed { token: *token },
            Item::HandedOver { token, errno } => {
                Completion::HandedOver { token: *token, errno: errno.map(Errno) }
            }
            Item::Appended { bytes, errno } => {
                Completion::Appended { bytes: std::mem::take(&mut bytes.0), errno: errno.map(Errno) }
            }
            Item::Arrived { transfer, socket } => {
                Completion::Arrived { transfer: *transfer, socket: Socket(*socket) }
            }
        })
    }
}
