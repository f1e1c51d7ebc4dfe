//! Delivery: connections pull what they have not been sent.
//!
//! Each connection holds the numbers it has been sent, and takes what follows while its peer keeps up. The
//! outboxes are the only queue, so a slow client costs no copy and loses nothing silently.

use std::borrow::Cow;

use weir_ring::op::Output;
use weir_ring::time::Instant;
use weir_ring::token::Token;
use weir_transports::websocket::Deflater;
use weir_transports::{phoenix, sse};

use crate::downstream::connection::{Connection, Filter, Stage};
use crate::downstream::egress::{Overflow, Wrote};
use crate::downstream::failover::wants;
use crate::lane::Lane;
use crate::limits::Config;
use crate::outbox::{Gap, GapReason};
use crate::policy::routing::Carrier;
use crate::route;
use crate::session::Session;
use crate::stream::Epoch;
use crate::turn::{Cx, Shard};

/// Bytes of one stream written to one connection in one turn, roughly: others wait too.
const PULL_BYTES: usize = 64 << 10;

/// What an entry's body is wrapped in, at most: frame header, topic and event, or SSE fields.
const ENTRY_OVERHEAD: usize = 256;

/// What a message that is written again begins with, instead of its brace.
pub(crate) const REDELIVERY: &[u8] = b"{\"redelivery\":true,";

impl Shard {
    /// Lets every connection of a session take what it has not been sent.
    pub(crate) fn deliver(&mut self, id: Token, cx: &mut Cx<'_>) {
        let mut at = 0;
        while let Some(link) = self.sessions.get(id).and_then(|s| s.links.as_slice().get(at).copied()) {
            self.pull(link.token, cx);
            at += 1;
        }
    }

    /// Connections with more to take, and topics that are catching up.
    pub(crate) fn feed_hungry(&mut self, cx: &mut Cx<'_>) {
        for token in std::mem::take(&mut self.hungry) {
            self.pull(token, cx);
            self.pull_mcp(token, cx);
            self.catch_up(token, cx);
        }
    }

    /// Lets one connection take what it has not been sent, while its peer keeps up.
    pub(crate) fn pull(&mut self, token: Token, cx: &mut Cx<'_>) {
        let Some((session, carrier)) = self.taker(token) else { return };
        while let Some((lane, gap)) = self.lost(token, session, cx.now.mono) {
            self.tell_gap(token, session, (lane, gap), cx);
            let marks = self.conns.get_mut(token).and_then(|conn| conn.stage.marks_mut());
            // Without marks the connection has ended over it.
            let Some(marks) = marks else { return };
            marks.open(lane).cursor = gap.to;
        }
        match self.take(token, session, carrier, cx) {
            Ok(false) => {}
            Ok(true) => self.hungry.push(token),
            Err(Overflow) => {
                self.overflowed(token, cx);
            }
        }
    }

    /// The session whose stream a connection takes, if it can take anything now.
    fn taker(&self, token: Token) -> Option<(Token, Carrier)> {
        let conn = self.conns.get(token)?;
        if conn.egress.is_blocked() {
            return None;
        }
        match &conn.stage {
            Stage::Sse(feed) => Some((feed.session, Carrier::Sse)),
            stage => {
                let link = stage.link().filter(|link| link.gateway)?;
                Some((link.session?, Carrier::WebSocket))
            }
        }
    }

    /// What would be next on a connection and is no more, or no longer worth sending.
    fn lost(&self, token: Token, id: Token, now: Instant) -> Option<(Lane, Gap)> {
        let mailbox = self.sessions.get(id)?.mailbox.as_deref()?;
        let marks = self.conns.get(token)?.stage.marks()?;
        mailbox.lanes().find_map(|(lane, stream)| {
            let (outbox, from) = (&stream.outbox, marks.get(lane).cursor + 1);
            let gap = |to, reason| Some((lane, Gap { from, to, reason }));
            match outbox.floor() - 1 {
                to if to >= from && to <= outbox.acknowledged() => gap(to, GapReason::Acknowledged),
                to if to >= from => gap(to, GapReason::Evicted),
                _ => {
                    let expired = outbox.entries_from(from).take_while(|(_, entry)| entry.is_expired(now));
                    expired.last().and_then(|(to, _)| gap(to, GapReason::Expired))
                }
            }
        })
    }

