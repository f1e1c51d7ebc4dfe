//! What comes and goes, counted by what it is: messages, bytes, gaps, refusals. Counting is an addition at a fixed place.

use crate::error::Error;
use crate::outbox::{Gap, GapReason};

/// What clients and backends send.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Received {
    /// A JSON-RPC message, or a POST with several.
    Mcp,
    /// A client's push for backends.
    Push,
    /// A client's event for everyone else on a topic.
    Event,
    /// A backend's message for a client or a topic.
    Publish,
    /// A join of the client's own stream, a topic or an MCP session.
    Join,
    /// The end of a join.
    Leave,
    /// A heartbeat or a ping of a channel.
    Heartbeat,
    /// An acknowledgement.
    Acknowledgement,
    /// Anything else: what belongs to a join that is over, what cannot be read, what is echoed.
    Other,
}

/// What is sent to clients.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sent {
    /// A message of a client's own stream, for the first time.
    Message,
    /// The same once more, as it was not acknowledged.
    Redelivery,
    /// A message of a topic, its past included.
    Event,
    /// A JSON-RPC message.
    Mcp,
    /// A reply on a channel, and what is told beside the stream: gaps, pongs, presence.
    Reply,
}

/// What carries bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Medium {
    /// WebSockets.
    WebSocket,
    /// Application SSE streams.
    HttpSse,
    /// All other HTTP: requests, MCP, LongPoll, and what a connection says before it is one of the others.
    Http,
    /// Connections to MCP servers, and their children's pipes.
    Upstream,
}

/// Messages by what they are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Messages {
    received: [u64; Received::ALL.len()],
    sent: [u64; Sent::ALL.len()],
}

/// Bytes by what carries them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Bytes {
    received: [u64; Medium::ALL.len()],
    sent: [u64; Medium::ALL.len()],
}

/// What clients were told they will not get.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Gaps {
    told: [u64; GapReason::ALL.len()],
    messages: [u64; GapReason::ALL.len()],
}

/// Errors that somebody was told, by their row of the table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Refused([u64; Error::ROWS.len()]);

impl Received {
    /// All there are.
    pub const ALL: [Received; 9] = [
        Received::Mcp,
        Received::Push,
        Received::Event,
        Received::Publish,
        Received::Join,
        Received::Leave,
        Received::Heartbeat,
        Received::Acknowledgement,
        Received::Other,
    ];

    /// What it is called.
    pub const fn name(self) -> &'static str {
        match self {
            Received::Mcp => "mcp",
            Received::Push => "push",
            Received::Event => "event",
            Received::Publish => "publish",
            Received::Join => "join",
            Received::Leave => "leave",
            Received::Heartbeat => "heartbeat",
            Received::Acknowledgement => "acknowledgement",
            Received::Other => "other",
        }
    }
}

impl Sent {
    /// All there are.
    pub const ALL: [Sent; 5] = [Sent::Message, Sent::Redelivery, Sent::Event, Sent::Mcp, Sent::Reply];

    /// What it is called.
    pub const fn name(self) -> &'static str {
        match self {
            Sent::Message => "message",
            Sent::Redelivery => "redelivery",
            Sent::Event => "event",
            Sent::Mcp => "mcp",
            Sent::Reply => "reply",
        }
    }
}

impl Medium {
    /// All there are.
    pub const ALL: [Medium; 4] = [Medium::WebSocket, Medium::HttpSse, Medium::Http, Medium::Upstream];

    /// What it is called.
    pub const fn name(self) -> &'static str {
        match self {
            Medium::WebSocket => "websocket",
            Medium::HttpSse => "http_sse",
            Medium::Http => "http",
            Medium::Upstream => "upstream",
        }
    }
}

impl Messages {
    pub(crate) fn received(&mut self, kind: Received) {
        self.received[kind as usize] += 1;
    }

    pub(crate) fn sent(&mut self, kind: Sent, messages: u64) {
        self.sent[kind as usize] += messages;
    }

    /// What was received, by its name.
    pub fn all_received(&self) -> impl Iterator<Item = (&'static str, u64)> {
        Received::ALL.map(Received::name).into_iter().zip(self.received)
    }

