//! Everyone who connects: scripted by the seed, each with its own chance.

pub mod body;
pub mod cursor;
pub mod garbler;
pub mod mcp;
pub mod phoenix;
pub mod pinger;
pub mod publisher;
pub mod receiver;
pub mod roster;
pub mod script;
pub mod sse;

use crate::history::Fact;
use crate::net::Taken;
use crate::server::Server;
use crate::stage::{Event, Stage};

/// One participant.
#[derive(Debug)]
pub enum Agent {
    /// Holds streams.
    Receiver(Box<receiver::Receiver>),
    /// A backend.
    Publisher(Box<publisher::Publisher>),
    /// Asks JSON-RPC pings.
    Pinger(Box<pinger::Pinger>),
    /// Sends garbage, or comes as a crowd.
    Garbler(garbler::Garbler),
    /// Does what it was told.
    Script(script::Script),
    /// Asks MCP servers.
    Mcp(Box<mcp::McpClient>),
    /// Is one.
    Server(Box<Server>),
}

/// What a client's connection heard.
#[derive(Debug, Default)]
pub struct Heard {
    /// What it tells, in order.
    pub facts: Vec<Fact>,
    /// The connection is of no more use: refused, closed, or (a violation is recorded then) broken by the
    /// server.
    pub over: bool,
}

/// Why a connection is of no more use: what the server did wrong, if it did.
type Over = Option<String>;

impl Heard {
    /// After `facts`, reading ended with `outcome`.
    fn new(stage: &mut Stage, conn: usize, facts: Vec<Fact>, outcome: Result<(), Over>) -> Heard {
        if let Err(Some(wrong)) = &outcome {
            stage.history.violation(0, format!("conn {conn}: {wrong}"));
        }
        Heard { facts, over: outcome.is_err() }
    }
}

/// The server has ended a connection.
fn dismissed(stage: &Stage, conn: usize) -> Fact {
    Fact::Dismissed { conn, prompt: stage.net.conns[conn].slow.is_none() }
}

/// Where a run stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Phase {
    /// Everything happens.
    Storm,
    /// No more faults and no more publishes; what is under way comes through.
    Calm,
    /// Every receiver has come back once more with what it holds.
    Resumed,
    /// Everyone has left.
    Empty,
}

impl Agent {
    /// All participants of a run.
    pub fn cast(stage: &mut Stage) -> Vec<Agent> {
        let cast = stage.options.cast.clone();
        let mut agents = Vec::new();
        for number in 0..cast.receivers {
            let rng = stage.rng.fork();
            agents.push(Agent::Receiver(Box::new(receiver::Receiver::new(agents.len(), number, rng, &cast))));
        }
        for _ in 0..cast.publishers {
            let rng = stage.rng.fork();
            agents.push(Agent::Publisher(Box::new(publisher::Publisher::new(agents.len(), rng))));
        }
        for _ in 0..cast.pingers {
            let rng = stage.rng.fork();
            agents.push(Agent::Pinger(Box::new(pinger::Pinger::new(agents.len(), rng))));
        }
        for _ in 0..cast.garblers {
            let rng = stage.rng.fork();
            agents.push(Agent::Garbler(garbler::Garbler::new(agents.len(), rng, 0)));
        }
        if cast.crowd > 0 {
            let rng = stage.rng.fork();
            agents.push(Agent::Garbler(garbler::Garbler::new(agents.len(), rng, cast.crowd)));
        }
        if !cast.script.is_empty() {
            agents.push(Agent::Script(script::Script::new(agents.len(), cast.script)));
        }
        for number in 0..stage.options.mcp.clients {
            let rng = stage.rng.fork();
            agents.push(Agent::Mcp(Box::new(mcp::McpClient::new(agents.len(), number, rng))));
        }
        for seat in stage.options.mcp.seats.clone() {
            let rng = stage.rng.fork();
            let mut server = Server::new(agents.len(), seat, rng);
            server.start(stage);
            agents.push(Agent::Server(Box::new(server)));
        }
        for agent in 0..agents.len() {
            let due = stage.soon(cast.pace);
            stage.at(due, Event::Timer { agent });
        }
        agents
    }

    /// Its appointment is due; it makes the next one itself.
    pub fn timer(&mut self, stage: &mut Stage, phase: Phase) {
        let (id, next) = match self {
            Agent::Receiver(it) => (it.id, it.act(stage, phase)),
            Agent::Publisher(it) => (it.id, it.act(stage, phase)),
            Agent::Pinger(it) => (it.id, it.act(stage, phase)),
            Agent::Garbler(it) => (it.id, it.act(stage, phase)),
            Agent::Script(it) => (it.id, it.act(stage, phase)),
            Agent::Mcp(it) => (it.id, it.act(stage, phase)),
            Agent::Server(it) => (it.id, it.act(stage, phase)),
        };
        if let Some(next) = next {
            stage.at(next, Event::Timer { agent: id });
        }
    }

    /// Something came on one of its connections.
    pub fn input(&mut self, stage: &mut Stage, conn: usize, taken: &Taken) {
        match self {
            Agent::Receiver(it) => it.input(stage, conn, taken),
            Agent::Publisher(it) => it.input(stage, conn, taken),
            Agent::Pinger(it) => it.input(stage, conn, taken),
            Agent::Garbler(it) => it.input(stage, conn, taken),
            Agent::Script(it) => it.input(stage, conn, taken),
            Agent::Mcp(it) => it.input(stage, conn, taken),
            Agent::Server(it) => it.input(stage, conn, taken),
        }
    }

    /// The run goes on to `phase`.
    pub fn enter(&mut self, stage: &mut Stage, phase: Phase) {
        match (self, phase) {
            (Agent::Receiver(it), Phase::Resumed) => it.come_back(stage),
            (Agent::Receiver(it), Phase::Empty) => it.leave(stage),
            (Agent::Publisher(it), Phase::Empty) => it.leave(stage),
            (Agent::Pinger(it), Phase::Empty) => it.leave(stage),
            (Agent::Garbler(it), Phase::Calm) => it.leave(stage),
            (Agent::Script(it), Phase::Calm) => it.leave(stage),
            (Agent::Mcp(it), Phase::Empty) => it.leave(stage),
            _ => {}
        }
    }

    /// The server is about to stop: a last request, which is under way then.
    pub fn last_word(&mut self, stage: &mut Stage) {
        if let Agent::Mcp(it) = self {
            it.last_word(stage);
        }
    }

    /// What it still waits for, if anything.
    pub fn waits_for(&self) -> Option<String> {
        match self {
            Agent::Receiver(it) => it.waits_for(),
            Agent::Publisher(it) => it.waits_for(),
            Agent::Pinger(it) => it.waits_for(),
            Agent::Mcp(it) => it.waits_for(),
            Agent::Garbler(_) | Agent::Script(_) | Agent::Server(_) => None,
        }
    }
}

/// The next appointment of an agent that acts at the run's pace.
pub fn pace(stage: &mut Stage) -> Option<u64> {
    let pace = stage.options.cast.pace;
    Some(stage.now + stage.rng.between(1, 2 * pace))
}
