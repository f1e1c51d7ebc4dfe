//! The requests of Phoenix LongPoll, as phoenix.js 1.8 makes them: a GET without a token opens a session, one
//! with a token waits for frames, a POST brings frames. They come on any connection; each is handed to the
//! session's home.

use std::borrow::Cow;
use std::sync::Arc;

use weir_ring::token::{Member, Token};
use weir_transports::http1::{Head, Method, query};
use weir_transports::phoenix::Version;
use weir_transports::phoenix::longpoll::{self, Item, Status};
use weir_transports::websocket::close;

use crate::downstream::connection::{Exchange, Link, Speaks, Waiting, Watch};
use crate::downstream::endpoint::Endpoint;
use crate::downstream::exchange::{Outcome, Raw};
use crate::downstream::identity::Proof;
use crate::downstream::opening::Opening;
use crate::downstream::poll::{MARK, Poll, PollToken, Whereabouts};
use crate::downstream::reply::Terms;
use crate::downstream::websocket::Flow;
use crate::error::Error;
use crate::limits::SLOTS_RESERVED;
use crate::mail::Mail;
use crate::policy::auth::Principal;
use crate::seal::Purpose;
use crate::turn::{Cx, Shard};

/// Frames that a session's client has sent, for the shard that the session is on.
#[derive(Debug)]
pub struct PollLetter {
    key: u64,
    /// The session itself: the first of the frames is the join that names a client of that shard.
    session: Option<PollParcel>,
    items: Vec<Item<'static>>,
}

/// A session that moves.
#[derive(Debug)]
struct PollParcel {
    answered: u32,
    unconfirmed: Vec<u8>,
    /// Frames that no poll has taken.
    frames: Vec<u8>,
    version: Version,
    who: Option<Arc<Principal>>,
    opening: Option<Box<Opening>>,
}

impl Shard {
    /// A request on `/mcp/ws/longpoll`.
    pub(crate) fn longpoll_request(
        &mut self,
        token: Token,
        exchange: &mut Exchange,
        head: &Head<'_>,
        raw: Raw<'_>,
        cx: &mut Cx<'_>,
    ) -> Outcome {
        let terms = self.terms(head);
        if !matches!(head.method, Method::Get | Method::Post) {
            let error = Error::MethodNotAllowed { allow: "GET, POST" };
            return self.refuse_poll(token, &error, terms, cx);
        }
        let shown = shown(head);
        if self.draining.is_some() && shown.is_none() {
            return self.refuse_poll(token, &Error::draining(), Terms { keep_alive: false, ..terms }, cx);
        }
        if shown.is_none() && head.method == Method::Get {
            return self.open_poll(token, head, raw, cx);
        }
        let opened = shown.and_then(|shown| self.seal.open(Purpose::Poll, &shown));
        let Some(shown) = opened.and_then(|bytes| PollToken::from_bytes(&bytes)) else {
            return self.poll_gone(token, terms, cx);
        };
        if shown.home.0 < self.config.shards && self.leaves_to(token, shown.home, raw, cx) {
            return Outcome::Gone;
        }
        match self.polls.find(shown.key) {
            None => self.poll_gone(token, terms, cx),
            Some(whereabouts) if head.method == Method::Post => {
                self.frames_came(token, (shown.key, whereabouts), head, raw.body, cx)
            }
            Some(Whereabouts::Moved { to, .. }) => {
                let there = self.seal_poll_token(PollToken { home: to, ..shown });
                self.respond_poll(token, Status::Empty, Some(&there), &[], terms, cx);
                Outcome::Done
            }
            Some(Whereabouts::Here(poll)) => {
                self.read_on(token, exchange, cx);
                self.wake_by(token, cx.now.mono.plus(self.config.longpoll.poll_timeout));
                self.poll_came(poll, token, shown.answered, cx);
                Outcome::Waiting(Waiting::Poll { poll, terms })
            }
        }
    }

