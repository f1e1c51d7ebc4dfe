//! One accepted connection: its slot in the slab and what it is at the moment.

use std::borrow::Cow;
use std::sync::Arc;

use weir_ring::op::{Op, Output};
use weir_ring::time::Instant;
use weir_ring::token::{Member, Socket, Token, Transfer};
use weir_transports::http1::BodyReader;
use weir_transports::phoenix::Version;
use weir_transports::websocket::{DeflateParams, Reader};

use crate::downstream::egress::Egress;
use crate::downstream::emigrant::Emigrant;
use crate::downstream::gather::Gather;
use crate::downstream::identity::{Parked, Proof};
use crate::downstream::mcp::Pending;
use crate::downstream::opening::Opening;
use crate::downstream::poll::Poll;
use crate::downstream::preface::Preface;
use crate::downstream::reply::Terms;
pub(crate) use crate::downstream::watch::Watch;
use crate::downstream::watching::Watching;
use crate::lane::Lane;
use crate::marks::Marks;
use crate::policy::auth::Principal;
use crate::policy::{Peer, TokenBucket};
use crate::stream::{Position, Sequence};
use crate::tls::{Exhausted, Tls};
use crate::upstream::Wire;

/// The handle of a connection that is being opened: none.
const UNCONNECTED: Socket = Socket(u32::MAX);

/// A slot. 64 bytes: what an idle client costs beside its link and session.
#[derive(Debug)]
pub(crate) struct Connection {
    /// The driver's handle.
    pub socket: Socket,
    /// Where it is from.
    pub peer: Peer,
    /// What waits to leave.
    pub egress: Egress,
    /// What lies between it and the socket; none: it is in plaintext.
    pub tls: Option<Box<Tls>>,
    /// What the connection is.
    pub stage: Stage,
    /// When it last said something, or entered its stage.
    pub heard: Instant,
    /// When it is looked at next; earlier entries of the wheel are stale.
    pub wake: Instant,
}

const _: () = assert!(size_of::<Connection>() <= 64);

impl Connection {
    /// A connection without a socket, not yet or never, to be looked at when `wake` is.
    pub(crate) fn unconnected(stage: Stage, now: Instant, wake: Instant) -> Connection {
        Connection {
            socket: UNCONNECTED,
            peer: Peer::FREE,
            egress: Egress::default(),
            tls: None,
            stage,
            heard: now,
            wake,
        }
    }

    /// Whether it is open, as all are that were accepted.
    pub(crate) fn is_connected(&self) -> bool {
        self.socket != UNCONNECTED
    }

    /// Whether its TLS cannot carry anything yet.
    pub(crate) fn is_handshaking(&self) -> bool {
        self.tls.as_ref().is_some_and(|tls| tls.is_handshaking())
    }

    /// Whether all that was said on it is with the driver, or has left.
    pub(crate) fn is_said(&self) -> bool {
        self.egress.is_empty() && !self.tls.as_ref().is_some_and(|tls| tls.has_outgoing())
    }

    /// The end of the turn: one send for all that was written. Says how many bytes that are.
    ///
    /// # Errors
    /// The keys of its TLS may encrypt nothing more.
    pub(crate) fn flush(&mut self, token: Token, out: &mut Output) -> Result<usize, Exhausted> {
        if matches!(&self.stage, Stage::Leaving(departure) if departure.asked) {
            return Ok(0);
        }
        let Some(source) = self.egress.pending(self.tls.as_deref_mut(), out)? else { return Ok(0) };
        out.ops.push(Op::Send { token, socket: self.socket, source });
        Ok(out.bytes(source).len())
    }

    /// Closes the socket and forgets what waits to leave. One that is being opened is closed then.
    pub(crate) fn hang_up(&mut self, token: Token, out: &mut Output) {
        self.egress.discard();
        self.tls = None;
        if self.is_connected() {
            out.ops.push(Op::Close { token, socket: self.socket });
        }
    }

