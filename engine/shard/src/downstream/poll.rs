//! A Phoenix LongPoll session: a connection without a socket. What is written to it waits for a poll, and what
//! a poll was answered with is kept until the next one says that it came.

use std::time::Duration;

use foldhash::quality::FixedState;
use hashbrown::HashMap;
use weir_ring::time::Instant;
use weir_ring::token::{Member, Token};
use weir_transports::phoenix::longpoll::{self, Status};
use weir_transports::phoenix::{self, Payload, Version};

use crate::downstream::connection::{Connection, Link, Speaks, Stage, Waiting};
use crate::downstream::reply::Terms;
use crate::downstream::writing::{REDELIVERY, flagged};
use crate::lane::Lane;
use crate::marks::Marks;
use crate::metrics::{Medium, Stats, Transport};
use crate::policy::routing::Carrier;
use crate::route;
use crate::seal::Purpose;
use crate::stream::Cursor;
use crate::turn::{Alarm, Cx, Shard};

/// What the tokens of sessions begin with. The application's own parameter `token` does not.
pub(crate) const MARK: &str = "poll.";

/// How long a session that moved is remembered: no request under way takes longer.
const MOVED_KEPT: Duration = Duration::from_secs(30);

/// One session.
#[derive(Debug)]
pub(crate) struct Poll {
    /// Its name in the tokens that its client shows.
    pub key: u64,
    /// What takes a WebSocket's place; lent while its messages are worked on.
    pub link: Option<Box<Link>>,
    /// The connection whose request waits for frames. Without one, what is written is held.
    pub waiting: Option<Token>,
    /// Number of the last answer.
    pub answered: u32,
    /// Its frames, until a poll shows its token.
    pub unconfirmed: Vec<u8>,
}

/// The LongPoll sessions of a shard, by their keys.
#[derive(Debug)]
pub(crate) struct Polls {
    keys: HashMap<u64, Whereabouts, FixedState>,
}

/// Where a session is.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Whereabouts {
    /// In this slot.
    Here(Token),
    /// On another shard, since then.
    Moved { to: Member, at: Instant },
}

/// What a client shows to be known again: given with each answer, so that it also says which came last.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct PollToken {
    pub home: Member,
    pub key: u64,
    pub answered: u32,
}

impl Poll {
    fn marks(&mut self) -> Option<&mut Marks> {
        self.link.as_mut()?.marks.as_deref_mut()
    }
}

impl PollToken {
    /// Before it is sealed.
    pub(crate) fn to_bytes(self) -> Vec<u8> {
        let PollToken { home, key, answered } = self;
        [&home.0.to_be_bytes()[..], &key.to_be_bytes(), &answered.to_be_bytes()].concat()
    }

    /// Reads what was sealed.
    pub(crate) fn from_bytes(bytes: &[u8]) -> Option<PollToken> {
        let (home, rest) = bytes.split_first_chunk()?;
        let (key, rest) = rest.split_first_chunk()?;
        let answered = u32::from_be_bytes(rest.try_into().ok()?);
        Some(PollToken { home: Member(u16::from_be_bytes(*home)), key: u64::from_be_bytes(*key), answered })
    }
}

impl Polls {
    pub(crate) fn new(seed: u64) -> Polls {
        Polls { keys: HashMap::with_hasher(FixedState::with_seed(seed)) }
    }

    /// Whether there is none, nor one that has moved of late.
    pub(crate) fn is_empty(&self) -> bool {
        self.keys.is_empty()
    }

    pub(crate) fn find(&self, key: u64) -> Option<Whereabouts> {
        self.keys.get(&key).copied()
    }

    pub(crate) fn put(&mut self, key: u64, at: Whereabouts) {
        self.keys.insert(key, at);
    }

    /// Forgets those that moved long ago.
    pub(crate) fn sweep(&mut self, now: Instant) {
        self.keys.retain(|_, at| match at {
            Whereabouts::Here(_) => true,
            Whereabouts::Moved { at, .. } => now < at.plus(MOVED_KEPT),
        });
    }
}

impl Stage {
    /// What its bytes are counted as.
    pub(crate) fn medium(&self) -> Medium {
        match self {
            Stage::WebSocket(_) => Medium::WebSocket,
            Stage::Sse(_) => Medium::HttpSse,
            Stage::Upstream(_) => Medium::Upstream,
            _ => Medium::Http,
        }
    }

