//! What is under way on the connections of a shard that stops.

use weir_ring::time::Instant;
use weir_ring::token::Token;

use crate::downstream::connection::{Connection, Joined, Link, Stage, Waiting};
use crate::route;
use crate::turn::Shard;

/// The open connections, by what a stop does with them.
#[derive(Debug, Default)]
pub(super) struct Standing {
    /// Nobody waits for anything there: an HTTP connection between two requests.
    pub(super) idle: Vec<Token>,
    /// Streams and sockets of clients.
    pub(super) clients: Vec<Token>,
    /// Streams of backends that read what clients push.
    pub(super) backends: Vec<Token>,
    /// Something is under way that finishes first.
    pub(super) busy: Vec<Token>,
}

impl Shard {
    /// Looks at all connections.
    pub(super) fn standing(&self, now: Instant) -> Standing {
        let mut standing = Standing::default();
        // LongPoll sessions need connections between two polls.
        let polls = self.stats.longpoll.connections > 0;
        for (token, conn) in self.conns.iter() {
            let group = match &conn.stage {
                Stage::Preface(_) => &mut standing.idle,
                Stage::Http(exchange) => match &exchange.waiting {
                    None if exchange.partial || exchange.body.is_some() => &mut standing.busy,
                    None if polls => continue,
                    None => &mut standing.idle,
                    // It ends with its session.
                    Some(Waiting::Poll { .. }) => continue,
                    Some(Waiting::Mcp(pending)) if pending.is_endless() => {
                        match pending.carried().is_some_and(|session| self.session_has_calls(session)) {
                            true => &mut standing.busy,
                            false => &mut standing.clients,
                        }
                    }
                    Some(Waiting::Mcp(_) | Waiting::Gather(_) | Waiting::Keys(_)) => &mut standing.busy,
                },
                Stage::Sse(feed) => {
                    let backend =
                        self.sessions.get(feed.session).is_some_and(|of| *of.client == *route::EVENTS);
                    match self.is_owed(token, feed.session, now) {
                        true => &mut standing.busy,
                        false if backend => &mut standing.backends,
                        false => &mut standing.clients,
                    }
                }
                Stage::WebSocket(_) | Stage::Poll(_) => match self.has_calls(token, conn, now) {
                    true => &mut standing.busy,
                    false => &mut standing.clients,
                },
                Stage::Upstream(_) | Stage::Leaving(_) => continue,
                Stage::Closing | Stage::Closed | Stage::Lent => continue,
            };
            group.push(token);
        }
        standing
    }

    /// Whether something is under way on a socket: MCP requests, pushes that a handler answers, messages that a
    /// publisher waits to see acknowledged.
    pub(super) fn has_calls(&self, token: Token, conn: &Connection, now: Instant) -> bool {
        let Some(link) = conn.stage.link() else { return false };
        let owed = link.session.filter(|_| link.gateway).is_some_and(|id| self.is_owed(token, id, now));
        owed || self.errands.contains(&token) || self.connection_has_calls(token) || self.carries_calls(link)
    }

    fn carries_calls(&self, link: &Link) -> bool {
        let channels = link.channels.iter().filter_map(|channel| match channel.state {
            Joined::Mcp { session } => session,
            _ => None,
        });
        link.rpc.iter().map(|rpc| **rpc).chain(channels).any(|session| self.session_has_calls(session))
    }

    /// Whether a connection's client is owed something of its own stream: it is still being sent what would end with
    /// the process, or a publisher waits for it.
    pub(super) fn is_owed(&self, token: Token, id: Token, now: Instant) -> bool {
        let Some(drain) = &self.draining else { return false };
        let mailbox = self.sessions.get(id).and_then(|session| session.mailbox.as_deref());
        let marks = self.conns.get(token).and_then(|conn| conn.stage.marks());
        let (Some(mailbox), Some(marks)) = (mailbox, marks) else { return false };
        let waited_for = mailbox.ledger.as_ref().is_some_and(|ledger| !ledger.waiting.is_empty());
        let behind = || mailbox.lanes().any(|(lane, of)| marks.get(lane).cursor < of.outbox.durable());
        waited_for || now < drain.patience && !self.streams_go_on() && behind()
    }
}