    /// Writes messages, the most urgent lane first; true if there is more.
    fn take(&mut self, token: Token, id: Token, carrier: Carrier, cx: &mut Cx<'_>) -> Result<bool, Overflow> {
        let Shard { conns, sessions, config, stats, dirty, deflater, .. } = self;
        let (Some(conn), Some(session)) = (conns.get_mut(token), sessions.get_mut(id)) else {
            return Ok(false);
        };
        let course = session.routing().course(session.links.up(), &config.routing);
        let Session { mailbox: Some(mailbox), epoch, .. } = session else { return Ok(false) };
        let (mut bytes, mut sent) = (0, 0);
        let more = loop {
            let Some(marks) = conn.stage.marks_mut() else { break false };
            let Some(lane) = marks.next(mailbox) else { break false };
            let Some(stream) = mailbox.lane_mut(lane) else { break false };
            let mark = marks.open(lane);
            let sequence = mark.cursor + 1;
            let entry = stream.outbox.get(sequence).filter(|entry| !entry.is_expired(cx.now.mono));
            let Some(entry) = entry else { break true };
            let size = entry.body.len() + ENTRY_OVERHEAD;
            if bytes > PULL_BYTES || !conn.egress.fits(cx.out, size, config.queue_bytes_max) {
                break true;
            }
            let taken = sequence <= mark.replay || wants(carrier, course, lane, entry);
            if !taken && mark.skipped == 0 {
                mark.skipped = sequence;
            }
            let again = sequence <= mark.again;
            marks.advance(lane, sequence);
            if !taken {
                continue;
            }
            stream.written = stream.written.max(sequence);
            let payload = encode(&conn.stage, *epoch, &flagged(&entry.body, again));
            if payload.is_empty() {
                continue;
            }
            (bytes, sent) = (bytes + payload.len(), sent + 1);
            if write(conn, &payload, config, deflater, cx.out)? == Wrote::First {
                dirty.push(token);
            }
        };
        match conn.stage.link() {
            Some(link) => link.traffic(stats).messages_out += sent,
            None => stats.http_sse.messages_out += sent,
        }
        Ok(more)
    }
}

/// The body as it is written: one that may have reached the client before says so.
pub(crate) fn flagged(body: &[u8], again: bool) -> Cow<'_, [u8]> {
    match body {
        [b'{', rest @ ..] if again => Cow::Owned([REDELIVERY, rest].concat()),
        _ => Cow::Borrowed(body),
    }
}

/// A message as its connection carries it; nothing if its filter does not let it through.
fn encode(stage: &Stage, epoch: Epoch, body: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(body.len() + 64);
    match stage {
        Stage::Sse(feed) if feed.filter.as_ref().is_some_and(|filter| !filter.passes(body)) => {}
        Stage::Sse(feed) if feed.ndjson => {
            out.extend_from_slice(body);
            out.push(b'\n');
        }
        Stage::Sse(feed) => {
            let cursor = feed.marks.as_ref().map(|marks| marks.cursor(epoch).text());
            sse::event(&mut out, cursor.as_deref(), Some("message"), &String::from_utf8_lossy(body));
        }
        stage => {
            if let Some(link) = stage.link() {
                phoenix::push(link.version(), &mut out, None, route::GATEWAY, "message", body, None);
            }
        }
    }
    out
}

/// Appends a message to what leaves on the connection.
fn write(
    conn: &mut Connection,
    payload: &[u8],
    config: &Config,
    deflater: &mut Option<Box<Deflater>>,
    out: &mut Output,
) -> Result<Wrote, Overflow> {
    let max = config.queue_bytes_max;
    match conn.stage.link() {
        Some(link) => {
            let deflate = link.deflate_for(payload.len(), config, deflater);
            conn.egress.message(out, max, |out| link.write_text(out, payload, deflate))
        }
        None => conn.egress.message(out, max, |out| out.extend_from_slice(payload)),
    }
}

impl Filter {
    /// Whether a push, as the feed carries it, is wanted.
    fn passes(&self, body: &[u8]) -> bool {
        #[derive(serde::Deserialize)]
        struct Push<'a> {
            #[serde(borrow)]
            data: Data<'a>,
        }
        #[derive(serde::Deserialize)]
        struct Data<'a> {
            #[serde(borrow)]
            client_id: std::borrow::Cow<'a, str>,
            #[serde(borrow, rename = "type")]
            kind: std::borrow::Cow<'a, str>,
        }
        let Ok(push) = serde_json::from_slice::<Push<'_>>(body) else { return true };
        self.client.as_ref().is_none_or(|client| **client == *push.data.client_id)
            && self.kind.as_ref().is_none_or(|kind| **kind == *push.data.kind)
    }
}