    /// The counters of the transport that carries its client's stream.
    pub(crate) fn traffic<'a>(&self, stats: &'a mut Stats) -> &'a mut Transport {
        match self.link() {
            Some(link) => link.traffic(stats),
            None => &mut stats.http_sse,
        }
    }
}

impl Link {
    /// What its transport is called.
    pub(crate) fn transport(&self) -> &'static str {
        match self.speaks {
            Speaks::Polled(_) => "longpoll",
            _ => "websocket",
        }
    }

    /// The counters of its transport.
    pub(crate) fn traffic<'a>(&self, stats: &'a mut Stats) -> &'a mut Transport {
        match self.speaks {
            Speaks::Polled(_) => &mut stats.longpoll,
            _ => &mut stats.websocket,
        }
    }
}

impl Shard {
    /// Makes a session; `None`: the shard holds as many connections as it may. `frames` wait for its first poll.
    pub(crate) fn start_poll(
        &mut self,
        mut poll: Poll,
        mut link: Link,
        frames: Vec<u8>,
        cx: &Cx<'_>,
    ) -> Option<Token> {
        link.since = cx.now.mono.as_secs();
        let idle = cx.now.mono.plus(self.config.longpoll.idle_timeout);
        let wake = link.proof.look(cx.now).map_or(idle, |look| look.min(idle));
        poll.link = Some(Box::new(link));
        let key = poll.key;
        let mut conn = Connection::unconnected(Stage::Poll(Box::new(poll)), cx.now.mono, wake);
        conn.egress.hold(frames);
        let token = self.conns.insert(conn).ok()?;
        self.polls.put(key, Whereabouts::Here(token));
        self.stats.longpoll.open();
        self.tell_connection(true, "longpoll", None, cx);
        self.alarm(wake, Alarm::Connection(token));
        Some(token)
    }

    /// Whether the connection is a LongPoll session.
    pub(crate) fn is_poll(&self, token: Token) -> bool {
        matches!(self.conns.get(token).map(|conn| &conn.stage), Some(Stage::Poll(_)))
    }

    /// Answers the polls whose sessions were written to in this turn. True: some were, and what came behind
    /// them on their connections has been read.
    pub(crate) fn answer_polls(&mut self, cx: &mut Cx<'_>) -> bool {
        if self.polls.is_empty() {
            return false;
        }
        let (mut at, mut answered) = (0, false);
        while let Some(token) = self.dirty.get(at).copied() {
            at += 1;
            answered |= self.answer_with_frames(token, cx);
        }
        answered
    }

    /// Answers the session's poll with what was written since it came; false if there is neither.
    fn answer_with_frames(&mut self, token: Token, cx: &mut Cx<'_>) -> bool {
        let Some(conn) = self.conns.get_mut(token) else { return false };
        let Stage::Poll(poll) = &mut conn.stage else { return false };
        let frames = conn.egress.take(cx.out);
        if frames.is_empty() {
            return false;
        }
        let Some(waiting) = poll.waiting.take() else {
            conn.egress.hold(frames);
            return false;
        };
        conn.egress.hold(Vec::new());
        conn.heard = cx.now.mono;
        poll.unconfirmed.clone_from(&frames);
        if let Some(marks) = poll.marks() {
            marks.pinged();
        }
        let shown = self.next_poll_token(token, self.me);
        self.respond_waiting(waiting, Status::Ok, shown.as_deref(), &frames, cx);
        true
    }

    /// Answers the request that waits on `connection`, and reads on there.
    fn respond_waiting(
        &mut self,
        connection: Token,
        status: Status,
        shown: Option<&str>,
        frames: &[u8],
        cx: &mut Cx<'_>,
    ) {
        let Some(Stage::Http(exchange)) = self.conns.get(connection).map(|conn| &conn.stage) else { return };
        let Some(Waiting::Poll { terms, .. }) = exchange.waiting else { return };
        self.respond_poll(connection, status, shown, frames, terms, cx);
        self.request_done(connection, terms.keep_alive, cx);
    }

    /// The token of the session's next answer, for a session at home on `home`.
    pub(crate) fn next_poll_token(&mut self, token: Token, home: Member) -> Option<String> {
        let Stage::Poll(poll) = &mut self.conns.get_mut(token)?.stage else { return None };
        poll.answered = poll.answered.wrapping_add(1);
        let shown = PollToken { home, key: poll.key, answered: poll.answered };
        Some(self.seal_poll_token(shown))
    }

