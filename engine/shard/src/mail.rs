//! What members of the mesh tell each other: shard to shard, control thread to shard and back.

use weir_ring::token::Member;

/// One letter.
#[derive(Debug)]
pub enum Mail {
    /// A question; the answer goes to `from` under the same `ask`.
    Ask { from: Member, ask: u64, question: Question },
    /// The answer to `ask`.
    Answer { ask: u64, answer: Answer },
    /// Stop: accept nothing more, tell the clients, close with 1012 and end when all are gone.
    Drain,
}

/// What a member may ask a shard.
#[derive(Clone, Debug)]
pub enum Question {
    /// The shard's counters.
    Stats,
    /// One client's state; asked of its home shard.
    Health { client: Box<str> },
}

/// What a shard answers.
#[derive(Clone, Debug)]
pub enum Answer {
    /// To `Question::Stats`.
    Stats(Box<Stats>),
    /// To `Question::Health`; `None`: nobody of that name is known.
    Health(Option<Box<Health>>),
}

/// Counters of one shard, totals since its start where nothing else is said.
#[derive(Clone, Debug, Default, PartialEq, serde::Serialize)]
pub struct Stats {
    /// Open connections by transport, now.
    pub websocket: Transport,
    /// Open application SSE streams and their traffic.
    pub http_sse: Transport,
    /// HTTP requests answered, upgrades and streams not counted.
    pub http_requests: u64,
    /// Open connections of any kind, now.
    pub connections: u64,
    /// Connections accepted.
    pub accepted: u64,
    /// Sessions held, now.
    pub sessions: u64,
    /// Topics owned by this shard, now.
    pub topics: u64,
    /// Bytes held in outboxes, now.
    pub outbox_bytes: u64,
    /// Requests refused by a limit.
    pub limited: u64,
    /// Messages appended to a stream.
    pub appended: u64,
    /// Connections closed because they could not keep up.
    pub overflowed: u64,
    /// Gaps told to clients.
    pub gaps: u64,
    /// Largest outbound queue of any connection so far, bytes.
    pub queue_bytes_peak: u64,
    /// Connections handed over to another shard.
    pub handed_over: u64,
    /// Turns taken.
    pub turns: u64,
}

/// Counters of one transport.
#[derive(Clone, Debug, Default, PartialEq, serde::Serialize)]
pub struct Transport {
    /// Open now.
    pub connections: u64,
    /// Messages received.
    pub messages_in: u64,
    /// Messages sent.
    pub messages_out: u64,
    /// Closed for an error of the peer or the network.
    pub errors: u64,
}

/// What `/mcp/health/{client_id}` shows.
#[derive(Clone, Debug, PartialEq, serde::Serialize)]
pub struct Health {
    /// The client asked for.
    pub client_id: Box<str>,
    /// Has at least one connection.
    pub connected: bool,
    /// `websocket`, `http_sse` or `none`; with both up, the one a message would take.
    pub transport: &'static str,
    /// Age of the oldest connection, milliseconds.
    pub connection_age: u64,
    /// Messages sent to the client.
    pub messages_sent: u64,
    /// Messages received from the client.
    pub messages_received: u64,
    /// When the client was last heard, RFC 3339.
    pub last_activity: Box<str>,
    /// Messages in the outbox nobody has acknowledged.
    pub pending_acks: u64,
    /// Bytes waiting for a slow connection.
    pub queue: u64,
}
