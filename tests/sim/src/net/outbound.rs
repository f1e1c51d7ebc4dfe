//! Connections that shards open, and the agents they lead to.
//!
//! An agent that plays a server says [`listen`] once, with its address and its own place in the world's
//! list. From then on `Op::Connect` to that address leads to it, and each connection begins with an
//! `Agent::input` whose `Taken::opened` is set, before anything else comes on it. The connection has a
//! number like those from [`connect`](super::connect), and the same functions serve it: [`send`](super::send)
//! writes to the shard, [`close`](super::close), [`reset`](super::reset) and [`vanish`](super::vanish) end
//! it, [`slow_down`](super::slow_down) makes its reader slow. What the shard sends comes in
//! `Taken::bytes`, cut and delayed by the weather. `Taken::ended` means that the shard closed its sending
//! half, or all of it; the agent may still send and closes in its turn. A server and a child process at
//! an abstract Unix socket look the same from here.
//!
//! In bad weather (`Weather::connect_failed`) a connect is refused or times out although somebody listens.
//! After [`deafen`] it is refused until somebody listens again.

use weir_ring::token::{Address, Token};

use super::driver::{Job, complete, job};
use super::port::Item;
use super::{Conn, Place, errno};
use crate::fault::Fault;
use crate::options::MS;
use crate::stage::{AgentId, Event, Stage};

/// Connects to `address` lead to `agent` from now on.
pub fn listen(stage: &mut Stage, address: Address, agent: AgentId) {
    stage.net.listening.insert(address, agent);
}

/// Nobody listens on `address` any more; connections already open stay so.
pub fn deafen(stage: &mut Stage, address: &Address) {
    stage.net.listening.remove(address);
}

/// A shard asks for a connection: the answer takes its time.
pub(super) fn connect(stage: &mut Stage, shard: usize, token: Token, to: Address) {
    if !stage.net.ports[shard].connecting.insert((token.index, token.generation)) {
        return super::driver::broken(stage, shard, "Connect while one is under way", token);
    }
    let mut span = 2 * MS;
    if stage.rng.chance(stage.weather.delay) {
        stage.faults.count(Fault::Delay);
        span += stage.weather.delay_max;
    }
    if !stage.rng.chance(stage.weather.connect_failed) {
        return job(stage, shard, Job::Connect { token, to }, span);
    }
    stage.faults.count(Fault::ConnectFailed);
    let errno = stage.rng.pick(&[errno::ECONNREFUSED, errno::ETIMEDOUT]);
    if errno == errno::ETIMEDOUT {
        span += 4_000 * MS;
    }
    job(stage, shard, Job::NotConnected { token, errno }, span);
}

/// The connect comes through, if there is somebody and a free slot.
pub(super) fn decide(stage: &mut Stage, shard: usize, token: Token, to: &Address) {
    let Some(owner) = stage.net.listening.get(to).copied() else {
        return failed(stage, shard, token, errno::ECONNREFUSED);
    };
    let conn = stage.net.conns.len();
    let Some(socket) = stage.net.ports[shard].open(conn) else {
        return failed(stage, shard, token, errno::ENFILE);
    };
    if let Some(sock) = stage.net.ports[shard].sock(socket) {
        sock.token = Some(token);
    }
    let opened = Conn::new(stage, owner, Place::Socket { shard, socket });
    stage.net.conns.push(opened);
    stage.at(stage.now, Event::Opened { conn });
    job(stage, shard, Job::Connected { token, socket }, 2 * MS);
}

pub(super) fn connected(stage: &mut Stage, shard: usize, token: Token, socket: u32) {
    stage.net.ports[shard].connecting.remove(&(token.index, token.generation));
    complete(stage, shard, Item::Connected { token, socket });
}

pub(super) fn failed(stage: &mut Stage, shard: usize, token: Token, errno: i32) {
    stage.net.ports[shard].connecting.remove(&(token.index, token.generation));
    complete(stage, shard, Item::ConnectFailed { token, errno });
}
