//! A client's own stream: opened, delivered to its connections from the outbox, forgotten in time.
//!
//! Connections pull: each holds the number it has been sent, and takes what follows while its peer
//! keeps up. The outbox is the only queue, so a slow client costs no copy and loses nothing silently.

use weir_ring::time::Instant;
use weir_ring::token::Token;
use weir_transports::phoenix::{self, Version};
use weir_transports::sse;

use crate::downstream::connection::{Feed, Filter, Link, Speaks, Stage};
use crate::downstream::egress::{Overflow, Wrote};
use crate::error::Error;
use crate::message::Target;
use crate::outbox::{Entry, Gap, GapReason};
use crate::policy::TokenBucket;
use crate::route;
use crate::session::{Carrier, Links, Session};
use crate::stream::{Epoch, Position, Sequence};
use crate::turn::{Alarm, Cx, Shard};

/// Bytes of one stream written to one connection in one turn, roughly: others wait too.
const PULL_BYTES: usize = 64 << 10;

/// What an entry's body is wrapped in, at most: frame header, topic and event, or SSE fields.
const ENTRY_OVERHEAD: usize = 128;

/// Where a connection goes on in a stream.
#[derive(Debug)]
pub(crate) struct Place {
    pub cursor: Sequence,
    pub recovered: bool,
    pub gap: Option<Gap>,
    /// Everything up to here was missed.
    pub replay: Sequence,
}

/// A pulling connection.
struct Taker {
    session: Token,
    cursor: Sequence,
    /// Everything up to here is taken, whatever transport it is for.
    replay: Sequence,
    carrier: Carrier,
}

impl Shard {
    /// The session of `client`, made if need be. Its home is this shard.
    pub(crate) fn open_session(&mut self, client: &str, cx: &Cx<'_>) -> Result<Token, Error> {
        let random = &mut self.random;
        let session = || Session {
            client: client.into(),
            links: Links::None,
            bucket: TokenBucket::new(),
            epoch: Epoch::from_random(random.next()),
            outbox: None,
            delivered: 0,
            received: 0,
            heard: cx.now.mono,
            watched: false,
        };
        self.sessions.find_or_insert(client, session).map_err(|_| Error::insufficient_resources())
    }

    /// Where a connection goes on: at its cursor if that can be continued, else where the client's
    /// last connection was.
    pub(crate) fn place(&self, id: Token, resume: Option<Position>) -> Place {
        let Some(session) = self.sessions.get(id) else {
            return Place { cursor: 0, recovered: false, gap: None, replay: 0 };
        };
        let fresh = Place { cursor: session.delivered, recovered: false, gap: None, replay: 0 };
        let Some(cursor) = resume else { return fresh };
        let reason = if cursor.epoch != session.epoch {
            GapReason::EpochChanged
        } else if cursor.sequence > session.head() {
            GapReason::Ahead
        } else {
            let floor = session.outbox.as_ref().map_or(1, |outbox| outbox.floor());
            let recovered = cursor.sequence + 1 >= floor;
            return Place { cursor: cursor.sequence, recovered, gap: None, replay: session.head() };
        };
        Place { gap: Some(Gap { from: 1, to: session.delivered, reason }), ..fresh }
    }

    /// Lets every connection of a session take what it has not been sent.
    pub(crate) fn deliver(&mut self, id: Token, cx: &mut Cx<'_>) {
        let mut at = 0;
        while let Some(link) = self.sessions.get(id).and_then(|s| s.links.as_slice().get(at).copied()) {
            self.pull(link.token, cx);
            at += 1;
        }
    }