    /// When its stream began, in seconds of the monotonic clock.
    pub(crate) fn since(&self) -> Option<u32> {
        match &self.stage {
            Stage::Sse(feed) => Some(feed.since),
            stage => stage.link().map(|link| link.since),
        }
    }

    /// Whether anything may still be written to it.
    pub(crate) fn speaks(&self) -> bool {
        !matches!(self.stage, Stage::Closed | Stage::Closing | Stage::Leaving(_))
    }
}

/// What a connection is at the moment.
#[derive(Debug)]
pub(crate) enum Stage {
    /// Comes from a trusted proxy, which may say first whom it speaks for.
    Preface(Box<Preface>),
    /// Reads HTTP requests.
    Http(Box<Exchange>),
    /// An upgraded WebSocket.
    WebSocket(Box<Link>),
    /// An application SSE stream, or a backend's feed.
    Sse(Box<Feed>),
    /// A Phoenix LongPoll session, which has no socket of its own.
    Poll(Box<Poll>),
    /// Talks to an MCP server.
    Upstream(Box<Wire>),
    /// Being handed over to another shard.
    Leaving(Box<Departure>),
    /// Has said all it had to say: waits for the peer's end, input is thrown away.
    Closing,
    /// `Close` is under way, or follows once the connection is open.
    Closed,
    /// Lent to the code that works on it at this moment.
    Lent,
}

impl Stage {
    /// The link of a WebSocket or of a LongPoll session, unless it is lent.
    pub(crate) fn link(&self) -> Option<&Link> {
        match self {
            Stage::WebSocket(link) => Some(link),
            Stage::Poll(poll) => poll.link.as_deref(),
            _ => None,
        }
    }

    /// The same, to be changed.
    pub(crate) fn link_mut(&mut self) -> Option<&mut Link> {
        match self {
            Stage::WebSocket(link) => Some(link),
            Stage::Poll(poll) => poll.link.as_deref_mut(),
            _ => None,
        }
    }

    /// Whether payloads that go out are encrypted.
    pub(crate) fn is_encrypted(&self) -> bool {
        match self {
            Stage::Sse(feed) => feed.encrypted,
            stage => stage.link().is_some_and(|link| link.encrypted),
        }
    }

    /// How far the connection has been sent its client's stream, if it carries one.
    pub(crate) fn marks(&self) -> Option<Cow<'_, Marks>> {
        let marks = match self {
            Stage::Sse(feed) => &feed.marks,
            stage => &stage.link().filter(|link| link.gateway)?.marks,
        };
        Some(marks.as_deref().map_or_else(|| Cow::Owned(Marks::default()), Cow::Borrowed))
    }

    /// Last number of a lane that the client is taken to have: of what went to a poll, what the next one confirmed.
    pub(crate) fn reached(&self, lane: Lane) -> Option<Sequence> {
        let mark = self.marks()?.get(lane);
        Some(if matches!(self, Stage::Poll(_)) { mark.confirmed } else { mark.cursor })
    }

    /// The marks, to be moved on.
    pub(crate) fn marks_mut(&mut self) -> Option<&mut Marks> {
        let marks = match self {
            Stage::Sse(feed) => &mut feed.marks,
            stage => &mut stage.link_mut().filter(|link| link.gateway)?.marks,
        };
        Some(marks.get_or_insert_default())
    }
}

/// HTTP requests of one connection, one at a time.
#[derive(Debug, Default)]
pub(crate) struct Exchange {
    /// Received and not yet used: part of a head, a head whose body is being read, or what came after
    /// a request that waits.
    pub spill: Vec<u8>,
    /// A body that is being read.
    pub body: Option<Box<PartialBody>>,
    /// A request has no answer yet; none after it is read meanwhile.
    pub waiting: Option<Waiting>,
    /// How input is watched: in one go once the connection has spoken MCP.
    pub watch: Watch,
    /// What an MCP client that has neither name nor session may ask for.
    pub bucket: TokenBucket,
    /// The peer has sent its last byte.
    pub ended: bool,
    /// Has had at least one request.
    pub served: bool,
    /// A request has begun to arrive.
    pub partial: bool,
    /// The keys were asked for because of the request under way.
    pub asked_keys: bool,
}

