//! Invariant 19: what an MCP server asks reaches only the client in whose call it asks, and what that client
//! says reaches only the server that asked.

use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;

use super::{Found, QUESTIONS};
use crate::history::{self, History};
use crate::mcp::{CallId, Fact, Kind, call_in};

#[derive(Default)]
struct Questions {
    /// Whose a call is.
    callers: BTreeMap<CallId, usize>,
    /// Which server has asked something in its course.
    inquired: BTreeSet<(CallId, usize)>,
    /// What was said, for which call.
    told: BTreeMap<Rc<str>, CallId>,
    heard: BTreeSet<Rc<str>>,
}

pub(super) fn check(history: &History, found: &mut Found) {
    let mut questions = Questions::default();
    for (at, fact) in &history.facts {
        let history::Fact::Mcp(fact) = fact else { continue };
        if let Some(wrong) = questions.step(fact) {
            found.add(QUESTIONS, *at, || format!("{wrong}: {fact:?}"));
        }
    }
}

impl Questions {
    fn step(&mut self, fact: &Fact) -> Option<&'static str> {
        match fact {
            Fact::Asked { client, kind: Kind::Ask, text, .. } => {
                self.callers.insert(call_in(text)?, *client);
                None
            }
            Fact::Inquired { server, call } => {
                self.inquired.insert((*call, *server));
                None
            }
            Fact::Questioned { client, call } => {
                if self.callers.get(call) != Some(client) {
                    return Some("a question in the course of another's call");
                }
                let asked = self.inquired.range((*call, 0)..=(*call, usize::MAX)).next();
                asked.is_none().then_some("a question that no server asked")
            }
            Fact::Told { call, reply, .. } => {
                self.told.insert(reply.clone(), *call);
                None
            }
            Fact::Heard { server, call, reply } => {
                if self.told.get(reply) != Some(call) {
                    Some("an answer to another question")
                } else if !self.inquired.contains(&(*call, *server)) {
                    Some("an answer for another server")
                } else {
                    (!self.heard.insert(reply.clone())).then_some("an answer that was heard before")
                }
            }
            _ => None,
        }
    }
}