    /// Opens a session: of the client that the URL names, or of one that its first join will name.
    fn open_poll(&mut self, token: Token, head: &Head<'_>, raw: Raw<'_>, cx: &mut Cx<'_>) -> Outcome {
        let terms = self.terms(head);
        let version = Version::from_vsn(head.query.and_then(|q| query::get(q, "vsn")).as_deref());
        let Ok(version) = version else {
            let error =
                Error::malformed("vsn names a serializer that is not spoken here: use 1.0.0 or 2.0.0");
            return self.refuse_poll(token, &error, terms, cx);
        };
        let speaks = Speaks::Polled(version);
        let named = match self.upgrade_name(head, raw, speaks) {
            Ok(named) => named,
            Err(error) => return self.refuse_poll(token, &error, terms, cx),
        };
        if let Some(name) = &named
            && self.leaves_for(token, name, raw, cx)
        {
            return Outcome::Gone;
        }
        let mut link = Link::new(speaks, None, Watch::Stream);
        link.proof = Proof::new(raw.who.cloned(), cx.now.wall);
        let key = self.random.next();
        let poll = Poll { key, link: None, waiting: None, answered: 0, unconfirmed: Vec::new() };
        let opened = Opening::of_head(head)
            .and_then(|opening| self.open_link(&mut link, opening, named.as_deref(), cx))
            .and_then(|()| self.spend_ticket(head, cx))
            .and_then(|()| self.name_link(token, &mut link, named, cx));
        let poll = match opened {
            Ok(()) if self.slots_left() < SLOTS_RESERVED => None,
            Ok(()) => self.start_poll(poll, link, Vec::new(), cx),
            Err(error) => return self.refuse_poll(token, &error, terms, cx),
        };
        let Some(poll) = poll else {
            return self.refuse_poll(token, &Error::insufficient_resources(), terms, cx);
        };
        let shown = self.next_poll_token(poll, self.me);
        self.respond_poll(token, Status::Gone, shown.as_deref(), &[], terms, cx);
        Outcome::Done
    }

    /// Frames of a session's client.
    fn frames_came(
        &mut self,
        token: Token,
        (key, whereabouts): (u64, Whereabouts),
        head: &Head<'_>,
        body: &[u8],
        cx: &mut Cx<'_>,
    ) -> Outcome {
        let terms = self.terms(head);
        let Ok(text) = str::from_utf8(body) else {
            return self.refuse_poll(token, &Error::malformed("the body is not UTF-8"), terms, cx);
        };
        let kind = head.header("content-type").unwrap_or_default();
        let items = longpoll::items(text, kind.starts_with("application/x-ndjson"));
        match whereabouts {
            Whereabouts::Here(poll) => {
                if !self.take_items(poll, items.collect(), cx) {
                    return self.poll_gone(token, terms, cx);
                }
            }
            Whereabouts::Moved { to, .. } => {
                let items = items.map(Item::into_owned).collect();
                self.send(to, Mail::Poll(Box::new(PollLetter { key, session: None, items })), cx);
            }
        }
        self.respond_poll(token, Status::Ok, None, &[], terms, cx);
        Outcome::Done
    }

    /// Handles frames in order; false if one of them has ended the session.
    fn take_items(&mut self, poll: Token, mut items: Vec<Item<'_>>, cx: &mut Cx<'_>) -> bool {
        let Some(mut link) = self.lend_link(poll) else { return false };
        let mut moves = None;
        for (at, item) in items.iter().enumerate() {
            self.stats.longpoll.messages_in += 1;
            let version = link.version();
            let flow = match (item, version) {
                (Item::Text(text), _) => self.phoenix_text(poll, &mut link, version, text, cx),
                (Item::Binary(bytes), Version::V2) => self.phoenix_binary(poll, &mut link, bytes, cx),
                _ => self.close_link(poll, close::UNSUPPORTED_DATA, "no frame", cx),
            };
            match flow {
                Flow::Go => {}
                Flow::Stop => break,
                Flow::Move { to, .. } => {
                    moves = Some((to, at));
                    break;
                }
            }
        }
        if let Some((to, at)) = moves {
            let rest = items.drain(at..).map(Item::into_owned).collect();
            self.move_poll(poll, *link, to, rest, cx);
            return true;
        }
        self.return_link(poll, link, cx);
        self.is_poll(poll)
    }

