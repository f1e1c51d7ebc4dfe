//! MCP servers behind the gateway: four sorts of them, each with its own way to fail.

mod http;
mod mischief;
mod pipe;
mod plan;
mod tools;

use std::collections::{BTreeMap, BTreeSet};

use weir_ring::token::Address;

use crate::client::Phase;
use crate::fault::Fault;
use crate::net::{self, Taken, outbound};
use crate::options::MS;
use crate::rng::Rng;
use crate::stage::{Event, Stage};
use crate::wire::request;
use mischief::Mischief;
use plan::Plan;

/// One replica of an MCP server.
#[derive(Clone, Debug)]
pub struct Seat {
    /// Its place among the upstreams.
    pub upstream: usize,
    /// Where it listens.
    pub address: Address,
    /// Speaks 2026-07-28; else the revisions with `initialize`.
    pub modern: bool,
    /// Answers GET with a stream.
    pub streams: bool,
    /// Tools on one page of its list.
    pub page: usize,
}

impl Seat {
    /// A connection to it is a child's standard input and output.
    fn is_pipe(&self) -> bool {
        matches!(self.address, Address::Local(_))
    }
}

/// A server.
#[derive(Debug)]
pub struct Server {
    /// Place among the agents.
    pub id: usize,
    seat: Seat,
    rng: Rng,
    conns: BTreeMap<usize, Conn>,
    /// By id; those of pipes are named after their connection.
    sessions: BTreeMap<String, Session>,
    /// What it has asked, by session and id.
    questions: BTreeMap<(String, String), Question>,
    /// Streams that news go to.
    watchers: Vec<Watcher>,
    plans: BTreeMap<(u64, u64), Plan>,
    planned: u64,
    named: u64,
    /// Counts changes of its list.
    edition: u64,
    deaf: bool,
}

/// One connection of the gateway.
#[derive(Debug)]
enum Conn {
    Http(request::Reader),
    /// A child: what has come of a line, and the requests that are not answered.
    Pipe {
        line: Vec<u8>,
        open: BTreeSet<u64>,
    },
}

/// What a client of a session can do.
#[derive(Clone, Copy, Debug, Default)]
struct Session {
    elicits: bool,
}

/// Something asked of a client.
#[derive(Debug)]
struct Question {
    /// Where the call's answer goes.
    way: Way,
    /// The call's id, JSON.
    call: serde_json::Value,
    /// Its text.
    text: String,
}

/// Where the messages of one request go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Way {
    conn: usize,
    frame: Frame,
}

/// How they are framed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Frame {
    /// The body of a response.
    Json,
    /// Events; chunked, or until the end of the connection.
    Sse { chunked: bool },
    /// Lines; the number of the request on this pipe.
    Line { order: u64 },
}

/// A stream for news.
#[derive(Debug)]
struct Watcher {
    way: Way,
    /// The id of the `subscriptions/listen`, JSON.
    subscription: Option<serde_json::Value>,
}

impl Server {
    /// A server that has not started.
    pub fn new(id: usize, seat: Seat, rng: Rng) -> Server {
        Server {
            id,
            seat,
            rng,
            conns: BTreeMap::new(),
            sessions: BTreeMap::new(),
            questions: BTreeMap::new(),
            watchers: Vec::new(),
            plans: BTreeMap::new(),
            planned: 0,
            named: 0,
            edition: 0,
            deaf: false,
        }
    }

    /// What was planned for now happens; during the storm, so does an outage or a change now and then.
    pub fn act(&mut self, stage: &mut Stage, phase: Phase) -> Option<u64> {
        while let Some(entry) = self.plans.first_entry()
            && entry.key().0 <= stage.now
        {
            let plan = entry.remove();
            self.carry_out(stage, plan);
        }
        if self.deaf {
            self.deaf = false;
            outbound::listen(stage, self.seat.address.clone(), self.id);
        }
        if phase == Phase::Storm && stage.rng.chance(stage.options.mcp.change) {
            self.change(stage);
        }
        None
    }

    /// Listens, and plans its first outage.
    pub fn start(&mut self, stage: &mut Stage) {
        outbound::listen(stage, self.seat.address.clone(), self.id);
        if stage.options.mcp.outage > 0 {
            let due = stage.soon(stage.options.mcp.outage * MS);
            self.plan_at(stage, due, Plan::Outage);
        }
    }

