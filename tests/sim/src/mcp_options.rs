//! What a seed has of MCP: which servers there are, what they do wrong, and who asks them.

use std::time::Duration;

use weir_ring::token::Address;
use weir_shard::limits::{Breaker, Config, Mcp, Pool, Prefix, Target, TargetKind, Upstream};

use crate::options::strength;
use crate::rng::Rng;
use crate::server::Seat;

/// More than all clients of a run need at once.
const AMPLE: u32 = 30;

/// The part of the options that is about MCP; rates are per mille.
#[derive(Clone, Debug)]
pub struct McpOptions {
    /// All replicas of all upstreams.
    pub seats: Vec<Seat>,
    /// MCP clients.
    pub clients: usize,
    /// A server does something wrong with an answer.
    pub mischief: u32,
    /// The kinds of it that are on, a bit each.
    pub kinds: u32,
    /// Servers may be silent from the start: the gateway waits long for one that may have to be built first.
    pub stubborn: bool,
    /// Mean time between two outages of a server, ms; 0: none.
    pub outage: u64,
    /// A server changes its list, at each of its actions.
    pub change: u32,
    /// A client cancels a request instead of asking another.
    pub cancel: u32,
    /// A client gives its session up.
    pub farewell: u32,
    /// A client sends what its server never said: a cursor, a state, a name.
    pub forged: u32,
}

impl McpOptions {
    /// No bound of sessions, calls or connections to servers can be reached, nor a client's rate.
    pub fn is_ample(&self, config: &Config) -> bool {
        let mcp = &config.mcp;
        let roomy = |upstream: &Upstream| upstream.pool.size >= AMPLE && upstream.pool.queue >= AMPLE;
        let total = config.control.pool_total;
        mcp.sessions_max.min(mcp.calls_max) >= 10 * AMPLE
            && (total == 0 || total >= 4 * AMPLE)
            && config.upstreams.iter().all(roomy)
            && config.client_rate.per_second == 0.0
            && !self.stubborn
    }

    /// Draws servers and clients; `config` learns of the servers.
    pub fn draw(rng: &mut Rng, config: &mut Config) -> McpOptions {
        let upstreams = rng.below(5) as usize;
        let seats: Vec<Vec<Seat>> = (0..upstreams).map(|upstream| seats(rng, upstream)).collect();
        config.upstreams = seats.iter().map(|replicas| upstream(rng, replicas)).collect();
        config.mcp = Mcp {
            prefix: rng.pick(&[Prefix::Never, Prefix::OnConflict, Prefix::Always]),
            builtin: upstreams == 0 || rng.chance(300),
            sessions_max: rng.pick(&[4, 1000]),
            session_idle_timeout: Duration::from_millis(rng.pick(&[300, 1500, 3000])),
            calls_max: rng.pick(&[8, 1000, 1000, 1000]),
        };
        config.control.pool_total = rng.pick(&[0, 0, 4, 4 * AMPLE]);
        config.secret = std::array::from_fn(|_| rng.draw() as u8);
        McpOptions {
            seats: seats.into_iter().flatten().collect(),
            clients: rng.between(2, 6) as usize,
            mischief: strength(rng, 250, 250),
            kinds: rng.draw() as u32,
            stubborn: rng.chance(120),
            outage: if rng.chance(500) { 0 } else { rng.pick(&[300, 1000, 3000]) },
            change: strength(rng, 300, 20),
            cancel: strength(rng, 300, 150),
            farewell: strength(rng, 500, 40),
            forged: strength(rng, 500, 60),
        }
    }
}

/// The replicas of one upstream.
fn seats(rng: &mut Rng, upstream: usize) -> Vec<Seat> {
    let (modern, pipe) = (rng.chance(500), rng.chance(450));
    let (streams, page) = (rng.chance(600), rng.between(1, 6) as usize);
    let seat = |address| Seat { upstream, address, modern, streams, page };
    if pipe {
        return vec![seat(Address::Local(format!("child-{upstream}").into()))];
    }
    let replicas = rng.between(1, 3);
    let address = |replica| Address::Tcp(([10, 0, upstream as u8, replica as u8], 80).into());
    (0..replicas).map(|replica| seat(address(replica))).collect()
}

/// The gateway's view of them.
fn upstream(rng: &mut Rng, replicas: &[Seat]) -> Upstream {
    let ms = Duration::from_millis;
    let target = |seat: &Seat| Target {
        address: seat.address.clone(),
        kind: match seat.address {
            Address::Tcp(address) => {
                TargetKind::Http { host: address.to_string().into(), path: "/mcp".into(), tls: None }
            }
            Address::Local(_) => TargetKind::Child,
        },
        weight: 1,
    };
    let (ample, number) = (rng.chance(500), replicas.first().map_or(0, |seat| seat.upstream));
    Upstream {
        name: format!("u{number}").into(),
        targets: replicas.iter().map(target).collect(),
        share: rng.chance(150),
        pool: Pool {
            size: if ample { AMPLE } else { rng.pick(&[1, 2, 8]) },
            overflow: rng.pick(&[0, 1, 4]),
            checkout_timeout: ms(rng.pick(&[50, 300])),
            idle_timeout: ms(rng.pick(&[100, 2000])),
            queue: if ample { 100 } else { rng.pick(&[1, 100]) },
        },
        weight: rng.pick(&[1, 3]),
        timeout: ms(rng.pick(&[100, 400])),
        timeout_max: ms(rng.pick(&[300, 1000])),
        failover_threshold: rng.pick(&[1, 3]),
        health_check_interval: ms(rng.pick(&[50, 500])),
        breaker: Breaker {
            threshold: 0.5,
            timeout: ms(rng.pick(&[50, 500])),
            probes: rng.pick(&[1, 3]),
            minimum: rng.pick(&[3, 10]),
            window: ms(rng.pick(&[200, 2000])),
        },
        headers: Vec::new(),
        credential: None,
    }
}
