//! Invariants 18 and 20: every MCP request gets exactly one answer, its own, where it was asked; and a tool
//! call is run at most once.

use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;

use super::{Found, ONCE, PAIRING, Terms};
use crate::history::{self, History};
use crate::mcp::{Fact, Kind, Outcome, call_in};

/// A client's request, by its id.
type Name = (usize, Rc<str>);

/// Failures in a row that are too many.
const FAILS_MAX: u32 = 4;

/// The status of a message that is larger than the seed allows.
const TOO_LARGE: i64 = 413;

/// The code of a session that has aged.
const SESSION_LOST: i64 = -32001;

/// What is known of a request.
struct Request {
    conn: usize,
    kind: Kind,
    text: Rc<str>,
    tool: Rc<str>,
    at: u64,
    answers: u32,
    /// When it was cancelled, by the number of the fact.
    cancelled: Option<usize>,
    /// No answer may come any more: what has ended it.
    over: Option<&'static str>,
    /// Was asked when faults had been over for a while.
    calm: bool,
    /// Was asked after the server was told to stop: it may have crossed the end of its connection.
    late: bool,
    /// Was asked in the instant of the stop: its connection may lie in the backlog of a listener that nobody accepts
    /// from any more. The history does not say which connections were accepted.
    unseen: bool,
}

#[derive(Default)]
struct Calls {
    requests: BTreeMap<Name, Request>,
    told: BTreeMap<(usize, usize), Vec<Rc<str>>>,
    ran: BTreeSet<usize>,
    texts: BTreeSet<usize>,
    /// The newest request that was answered, by connection: when it was asked, by the number of the fact.
    reached: BTreeMap<usize, usize>,
    asked: BTreeMap<Name, usize>,
    /// A notification may have been left out for its client's rate.
    limited: bool,
    /// Nothing can be refused for want of room.
    ample: bool,
    healed: bool,
    stopping: bool,
    /// Failures in a row since then, by client and tool.
    fails: BTreeMap<(usize, Rc<str>), u32>,
}

pub(super) fn check(history: &History, terms: &Terms, found: &mut Found) {
    let mut calls = Calls { limited: !terms.unlimited, ample: terms.ample, ..Calls::default() };
    for (number, (at, fact)) in history.facts.iter().enumerate() {
        let history::Fact::Mcp(fact) = fact else {
            match fact {
                history::Fact::Stopping | history::Fact::Leaving => calls.stop(*at),
                history::Fact::Restarted { .. } => calls.stopping = false,
                _ => {}
            }
            continue;
        };
        if let Some((invariant, wrong)) = calls.step(number, *at, fact, terms.mcp_patience) {
            found.add(invariant, *at, || format!("{wrong}: {fact:?}"));
        }
    }
    for (name, request) in &calls.requests {
        let open = request.over.is_none() && request.cancelled.is_none() && !request.unseen;
        if request.answers == 0 && open {
            let (conn, kind) = (request.conn, request.kind);
            found.add(PAIRING, request.at, || {
                format!("never answered: {kind:?} {name:?} on conn {conn}: {}", request.text)
            });
        }
    }
}

impl Calls {
    /// The server is told to stop.
    fn stop(&mut self, at: u64) {
        self.stopping = true;
        self.requests
            .values_mut()
            .filter(|request| request.at == at)
            .for_each(|request| request.unseen = true);
    }