    /// Something came from the gateway.
    pub fn input(&mut self, stage: &mut Stage, conn: usize, taken: &Taken) {
        if taken.opened {
            let fresh = if self.seat.is_pipe() {
                Conn::Pipe { line: Vec::new(), open: BTreeSet::new() }
            } else {
                Conn::Http(request::Reader::default())
            };
            self.conns.insert(conn, fresh);
        }
        match self.conns.get_mut(&conn) {
            Some(Conn::Http(reader)) => {
                reader.push(&taken.bytes);
                self.read_requests(stage, conn);
            }
            Some(Conn::Pipe { line, .. }) => {
                line.extend_from_slice(&taken.bytes);
                self.read_lines(stage, conn);
            }
            None => {}
        }
        if taken.ended {
            self.hang_up(stage, conn, false);
        }
    }

    /// Closes a connection, or cuts it.
    fn hang_up(&mut self, stage: &mut Stage, conn: usize, cut: bool) {
        if self.conns.remove(&conn).is_none() {
            return;
        }
        let gone = |way: &Way| way.conn == conn;
        self.questions.retain(|_, question| !gone(&question.way));
        self.watchers.retain(|watcher| !gone(&watcher.way));
        self.sessions.remove(&pipe::session_of(conn));
        if cut { net::reset(stage, conn) } else { net::close(stage, conn) }
    }

    fn carry_out(&mut self, stage: &mut Stage, plan: Plan) {
        match plan {
            Plan::Write { way, bytes, last } => {
                if last {
                    self.settle_order(stage, way);
                }
                net::send(stage, way.conn, &bytes);
            }
            Plan::HangUp { conn, cut } => self.hang_up(stage, conn, cut),
            Plan::Outage => self.outage(stage),
            Plan::Back => {}
        }
    }

    /// A request on a pipe is answered; older ones may not be.
    fn settle_order(&mut self, stage: &mut Stage, way: Way) {
        let (Frame::Line { order }, Some(Conn::Pipe { open, .. })) =
            (way.frame, self.conns.get_mut(&way.conn))
        else {
            return;
        };
        if open.first().is_some_and(|first| *first < order) {
            stage.faults.count(Fault::Reordered);
        }
        open.remove(&order);
    }

    /// It goes down with all connections and sessions, and comes back.
    fn outage(&mut self, stage: &mut Stage) {
        if stage.healed {
            return;
        }
        stage.faults.count(Fault::Outage);
        outbound::deafen(stage, &self.seat.address);
        self.deaf = true;
        for conn in self.conns.keys().copied().collect::<Vec<_>>() {
            let cut = self.rng.chance(500);
            self.hang_up(stage, conn, cut);
        }
        self.sessions.clear();
        let back = stage.now + self.rng.between(10, 400) * MS;
        self.plan_at(stage, back, Plan::Back);
        let next = back + self.rng.between(1, 2 * stage.options.mcp.outage) * MS;
        self.plan_at(stage, next, Plan::Outage);
    }

    /// Its list has changed; whoever watches is told.
    fn change(&mut self, stage: &mut Stage) {
        self.edition += 1;
        const NEWS: &str = "notifications/tools/list_changed";
        let watchers: Vec<(Way, String)> = self
            .watchers
            .iter()
            .map(|watcher| {
                let params = watcher.subscription.as_ref().map(tools::subscription);
                (watcher.way, tools::notification(NEWS, params))
            })
            .collect();
        for (way, text) in watchers {
            net::send(stage, way.conn, &plan::event(way.frame, &text));
        }
    }

    fn plan_at(&mut self, stage: &mut Stage, due: u64, plan: Plan) {
        self.planned += 1;
        self.plans.insert((due, self.planned), plan);
        stage.at(due, Event::Timer { agent: self.id });
    }

    /// What goes wrong with the answer to a request, if anything.
    fn mischief(&mut self, stage: &mut Stage, introduces: bool) -> Option<Mischief> {
        if stage.healed || (introduces && !self.rng.chance(200)) {
            return None;
        }
        let found = mischief::draw(&stage.options.mcp, &mut self.rng, self.seat.is_pipe())?;
        if introduces && found.may_be_silent() && !stage.options.mcp.stubborn {
            return None;
        }
        stage.faults.count(found.fault());
        Some(found)
    }
}
