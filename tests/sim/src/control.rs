//! The control thread: what it tells the shards, and what those tell its bus: a bounded letter a turn, counts that add up and operations
//! that begin before they end, as long as nothing was left out.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use weir_ring::token::Member;
use weir_shard::mail::{Answer, Mail};
use weir_shard::span::{Span, Stage as Part};
use weir_shard::vsm::{Event, Fact, Step};

use crate::client::body::client_name;
use crate::fault::Fault;
use crate::history;
use crate::mcp;
use crate::place::{Lane, Position};
use crate::stage::Stage;

/// Events that one letter may have: as many as may wait, and how many more there were.
const FACTS_MAX: usize = 257;

/// What the control thread tells the shards of memory: now and then to give some back, else that there is enough.
pub fn squeeze(stage: &mut Stage, shards: usize) -> Vec<(Member, Mail)> {
    let bytes = if stage.rng.chance(stage.weather.squeeze) {
        stage.faults.count(Fault::Squeeze);
        stage.rng.between(1, 32_768) as usize
    } else {
        0
    };
    (0..shards).map(|shard| (Member(shard as u16), Mail::Squeeze(bytes))).collect()
}

/// Writes down what a shard says of itself.
pub fn note(stage: &mut Stage, shard: usize, answer: Answer) {
    match answer {
        Answer::Stats(stats) => {
            mcp::note(stage, mcp::Fact::Held { shard, held: stats.mcp });
            if stats.turned_away > 0 {
                stage.faults.count(Fault::TurnedAway);
            }
            if stats.spread > 0 {
                stage.faults.count(Fault::Spread);
            }
            let counted = history::Fact::Counted {
                shard,
                queue_bytes_peak: stats.queue_bytes_peak,
                outbox_bytes: stats.outbox_bytes,
                // Those to servers are kept.
                connections: stats.connections - stats.mcp.connections,
                addressed: stats.addressed + stats.census,
            };
            stage.saboteur.pass(counted).into_iter().for_each(|fact| stage.history.add(fact));
        }
        Answer::Dead(letters) => {
            for letter in letters {
                let client =
                    (0..stage.options.cast.receivers).find(|it| *client_name(*it) == *letter.client_id);
                let epoch = stage.history.epoch(&String::from_utf8_lossy(&letter.id.epoch.letters()));
                let (lane, sequence) = (Lane::ALL[letter.id.lane as usize], letter.id.sequence);
                let position = Position { epoch, lane, sequence };
                let (client, attempts) = (client.unwrap_or(usize::MAX), letter.attempts);
                let fact = history::Fact::Dead { client, position, attempts };
                stage.saboteur.pass(fact).into_iter().for_each(|fact| stage.history.add(fact));
            }
        }
        Answer::Control(view) => {
            let load = &view.load;
            let loads = [load.connections, load.turns, load.queued, load.outbox, load.memory];
            let load = (loads.into_iter().fold(0.0, f64::max) * 1e3) as u32;
            let (admission, shedding) = (view.admission, view.shedding);
            let fact = history::Fact::Controlled { shard, admission, shedding, load };
            stage.saboteur.pass(fact).into_iter().for_each(|fact| stage.history.add(fact));
        }
        other => stage.history.contract(format!("an answer to another question: {other:?}")),
    }
}

/// What was heard of each shard since its process began.
#[derive(Debug, Default)]
pub struct Heard {
    /// Connections it said were open, by transport.
    open: BTreeMap<Member, [u64; 3]>,
    /// Those that left something out.
    incomplete: BTreeSet<Member>,
    /// Operations under way, of traced clients.
    operations: BTreeMap<String, Step>,
    /// Sampled messages whose arrival was written down.
    arrived: BTreeSet<[u8; 16]>,
}

/// Every so many questions of the control thread another client is traced.
const QUESTIONS: u64 = 8;

/// How long a client is traced.
const TIME: Duration = Duration::from_secs(5);

/// Letters that have every shard trace a client, if it is time for that.
pub fn trace(asked: u64, clients: usize, shards: usize) -> Vec<(Member, Mail)> {
    if !asked.is_multiple_of(QUESTIONS) || clients == 0 {
        return Vec::new();
    }
    let client = client_name((asked / QUESTIONS) as usize % clients);
    let letter = |shard| (Member(shard as u16), Mail::Trace { client: client.as_str().into(), time: TIME });
    (0..shards).map(letter).collect()
}

impl Heard {
    /// Takes a letter, and says what is wrong with it.
    pub fn take(&mut self, from: Member, facts: &[Fact]) -> Option<String> {
        if facts.is_empty() || facts.len() > FACTS_MAX {
            return Some(format!("shard {} tells {} events at once", from.0, facts.len()));
        }
        facts.iter().find_map(|fact| self.event(from, &fact.event))
    }

    /// Takes what was recorded of messages, and says what is wrong with it. Nobody here says that he records a trace, so each
    /// has one message, which arrives once.
    pub fn spans(&mut self, from: Member, spans: &[Span], dropped: u64) -> Option<String> {
        if spans.is_empty() && dropped == 0 {
            return Some(format!("shard {} has recorded nothing and says so", from.0));
        }
        spans.iter().find_map(|span| {
            let root = span.stage == Part::Accept;
            let again = root && !self.arrived.insert(span.trace.to_bytes());
            let wrong = again || root == span.parent.is_some() || span.begun > span.ended;
            wrong.then(|| format!("shard {} records {span:?}", from.0))
        })
    }

    /// The process is gone, and with it what was under way.
    pub fn clear(&mut self) {
        *self = Heard::default();
    }

    fn event(&mut self, from: Member, event: &Event) -> Option<String> {
        match event {
            Event::Dropped { count: 0 } => Some(format!("shard {} dropped nothing and says so", from.0)),
            Event::Dropped { .. } => {
                self.incomplete.insert(from);
                None
            }
            Event::Connections { websocket, http_sse, longpoll } if !self.incomplete.contains(&from) => {
                let open = self.open.entry(from).or_default();
                let wrong = open.iter_mut().zip([websocket, http_sse, longpoll]).any(|(open, now)| {
                    let before = std::mem::replace(open, now.open);
                    before + now.opened != now.open + now.closed
                });
                wrong.then(|| format!("what shard {} says of connections does not add up: {event:?}", from.0))
            }
            Event::Step { operation, step, .. } if !self.incomplete.contains(&from) => {
                self.step(operation.to_string(), *step)
            }
            _ => None,
        }
    }

    /// An operation begins by being received, is allowed once and goes on from there; a refusal is its end. Clients that
    /// are not traced are heard of by refusals alone, and those who are from the middle of what is under way.
    fn step(&mut self, operation: String, step: Step) -> Option<String> {
        let before = self.operations.get(&operation).copied();
        let right = matches!(
            (before, step),
            (None, Step::Received | Step::Denied)
                | (Some(Step::Received), Step::Allowed | Step::Denied | Step::Answered)
                | (Some(Step::Allowed), Step::Dispatched | Step::Answered)
                | (
                    Some(Step::Dispatched),
                    Step::Dispatched | Step::Answered | Step::Delivered | Step::Acknowledged
                )
                | (Some(Step::Delivered), Step::Acknowledged)
        );
        self.operations.insert(operation.clone(), step);
        (!right).then(|| format!("operation {operation} is {} after {before:?}", step.name()))
    }
}