    /// What was sent, by its name.
    pub fn all_sent(&self) -> impl Iterator<Item = (&'static str, u64)> {
        Sent::ALL.map(Sent::name).into_iter().zip(self.sent)
    }

    pub(super) fn add(&mut self, other: &Messages) {
        add(&mut self.received, &other.received);
        add(&mut self.sent, &other.sent);
    }
}

impl Bytes {
    pub(crate) fn received(&mut self, medium: Medium, bytes: usize) {
        self.received[medium as usize] += bytes as u64;
    }

    pub(crate) fn sent(&mut self, medium: Medium, bytes: usize) {
        self.sent[medium as usize] += bytes as u64;
    }

    /// All that was received, and all that was sent.
    pub(crate) fn totals(&self) -> (u64, u64) {
        (self.received.iter().sum(), self.sent.iter().sum())
    }

    /// What was received, by what carried it.
    pub fn all_received(&self) -> impl Iterator<Item = (&'static str, u64)> {
        Medium::ALL.map(Medium::name).into_iter().zip(self.received)
    }

    /// What was sent, by what carried it.
    pub fn all_sent(&self) -> impl Iterator<Item = (&'static str, u64)> {
        Medium::ALL.map(Medium::name).into_iter().zip(self.sent)
    }

    pub(super) fn add(&mut self, other: &Bytes) {
        add(&mut self.received, &other.received);
        add(&mut self.sent, &other.sent);
    }
}

impl Gaps {
    /// How many gaps were told.
    pub(crate) fn total(&self) -> u64 {
        self.told.iter().sum()
    }

    /// Somebody was told that he will not get some messages.
    pub(crate) fn told(&mut self, gap: Gap) {
        self.told[gap.reason as usize] += 1;
        self.messages[gap.reason as usize] += (gap.to + 1).saturating_sub(gap.from);
    }

    /// Of each reason how many gaps were told, and how many messages they name.
    pub fn all(&self) -> impl Iterator<Item = (&'static str, u64, u64)> {
        let counts = self.told.into_iter().zip(self.messages);
        GapReason::ALL
            .into_iter()
            .zip(counts)
            .map(|(reason, (told, messages))| (reason.name(), told, messages))
    }

    pub(super) fn add(&mut self, other: &Gaps) {
        add(&mut self.told, &other.told);
        add(&mut self.messages, &other.messages);
    }
}

impl Default for Refused {
    fn default() -> Refused {
        Refused([0; _])
    }
}

impl Refused {
    pub(super) fn count(&mut self, error: &Error) {
        self.0[error.row()] += 1;
    }

    /// Of each `error` and `reason` how often it was told.
    pub fn all(&self) -> impl Iterator<Item = (&'static str, &'static str, u64)> {
        Error::ROWS.into_iter().zip(self.0).map(|((error, reason), count)| (error, reason, count))
    }

    pub(super) fn add(&mut self, other: &Refused) {
        add(&mut self.0, &other.0);
    }
}

fn add<const N: usize>(counts: &mut [u64; N], more: &[u64; N]) {
    counts.iter_mut().zip(more).for_each(|(count, more)| *count += more);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kinds_stand_in_their_own_places() {
        assert!(Received::ALL.into_iter().enumerate().all(|(place, kind)| kind as usize == place));
        assert!(Sent::ALL.into_iter().enumerate().all(|(place, kind)| kind as usize == place));
        assert!(Medium::ALL.into_iter().enumerate().all(|(place, medium)| medium as usize == place));
        assert!(GapReason::ALL.into_iter().enumerate().all(|(place, reason)| reason as usize == place));
    }

    #[test]
    fn a_gap_counts_the_messages_that_it_names() {
        let mut gaps = Gaps::default();
        gaps.told(Gap { from: 3, to: 7, reason: GapReason::Evicted });
        gaps.told(Gap { from: 1, to: 0, reason: GapReason::EpochChanged });
        let mut both = gaps;
        both.add(&gaps);
        let told: Vec<_> = both.all().filter(|(_, told, _)| *told > 0).collect();
        assert_eq!(told, [("epoch_changed", 2, 0), ("evicted", 2, 10)]);
    }
}
