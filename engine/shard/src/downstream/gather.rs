//! Requests whose answer comes from other shards: what has come, and what the answer is.

use weir_ring::token::Token;
use weir_transports::json;

use crate::downstream::batch::Batch;
use crate::downstream::connection::{Stage, Waiting};
use crate::downstream::reply::Terms;
use crate::error::Error;
use crate::mail::{Answer, ReplyTo};
use crate::message::{Receipt, State};
use crate::metrics::Stats;
use crate::operation::Traced;
use crate::turn::{Cx, Shard};
use crate::vsm::Step;

/// A request under way.
#[derive(Debug)]
pub(crate) struct Gather {
    /// What the answer will be.
    pub kind: Kind,
    /// Parts still to come.
    pub left: u32,
    /// Headers of the answer.
    pub terms: Terms,
    /// What is recorded of a publish.
    pub traced: Option<Box<Traced>>,
}

/// What a request waits for.
#[derive(Debug)]
pub(crate) enum Kind {
    /// One publish or acknowledgement: its receipt is the answer.
    Receipt,
    /// One publish: that the client has it is the answer.
    Acknowledgement,
    /// A batch: a line for each, in order. The parts are publishes under way.
    Lines(Batch),
    /// The counters of every shard, added up.
    Stats(Box<Stats>),
    /// One client's state.
    Health,
    /// Who is on this topic.
    Presence { topic: Box<str> },
}

impl Shard {
    /// A publish or acknowledgement of a request was decided.
    pub(crate) fn exchange_published(
        &mut self,
        token: Token,
        line: u32,
        outcome: Result<Receipt, Error>,
        cx: &mut Cx<'_>,
    ) {
        let Some(gather) = self.gather(token) else { return };
        let (terms, traced) = (gather.terms, gather.traced.take());
        match &mut gather.kind {
            Kind::Lines(batch) => {
                if let Some(slot) = batch.results.get_mut(line as usize) {
                    *slot = Some(outcome);
                }
                gather.left -= 1;
                if gather.left == 0 && batch.is_read() {
                    let results = std::mem::take(&mut batch.results);
                    self.answer_batch(token, &results, terms, cx);
                    self.request_done(token, terms.keep_alive, cx);
                }
            }
            kind => {
                let acknowledgement = matches!(kind, Kind::Acknowledgement);
                self.tracer.take_up(traced);
                self.trace_end(Step::Answered, outcome.as_ref().err().map(Error::reason), cx);
                match outcome {
                    Ok(receipt) if acknowledgement && receipt.state != State::Acknowledged => {
                        self.respond(token, 504, &unacknowledged(&receipt), terms, cx);
                    }
                    Ok(receipt) => {
                        let mut body = Vec::with_capacity(80);
                        receipt.write_json(&mut body);
                        self.respond(token, 202, &body, terms, cx);
                    }
                    Err(error) => self.respond_error(token, &error, terms, cx),
                }
                self.request_done(token, terms.keep_alive, cx);
            }
        }
    }

    /// A shard answered a question.
    pub(crate) fn answered(&mut self, ask: u64, answer: Answer, cx: &mut Cx<'_>) {
        let token = Token { index: (ask >> 32) as u32, generation: ask as u32 };
        let Some(gather) = self.gather(token) else { return };
        let terms = gather.terms;
        gather.left -= 1;
        let left = gather.left;
        let body = match (&mut gather.kind, answer) {
            (Kind::Stats(sum), Answer::Stats(stats)) => {
                sum.add(&stats);
                serde_json::to_vec(&**sum)
            }
            (Kind::Health, Answer::Health(Some(health))) => serde_json::to_vec(&health),
            (Kind::Presence { topic }, Answer::Presence { clients, state }) => {
                Ok(roster_json(topic, clients, &state))
            }
            (Kind::Health, Answer::Health(None)) => {
                self.respond_error(token, &Error::NotFound { what: "client" }, terms, cx);
                return self.request_done(token, terms.keep_alive, cx);
            }
            _ => return,
        };
        if left == 0 {
            // Plain structs of numbers and strings always serialize.
            self.respond(token, 200, &body.unwrap_or_default(), terms, cx);
            self.request_done(token, terms.keep_alive, cx);
        }
    }

    pub(crate) fn gather(&mut self, token: Token) -> Option<&mut Gather> {
        match &mut self.conns.get_mut(token)?.stage {
            Stage::Http(exchange) => match &mut exchange.waiting {
                Some(Waiting::Gather(gather)) => Some(gather),
                _ => None,
            },
            _ => None,
        }
    }

    /// The answer to the request under way is written: on to the next.
    pub(crate) fn request_done(&mut self, token: Token, keep_alive: bool, cx: &mut Cx<'_>) {
        let Some(conn) = self.conns.get_mut(token) else { return };
        let Stage::Http(exchange) = &mut conn.stage else { return };
        exchange.waiting = None;
        conn.heard = cx.now.mono;
        if !keep_alive || exchange.ended {
            self.finish(token, cx);
        } else {
            self.http_received(token, &[], cx);
        }
    }
}

/// The error of a message that was not acknowledged in time, with its receipt.
fn unacknowledged(receipt: &Receipt) -> Vec<u8> {
    let mut body = Vec::with_capacity(256);
    Error::Unacknowledged.write_json(&mut body);
    body.pop();
    body.push(b',');
    let mut fields = Vec::with_capacity(80);
    receipt.write_json(&mut fields);
    body.extend_from_slice(&fields[1..]);
    body
}

impl Gather {
    /// A request for `left` parts of which nothing is recorded.
    pub(crate) fn new(kind: Kind, left: u32, terms: Terms) -> Gather {
        Gather { kind, left, terms, traced: None }
    }
}

impl From<Gather> for Waiting {
    fn from(gather: Gather) -> Waiting {
        Waiting::Gather(Box::new(gather))
    }
}

/// `{"topic", "count", "presence"}`; the last as Phoenix's clients get it.
fn roster_json(topic: &str, clients: usize, state: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(state.len() + topic.len() + 64);
    out.extend_from_slice(b"{\"topic\":");
    json::write_str(&mut out, topic);
    out.extend_from_slice(format!(",\"count\":{clients},\"presence\":").as_bytes());
    out.extend_from_slice(state);
    out.push(b'}');
    out
}

/// A question's name: the connection that asks.
pub(crate) fn ask_of(token: Token) -> u64 {
    u64::from(token.index) << 32 | u64::from(token.generation)
}

/// The same for publishes.
pub(crate) fn reply_to(connection: Token, line: usize) -> ReplyTo {
    ReplyTo::Exchange { connection, line: line as u32 }
}
