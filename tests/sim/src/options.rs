//! What a seed stands for: which faults are on, how strongly, how small the limits are and who takes
//! part ("swarm testing": each run leaves most things out, so that the rest meets in new ways).

use std::time::Duration;

use weir_shard::limits::{
    Auth, Backpressure, Breaker, Config, Control, Delivery, Drain, Durability, Http, Network, Outbox, Rate,
    Sse, Suspicion, Tracing, Turn, WebSocket,
};

use crate::access::Access;
use crate::disaster::{self, Disaster};
use crate::disk::Habits;
use crate::mcp_options::McpOptions;
use crate::rng::Rng;

/// One millisecond of simulated time.
pub const MS: u64 = 1_000_000;

/// How long an MCP request may take at the worst, ns: a server that has to be found out about, introduced
/// to, and that then answers nothing.
pub const MCP_PATIENCE: u64 = 50_000 * MS;

/// Turns of the storm that one client makes alone.
const TURNS_ALONE: u64 = 300;

/// Bytes that one MCP client may have been answered and not sent, at the most.
const UNSENT_BYTES: usize = 8 << 10;

/// Everything a run takes from its seed.
#[derive(Clone, Debug)]
pub struct Options {
    /// What the shards are configured with.
    pub config: Config,
    /// No bound of an outbox or a session can be reached: whatever was accepted must be recovered.
    pub roomy: bool,
    /// Turns of the chaotic phase, all shards together.
    pub turns: u64,
    /// What befalls everybody, by turn of the storm; the next one last.
    pub disasters: Vec<(u64, Disaster)>,
    /// The disk, if streams are kept on it.
    pub disk: Option<Habits>,
    /// At the end the server drains, instead of the clients leaving.
    pub drains: bool,
    /// Network addresses that clients share.
    pub hosts: usize,
    /// The network's and the mesh's habits.
    pub weather: Weather,
    /// The clients' habits.
    pub cast: Cast,
    /// MCP clients and servers.
    pub mcp: McpOptions,
    /// Clients and backends must prove who they are.
    pub access: Option<Access>,
}

/// Strengths of faults; per mille of the occasions, 0 = off.
#[derive(Clone, Debug)]
pub struct Weather {
    /// A write is cut.
    pub cut: u32,
    /// A piece is late.
    pub delay: u32,
    /// Longest lateness, ns.
    pub delay_max: u64,
    /// A send is placed in part.
    pub short_send: u32,
    /// Bytes that fit between a server's send and the client's read: low and high.
    pub window: (u64, u64),
    /// Largest piece a recv reports, bytes.
    pub recv_max: u64,
    /// Accepting fails.
    pub accept_failed: u32,
    /// A connect of a shard is refused or times out.
    pub connect_failed: u32,
    /// A hand-over fails.
    pub hand_over_failed: u32,
    /// The old mode of a socket goes on for a while.
    pub racing_recv: u32,
    /// A close with unread input destroys what is under way.
    pub close_reset: u32,
    /// A turn gets a part of its completions.
    pub partial_batch: u32,
    /// A shard stalls before a turn.
    pub stall: u32,
    /// A stall lasts for seconds.
    pub freeze: u32,
    /// The wall clock jumps between turns.
    pub clock_jump: u32,
    /// A letter waits.
    pub mesh_delay: u32,
    /// Longest wait of a letter, ns.
    pub mesh_delay_max: u64,
    /// Letters that fit in one queue of the mesh.
    pub mesh_room: u32,
    /// The process uses more memory than it may, when the control thread looks.
    pub squeeze: u32,
    /// A shard's turns begin to take long.
    pub overload: u32,
}

