//! Connections that go on in another process: what the successor must know of one, and how it takes it up. Its client
//! notices nothing.
//!
//! What moves is at rest: between two messages, with nothing under way, sent all that it was to be sent so far. How far
//! that is goes along, and the successor, which has the streams, goes on from there.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use weir_ring::token::{Token, Transfer};
use weir_transports::phoenix::Version;
use weir_transports::websocket::{DeflateParams, close};

use crate::downstream::connection::{
    Channel, Feed, Joined, Link, Parcel, ParcelStage, Presence, Speaks, Stage, Watch,
};
use crate::downstream::identity::Proof;
use crate::downstream::sse::COMMENT_INTERVAL;
use crate::error::Error;
use crate::lane::Lane;
use crate::limits::Mode;
use crate::mail::Mail;
use crate::marks::{Mark, Marks};
use crate::policy::Whence;
use crate::policy::auth::{Authenticator, Principal};
use crate::policy::routing::Carrier;
use crate::recovery::Lineage;
use crate::route;
use crate::session::{LinkRef, Session};
use crate::stream::{Epoch, Position, Sequence};
use crate::turn::{Cx, Shard};

/// How long the successor may take to ask who a connection's client is.
const PROOF_LIFE: Duration = Duration::from_secs(600);

/// A client's connection, as one process tells another of it.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct Emigrant {
    client: Box<str>,
    /// The life of the client's stream: its 40 bits.
    epoch: u64,
    /// Who proved to be its client, sealed, and the name of his role. None: nobody was asked.
    proof: Option<(String, Box<str>)>,
    /// How far the stream was sent; empty: nothing was.
    lanes: Vec<Sent>,
    /// Which logical connection it is; none: it does not take the client's stream.
    lineage: Option<u64>,
    /// The client acknowledges what it gets.
    acks: bool,
    /// Seconds since it began.
    age: u32,
    whence: (Option<IpAddr>, bool, bool),
    kind: Kind,
    /// Received and not yet used.
    #[serde(default)]
    bytes: Vec<u8>,
}

/// How far one lane was sent: the numbers of a [`Mark`].
#[derive(Clone, Copy, Debug, Deserialize, Serialize)]
struct Sent {
    lane: u8,
    cursor: Sequence,
    replay: Sequence,
    again: Sequence,
    confirmed: Sequence,
    skipped: Sequence,
}

#[derive(Clone, Debug, Deserialize, Serialize)]
enum Kind {
    Sse,
    WebSocket {
        /// Of the Phoenix serializer: 1 or 2.
        version: u8,
        /// permessage-deflate is on; and the window that the client asked for.
        deflate: Option<Option<u8>>,
        channels: Vec<Membership>,
    },
}

/// A joined topic.
#[derive(Clone, Debug, Deserialize, Serialize)]
struct Membership {
    topic: Box<str>,
    join_ref: Option<Box<str>>,
    /// Epoch and number of the last message sent; none: the client's own stream.
    at: Option<(u64, Sequence)>,
}

impl Kind {
    /// Whether it is sent its client's own stream.
    fn takes_stream(&self) -> bool {
        match self {
            Kind::Sse => true,
            Kind::WebSocket { channels, .. } => channels.iter().any(|channel| channel.at.is_none()),
        }
    }
}

impl Emigrant {
    /// Whose connection it is.
    pub fn client(&self) -> &str {
        &self.client
    }

    /// The logical connection that its client's recovery token speaks of.
    pub(crate) fn lineage(&self) -> Option<Lineage> {
        self.lineage.map(Lineage::of_bits)
    }

    /// The letter with which a shard gets it, beside the socket.
    pub fn letter(self, transfer: Transfer) -> Mail {
        let (address, proxied, counts) = self.whence;
        let whence = Whence::new(address, proxied, counts);
        let parcel = Parcel { stage: ParcelStage::Emigrant(Box::new(self)), bytes: Vec::new(), tls: None };
        Mail::Moved { transfer, parcel: Box::new(parcel), whence }
    }

    fn marks(&self) -> Option<Box<Marks>> {
        let mut marks = Marks::default();
        marks.lineage = self.lineage();
        for sent in &self.lanes {
            let Sent { lane, cursor, replay, again, confirmed, skipped } = *sent;
            if let Some(lane) = Lane::ALL.into_iter().find(|it| *it as u8 == lane) {
                let mark = Mark { cursor, replay, again, confirmed, pinged_at: confirmed, skipped };
                *marks.open(lane) = mark;
            }
        }
        let some = !self.lanes.is_empty() || self.lineage.is_some();
        some.then(|| Box::new(marks))
    }
}

impl Parcel {
    /// What another process must know of the connection, if it goes there.
    pub fn into_emigrant(self) -> Option<Emigrant> {
        match self.stage {
            ParcelStage::Emigrant(emigrant) => Some(Emigrant { bytes: self.bytes, ..*emigrant }),
            ParcelStage::Http | ParcelStage::WebSocket { .. } => None,
        }
    }
}

