//! The simulated network: connections of two pipes, the shards' socket tables, and the agents' end.
//! `port` is what a shard sees of it, `driver` does what a shard asks, `outbound` is where its own
//! connections lead.

pub mod driver;
pub mod outbound;
pub mod port;

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use weir_ring::token::{Address, Transfer};

use crate::disk::Disk;
use crate::fault::Fault;
use crate::pipe::{End, Pipe};
use crate::stage::{AgentId, Event, Stage};
use port::Port;

/// errno(3) as Linux numbers them.
pub mod errno {
    /// Too many open files in the system; here: the socket table is full.
    pub const ENFILE: i32 = 23;
    /// Too many open files.
    pub const EMFILE: i32 = 24;
    /// The peer is gone.
    pub const EPIPE: i32 = 32;
    /// The peer sent RST.
    pub const ECONNRESET: i32 = 104;
    /// The peer answered nothing for too long.
    pub const ETIMEDOUT: i32 = 110;
    /// The disk failed.
    pub const EIO: i32 = 5;
    /// The disk is full.
    pub const ENOSPC: i32 = 28;
    /// Nobody listens there.
    pub const ECONNREFUSED: i32 = 111;
    /// Asked for.
    pub const ECANCELED: i32 = 125;
}

/// Where a connection is on the server's side.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// In a listener's backlog.
    Backlog,
    /// A socket of a shard.
    Socket { shard: usize, socket: u32 },
    /// In the hands of a process that is being succeeded.
    Landed,
    /// On its way to the process that succeeds.
    Between,
    /// Closed.
    Gone,
}

/// The agent's end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Client {
    /// Reads and writes.
    Open,
    /// Closed both directions.
    Closed,
    /// Neither reads nor writes, and nobody knows.
    Vanished,
}

/// One connection.
#[derive(Debug)]
pub struct Conn {
    /// Whose it is.
    pub owner: AgentId,
    /// From the agent to the shard.
    pub up: Pipe,
    /// From the shard to the agent.
    pub down: Pipe,
    /// The shard's side.
    pub place: Place,
    /// The agent's side.
    pub client: Client,
    /// A shard opened it.
    pub outbound: bool,
    /// When the shard began to close it, and whether something waited then that it had not read.
    pub closed: Option<(u64, bool)>,
    /// Reads at most so many bytes at a time, so often (ns).
    pub slow: Option<(usize, u64)>,
    /// The end of `down` was told to the agent.
    told: bool,
}

impl Conn {
    /// A connection of which nothing has been read or written, with a window of the weather's.
    fn new(stage: &mut Stage, owner: AgentId, place: Place) -> Conn {
        let (low, high) = stage.weather.window;
        let window = stage.rng.between(low, high) as usize;
        Conn {
            owner,
            up: Pipe::new(usize::MAX),
            down: Pipe::new(window),
            place,
            client: Client::Open,
            outbound: place != Place::Backlog,
            closed: None,
            slow: None,
            told: false,
        }
    }
}

/// All connections and sockets.
#[derive(Debug)]
pub struct Net {
    /// In the order they were opened; never reused.
    pub conns: Vec<Conn>,
    /// One per shard.
    pub ports: Vec<Port>,
    jobs: Vec<driver::Job>,
    /// Jobs before this one are of a process that is no more.
    jobs_void: usize,
    /// Until then nobody accepts connections, ns.
    down_until: u64,
    /// Connections that have left their shards for another process, by the hand-over.
    pub landed: Vec<(Transfer, usize)>,
    /// The logs of all shards.
    pub disk: Disk,
    /// Who listens where.
    listening: BTreeMap<Address, AgentId>,
}

/// What an agent found at its end.
#[derive(Debug, Default)]
pub struct Taken {
    /// A shard has just opened this connection; see [`outbound`].
    pub opened: bool,
    /// What arrived.
    pub bytes: Vec<u8>,
    /// No more will come.
    pub ended: bool,
}

impl Net {
    /// No connections; `shards` tables of `slots` sockets.
    pub fn new(shards: usize, slots: u32) -> Net {
        Net {
            conns: Vec::new(),
            ports: (0..shards).map(|_| Port::new(slots)).collect(),
            jobs: Vec::new(),
            jobs_void: 0,
            down_until: 0,
            landed: Vec::new(),
            disk: Disk::default(),
            listening: BTreeMap::new(),
        }
    }
}

impl Net {
    /// The process of all shards is gone with all that was under way; the next accepts from `back` on.
    pub fn restart(&mut self, back: u64) {
        self.ports.iter_mut().for_each(Port::restart);
        (self.jobs_void, self.down_until) = (self.jobs.len(), back);
        self.landed.clear();
    }

    /// Open sockets of a shard that came from its listeners, or from another shard's.
    pub fn accepted(&self, shard: usize) -> usize {
        let socks = self.ports[shard].table.iter().flatten();
        socks.filter(|sock| !self.conns[sock.conn].outbound).count()
    }
}

/// Lets a network event happen; what an agent found, if the event is one of its connections'.
pub fn happen(stage: &mut Stage, event: Event) -> Option<(usize, Taken)> {
    match event {
        Event::ArriveUp { conn } => driver::arrived(stage, conn),
        Event::ArriveDown { conn } | Event::Read { conn } => {
            let taken = take(stage, conn);
            return (!taken.bytes.is_empty() || taken.ended).then_some((conn, taken));
        }
        Event::Opened { conn } => return Some((conn, Taken { opened: true, ..Taken::default() })),
        Event::Settle { shard, socket, life } => driver::settle(stage, shard, socket, life),
        Event::Finish { shard, job } => driver::finish(stage, shard, job),
        Event::Accept { shard } => driver::accept_some(stage, shard),
        Event::TimeOut { conn } => leave(stage, conn, End::Broken(errno::ETIMEDOUT)),
        Event::Turn { .. } | Event::Timer { .. } | Event::Carry { .. } | Event::Control | Event::Next => {}
    }
    None
}

