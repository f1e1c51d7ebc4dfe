//! A client's own stream from its first connection to its end: opened, continued, told about, forgotten in time.

use std::time::Duration;

use weir_ring::time::Instant;
use weir_ring::token::Token;
use weir_transports::phoenix::{self, Version};
use weir_transports::sse;

use crate::downstream::connection::{Link, Speaks, Stage};
use crate::durable::{client_name, log_forgotten, log_opened};
use crate::error::Error;
use crate::lane::Lane;
use crate::limits::Config;
use crate::mailbox::Mailbox;
use crate::marks::{Mark, Marks};
use crate::outbox::{Gap, GapReason};
use crate::policy::TokenBucket;
use crate::policy::routing::Carrier;
use crate::route;
use crate::session::{Links, Session};
use crate::stream::{Cursor, Epoch, Sequence};
use crate::turn::{Alarm, Cx, Shard};

/// Where a connection goes on in a stream.
#[derive(Debug)]
pub(crate) struct Place {
    /// The epoch, and where it stands.
    pub cursor: Cursor,
    /// The cursor it came with could be continued.
    pub recovered: bool,
    /// What its cursor cannot be continued over.
    pub gaps: Vec<(Lane, Gap)>,
    /// The same for the connection; nothing if it begins at the beginning.
    pub marks: Option<Box<Marks>>,
}

impl Shard {
    /// The session of `client`, made if need be. Its home is this shard.
    pub(crate) fn open_session(&mut self, client: &str, cx: &Cx<'_>) -> Result<Token, Error> {
        if let Some(id) = self.sessions.find(client) {
            return Ok(id);
        }
        if self.is_handing_over() && !client.starts_with(route::MINTED) {
            // The successor would not know it.
            return Err(Error::draining());
        }
        let epoch = Epoch::from_random(self.random.next());
        let id = self.begin_session(client, epoch, cx)?;
        if let Some(session) = self.sessions.get(id).filter(|session| !session.is_minted()) {
            log_opened(&mut self.journal, client_name(&session.client), epoch);
        }
        Ok(id)
    }

    /// A session whose stream begins, or goes on, at `epoch`.
    pub(crate) fn begin_session(&mut self, client: &str, epoch: Epoch, cx: &Cx<'_>) -> Result<Token, Error> {
        let session = Session {
            client: client.into(),
            links: Links::None,
            named: 0,
            bucket: TokenBucket::new(),
            epoch,
            mailbox: None,
            received: 0,
            heard: cx.now.mono,
            watched: false,
            proven: false,
            resumed: false,
            followed: self.tracer.follows(client),
        };
        self.sessions.find_or_insert(client, || session).map_err(|_| Error::insufficient_resources())
    }

    /// Where a connection goes on: at its cursor if that can be continued, else where the client's
    /// last connection was.
    pub(crate) fn place(&self, id: Token, resume: Option<Cursor>) -> Place {
        let epoch = self.sessions.get(id).map_or(Epoch::UNKNOWN, |session| session.epoch);
        let mut place = Place {
            cursor: Cursor { epoch, seen: [Some(0); 4] },
            recovered: false,
            gaps: Vec::new(),
            marks: None,
        };
        let Some(session) = self.sessions.get(id) else { return place };
        let empty = Mailbox::new(epoch);
        let mailbox = session.mailbox.as_deref().unwrap_or(&empty);
        let foreign = resume.is_some_and(|cursor| cursor.epoch != epoch);
        place.recovered = resume.is_some();
        let mut marks = Marks::default();
        for (lane, seen) in Lane::ALL.map(|lane| (lane, resume.and_then(|cursor| cursor.seen(lane)))) {
            let stream = mailbox.lane(lane);
            let (durable, floor) = stream.map_or((0, 1), |it| (it.outbox.durable(), it.outbox.floor()));
            let written = stream.map_or(0, |stream| stream.written);
            let fresh = self.fresh(session, mailbox, lane);
            let mut mark = Mark { cursor: fresh, again: written, ..Mark::default() };
            match seen {
                None => {}
                Some(seen) if !foreign && seen <= durable => {
                    place.recovered &= seen + 1 >= floor;
                    (mark.cursor, mark.replay) = (seen, durable);
                }
                Some(0) if lane != Lane::Normal && fresh == 0 => {}
                Some(_) => {
                    place.recovered = false;
                    let reason = if foreign { GapReason::EpochChanged } else { GapReason::Ahead };
                    place.gaps.push((lane, Gap { from: 1, to: fresh, reason }));
                }
            }
            (mark.confirmed, mark.pinged_at) = (mark.cursor, mark.cursor);
            place.cursor.seen[lane as usize] = Some(mark.cursor);
            if stream.is_some() {
                *marks.open(lane) = mark;
            }
        }
        place.marks = session.mailbox.is_some().then(|| Box::new(marks));
        place
    }

    /// Where a connection without a cursor goes on in a lane: after what others have been sent, each transport
    /// its own part; without others where the last one was when it went.
    fn fresh(&self, session: &Session, mailbox: &Mailbox, lane: Lane) -> Sequence {
        let furthest = |carrier| {
            let links = session.links.as_slice().iter().filter(|link| link.carrier == carrier);
            let stages = links.filter_map(|link| Some(&self.conns.get(link.token)?.stage));
            stages.filter_map(|stage| stage.reached(lane)).max()
        };
        match (furthest(Carrier::WebSocket), furthest(Carrier::Sse)) {
            (None, None) => mailbox.lane(lane).map_or(0, |stream| stream.left_at),
            (Some(cursor), None) | (None, Some(cursor)) => cursor,
            (Some(one), Some(other)) => one.min(other),
        }
    }