/// Who takes part and what they do; weights are per mille of a client's actions.
#[derive(Clone, Debug)]
pub struct Cast {
    /// Clients that hold streams.
    pub receivers: usize,
    /// Backends that publish.
    pub publishers: usize,
    /// JSON-RPC clients.
    pub pingers: usize,
    /// Clients that send garbage.
    pub garblers: usize,
    /// What one more client does; empty: there is none.
    pub script: Vec<u8>,
    /// Size of a crowd that connects at once; 0: none comes.
    pub crowd: usize,
    /// Topics there are.
    pub topics: usize,
    /// Mean time between two actions of a client, ns.
    pub pace: u64,
    /// Largest padding of a message, bytes.
    pub padding: u64,
    /// A client cuts its connection with RST.
    pub reset: u32,
    /// A client closes its connection.
    pub close: u32,
    /// A client vanishes.
    pub half_open: u32,
    /// A client starts to read slowly.
    pub slow: u32,
    /// A reconnecting client makes its cursor up.
    pub forged: u32,
    /// A client takes the other transport when it comes back.
    pub switch: u32,
    /// A client opens a second connection.
    pub double: u32,
    /// A client begins to open and close its transports in turn.
    pub flap: u32,
    /// A client that lost its connection stays away for a while.
    pub away: u32,
    /// A client wants to be seen on a topic.
    pub presence: u32,
    /// A client comes back with its recovery token.
    pub tokens: u32,
    /// A publish has an idempotency key.
    pub keyed: u32,
    /// A client acknowledges what it gets.
    pub acks: u32,
    /// A publish is for the first client.
    pub favourite: u32,
    /// A message to a client names a priority.
    pub lanes: u32,
    /// A message to a client has a time to live.
    pub ttl: u32,
    /// Requests a publisher sends without waiting for answers.
    pub pipeline: usize,
    /// A request of a publisher has several messages.
    pub batches: u32,
}

impl Options {
    /// The run that `seed` stands for.
    pub fn draw(rng: &mut Rng) -> Options {
        let roomy = rng.chance(350);
        let turns = rng.between(5_000, 7_000);
        let drains = rng.chance(400);
        let (mut config, mut weather, mut cast) = (config(rng, roomy), weather(rng), cast(rng));
        let hosts = rng.between(2, 5) as usize;
        config.network = network(rng);
        weather.squeeze = if roomy { 0 } else { strength(rng, 500, 30) };
        let mcp = McpOptions::draw(rng, &mut config);
        let disasters = disaster::draw(rng, turns);
        let disk = rng.chance(600).then(|| Habits::draw(rng));
        config.durability = disk.as_ref().map(|_| durability(rng, roomy));
        config.turn = turn(rng);
        // Without a draw: runs that record nothing are as they were.
        config.tracing = Tracing { on: turns.is_multiple_of(4), rate: 0.5, ..config.tracing };
        cast.batches = strength(rng, 500, 500);
        let access = Access::of(turns, &mut config);
        Options { config, roomy, turns, disasters, disk, drains, hosts, weather, cast, mcp, access }
    }
}

impl Options {
    /// The same limits and weather for one client alone, which does what `script` says. No servers, no disasters.
    pub fn alone(mut self, script: &[u8]) -> Options {
        self.cast = Cast { receivers: 0, publishers: 0, pingers: 0, garblers: 0, crowd: 0, ..self.cast };
        self.cast.script = script.to_vec();
        (self.mcp.seats, self.mcp.clients) = (Vec::new(), 0);
        (self.config.upstreams, self.config.mcp.builtin) = (Vec::new(), true);
        (self.turns, self.disasters) = (TURNS_ALONE, Vec::new());
        (self.access, self.config.auth) = (None, Auth::default());
        self
    }
}

impl Options {
    /// Bytes that may wait on one connection; requests to MCP servers may be longer than what clients may send.
    pub fn queue_bytes_max(&self) -> usize {
        let config = &self.config;
        let upward = if config.upstreams.is_empty() { 0 } else { 2 * config.message_bytes_max };
        config.queue_bytes_max + upward
    }

    /// Bytes that all outboxes of a shard may hold. What an MCP client has not been sent of an answer is kept
    /// beyond the bound.
    pub fn outbox_bytes_max(&self) -> usize {
        self.config.outbox_bytes_total_max + self.mcp.clients * UNSENT_BYTES
    }
}

impl Weather {
    /// After the storm: prompt and whole.
    pub fn calm(&self) -> Weather {
        Weather {
            cut: 0,
            delay: 0,
            short_send: 0,
            accept_failed: 0,
            connect_failed: 0,
            hand_over_failed: 0,
            racing_recv: 0,
            close_reset: 0,
            partial_batch: 0,
            stall: 0,
            clock_jump: 0,
            mesh_delay: 0,
            squeeze: 0,
            overload: 0,
            ..self.clone()
        }
    }
}