/// The network address of an agent. Several share one; of IPv6 they have one network of 64 bits.
pub fn address(agent: AgentId, hosts: usize) -> IpAddr {
    let host = agent % hosts.max(1);
    match host % 2 {
        0 => Ipv4Addr::new(192, 0, 2, host as u8).into(),
        _ => Ipv6Addr::new(0x2001, 0xdb8, 0, host as u16, 0, 0, 0, agent as u16).into(),
    }
}

/// Opens a connection to a shard and listener that the kernel picks.
pub fn connect(stage: &mut Stage, owner: AgentId) -> usize {
    let conn = stage.net.conns.len();
    let opened = Conn::new(stage, owner, Place::Backlog);
    stage.net.conns.push(opened);
    if stage.now < stage.net.down_until {
        let refused = &mut stage.net.conns[conn];
        refused.place = Place::Gone;
        let due = refused.down.finish(End::Broken(errno::ECONNREFUSED), stage.now);
        stage.at(due, Event::ArriveDown { conn });
        return conn;
    }
    let shard = stage.rng.index(stage.net.ports.len());
    let listener = stage.rng.index(usize::from(stage.options.config.listeners));
    stage.net.ports[shard].listener(listener).backlog.push_back(conn);
    let due = stage.soon(100_000);
    stage.at(due, Event::Accept { shard });
    conn
}

/// The client writes.
pub fn send(stage: &mut Stage, conn: usize, bytes: &[u8]) {
    let Stage { net, weather, rng, faults, now, .. } = stage;
    if net.conns[conn].client != Client::Open {
        return;
    }
    let mut due = Vec::new();
    net.conns[conn].up.write(bytes, *now, weather, (rng, faults), |at| due.push(at));
    for at in due {
        stage.at(at, Event::ArriveUp { conn });
    }
}

/// The client closes both directions in order (FIN).
pub fn close(stage: &mut Stage, conn: usize) {
    leave(stage, conn, End::Orderly);
}

/// The client closes with RST.
pub fn reset(stage: &mut Stage, conn: usize) {
    stage.faults.count(Fault::Reset);
    leave(stage, conn, End::Broken(errno::ECONNRESET));
}

/// The client is gone and nobody knows; the kernel gives up on it in a few seconds.
pub fn vanish(stage: &mut Stage, conn: usize) {
    stage.faults.count(Fault::HalfOpen);
    stage.net.conns[conn].client = Client::Vanished;
    let due = stage.now + stage.rng.between(200, 4_000) * crate::options::MS;
    stage.at(due, Event::TimeOut { conn });
}

/// The network breaks the connection; both ends learn of it.
pub fn snap(stage: &mut Stage, conn: usize) {
    let now = stage.now;
    let it = &mut stage.net.conns[conn];
    let up = it.up.finish(End::Broken(errno::ECONNRESET), now);
    let down = it.down.finish(End::Broken(errno::ECONNRESET), now);
    stage.at(up, Event::ArriveUp { conn });
    stage.at(down, Event::ArriveDown { conn });
}

fn leave(stage: &mut Stage, conn: usize, end: End) {
    let now = stage.now;
    let it = &mut stage.net.conns[conn];
    if it.client == Client::Closed {
        return;
    }
    it.client = Client::Closed;
    it.told = true;
    let due = it.up.finish(end, now);
    it.down.finish(End::Broken(errno::EPIPE), now);
    stage.at(due, Event::ArriveUp { conn });
}

/// The client reads what has arrived, at its own speed.
fn take(stage: &mut Stage, conn: usize) -> Taken {
    let now = stage.now;
    let healed = stage.healed;
    let it = &mut stage.net.conns[conn];
    if it.client != Client::Open || it.told {
        return Taken::default();
    }
    it.down.settle(now);
    let slow = it.slow.filter(|_| !healed);
    let bytes = it.down.read(slow.map_or(usize::MAX, |(bytes, _)| bytes));
    let left = it.down.ready() > 0;
    let ended = it.down.ended(now).is_some();
    it.told = ended;
    if let Some((_, pause)) = slow
        && left
    {
        stage.at(now + pause, Event::Read { conn });
    }
    if !bytes.is_empty() {
        driver::drained_some(stage, conn);
    }
    Taken { opened: false, bytes, ended }
}

/// The connection has ended otherwise than by the server's orderly close after it had read what was sent to
/// it at `sent`.
pub fn was_cut(stage: &Stage, conn: usize, sent: u64) -> bool {
    let it = &stage.net.conns[conn];
    let crossed = it.closed.is_some_and(|(at, unread)| unread || sent >= at);
    crossed || matches!(it.down.ended(stage.now), Some(End::Broken(_)))
}

/// From now on the client reads a little at a time.
pub fn slow_down(stage: &mut Stage, conn: usize) {
    stage.faults.count(Fault::SlowReader);
    let bytes = stage.rng.between(1, 200) as usize;
    let pause = stage.rng.between(1, 20) * crate::options::MS;
    stage.net.conns[conn].slow = Some((bytes, pause));
}