impl Exchange {
    /// Whether an answer is due that a peer which has sent its last byte may still read.
    pub(crate) fn outlives_input(&self) -> bool {
        match &self.waiting {
            None | Some(Waiting::Poll { .. } | Waiting::Keys(_)) => false,
            Some(Waiting::Gather(_)) => true,
            Some(Waiting::Mcp(pending)) => pending.outlives_input(),
        }
    }
}

/// What a request waits for.
#[derive(Debug)]
pub(crate) enum Waiting {
    /// Other shards.
    Gather(Box<Gather>),
    /// An MCP server's answer, or the messages of a stream.
    Mcp(Box<Pending>),
    /// Frames of a LongPoll session.
    Poll {
        /// The session.
        poll: Token,
        /// Headers of the answer.
        terms: Terms,
    },
    /// The keys that its token may be signed with.
    Keys(Box<Parked>),
}

/// A body of which more is to come.
#[derive(Debug)]
pub(crate) struct PartialBody {
    pub reader: BodyReader,
    pub bytes: Vec<u8>,
}

/// A WebSocket connection, or what takes its place in a LongPoll session.
#[derive(Debug)]
pub(crate) struct Link {
    /// Turns bytes into messages.
    pub reader: Reader,
    /// Who it is, once named.
    pub session: Option<Token>,
    /// What proved that.
    pub proof: Proof,
    /// Tokens it brought that prove nothing.
    pub disproved: u8,
    /// Phoenix topics it joined; `mcp:gateway` is one of them.
    pub channels: Box<[Channel]>,
    /// How far it has been sent the client's own stream; made by the first message.
    pub marks: Option<Box<Marks>>,
    /// When it began, in seconds of the monotonic clock; 0: it begins now.
    pub since: u32,
    /// What the upgrade request said, for the join.
    pub opening: Option<Box<Opening>>,
    /// What it speaks.
    pub speaks: Speaks,
    /// What was agreed on permessage-deflate.
    pub deflate: Option<DeflateParams>,
    /// Takes the client's own stream.
    pub gateway: bool,
    /// Payloads are encrypted, both ways; settled by the first join.
    pub encrypted: bool,
    /// The session of the MCP messages that it carries by themselves; few links have one.
    pub rpc: Option<Box<Token>>,
    /// A ping waits for its pong.
    pub pinged: bool,
    /// How input is watched.
    pub watch: Watch,
    /// Has said something: what comes soon after is the first of more.
    pub tasted: bool,
    /// Came here by hand-over: does not move again.
    pub arrived: bool,
    /// Has been of use, or broke before: its transport's breaker was told so.
    pub lasted: bool,
    /// Ends because its transport failed.
    pub broke: bool,
}

const _: () = assert!(size_of::<Link>() <= 96);

/// What a WebSocket speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Speaks {
    /// The first message tells: raw MCP or Phoenix V1.
    Undecided,
    /// Raw MCP: one JSON-RPC message a frame.
    Mcp,
    /// Phoenix Channels.
    Phoenix(Version),
    /// Phoenix Channels over LongPoll.
    Polled(Version),
    /// The test endpoint.
    Echo,
}

/// A joined topic.
#[derive(Debug)]
pub(crate) struct Channel {
    /// The topic.
    pub topic: Arc<str>,
    /// Reference of its join; frames to the client carry it.
    pub join_ref: Option<Box<str>>,
    /// Tells this join from an earlier one of the same topic.
    pub ticket: u32,
    /// What it has to do with the topic's presence.
    pub presence: Presence,
    /// How far the join is.
    pub state: Joined,
}

/// What a join of a topic has to do with who is there.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Presence {
    /// Nothing: it did not ask, or there was no room.
    #[default]
    None,
    /// The topic's home was told that it is there.
    Told,
    /// It is seen, and does not know yet who else is there.
    Seen,
    /// The topic's home was asked who is there.
    Asked,
    /// It knows, and is told what changes.
    Watching,
}

