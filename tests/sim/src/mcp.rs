//! What happens between MCP clients, the gateway and MCP servers, as each of them writes it down.

use std::rc::Rc;

use crate::history;
use crate::stage::Stage;

/// Number of a tool call; its text says it, and no two have the same.
pub type CallId = usize;

/// What a client asks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// `initialize` or `server/discover`.
    Introduce,
    /// A page of `tools/list`.
    List,
    /// A tool that answers with its text.
    Echo,
    /// The same, later, with progress.
    Slow,
    /// A tool that answers with its text and with what it asked of the client meanwhile.
    Ask,
    /// `ping`.
    Ping,
    /// A tool that nobody has.
    Unknown,
}

/// What a client was answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// A result, and its text if it has one.
    Result(Option<Rc<str>>),
    /// A tool's refusal.
    Refused,
    /// The client is to come back with answers.
    InputRequired,
    /// An error: its code, or the HTTP status if it has none.
    Error(i64),
}

/// Something that happened.
#[derive(Clone, Debug)]
pub enum Fact {
    /// A client sent a request; `id` is JSON, `tool` as clients call it.
    Asked { client: usize, conn: usize, id: Rc<str>, kind: Kind, text: Rc<str>, tool: Rc<str> },
    /// An answer came.
    Answered { client: usize, conn: usize, id: Rc<str>, outcome: Outcome },
    /// The client said that it wants no answer.
    Cancelled { client: usize, id: Rc<str> },
    /// The place where the answer was to come is over, without one.
    Unanswered { client: usize, conn: usize, id: Rc<str> },
    /// The client, or the network, has cut the connection: no answer is owed any more.
    Pardoned { client: usize, id: Rc<str> },
    /// A server's question reached a client, on a connection.
    Questioned { client: usize, call: CallId },
    /// A client answered it: no two answers are the same.
    Told { client: usize, call: CallId, reply: Rc<str> },
    /// A server has done what a call asked.
    Ran { server: usize, call: CallId },
    /// A server asked something of the client of a call.
    Inquired { server: usize, call: CallId },
    /// A server was answered what it had asked for a call.
    Heard { server: usize, call: CallId, reply: Rc<str> },
    /// Faults have been over for a while: what is asked from now on gets what it asks for.
    Healed,
    /// What a shard holds, as it says.
    Held { shard: usize, held: weir_shard::metrics::McpStats },
}

/// The number in the text of a tool call.
pub fn call_in(text: &str) -> Option<CallId> {
    let digits = text.strip_prefix('u')?;
    digits.split(|c: char| !c.is_ascii_digit()).next()?.parse().ok()
}

/// Writes down what happened, as the saboteur lets it.
pub fn note(stage: &mut Stage, fact: Fact) {
    for fact in stage.saboteur.pass(history::Fact::Mcp(fact)) {
        stage.history.add(fact);
    }
}