    /// What a client is given to show.
    pub(crate) fn seal_poll_token(&mut self, token: PollToken) -> String {
        format!("{MARK}{}", self.seal.seal(Purpose::Poll, &token.to_bytes()))
    }

    pub(crate) fn respond_poll(
        &mut self,
        connection: Token,
        status: Status,
        shown: Option<&str>,
        frames: &[u8],
        terms: Terms,
        cx: &mut Cx<'_>,
    ) {
        let mut body = Vec::with_capacity(frames.len() + 128);
        longpoll::write_answer(&mut body, status, shown, frames);
        self.respond(connection, 200, &body, terms, cx);
    }

    /// A poll comes from `connection`. Frames wait in the session while none does, and a turn's are one answer.
    pub(crate) fn poll_came(&mut self, token: Token, connection: Token, answered: u32, cx: &mut Cx<'_>) {
        self.end_waiting(token, self.me, cx);
        let Some(conn) = self.conns.get_mut(token) else { return };
        let Stage::Poll(poll) = &mut conn.stage else { return };
        conn.heard = cx.now.mono;
        poll.waiting = Some(connection);
        let mut frames = std::mem::take(&mut poll.unconfirmed);
        let came = poll.answered == answered || frames.is_empty();
        match &poll.link {
            Some(link) if !came => frames = again(link.version(), &frames),
            _ => frames.clear(),
        }
        frames.append(&mut conn.egress.release());
        if !frames.is_empty() {
            self.put_last(token, cx, |out| out.extend_from_slice(&frames));
        }
        if came {
            self.answer_came(token, cx);
        }
        self.hungry.push(token);
    }

    /// The client has what the session's polls were answered with.
    fn answer_came(&mut self, token: Token, cx: &mut Cx<'_>) {
        let Some(Stage::Poll(poll)) = self.conns.get_mut(token).map(|conn| &mut conn.stage) else { return };
        let Some(link) = &mut poll.link else { return };
        let (Some(marks), Some(id)) = (&mut link.marks, link.session) else { return };
        marks.answered();
        let Some(session) = self.sessions.get(id) else { return };
        let seen = Lane::ALL.map(|lane| Some(marks.get(lane).confirmed));
        self.acknowledge_seen(id, Carrier::WebSocket, &Cursor { epoch: session.epoch, seen }, cx);
    }

    /// Answers the request that waits for the session, if one does, without frames. The session goes on at
    /// `home`.
    pub(crate) fn end_waiting(&mut self, token: Token, home: Member, cx: &mut Cx<'_>) {
        let Some(connection) = self.poll_lost(token, cx) else { return };
        let shown = self.next_poll_token(token, home);
        self.respond_waiting(connection, Status::Empty, shown.as_deref(), &[], cx);
    }

    /// From now on the session has no request that waits; says which one did.
    fn poll_lost(&mut self, token: Token, cx: &Cx<'_>) -> Option<Token> {
        let conn = self.conns.get_mut(token)?;
        let Stage::Poll(poll) = &mut conn.stage else { return None };
        let waiting = poll.waiting.take()?;
        let frames = conn.egress.take(cx.out);
        conn.egress.hold(frames);
        Some(waiting)
    }

    /// A connection whose request waited for frames is gone.
    pub(crate) fn poll_deserted(&mut self, connection: Token, token: Token, cx: &Cx<'_>) {
        let Some(Stage::Poll(poll)) = self.conns.get(token).map(|conn| &conn.stage) else { return };
        if poll.waiting == Some(connection) {
            self.poll_lost(token, cx);
        }
    }

    /// Takes a session out of its slot, with what waits for its next poll.
    pub(crate) fn take_poll(&mut self, token: Token) -> Option<(Poll, Vec<u8>)> {
        if !self.is_poll(token) {
            return None;
        }
        let Connection { mut egress, stage, .. } = self.conns.remove(token)?;
        let Stage::Poll(poll) = stage else { return None };
        Some((*poll, egress.release()))
    }

    /// Ends a session: what was written so far is its last answer, if a poll waits for one.
    pub(crate) fn end_poll(&mut self, token: Token, cx: &mut Cx<'_>) {
        self.answer_with_frames(token, cx);
        self.close(token, cx);
    }

