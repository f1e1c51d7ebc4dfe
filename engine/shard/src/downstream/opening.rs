//! A connection takes up its client's stream: with what it says of itself, and in whose place.

use weir_ring::time::Wall;
use weir_ring::token::Token;
use weir_transports::http1::{Head, query};
use weir_transports::websocket::close;

use crate::channels::Join;
use crate::downstream::connection::Stage;
use crate::downstream::identity::is_guest;
use crate::downstream::stream::Place;
use crate::error::Error;
use crate::lane::Lane;
use crate::marks::Marks;
use crate::outbox::Gap;
use crate::policy::auth::Principal;
use crate::policy::routing::Carrier;
use crate::recovery::{Lineage, Recovery};
use crate::route;
use crate::session::LinkRef;
use crate::stream::Cursor;
use crate::turn::{Cx, Shard};

/// What a connection says of itself beside its client's name, in a request's head or a join.
#[derive(Debug, Default)]
pub(crate) struct Opening {
    /// What the client has seen.
    pub(crate) cursor: Option<Cursor>,
    /// A recovery token.
    pub(crate) token: Option<Box<str>>,
    /// The transport it would rather be sent its messages on.
    pub(crate) prefer: Option<Carrier>,
    /// The client will acknowledge what it gets.
    pub(crate) ack: bool,
    /// Payloads are encrypted.
    pub(crate) encryption: bool,
}

/// A connection that has its client's stream now.
#[derive(Debug)]
pub(crate) struct Opened {
    /// Where its client stands.
    pub(crate) cursor: Cursor,
    /// The same for the connection.
    pub(crate) marks: Option<Box<Marks>>,
    /// What its cursor cannot be continued over.
    pub(crate) gaps: Vec<(Lane, Gap)>,
    /// Payloads are encrypted from now on.
    pub(crate) encrypted: bool,
    /// What the client is told: the event `connected`, or the join's reply.
    pub(crate) connected: Vec<u8>,
}

impl Opening {
    /// What a request says.
    ///
    /// # Errors
    /// `prefer` names no transport.
    pub(crate) fn of_head(head: &Head<'_>) -> Result<Opening, Error> {
        let of = |name| head.query.and_then(|q| query::get(q, name));
        let last = head.header("last-event-id").map(Into::into).or_else(|| of("last_event_id"));
        let prefer = of("prefer").map(|name| {
            Carrier::named(&name).ok_or_else(|| Error::malformed("prefer is websocket or http_sse"))
        });
        Ok(Opening {
            // One that nobody issued is answered as lost.
            cursor: last.map(|id| Cursor::parse(id.as_bytes()).unwrap_or(Cursor::UNKNOWN)),
            token: of("recovery_token").map(|token| token.as_ref().into()),
            prefer: prefer.transpose()?,
            ack: of("ack").is_some_and(|value| value == "true"),
            encryption: of("encryption").is_some_and(|value| value == "true"),
        })
    }

    /// What a join says; where it is silent, what the request before it said.
    pub(crate) fn of_join(join: &Join, request: Option<Opening>) -> Opening {
        let request = request.unwrap_or_default();
        Opening {
            cursor: join.cursor().or(request.cursor),
            token: join.token().map(Into::into).or(request.token),
            prefer: join.prefer.or(request.prefer),
            ack: join.ack || request.ack,
            encryption: join.encryption || request.encryption,
        }
    }

    /// As a link keeps it for its join: most say nothing.
    pub(crate) fn boxed(self) -> Option<Box<Opening>> {
        let Opening { cursor, token, prefer, ack, encryption } = &self;
        let silent = cursor.is_none() && token.is_none() && prefer.is_none() && !ack && !encryption;
        (!silent).then(|| Box::new(self))
    }
}

impl Shard {
    /// What the token of an opening says, if it has one.
    ///
    /// # Errors
    /// The token is none that was made for `client`, or is too old.
    pub(crate) fn recovery(
        &self,
        opening: &Opening,
        client: &str,
        cx: &Cx<'_>,
    ) -> Result<Option<Recovery>, Error> {
        let open = |token: &str| Recovery::open(token, client, cx.now.wall, &self.seal);
        opening.token.as_deref().map(open).transpose()
    }