    /// Lets one connection take what it has not been sent, while its peer keeps up.
    pub(crate) fn pull(&mut self, token: Token, cx: &mut Cx<'_>) {
        let Some(taker) = self.taker(token) else { return };
        let Some((floor, acknowledged)) = self.bounds(taker.session) else { return };
        let mut cursor = taker.cursor;
        if cursor + 1 < floor {
            let reason = if floor - 1 <= acknowledged { GapReason::Acknowledged } else { GapReason::Evicted };
            let gap = Gap { from: cursor + 1, to: floor - 1, reason };
            self.tell_gap(token, taker.session, gap, cx);
            cursor = floor - 1;
        }
        match self.take(token, &taker, cursor, cx) {
            Ok(more) => {
                if more {
                    self.hungry.push(token);
                }
            }
            Err(Overflow) => {
                self.stats.overflowed += 1;
                self.close(token, cx);
            }
        }
    }

    fn taker(&self, token: Token) -> Option<Taker> {
        let conn = self.conns.get(token)?;
        if conn.egress.is_blocked() {
            return None;
        }
        match &conn.stage {
            Stage::Sse(feed) => {
                let Feed { session, cursor, replay, .. } = **feed;
                Some(Taker { session, cursor, replay, carrier: Carrier::Sse })
            }
            stage => {
                let link = stage.link().filter(|link| link.gateway)?;
                let Link { session, cursor, replay, .. } = *link;
                Some(Taker { session: session?, cursor, replay, carrier: Carrier::WebSocket })
            }
        }
    }

    /// Floor and acknowledged number of a session's outbox.
    fn bounds(&self, id: Token) -> Option<(Sequence, Sequence)> {
        let outbox = self.sessions.get(id)?.outbox.as_ref()?;
        Some((outbox.floor(), outbox.acknowledged()))
    }

    /// Writes entries after `cursor`; true if there is more.
    fn take(
        &mut self,
        token: Token,
        taker: &Taker,
        mut cursor: Sequence,
        cx: &mut Cx<'_>,
    ) -> Result<bool, Overflow> {
        let Shard { conns, sessions, config, stats, dirty, deflater, .. } = self;
        let (Some(conn), Some(session)) = (conns.get_mut(token), sessions.get_mut(taker.session)) else {
            return Ok(false);
        };
        let Some(outbox) = &session.outbox else { return Ok(false) };
        let (mut bytes, mut sent, mut more) = (0, 0, false);
        for (sequence, entry) in outbox.entries_from(cursor + 1) {
            let max = config.queue_bytes_max;
            if bytes > PULL_BYTES || !conn.egress.fits(cx.out, entry.body.len() + ENTRY_OVERHEAD, max) {
                more = true;
                break;
            }
            cursor = sequence;
            if sequence > taker.replay && !wants(taker.carrier, &session.links, entry) {
                if let Stage::Sse(feed) = &mut conn.stage
                    && feed.skipped == 0
                {
                    feed.skipped = sequence;
                }
                continue;
            }
            let position = Position { epoch: session.epoch, sequence };
            let mut payload = Vec::with_capacity(entry.body.len() + 64);
            encode(&conn.stage, position, entry, &mut payload);
            if payload.is_empty() {
                continue;
            }
            bytes += payload.len();
            sent += 1;
            let link = conn.stage.link();
            let deflate = link.and_then(|link| link.deflate_for(payload.len(), config, deflater));
            let wrote = conn.egress.message(cx.out, max, |out| match link {
                Some(link) => link.write_text(out, &payload, deflate),
                None => out.extend_from_slice(&payload),
            })?;
            if wrote == Wrote::First {
                dirty.push(token);
            }
        }
        if let Stage::Sse(feed) = &mut conn.stage {
            feed.cursor = cursor;
            stats.http_sse.messages_out += sent;
        } else if let Some(link) = conn.stage.link_mut() {
            link.cursor = cursor;
            link.traffic(stats).messages_out += sent;
        }
        session.delivered = session.delivered.max(cursor);
        Ok(more)
    }

    /// Connections with more to take, and topics that are catching up.
    pub(crate) fn feed_hungry(&mut self, cx: &mut Cx<'_>) {
        for token in std::mem::take(&mut self.hungry) {
            self.pull(token, cx);
            self.pull_mcp(token, cx);
            self.catch_up(token, cx);
        }
    }