    /// Sends a session to the shard of the client that its join named. What still comes here follows it.
    fn move_poll(
        &mut self,
        token: Token,
        mut link: Link,
        to: Member,
        items: Vec<Item<'static>>,
        cx: &mut Cx<'_>,
    ) {
        self.end_waiting(token, to, cx);
        let Some((poll, frames)) = self.take_poll(token) else { return };
        let (version, opening) = (link.version(), link.opening.take());
        let who = link.proof.who.clone();
        self.forget_link(token, link, cx);
        self.polls.put(poll.key, Whereabouts::Moved { to, at: cx.now.mono });
        let Poll { key, answered, unconfirmed, .. } = poll;
        let session = Some(PollParcel { answered, unconfirmed, frames, version, who, opening });
        self.send(to, Mail::Poll(Box::new(PollLetter { key, session, items })), cx);
    }

    /// Frames for a session that is here, or comes with them.
    pub(crate) fn poll_letter(&mut self, letter: PollLetter, cx: &mut Cx<'_>) {
        let PollLetter { key, session, items } = letter;
        if let Some(parcel) = session {
            let PollParcel { answered, unconfirmed, frames, version, who, opening } = parcel;
            let mut link = Link::new(Speaks::Polled(version), None, Watch::Stream);
            link.proof = Proof::new(who, cx.now.wall);
            (link.opening, link.arrived) = (opening, true);
            let poll = Poll { key, link: None, waiting: None, answered, unconfirmed };
            // Without room for it the client finds it gone, and opens another.
            self.start_poll(poll, link, frames, cx);
        }
        if let Some(Whereabouts::Here(poll)) = self.polls.find(key) {
            self.take_items(poll, items, cx);
        }
    }

    /// Tells a client that its session is no more: it opens another and joins again.
    fn poll_gone(&mut self, token: Token, terms: Terms, cx: &mut Cx<'_>) -> Outcome {
        self.respond_poll(token, Status::Gone, None, &[], terms, cx);
        Outcome::Done
    }

    /// Refuses a request in words that phoenix.js takes: of any other answer it would make nothing, for ever.
    pub(crate) fn refuse_poll(
        &mut self,
        token: Token,
        error: &Error,
        terms: Terms,
        cx: &mut Cx<'_>,
    ) -> Outcome {
        self.respond_error_as(token, error, &error_with_status(error), terms, cx);
        if terms.keep_alive {
            return Outcome::Done;
        }
        self.finish(token, cx);
        Outcome::Gone
    }
}

/// An error with the field that phoenix.js looks at first.
pub(crate) fn error_with_status(error: &Error) -> Vec<u8> {
    let status = if error.http_status() < 429 { Status::Forbidden } else { Status::Failed };
    let mut body = Vec::new();
    error.write_json(&mut body);
    body.splice(..1, format!("{{\"status\":{},", status.code()).into_bytes());
    body
}

/// Whether a request is of a session that was opened before.
pub(crate) fn is_of_session(endpoint: &Endpoint<'_>, head: &Head<'_>) -> bool {
    *endpoint == Endpoint::LongPoll && (head.method != Method::Get || shown(head).is_some())
}

/// The token that a request shows: in the header of newer clients, or last in the query, behind the
/// application's own parameters.
fn shown(head: &Head<'_>) -> Option<String> {
    let header = head.header("x-phoenix-longpoll-token").map(Cow::Borrowed);
    let in_query = || {
        let tokens = query::pairs(head.query?).filter(|(key, _)| key == "token").map(|(_, value)| value);
        tokens.filter(|value| value.starts_with(MARK)).last()
    };
    let shown = header.or_else(in_query)?;
    shown.strip_prefix(MARK).map(str::to_owned)
}