    /// A session has ended. Its client learns of it by its next request, or now.
    pub(crate) fn forget_poll(&mut self, token: Token, poll: Poll, cx: &mut Cx<'_>) {
        self.conns.remove(token);
        self.polls.keys.remove(&poll.key);
        if let Some(connection) = poll.waiting {
            self.respond_waiting(connection, Status::Gone, None, &[], cx);
        }
        if let Some(link) = poll.link {
            self.forget_link(token, *link, cx);
        }
    }

    /// A look at a request that waits for frames.
    pub(crate) fn examine_waiting_poll(&mut self, connection: Token, cx: &mut Cx<'_>) -> Option<Instant> {
        let conn = self.conns.get(connection)?;
        let end = conn.heard.plus(self.config.longpoll.poll_timeout);
        let Stage::Http(exchange) = &conn.stage else { return None };
        let Some(Waiting::Poll { poll, .. }) = exchange.waiting else { return None };
        if cx.now.mono < end {
            return Some(end);
        }
        if let Some(conn) = self.conns.get_mut(poll) {
            conn.heard = cx.now.mono;
        }
        self.end_waiting(poll, self.me, cx);
        self.examine_exchange(connection, cx)
    }

    /// A look at a session: it ends when its client has not polled for long, or has joined nothing in time.
    pub(crate) fn examine_poll(&mut self, token: Token, cx: &mut Cx<'_>) -> Option<Instant> {
        let (idle, join) = (self.config.longpoll.idle_timeout, self.config.websocket.join_deadline);
        let now = cx.now.mono;
        let conn = self.conns.get(token)?;
        let Stage::Poll(poll) = &conn.stage else { return None };
        let end = if poll.waiting.is_some() { now.plus(idle) } else { conn.heard.plus(idle) };
        let bare = poll.link.as_ref().filter(|link| link.session.is_none());
        let late =
            bare.is_some_and(|link| u64::from(now.as_secs().saturating_sub(link.since)) >= join.as_secs());
        if late {
            self.end_poll(token, cx);
            return None;
        }
        if now >= end {
            self.broken(token, cx);
            return None;
        }
        Some(end)
    }
}

/// The same frames, to be sent a second time: the client's own messages say so.
fn again(version: Version, written: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(written.len());
    for text in longpoll::frames(written) {
        let body = match phoenix::decode_text(version, &text) {
            Ok(frame) if frame.topic == route::GATEWAY && frame.event == "message" => match frame.payload {
                Payload::Json(body) => {
                    Some(flagged(body.as_bytes(), !body.as_bytes().starts_with(REDELIVERY)).into_owned())
                }
                Payload::Binary(_) => None,
            },
            _ => None,
        };
        let Some(body) = body else {
            longpoll::write_frame(&mut out, &text);
            continue;
        };
        let mut frame = Vec::with_capacity(text.len() + REDELIVERY.len());
        phoenix::push(version, &mut frame, None, route::GATEWAY, "message", &body, None);
        longpoll::write_frame(&mut out, &String::from_utf8_lossy(&frame));
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_are_read_back_and_nothing_else_is() {
        let token = PollToken { home: Member(3), key: u64::MAX - 1, answered: 7 };
        let bytes = token.to_bytes();
        assert_eq!(PollToken::from_bytes(&bytes), Some(token));
        assert_eq!(PollToken::from_bytes(&bytes[..13]), None);
        assert_eq!(PollToken::from_bytes(&bytes[1..]), None);
    }

    #[test]
    fn only_own_messages_are_flagged_and_once() {
        let mut written = Vec::new();
        for frame in [
            r#"[null,null,"mcp:gateway","message",{"id":"x-1","data":"\"é"}]"#,
            r#"["1","1","mcp:gateway","phx_reply",{"status":"ok","response":{}}]"#,
            r#"[null,null,"room:a","message",{"n":1},{"sequence":1}]"#,
        ] {
            longpoll::write_frame(&mut written, frame);
        }
        let once = again(Version::V2, &written);
        let (was, is) = (longpoll::frames(&written), longpoll::frames(&once));
        let flagged = r#"[null,null,"mcp:gateway","message",{"redelivery":true,"id":"x-1","data":"\"é"}]"#;
        assert_eq!(is[0], flagged);
        assert_eq!(is[1..], was[1..]);
        assert_eq!(again(Version::V2, &once), once);
    }
}