impl Shard {
    /// What the successor must know of a connection; none: it cannot go on there.
    pub(crate) fn emigrant(&mut self, token: Token, cx: &Cx<'_>) -> Option<Emigrant> {
        let conn = self.conns.get(token).filter(|conn| conn.tls.is_none() && !conn.egress.is_blocked())?;
        let (id, proof, kind) = match &conn.stage {
            Stage::Sse(feed) => (feed.session, &feed.proof, self.kind_of_feed(feed)?),
            Stage::WebSocket(link) => (link.session?, &link.proof, self.kind_of_link(link)?),
            _ => return None,
        };
        let session = self.sessions.get(id).filter(|session| !session.is_minted() && !session.resumed)?;
        if *session.client == *route::EVENTS || proof.who().is_some_and(|who| who.bearer.is_some()) {
            return None;
        }
        let marks = conn.stage.marks();
        let lane = |(lane, mark): (Lane, &Mark)| {
            let Mark { cursor, replay, again, confirmed, skipped, .. } = *mark;
            Sent { lane: lane as u8, cursor, replay, again, confirmed, skipped }
        };
        let lanes = match &marks {
            Some(marks) if session.mailbox.is_some() => marks.iter().map(lane).collect(),
            _ => Vec::new(),
        };
        let acks = session.mailbox.as_ref().and_then(|mailbox| mailbox.ledger.as_ref());
        let who = proof.who().map(|who| (who, self.config.auth.rules(who.role).name.clone()));
        let seal = &mut self.seal;
        Some(Emigrant {
            client: session.client.clone(),
            epoch: session.epoch.bits(),
            proof: who.map(|(who, role)| (Authenticator::ticket(who, PROOF_LIFE, cx.now.wall, seal), role)),
            lanes,
            lineage: kind.takes_stream().then(|| self.lineage(token).bits()),
            acks: acks.is_some_and(|ledger| ledger.acks.is_some()),
            age: cx.now.mono.as_secs().saturating_sub(conn.since().unwrap_or_default()),
            whence: self.addresses.whence(conn.peer).parts(),
            kind,
            bytes: Vec::new(),
        })
    }

    fn kind_of_feed(&self, feed: &Feed) -> Option<Kind> {
        let plain = feed.watching.is_none() && feed.filter.is_none() && !feed.ndjson && !feed.encrypted;
        plain.then_some(Kind::Sse)
    }

    fn kind_of_link(&self, link: &Link) -> Option<Kind> {
        let Speaks::Phoenix(version) = link.speaks else { return None };
        if !link.reader.is_between_messages()
            || link.rpc.is_some()
            || link.opening.is_some()
            || link.encrypted
        {
            return None;
        }
        let channel = |channel: &Channel| {
            let at = match channel.state {
                Joined::Gateway => None,
                Joined::Live if channel.presence == Presence::None => {
                    let Position { epoch, sequence } = self.subscribers.reached(&channel.topic)?;
                    Some((epoch.bits(), sequence))
                }
                _ => return None,
            };
            let (topic, join_ref) = ((*channel.topic).into(), channel.join_ref.clone());
            Some(Membership { topic, join_ref, at })
        };
        let channels = link.channels.iter().map(channel).collect::<Option<Vec<_>>>()?;
        let version = if version == Version::V1 { 1 } else { 2 };
        let deflate = link.deflate.map(DeflateParams::window);
        Some(Kind::WebSocket { version, deflate, channels })
    }

    /// A connection comes from another process.
    pub(crate) fn immigrate(&mut self, token: Token, emigrant: Emigrant, cx: &mut Cx<'_>) {
        self.stats.taken_up += 1;
        if self.is_handing_over() {
            // Too late to learn whether its client has resumed here meanwhile.
            return self.turn_back(token, &emigrant.kind, cx);
        }
        self.go_on_with(token, emigrant, cx);
    }

    /// Goes on with a connection of another process, or with one that could not go there. If it cannot, its client is
    /// told to come again.
    pub(crate) fn go_on_with(&mut self, token: Token, mut emigrant: Emigrant, cx: &mut Cx<'_>) {
        match self.adopt(token, &emigrant, cx) {
            Ok(()) if emigrant.bytes.is_empty() => {}
            Ok(()) => self.plain_received(token, &mut emigrant.bytes, cx),
            Err(error) => {
                self.stats.refuse(&error);
                self.turn_back(token, &emigrant.kind, cx);
            }
        }
    }

    fn turn_back(&mut self, token: Token, kind: &Kind, cx: &mut Cx<'_>) {
        match kind {
            Kind::Sse => self.finish(token, cx),
            Kind::WebSocket { .. } => {
                self.close_link(token, close::SERVICE_RESTART, "the server restarts: come back", cx);
            }
        }
    }