    /// Tells a connection what it will not get.
    pub(crate) fn tell_gap(&mut self, token: Token, id: Token, gap: Gap, cx: &mut Cx<'_>) {
        let Some(session) = self.sessions.get(id) else { return };
        let payload = gap_json(session.epoch, gap);
        self.stats.gaps += 1;
        self.tell(token, "gap", &payload, cx);
    }

    /// Sends an event beside the stream: `gap`, `transport_switched`, `shutdown_pending`.
    pub(crate) fn tell(&mut self, token: Token, event: &str, payload: &[u8], cx: &mut Cx<'_>) {
        let Some(conn) = self.conns.get(token) else { return };
        match &conn.stage {
            Stage::Sse(feed) if feed.ndjson => self.put(token, cx, |out| {
                out.extend_from_slice(format!("{{\"type\":\"{event}\",\"data\":").as_bytes());
                out.extend_from_slice(payload);
                out.extend_from_slice(b"}\n");
            }),
            Stage::Sse(_) => {
                let text = String::from_utf8_lossy(payload);
                self.put(token, cx, |out| sse::event(out, None, Some(event), &text));
            }
            stage => {
                let Some(link) = stage.link().filter(|link| link.speaks_phoenix()) else { return };
                let mut frame = Vec::new();
                phoenix::push(link.version(), &mut frame, None, route::GATEWAY, event, payload, None);
                let mut text = Vec::with_capacity(frame.len() + 16);
                link.write_text(&mut text, &frame, None);
                self.put(token, cx, |out| out.extend_from_slice(&text));
            }
        }
    }

    /// A look at a session: forgets old messages, and the session once the client is long gone.
    pub(crate) fn examine_session(&mut self, id: Token, cx: &mut Cx<'_>) {
        let limits = &self.config.outbox;
        let idle = self.config.session_idle_timeout;
        let Some(session) = self.sessions.get_mut(id) else { return };
        let away = session.links.as_slice().is_empty();
        if away && cx.now.mono >= session.heard.plus(idle) {
            self.forget_session(id);
            return;
        }
        let freed = session.outbox.as_mut().map_or(0, |outbox| outbox.trim_age(cx.now.mono, limits));
        self.stats.outbox_bytes -= freed as u64;
        let keeps = session.outbox.as_ref().is_some_and(|outbox| !outbox.is_empty());
        session.watched = away || keeps;
        let next = if away { session.heard.plus(idle) } else { cx.now.mono.plus(limits.age_max) };
        if session.watched {
            self.alarm(next.max(cx.now.mono.plus(std::time::Duration::from_secs(1))), Alarm::Session(id));
        }
    }

    /// A session has lost a connection: it is looked at once it may be too old.
    pub(crate) fn unlinked(&mut self, id: Token, now: Instant) {
        let idle = self.config.session_idle_timeout;
        let Some(session) = self.sessions.get_mut(id) else { return };
        if !session.links.as_slice().is_empty() {
            return;
        }
        session.heard = now;
        if session.client.starts_with(MINTED) && session.outbox.is_none() {
            self.forget_session(id);
        } else if !std::mem::replace(&mut session.watched, true) {
            self.alarm(now.plus(idle), Alarm::Session(id));
        }
    }

    /// A WebSocket leaves its session. If it was the last and SSE is up, SSE takes over where it stood.
    pub(crate) fn unlink(&mut self, token: Token, link: &mut Link, cx: &mut Cx<'_>) {
        let Some(id) = link.session else { return };
        let Some(session) = self.sessions.get_mut(id) else { return };
        if session.links.remove(token) && !session.links.has(Carrier::WebSocket) {
            let acknowledged = session.outbox.as_ref().map_or(0, |outbox| outbox.acknowledged());
            let confirmed = link.confirmed.max(acknowledged);
            let heirs: Vec<Token> = session.links.as_slice().iter().map(|link| link.token).collect();
            for heir in heirs {
                self.take_over(heir, confirmed, cx);
            }
        }
        self.unlinked(id, cx.now.mono);
    }