    /// Tells a connection what it will not get.
    pub(crate) fn tell_gap(&mut self, token: Token, id: Token, (lane, gap): (Lane, Gap), cx: &mut Cx<'_>) {
        let Some(session) = self.sessions.get(id) else { return };
        let payload = gap_json(session.epoch, lane, gap);
        self.stats.missed.told(gap);
        self.tell(token, "gap", &payload, cx);
    }

    /// Sends an event beside the stream: `gap`, `transport_switched`, `shutdown_pending`.
    pub(crate) fn tell(&mut self, token: Token, event: &str, payload: &[u8], cx: &mut Cx<'_>) {
        self.tell_from(token, None, event, payload, cx);
    }

    /// The same; over SSE `id` becomes the client's cursor.
    pub(crate) fn tell_from(
        &mut self,
        token: Token,
        id: Option<&str>,
        event: &str,
        payload: &[u8],
        cx: &mut Cx<'_>,
    ) {
        let Some(conn) = self.conns.get(token) else { return };
        match &conn.stage {
            Stage::Sse(feed) if feed.ndjson => self.put(token, cx, |out| {
                out.extend_from_slice(format!("{{\"type\":\"{event}\",\"data\":").as_bytes());
                out.extend_from_slice(payload);
                out.extend_from_slice(b"}\n");
            }),
            Stage::Sse(_) => {
                let text = String::from_utf8_lossy(payload);
                self.put(token, cx, |out| sse::event(out, id, Some(event), &text));
            }
            stage => {
                let Some(link) = stage.link().filter(|link| link.speaks_phoenix()) else { return };
                let (mut frame, mut text) = (Vec::new(), Vec::new());
                phoenix::push(link.version(), &mut frame, None, route::GATEWAY, event, payload, None);
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
        let away = session.is_away();
        if away && cx.now.mono >= session.heard.plus(idle) {
            self.close_ledger(id, cx);
            self.forget_session(id);
            return;
        }
        let freed = session.mailbox.as_mut().map_or(0, |mailbox| mailbox.trim_age(cx.now.mono, limits));
        self.stats.outbox_bytes -= freed as u64;
        for lane in Lane::ALL {
            self.forgotten(id, lane, cx);
        }
        let Some(session) = self.sessions.get_mut(id) else { return };
        let keeps = session.mailbox.as_ref().is_some_and(|mailbox| mailbox.len() > 0);
        session.watched = away || keeps;
        let next = look_at(session, &self.config, cx.now.mono);
        if session.watched {
            self.alarm(next.max(cx.now.mono.plus(Duration::from_secs(1))), Alarm::Session(id));
        }
    }

    /// Makes sure that a session is looked at once it may be too old.
    pub(crate) fn watch_age(&mut self, id: Token, cx: &Cx<'_>) {
        let Some(session) = self.sessions.get_mut(id) else { return };
        if !std::mem::replace(&mut session.watched, true) {
            let due = look_at(session, &self.config, cx.now.mono);
            self.alarm(due.max(cx.now.mono), Alarm::Session(id));
        }
    }

    /// A session has lost a connection: it is looked at once it may be too old.
    pub(crate) fn unlinked(&mut self, id: Token, now: Instant) {
        let idle = self.config.session_idle_timeout;
        let Some(session) = self.sessions.get_mut(id) else { return };
        if !session.is_away() {
            return;
        }
        session.heard = now;
        if session.is_minted() && session.mailbox.is_none() {
            self.forget_session(id);
        } else if !std::mem::replace(&mut session.watched, true) {
            self.alarm(now.plus(idle), Alarm::Session(id));
        }
    }

    /// Forgets clients that are away for as long; says how many.
    pub(crate) fn clean_up(&mut self, idle: Duration, cx: &mut Cx<'_>) -> usize {
        let gone = |session: &Session| session.is_away() && cx.now.mono >= session.heard.plus(idle);
        let gone: Vec<Token> =
            self.sessions.iter().filter(|(_, session)| gone(session)).map(|(id, _)| id).collect();
        for id in &gone {
            self.close_ledger(*id, cx);
            self.forget_session(*id);
        }
        gone.len()
    }

    fn forget_session(&mut self, id: Token) {
        if let Some(session) = self.sessions.remove(id) {
            if !session.is_minted() {
                log_forgotten(&mut self.journal, client_name(&session.client), session.epoch);
            }
            self.stats.outbox_bytes -= session.mailbox.map_or(0, |mailbox| mailbox.bytes()) as u64;
        }
    }

    /// A name for a connection that gave none, whose home is this shard.
    pub(crate) fn mint(&mut self) -> String {
        loop {
            let name = format!("{}{:016x}", route::MINTED, self.random.next());
            if route::home(&self.ring, &name) == self.me {
                return name;
            }
        }
    }
}

/// When a session, or something it keeps, may be too old. A client that never came is away from the start.
fn look_at(session: &Session, config: &Config, now: Instant) -> Instant {
    if session.is_away() {
        session.heard.plus(config.session_idle_timeout)
    } else {
        now.plus(config.outbox.age_max)
    }
}

/// `{"epoch", "from", "to", "reason"}`, and `lane` unless it is the normal one.
pub(crate) fn gap_json(epoch: Epoch, lane: Lane, gap: Gap) -> Vec<u8> {
    let epoch = String::from_utf8_lossy(&epoch.letters()).into_owned();
    let (from, to, reason) = (gap.from, gap.to, gap.reason.name());
    let lane = match lane {
        Lane::Normal => String::new(),
        lane => format!(r#","lane":"{}""#, lane.name()),
    };
    format!(r#"{{"epoch":"{epoch}","from":{from},"to":{to},"reason":"{reason}"{lane}}}"#).into_bytes()
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