/// 0 in `off` of 1,000 seeds, else up to `max`.
pub(crate) fn strength(rng: &mut Rng, off: u32, max: u64) -> u32 {
    if rng.chance(off) { 0 } else { rng.between(1, max) as u32 }
}

fn weather(rng: &mut Rng) -> Weather {
    let narrow = rng.chance(500);
    Weather {
        cut: strength(rng, 300, 500),
        delay: strength(rng, 300, 300),
        delay_max: rng.pick(&[2, 20, 100]) * MS,
        short_send: strength(rng, 500, 200),
        window: if narrow { (256, 4096) } else { (16_384, 262_144) },
        recv_max: rng.pick(&[64, 512, 4096, 16_384]),
        accept_failed: strength(rng, 600, 100),
        hand_over_failed: strength(rng, 500, 300),
        racing_recv: strength(rng, 400, 500),
        close_reset: strength(rng, 400, 1000),
        partial_batch: strength(rng, 500, 500),
        stall: strength(rng, 500, 5),
        freeze: strength(rng, 500, 300),
        clock_jump: strength(rng, 600, 10),
        mesh_delay: strength(rng, 300, 300),
        mesh_delay_max: rng.pick(&[1, 5, 50]) * MS,
        mesh_room: rng.pick(&[8, 16, 32, 256, 1024]),
        connect_failed: strength(rng, 500, 300),
        squeeze: 0,
        overload: u32::from(rng.chance(250)),
    }
}

fn cast(rng: &mut Rng) -> Cast {
    Cast {
        receivers: rng.between(6, 12) as usize,
        publishers: rng.between(2, 4) as usize,
        pingers: rng.between(0, 2) as usize,
        garblers: rng.between(0, 2) as usize,
        script: Vec::new(),
        crowd: if rng.chance(300) { rng.between(40, 200) as usize } else { 0 },
        topics: rng.between(1, 4) as usize,
        pace: rng.pick(&[3, 10, 30]) * MS,
        padding: rng.pick(&[0, 40, 200, 900]),
        reset: strength(rng, 300, 60),
        close: strength(rng, 200, 60),
        half_open: strength(rng, 500, 25),
        slow: strength(rng, 400, 60),
        forged: strength(rng, 600, 200),
        switch: strength(rng, 400, 500),
        double: strength(rng, 600, 50),
        flap: strength(rng, 600, 20),
        away: strength(rng, 400, 500),
        presence: strength(rng, 400, 1000),
        tokens: strength(rng, 400, 900),
        keyed: strength(rng, 300, 1000),
        acks: strength(rng, 400, 500),
        favourite: strength(rng, 400, 900),
        lanes: strength(rng, 400, 1000),
        ttl: strength(rng, 600, 400),
        pipeline: rng.pick(&[1, 2, 8, 32]),
        batches: 0,
    }
}

/// What each network address may do; no less than what all clients behind one need in the calm.
fn network(rng: &mut Rng) -> Network {
    let off = Rate::new(0.0, 1);
    let limited = rng.chance(500);
    let connections = rng.between(60, 100) as u32;
    let (opens, asks) = (rng.chance(600), rng.chance(300));
    Network {
        connections_per_ip_max: if limited { connections } else { 0 },
        handshake_rate: if limited && opens { Rate::new(60.0, 20) } else { off },
        request_rate: if limited && asks { Rate::new(500.0, 100) } else { off },
        exempt_loopback: false,
        ..Network::default()
    }
}

/// What a turn does of what may be much: as much as there is, or so little that there is always some left.
fn turn(rng: &mut Rng) -> Turn {
    let mut few = || if rng.chance(300) { usize::MAX } else { rng.between(1, 3) as usize };
    Turn { deliveries_max: few(), lines_max: few() }
}

fn durability(rng: &mut Rng, roomy: bool) -> Durability {
    let segment_bytes = rng.pick(&[2, 16, 256]) << 10;
    let bytes_max = if roomy { 1 << 30 } else { segment_bytes * rng.between(2, 20) };
    Durability { segment_bytes, bytes_max }
}