    fn adopt(&mut self, token: Token, emigrant: &Emigrant, cx: &mut Cx<'_>) -> Result<(), Error> {
        let who = self.heir(emigrant, cx)?;
        self.let_client_in(&emigrant.client, cx.now)?;
        let id = self.open_session(&emigrant.client, cx)?;
        let marks = self.check_place(id, emigrant)?;
        self.claim(token, id, who.as_deref(), cx)?;
        let carrier = match emigrant.kind {
            Kind::Sse => Carrier::Sse,
            Kind::WebSocket { .. } => Carrier::WebSocket,
        };
        let proof = Proof::new(who, cx.now.wall);
        let since = cx.now.mono.as_secs().saturating_sub(emigrant.age);
        let takes_stream = emigrant.kind.takes_stream();
        if takes_stream {
            self.link_to(id, LinkRef { token, carrier }, emigrant.acks, cx);
        }
        match &emigrant.kind {
            Kind::Sse => self.adopt_feed(token, Feed::new(id, proof, marks, since), cx),
            Kind::WebSocket { version, deflate, channels } => {
                let version = if *version == 1 { Version::V1 } else { Version::V2 };
                let deflate = deflate.and_then(DeflateParams::of_window);
                let mut link = Link::new(Speaks::Phoenix(version), deflate, Watch::Parked);
                (link.session, link.proof, link.marks, link.since) = (Some(id), proof, marks, since);
                (link.arrived, link.lasted, link.gateway) = (true, true, takes_stream);
                self.adopt_link(token, link, channels, cx);
            }
        }
        if takes_stream {
            self.carrier_opened(id, carrier, None, cx);
        }
        self.hungry.push(token);
        Ok(())
    }

    fn adopt_feed(&mut self, token: Token, mut feed: Feed, cx: &mut Cx<'_>) {
        let heartbeat = cx.now.mono.plus(self.config.sse.heartbeat_interval);
        feed.heartbeat = heartbeat;
        feed.lasted = true;
        self.begin_feed(token, feed, cx);
        self.wake_by(token, heartbeat.min(cx.now.mono.plus(COMMENT_INTERVAL)));
    }

    fn adopt_link(&mut self, token: Token, mut link: Link, channels: &[Membership], cx: &mut Cx<'_>) {
        if let Some(session) = link.session.and_then(|id| self.sessions.get_mut(id)) {
            session.named += 1;
        }
        for Membership { topic, join_ref, at } in channels {
            let at = at.map(|(epoch, sequence)| {
                let epoch = Epoch::from_bits(epoch).unwrap_or(Epoch::UNKNOWN);
                Position { epoch, sequence }
            });
            match at {
                Some(at) => self.resume_topic(token, &mut link, topic, (join_ref.clone(), at), cx),
                None => {
                    let (topic, join_ref) = (Arc::from(&**topic), join_ref.clone());
                    let ticket = self.next_ticket();
                    let (presence, state) = (Presence::None, Joined::Gateway);
                    link.enter(Channel { topic, join_ref, ticket, presence, state });
                }
            }
        }
        self.start_link(token, link, cx);
    }

    /// Who is at the other end, asked of the rules that hold now.
    fn heir(&self, emigrant: &Emigrant, cx: &Cx<'_>) -> Result<Option<Arc<Principal>>, Error> {
        match (&emigrant.proof, self.config.auth.mode) {
            (_, Mode::Off) => Ok(None),
            (None, _) => Err(Error::MissingToken),
            (Some((ticket, role)), _) => {
                let opened = self.auth.read_ticket(ticket, &self.seal, cx.now.wall);
                let mut who = opened.map_err(|denied| denied.error())?;
                // By its name: another configuration may have other roles.
                who.role = self.config.auth.role(role);
                Ok(Some(Arc::new(who)))
            }
        }
    }

    /// How far the connection is, if the stream is the one that it was sent, and nobody can have taken its place on the way.
    fn check_place(&self, id: Token, emigrant: &Emigrant) -> Result<Option<Box<Marks>>, Error> {
        let goes_on = |session: &&Session| session.epoch.bits() == emigrant.epoch && !session.resumed;
        let session = self.sessions.get(id).filter(goes_on);
        let session = session.ok_or_else(Error::draining)?;
        let marks = emigrant.marks();
        let durable = |lane| {
            let stream = session.mailbox.as_ref().and_then(|mailbox| mailbox.lane(lane));
            stream.map_or(0, |stream| stream.outbox.durable())
        };
        let known =
            marks.iter().flat_map(|marks| marks.iter()).all(|(lane, mark)| mark.cursor <= durable(lane));
        if known { Ok(marks) } else { Err(Error::draining()) }
    }
}