/// How far a topic's join is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Joined {
    /// The client's own stream.
    Gateway,
    /// The topic's home was asked; the reply to this reference is due.
    Asked {
        /// Reference of the join.
        reference: Option<Box<str>>,
    },
    /// The past is being sent; live messages come after it.
    CatchingUp {
        /// What was sent so far.
        from: Position,
        /// The next part was asked for.
        asked: bool,
    },
    /// On the local list of subscribers.
    Live,
    /// `mcp:NAME`: carries MCP messages, of this session once there was an `initialize`.
    Mcp {
        /// The session.
        session: Option<Token>,
    },
}

/// An SSE stream: a client's own, or the clients' pushes for a backend.
#[derive(Debug)]
pub(crate) struct Feed {
    /// Whose stream it is.
    pub session: Token,
    /// What proved that.
    pub proof: Proof,
    /// As a link's.
    pub marks: Option<Box<Marks>>,
    /// When it began, in seconds of the monotonic clock.
    pub since: u32,
    /// Next `heartbeat` event.
    pub heartbeat: Instant,
    /// Which pushes a backend wants.
    pub filter: Option<Box<Filter>>,
    /// What it shows of the bus.
    pub watching: Option<Box<Watching>>,
    /// One JSON object a line instead of SSE.
    pub ndjson: bool,
    /// Payloads are encrypted.
    pub encrypted: bool,
    /// As a link's.
    pub lasted: bool,
    /// As a link's.
    pub broke: bool,
}

/// Which pushes a backend wants; empty takes all.
#[derive(Debug, Default)]
pub(crate) struct Filter {
    /// Only of this client.
    pub client: Option<Box<str>>,
    /// Only this event.
    pub kind: Option<Box<str>>,
}

/// A connection between two shards.
#[derive(Debug)]
pub(crate) struct Departure {
    /// Where it goes.
    pub to: Member,
    /// Joins socket and parcel there.
    pub transfer: Transfer,
    /// The driver was asked to move the socket.
    pub asked: bool,
    /// What goes with it once the socket is there.
    pub parcel: Parcel,
}

/// The state of a connection that moves.
#[derive(Debug)]
pub struct Parcel {
    pub(crate) stage: ParcelStage,
    /// Received and not yet used; decrypted.
    pub(crate) bytes: Vec<u8>,
    /// Put in when the socket is gone.
    pub(crate) tls: Option<Box<Tls>>,
}

/// What a moving connection is.
#[derive(Debug)]
pub(crate) enum ParcelStage {
    /// `bytes` begin with its request head.
    Http,
    /// A bare WebSocket whose first join named another home.
    WebSocket {
        /// What it speaks.
        speaks: Speaks,
        /// What was agreed on permessage-deflate.
        deflate: Option<DeflateParams>,
        /// Who it is, as far as that is proved.
        who: Option<Arc<Principal>>,
        /// What its upgrade request said, for the join.
        opening: Option<Box<Opening>>,
        /// The join.
        join: Box<str>,
    },
    /// A client's connection that goes to another process, or comes from one.
    Emigrant(Box<Emigrant>),
}

impl Link {
    pub(crate) fn new(speaks: Speaks, deflate: Option<DeflateParams>, watch: Watch) -> Link {
        Link {
            reader: Reader::default(),
            session: None,
            proof: Proof::default(),
            disproved: 0,
            channels: Box::default(),
            marks: None,
            since: 0,
            opening: None,
            speaks,
            deflate,
            gateway: false,
            encrypted: false,
            rpc: None,
            pinged: false,
            watch,
            tasted: false,
            arrived: false,
            lasted: false,
            broke: false,
        }
    }

    /// The channel of `topic`.
    pub(crate) fn channel(&self, topic: &str) -> Option<&Channel> {
        self.channels.iter().find(|channel| &*channel.topic == topic)
    }

    /// The channel of `topic`.
    pub(crate) fn channel_mut(&mut self, topic: &str) -> Option<&mut Channel> {
        self.channels.iter_mut().find(|channel| &*channel.topic == topic)
    }
}