/// Breakers that may open, and close again within a phase.
fn control(rng: &mut Rng) -> Control {
    let breaker = Breaker {
        threshold: 0.5,
        timeout: Duration::from_millis(rng.pick(&[50, 500])),
        probes: rng.pick(&[1, 3]),
        minimum: rng.pick(&[5, 30, 1000, 1000]),
        window: Duration::from_millis(rng.pick(&[200, 2000])),
    };
    Control { breaker, ..Control::default() }
}

/// A stop whose batches have one connection, some, or all.
fn drain(rng: &mut Rng) -> Drain {
    let ms = |n: u64| Duration::from_millis(n);
    Drain {
        timeout: ms(3000),
        notification_interval: ms(rng.pick(&[0, 100, 1000])),
        batch: rng.pick(&[1, 1, 3, 1000]),
        batch_interval: ms(rng.pick(&[20, 40])),
    }
}

fn config(rng: &mut Rng, roomy: bool) -> Config {
    let ms = |n: u64| Duration::from_millis(n);
    let mut tight = |per_mille: u32| rng.chance(per_mille);
    let few = !roomy && tight(500);
    let narrow = !roomy && tight(350);
    let brief = !roomy && tight(250);
    let (poor, forgetful) = (!roomy && tight(250), !roomy && tight(250));
    let (limited, small_queue) = (tight(250), tight(500));
    let message_bytes_max = rng.pick(&[1024, 2048, 65_536]);
    Config {
        shards: rng.between(2, 4) as u16,
        listeners: 1,
        connections_max: 128,
        http: Http {
            head_bytes_max: rng.pick(&[1024, 16_384]),
            line_bytes_max: rng.pick(&[512, 8192]),
            head_deadline: ms(rng.pick(&[300, 5000])),
            keep_alive_timeout: ms(rng.pick(&[500, 120_000])),
            body_rate_min: rng.pick(&[0, 1024]),
        },
        websocket: WebSocket {
            frame_bytes_max: rng.pick(&[2048, 65_536]),
            ping_interval: ms(rng.pick(&[300, 2000])),
            pong_timeout: ms(rng.pick(&[300, 1500])),
            park_after: ms(rng.pick(&[10, 200, 5000])),
            join_deadline: ms(rng.pick(&[1000, 60_000])),
            ..Config::default().websocket
        },
        sse: Sse { connections_max: 1000, heartbeat_interval: ms(rng.pick(&[300, 3000])), retry: ms(50) },
        outbox: Outbox {
            messages_max: if few { rng.between(2, 30) as usize } else { 100_000 },
            bytes_max: if narrow { rng.between(1, 8) as usize * 1024 } else { 64 << 20 },
            age_max: if brief { ms(rng.between(50, 600)) } else { Duration::from_secs(3600) },
        },
        message_bytes_max,
        queue_bytes_max: if small_queue { message_bytes_max * 2 + 4096 } else { 1 << 20 },
        outbox_bytes_total_max: if poor { rng.between(8, 64) as usize * 1024 } else { 256 << 20 },
        client_rate: if limited { Rate::new(40.0, 8) } else { Rate::new(0.0, 1) },
        backend_rate: if limited { Rate::new(300.0, 50) } else { Rate::new(0.0, 1) },
        delivery: Delivery {
            ack_timeout: ms(rng.pick(&[50, 50, 300, 1000])),
            retry_max: ms(rng.pick(&[500, 3000])),
            attempts_max: if roomy { u8::MAX } else { rng.pick(&[1, 1, 2, 5]) },
            ..Config::default().delivery
        },
        backpressure: Backpressure {
            slow_down: rng.pick(&[3, 50]),
            critical_only: rng.pick(&[50, 100]),
            lag: ms(rng.pick(&[200, 5000])),
            bundle_interval: ms(rng.pick(&[50, 1000])),
        },
        session_idle_timeout: if forgetful { ms(rng.between(100, 800)) } else { Duration::from_secs(3600) },
        vnodes: 20,
        control: control(rng),
        // Everybody here is odd all the time.
        suspicion: Suspicion { threshold: 0.0, ..Suspicion::default() },
        drain: drain(rng),
        ..Config::default()
    }
}