    fn step(&mut self, number: usize, at: u64, fact: &Fact, patience: u64) -> Option<(u8, String)> {
        match fact {
            Fact::Asked { client, conn, id, kind, text, tool } => {
                let request = Request {
                    conn: *conn,
                    kind: *kind,
                    text: text.clone(),
                    tool: tool.clone(),
                    at,
                    answers: 0,
                    cancelled: None,
                    over: None,
                    calm: self.healed,
                    late: self.stopping,
                    unseen: false,
                };
                self.texts.extend(call_in(text));
                self.asked.insert((*client, id.clone()), number);
                self.requests.insert((*client, id.clone()), request);
                None
            }
            Fact::Cancelled { client, id } => {
                self.requests.get_mut(&(*client, id.clone()))?.cancelled.get_or_insert(number);
                None
            }
            Fact::Unanswered { client, id, .. } => {
                let request = self.requests.get_mut(&(*client, id.clone()))?;
                request.over = Some("its end");
                let wrong = request.cancelled.is_none() && !request.late;
                wrong.then(|| (PAIRING, format!("{:?} ended without an answer", request.kind)))
            }
            Fact::Pardoned { client, id } => {
                self.requests.get_mut(&(*client, id.clone()))?.over = Some("the end of its connection");
                None
            }
            Fact::Told { client, call, reply } => {
                self.told.entry((*client, *call)).or_default().push(reply.clone());
                None
            }
            Fact::Ran { call, .. } => {
                if !self.texts.contains(call) {
                    return Some((ONCE, "nobody asked for it".into()));
                }
                (!self.ran.insert(*call)).then(|| (ONCE, "run twice".into()))
            }
            Fact::Answered { client, conn, id, outcome } => {
                let name = (*client, id.clone());
                let wrong = self.answered(&name, *conn, outcome).map(|wrong| (PAIRING, wrong));
                let wrong = wrong.or_else(|| self.is_late(&name, at, patience));
                wrong.or_else(|| self.try_again(&name, outcome))
            }
            Fact::Healed => {
                self.healed = true;
                None
            }
            _ => None,
        }
    }

    fn is_late(&self, name: &Name, at: u64, patience: u64) -> Option<(u8, String)> {
        let request = self.requests.get(name)?;
        let took = at - request.at;
        (took > patience).then(|| (17, format!("{:?} took {took} ns", request.kind)))
    }

    /// Counts how often a tool has failed in a row although faults are over. Once is no wonder: a session with
    /// its server may have been lost before.
    fn try_again(&mut self, name: &Name, outcome: &Outcome) -> Option<(u8, String)> {
        let request = self.requests.get(name).filter(|request| request.calm)?;
        let fails = self.fails.entry((name.0, request.tool.clone())).or_default();
        match *outcome {
            Outcome::Error(SESSION_LOST | TOO_LARGE) => {}
            Outcome::Error(_) => *fails += 1,
            _ => *fails = 0,
        }
        let wrong = self.ample && *fails == FAILS_MAX;
        wrong.then(|| (17, format!("{:?} of {} fails although faults are over", request.kind, request.tool)))
    }

    fn answered(&mut self, name: &Name, conn: usize, outcome: &Outcome) -> Option<String> {
        let asked = self.asked.get(name).copied();
        let reached = self.reached.get(&conn).copied();
        let Some(request) = self.requests.get_mut(name) else {
            return Some("an answer to what nobody asked".into());
        };
        let newest = self.reached.entry(conn).or_default();
        *newest = asked.unwrap_or_default().max(*newest);
        request.answers += 1;
        let wrong =
            text_wrong(request, outcome, self.told.get(&(name.0, call_in(&request.text).unwrap_or(0))));
        if request.answers > 1 {
            Some(format!("{} answers", request.answers))
        } else if request.conn != conn {
            Some(format!("an answer to what was asked on conn {}", request.conn))
        } else if let Some(over) = request.over {
            Some(format!("an answer after {over}"))
        } else if !self.limited && request.cancelled.is_some_and(|cancelled| reached > Some(cancelled)) {
            Some("an answer after it was cancelled, and something that was asked later answered".into())
        } else {
            wrong
        }
    }
}

/// What is wrong with the text of a result.
fn text_wrong(request: &Request, outcome: &Outcome, told: Option<&Vec<Rc<str>>>) -> Option<String> {
    let Outcome::Result(text) = outcome else {
        let wrong = *outcome == Outcome::InputRequired && request.kind != Kind::Ask;
        return wrong.then(|| format!("{:?} asks for input", request.kind));
    };
    let text = text.as_deref();
    let good = match request.kind {
        Kind::Echo | Kind::Slow => text == Some(&request.text),
        Kind::Ask => told.into_iter().flatten().any(|reply| {
            text.and_then(|text| text.strip_prefix(&*request.text)?.strip_prefix('|')) == Some(reply)
        }),
        Kind::Introduce | Kind::List | Kind::Ping | Kind::Unknown => true,
    };
    (!good).then(|| format!("another's answer, or a changed one, to {:?} {}", request.kind, request.text))
}
