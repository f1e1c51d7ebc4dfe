//! MCP clients: with a session over POSTs or a WebSocket, or without one.

mod ask;
mod hear;
mod ledger;
mod link;

use std::collections::{BTreeMap, VecDeque};
use std::rc::Rc;

use serde_json::{Value, json};

use super::{Phase, pace};
use crate::fault::Fault;
use crate::mcp::Kind;
use crate::mcp_options::McpOptions;
use crate::net::{self, Taken};
use crate::options::{Cast, MS};
use crate::rng::Rng;
use crate::stage::Stage;
use ledger::Ledger;
use link::{Exchange, Link};

/// How far a client with a session is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Standing {
    /// Nothing is said.
    Unknown,
    /// `initialize` is under way.
    Asked,
    /// It may ask anything.
    Known,
}

/// An MCP client.
#[derive(Debug)]
pub struct McpClient {
    /// Place among the agents.
    pub id: usize,
    number: usize,
    rng: Rng,
    /// Talks over a WebSocket; else over POSTs.
    socket: bool,
    /// Speaks 2026-07-28, without sessions.
    modern: bool,
    version: &'static str,
    /// Can be asked for input.
    elicits: bool,
    standing: Standing,
    /// `Mcp-Session-Id`.
    session: Option<String>,
    links: BTreeMap<usize, Link>,
    links_max: usize,
    ledger: Ledger,
    /// Notifications and responses that wait for a connection.
    outbox: VecDeque<String>,
    /// Retries that wait for a connection.
    retries: VecDeque<(Rc<str>, Value)>,
    /// Tools by the names of the last list.
    tools: Vec<String>,
    /// The names of the list that is being read, and its pages so far.
    walk: Option<(Vec<String>, u32)>,
    replies: u64,
    /// Faults are over: how often it may still ask for an echo.
    tries: u32,
}

/// How often a client does something after the storm, ns: a server that was left alone has time to be tried again.
const LEISURE: u64 = 100 * MS;

/// Requests that a WebSocket may have under way.
const OPEN_MAX: usize = 12;

impl McpClient {
    /// A client that is not connected.
    pub fn new(id: usize, number: usize, mut rng: Rng) -> McpClient {
        McpClient {
            id,
            number,
            socket: rng.chance(300),
            modern: rng.chance(450),
            version: rng.pick(&["2025-03-26", "2025-06-18", "2025-11-25"]),
            elicits: rng.chance(750),
            standing: Standing::Unknown,
            session: None,
            links: BTreeMap::new(),
            links_max: rng.between(1, 5) as usize,
            ledger: Ledger::new(number),
            outbox: VecDeque::new(),
            retries: VecDeque::new(),
            tools: Vec::new(),
            walk: None,
            replies: 0,
            tries: 60,
            rng,
        }
    }

    /// As tokens have it.
    fn name(&self) -> String {
        format!("m{}", self.number)
    }

    /// What it waits for.
    pub fn waits_for(&self) -> Option<String> {
        self.ledger.waits_for()
    }

    /// Goes; half of those with a session say so.
    pub fn leave(&mut self, stage: &mut Stage) {
        if self.session.is_some() && self.rng.chance(500) {
            self.farewell(stage);
        }
        for conn in self.links.keys().copied().collect::<Vec<_>>() {
            self.drop_link(stage, conn);
            net::close(stage, conn);
        }
    }

    /// Asks once more, if it may.
    pub fn last_word(&mut self, stage: &mut Stage) {
        if self.is_introduced() {
            self.request(stage);
        }
    }

    /// Does one thing; the time of the next.
    pub fn act(&mut self, stage: &mut Stage, phase: Phase) -> Option<u64> {
        if phase == Phase::Empty {
            return None;
        }
        self.flush(stage);
        if phase == Phase::Storm {
            (0..self.rng.between(1, 3)).for_each(|_| self.play(stage));
            return pace(stage);
        }
        if phase == Phase::Resumed && self.tries > 0 {
            self.try_again(stage);
        }
        Some(stage.now + LEISURE)
    }

