//! What an MCP client waits for, and the record of it.

use std::collections::BTreeMap;
use std::rc::Rc;

use serde_json::Value;

use crate::mcp::{Fact, Kind, Outcome, note};
use crate::stage::Stage;

/// A request without an answer.
#[derive(Clone, Debug)]
pub(super) struct Open {
    /// Where it was sent.
    pub(super) conn: usize,
    pub(super) kind: Kind,
    /// The text of a tool call.
    pub(super) text: Rc<str>,
    /// Its parameters, to send them again.
    pub(super) params: Value,
    pub(super) cancelled: bool,
}

/// The requests of one client, by id (JSON).
#[derive(Debug)]
pub(super) struct Ledger {
    client: usize,
    open: BTreeMap<Rc<str>, Open>,
    numbered: u64,
}

impl Ledger {
    pub(super) fn new(client: usize) -> Ledger {
        Ledger { client, open: BTreeMap::new(), numbered: 0 }
    }

    /// An id that this client has not used: numbers, and texts of the same numbers.
    pub(super) fn fresh_id(&mut self) -> Value {
        self.numbered += 1;
        let number = self.numbered / 2;
        if self.numbered.is_multiple_of(2) { number.into() } else { number.to_string().into() }
    }

    pub(super) fn asked(&mut self, stage: &mut Stage, id: &Rc<str>, open: Open) {
        let (client, conn, kind, text) = (self.client, open.conn, open.kind, open.text.clone());
        let tool = open.params["name"].as_str().unwrap_or_default().into();
        note(stage, Fact::Asked { client, conn, id: id.clone(), kind, text, tool });
        self.open.insert(id.clone(), open);
    }

    /// Writes down an answer; the request, if it is one of this client's.
    pub(super) fn answered(
        &mut self,
        stage: &mut Stage,
        conn: usize,
        id: &Rc<str>,
        outcome: Outcome,
    ) -> Option<Open> {
        let fact = Fact::Answered { client: self.client, conn, id: id.clone(), outcome };
        note(stage, fact);
        self.open.remove(id)
    }

    /// One that may be cancelled.
    pub(super) fn cancellable(&self, at: usize) -> Option<Rc<str>> {
        let may = |open: &Open| !open.cancelled && open.kind != Kind::Introduce;
        self.open.iter().filter(|(_, open)| may(open)).map(|(id, _)| id.clone()).nth(at)
    }

    pub(super) fn cancel(&mut self, stage: &mut Stage, id: &Rc<str>) {
        if let Some(open) = self.open.get_mut(id) {
            open.cancelled = true;
            note(stage, Fact::Cancelled { client: self.client, id: id.clone() });
        }
    }

    pub(super) fn get(&self, id: &str) -> Option<&Open> {
        self.open.get(id)
    }

    /// Whether progress of `token` may come on `conn`: it is the text of a slow call.
    pub(super) fn progresses(&self, conn: usize, token: &str) -> bool {
        self.open.values().any(|open| (open.conn, open.kind, &*open.text) == (conn, Kind::Slow, token))
    }

    /// The client gives all of it up.
    pub(super) fn cancel_all(&mut self, stage: &mut Stage) {
        for id in self.open.keys().cloned().collect::<Vec<_>>() {
            self.cancel(stage, &id);
        }
    }

    pub(super) fn len(&self) -> usize {
        self.open.len()
    }

    /// The exchange of a request is over without an answer to it. True if it was still open.
    pub(super) fn over(&mut self, stage: &mut Stage, conn: usize, id: &Rc<str>, pardoned: bool) -> bool {
        if self.open.remove(id).is_none() {
            return false;
        }
        let (client, id) = (self.client, id.clone());
        note(
            stage,
            if pardoned { Fact::Pardoned { client, id } } else { Fact::Unanswered { client, conn, id } },
        );
        true
    }

    /// A connection that carried many requests is gone.
    pub(super) fn cut(&mut self, stage: &mut Stage, conn: usize) {
        let lost: Vec<Rc<str>> =
            self.open.iter().filter(|(_, open)| open.conn == conn).map(|(id, _)| id.clone()).collect();
        for id in lost {
            self.over(stage, conn, &id, true);
        }
    }

    /// What is waited for.
    pub(super) fn waits_for(&self) -> Option<String> {
        let (id, open) = self.open.iter().find(|(_, open)| !open.cancelled)?;
        Some(format!("MCP client {} waits on conn {} for {id}: {:?}", self.client, open.conn, open.kind))
    }
}