    /// Rewinds an SSE stream to the first message it left to the lost WebSocket, unless its client is
    /// known to have it: what was only written to that socket is sent again.
    fn take_over(&mut self, heir: Token, confirmed: Sequence, cx: &mut Cx<'_>) {
        let Some(conn) = self.conns.get_mut(heir) else { return };
        let Stage::Sse(feed) = &mut conn.stage else { return };
        let skipped = std::mem::take(&mut feed.skipped);
        let from = confirmed.max(skipped.saturating_sub(1));
        if skipped == 0 || feed.cursor <= from {
            return;
        }
        feed.cursor = from;
        let switched = br#"{"from":"websocket","to":"http_sse","reason":"connection_lost"}"#;
        self.tell(heir, "transport_switched", switched, cx);
        self.hungry.push(heir);
    }

    fn forget_session(&mut self, id: Token) {
        if let Some(session) = self.sessions.remove(id) {
            self.stats.outbox_bytes -= session.outbox.map_or(0, |outbox| outbox.bytes()) as u64;
        }
    }

    /// A name for a connection that gave none, whose home is this shard.
    pub(crate) fn mint(&mut self) -> String {
        loop {
            let name = format!("{MINTED}{:016x}", self.random.next());
            if route::home(&self.ring, &name) == self.me {
                return name;
            }
        }
    }
}

/// What minted names begin with. Clients cannot take such a name.
const MINTED: &str = "mcp:conn-";

/// Whether a connection of this kind takes the entry.
fn wants(carrier: Carrier, links: &Links, entry: &Entry) -> bool {
    let websocket = match Target::of_class(entry.class) {
        Target::All => return true,
        Target::Auto | Target::Websocket => links.has(Carrier::WebSocket),
        Target::HttpSse => !links.has(Carrier::Sse),
    };
    websocket == (carrier == Carrier::WebSocket)
}

/// Encodes an entry for a connection; nothing if its filter does not let it through.
fn encode(stage: &Stage, position: Position, entry: &Entry, out: &mut Vec<u8>) {
    match stage {
        Stage::Sse(feed) => {
            if feed.filter.as_ref().is_some_and(|filter| !filter.passes(&entry.body)) {
                return;
            }
            if feed.ndjson {
                out.extend_from_slice(&entry.body);
                out.push(b'\n');
                return;
            }
            let mut id = Vec::with_capacity(29);
            position.write(&mut id);
            let body = String::from_utf8_lossy(&entry.body);
            sse::event(out, Some(&String::from_utf8_lossy(&id)), Some("message"), &body);
        }
        stage => {
            let Some(link) = stage.link() else { return };
            phoenix::push(link.version(), out, None, route::GATEWAY, "message", &entry.body, None);
        }
    }
}

/// `{"epoch", "from", "to", "reason"}`.
pub(crate) fn gap_json(epoch: Epoch, gap: Gap) -> Vec<u8> {
    let epoch = String::from_utf8_lossy(&epoch.letters()).into_owned();
    let (from, to, reason) = (gap.from, gap.to, gap.reason.name());
    format!(r#"{{"epoch":"{epoch}","from":{from},"to":{to},"reason":"{reason}"}}"#).into_bytes()
}

impl Link {
    /// The serializer of a Phoenix link; V2 for the others, which use none.
    pub(crate) fn version(&self) -> Version {
        match self.speaks {
            Speaks::Phoenix(version) | Speaks::Polled(version) => version,
            _ => Version::V2,
        }
    }

    /// Whether it takes what channels know.
    fn speaks_phoenix(&self) -> bool {
        matches!(self.speaks, Speaks::Phoenix(_) | Speaks::Polled(_))
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