    /// One thing of the storm.
    fn play(&mut self, stage: &mut Stage) {
        let Cast { reset, half_open, slow, .. } = stage.options.cast;
        let McpOptions { cancel, farewell, .. } = stage.options.mcp;
        if self.rng.chance(reset / 4) {
            return self.cut(stage, net::reset);
        }
        if self.rng.chance(half_open / 4) {
            return self.cut(stage, net::vanish);
        }
        if !self.socket && self.rng.chance(cancel / 4) {
            return self.cut(stage, net::close);
        }
        if self.rng.chance(slow / 8)
            && let Some(conn) = self.any_link()
        {
            net::slow_down(stage, conn);
        }
        if self.rng.chance(farewell) {
            if self.socket {
                return self.cut(stage, net::close);
            } else if self.session.is_some() {
                return self.farewell(stage);
            }
        }
        if self.rng.chance(cancel) {
            return self.cancel(stage);
        }
        if !self.is_introduced() {
            return self.introduce(stage);
        }
        if self.session.is_some() && self.rng.chance(100) {
            return self.listen(stage);
        }
        self.request(stage);
    }

    /// It may ask for anything.
    fn is_introduced(&self) -> bool {
        if self.modern { !self.socket || !self.links.is_empty() } else { self.standing == Standing::Known }
    }

    /// Faults are over: everything works again.
    fn try_again(&mut self, stage: &mut Stage) {
        if self.ledger.len() > 0 {
            return;
        }
        self.tries -= 1;
        if !self.is_introduced() {
            return self.introduce(stage);
        }
        let echoes: Vec<&String> = self.tools.iter().filter(|name| name.ends_with("echo")).collect();
        match echoes.len() {
            0 => self.list(stage, json!({})),
            len => {
                let name = echoes[self.rng.index(len)].clone();
                self.call(stage, name);
            }
        }
    }

    fn any_link(&mut self) -> Option<usize> {
        let at = self.rng.index(self.links.len());
        self.links.keys().nth(at).copied()
    }

    /// Leaves a connection in the middle of things.
    fn cut(&mut self, stage: &mut Stage, leave: fn(&mut Stage, usize)) {
        let Some(conn) = self.any_link() else { return };
        if matches!(self.links[&conn].exchange(), Some(Exchange::Ask(_))) {
            stage.faults.count(Fault::Abandoned);
        }
        self.drop_link(stage, conn);
        leave(stage, conn);
    }

    /// Forgets a connection that the client, or the network, has cut.
    fn drop_link(&mut self, stage: &mut Stage, conn: usize) {
        match self.links.remove(&conn) {
            Some(Link::Socket(_)) => {
                self.ledger.cut(stage, conn);
                (self.standing, self.walk) = (Standing::Unknown, None);
                self.outbox.clear();
            }
            Some(Link::Http(http)) => {
                if let Some(Exchange::Ask(id)) = http.busy {
                    self.lost(stage, conn, &id, true);
                }
            }
            None => {}
        }
    }

    /// No answer will come.
    fn lost(&mut self, stage: &mut Stage, conn: usize, id: &Rc<str>, pardoned: bool) {
        let kind = self.ledger.get(id).map(|open| open.kind);
        if self.ledger.over(stage, conn, id, pardoned) {
            self.failed(kind);
        }
    }

    /// A request came to nothing.
    fn failed(&mut self, kind: Option<Kind>) {
        match kind {
            Some(Kind::Introduce) if self.standing == Standing::Asked => self.standing = Standing::Unknown,
            Some(Kind::List) => self.walk = None,
            _ => {}
        }
    }

    /// Its session is no more.
    fn session_lost(&mut self) {
        (self.session, self.standing, self.walk) = (None, Standing::Unknown, None);
        self.outbox.clear();
    }

    /// Something came on one of its connections.
    pub fn input(&mut self, stage: &mut Stage, conn: usize, taken: &Taken) {
        let Some(mut link) = self.links.remove(&conn) else { return };
        let heard = link.read(stage, conn, taken);
        self.links.insert(conn, link);
        for heard in heard {
            // After a close nothing counts.
            if self.links.contains_key(&conn) {
                self.hear(stage, conn, heard);
            }
        }
        self.flush(stage);
    }

    /// Sends what waits, as far as there are connections.
    fn flush(&mut self, stage: &mut Stage) {
        while let Some(text) = self.outbox.pop_front() {
            if !self.post(stage, &text, None, &json!({})) {
                return self.outbox.push_front(text);
            }
        }
        while let Some((text, params)) = self.retries.pop_front() {
            if !self.ask(stage, Kind::Ask, &text, params.clone()) {
                return self.retries.push_front((text, params));
            }
        }
    }
}