    /// Makes the connection one that takes its client's stream. Who brings a token takes the place of the
    /// connection that has its lineage so far; of two that race the later one stays.
    ///
    /// # Errors
    /// As [`Shard::recovery`] and [`Shard::check_departed`]; nothing has changed then.
    pub(crate) fn take_stream(
        &mut self,
        token: Token,
        id: Token,
        carrier: Carrier,
        opening: Opening,
        who: Option<&Principal>,
        cx: &mut Cx<'_>,
    ) -> Result<Opened, Error> {
        let client = self.sessions.get(id).map_or("", |session| &session.client);
        let recovery = self.recovery(&opening, client, cx)?;
        let encrypted = self.encryption.agree(opening.encryption)? && client != route::EVENTS;
        let holder = recovery.as_ref().and_then(|recovery| self.holder(id, recovery.lineage));
        let resumed = match &recovery {
            Some(recovery) if holder.is_none() => {
                self.check_departed(recovery.lineage)?;
                true
            }
            _ => false,
        };
        if carrier == Carrier::Sse
            && let Some(seen) = &opening.cursor
        {
            self.acknowledge_seen(id, carrier, seen, cx);
        }
        let resume = opening.cursor.or_else(|| self.known(id, recovery.as_ref()?, holder));
        let Place { cursor, recovered, gaps, mut marks } = self.place(id, resume);
        let lineage = match recovery {
            Some(Recovery { lineage, .. }) => {
                marks.get_or_insert_default().lineage = Some(lineage);
                lineage
            }
            None => Lineage::of_root(token, self.salt),
        };
        if let Some(session) = self.sessions.get_mut(id) {
            session.resumed |= resumed;
        }
        self.link_to(id, LinkRef { token, carrier }, opening.ack, cx);
        self.watch_hoard(id, cx.now);
        if let Some(holder) = holder {
            self.fence(holder, cx);
        }
        self.carrier_opened(id, carrier, opening.prefer, cx);
        let token = self.recovery_token(id, lineage, cx.now.wall);
        let mut connected = self.connected(id, who, &cursor, recovered, token);
        if encrypted {
            connected["encryption"] = serde_json::json!({ "key_id": self.encryption.key_id() });
        }
        Ok(Opened { cursor, marks, gaps, encrypted, connected: connected.to_string().into_bytes() })
    }

    /// A connection takes its client's stream from now on; `acks`: and the client acknowledges what it gets.
    pub(crate) fn link_to(&mut self, id: Token, link: LinkRef, acks: bool, cx: &Cx<'_>) {
        if let Some(session) = self.sessions.get_mut(id) {
            session.links.add(link);
            session.heard = cx.now.mono;
        }
        self.ledger_connects(id, cx);
        if acks {
            self.opt_in(id, cx);
        }
    }

    /// What a client is told when its stream begins: who it is, where it goes on, what is kept.
    fn connected(
        &self,
        id: Token,
        who: Option<&Principal>,
        cursor: &Cursor,
        recovered: bool,
        token: Option<String>,
    ) -> serde_json::Value {
        let Some(session) = self.sessions.get(id) else { return serde_json::json!({}) };
        let user = who.filter(|who| !is_guest(who)).map_or(&session.client, |who| &who.subject);
        serde_json::json!({
            "client_id": session.client,
            "user_id": user,
            "role": who.map_or("user", |who| &self.config.auth.rules(who.role).name),
            "epoch": String::from_utf8_lossy(&session.epoch.letters()),
            "sequence": cursor.seen(Lane::Normal),
            "cursor": cursor.text(),
            "recovered": recovered,
            "recovery_token": token,
            "retention": {
                "messages": self.config.outbox.messages_max,
                "seconds": self.config.outbox.age_max.as_secs(),
            },
            "heartbeat_interval": self.config.sse.heartbeat_interval.as_millis() as u64,
        })
    }

    /// A token for a connection; none for backends, whose stream is nobody's own.
    fn recovery_token(&mut self, id: Token, lineage: Lineage, now: Wall) -> Option<String> {
        let session = self.sessions.get(id).filter(|session| &*session.client != route::EVENTS)?;
        let window = u64::try_from(self.config.recovery_window.as_millis()).unwrap_or(u64::MAX);
        let (client, epoch) = (session.client.clone(), session.epoch);
        let recovery = Recovery { client, lineage, epoch, expiry: Wall(now.0.saturating_add(window)) };
        Some(recovery.seal(&mut self.seal))
    }

    /// The client's connection that has this lineage.
    fn holder(&self, id: Token, lineage: Lineage) -> Option<Token> {
        let links = self.sessions.get(id)?.links.as_slice();
        links.iter().map(|link| link.token).find(|token| self.lineage(*token) == lineage)
    }

    /// The logical connection that it is.
    pub(crate) fn lineage(&self, token: Token) -> Lineage {
        let marks = self.conns.get(token).and_then(|conn| conn.stage.marks());
        let taken_up = marks.and_then(|marks| marks.lineage);
        taken_up.unwrap_or_else(|| Lineage::of_root(token, self.salt))
    }

    /// What a client that brings a token and no cursor is known to have: what its connection so far has had
    /// confirmed, or nothing of this life of its stream.
    fn known(&self, id: Token, recovery: &Recovery, holder: Option<Token>) -> Option<Cursor> {
        let epoch = self.sessions.get(id)?.epoch;
        if recovery.epoch != epoch {
            return Some(Cursor { epoch: recovery.epoch, seen: [Some(0); 4] });
        }
        let marks = self.conns.get(holder?)?.stage.marks()?;
        Some(Cursor { epoch, seen: Lane::ALL.map(|lane| Some(marks.get(lane).confirmed)) })
    }

    /// Ends a connection in whose place another is now: what it says from here on is not heard.
    fn fence(&mut self, holder: Token, cx: &mut Cx<'_>) {
        self.stats.fenced += 1;
        self.stats.refuse(&Error::Superseded);
        let Some(conn) = self.conns.get(holder) else { return };
        if let Stage::Sse(_) = conn.stage {
            let mut error = Vec::new();
            Error::Superseded.write_json(&mut error);
            // EventSource takes this name for a failure, which it is about to see.
            self.tell(holder, "error", &error, cx);
            return self.finish(holder, cx);
        }
        self.close_link(holder, close::POLICY_VIOLATION, "the client has resumed on another connection", cx);
    }
}
