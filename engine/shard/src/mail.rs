//! What members of the mesh tell each other: shard to shard, control thread to shard and back.
//! Letters between two members arrive in the order they were sent, but for signals, which go first, and none is lost.

use std::sync::Arc;
use std::time::Duration;

use serde_json::value::RawValue;
use weir_ring::time::Wall;
use weir_ring::token::{Member, Token, Transfer};

pub use crate::acks::Ack;
use crate::audit::Record;
pub use crate::channels::presence::{Full, Reference, Tracking};
pub use crate::channels::topics::{Past, TopicMessage};
use crate::dead::{MessageId, View};
pub use crate::downstream::{DrainOrder, Emigrant, Lever, Override, Parcel, PollLetter, Renewal};
use crate::error::Error;
use crate::limits::{KeySet, Switches};
pub use crate::mcp::Letter;
use crate::message::{ClientPublish, Receipt, TopicPublish};
use crate::metrics::{Behaviour, ClientView, ControlView, Costs, Health, Stats};
use crate::policy::auth::Principal;
use crate::policy::blacklist::Change;
use crate::policy::rules::{RuleCount, Rules};
pub use crate::policy::{Source, Whence};
pub use crate::reply_to::{PushRef, ReplyTo};
use crate::span::{Span, TraceContext};
use crate::stream::Position;
use crate::tls::Credentials;
pub use crate::upstream::{Fetched, TokenCame, TokenWanted};
use crate::vsm::{Fact, Signal};

/// One letter.
#[derive(Debug)]
pub enum Mail {
    /// A question; the answer goes to `from` under the same `ask`.
    Ask { from: Member, ask: u64, question: Question },
    /// The answer to `ask`.
    Answer { ask: u64, answer: Answer },
    /// Stop: accept nothing more, tell the clients, close with 1012 and end when all are gone.
    Drain(DrainOrder),
    /// The successor that asked for the streams did not come: go on.
    Thaw,
    /// The state of a connection whose socket the kernel moved under the same transfer.
    Moved { transfer: Transfer, parcel: Box<Parcel>, whence: Whence },
    /// Which network addresses have how many connections more, or fewer, on the sending shard than it said before;
    /// sent to the home of the addresses.
    Connections(Vec<(Source, i32)>),
    /// Which network addresses have as many connections as they may, all shards together, and which do not any
    /// longer.
    Crowded(Vec<(Source, bool)>),
    /// How many bytes of memory the shard is to give back; 0: the process is within its budget. Until then it takes
    /// nobody new.
    Squeeze(usize),
    /// Something hurts on a shard, or not any more; sent to the control thread, before all other letters.
    Signal(Box<Signal>),
    /// What has happened on a shard; sent to the control thread.
    Events { from: Member, facts: Vec<Fact> },
    /// Clients watch a topic of the bus from now on, or nobody does any more; sent to the control thread by the topic's
    /// home.
    Audience { topic: Arc<str>, watched: bool },
    /// Frames of a LongPoll session whose first join named a client of another shard.
    Poll(Box<PollLetter>),
    /// Append to a client's own stream; sent to the client's home.
    Publish { from: Member, reply_to: ReplyTo, publish: Box<ClientPublish> },
    /// Append to a topic; sent to the topic's home.
    PublishTopic { from: Member, reply_to: ReplyTo, publish: Box<TopicPublish> },
    /// What became of a publish.
    Published { reply_to: ReplyTo, outcome: Result<Receipt, Error> },
    /// A connection wants a topic, from `resume` on; sent to the topic's home. Repeated until the
    /// answer says `live`. The first one says who wants to be seen there.
    Subscribe {
        from: Member,
        subscriber: Subscriber,
        topic: Arc<str>,
        resume: Option<Position>,
        tracking: Option<Box<Tracking>>,
    },
    /// A part of the topic's past, or its end.
    Subscribed { subscriber: Subscriber, topic: Arc<str>, past: Box<Past> },
    /// One connection of `from` left a topic.
    Unsubscribe { from: Member, topic: Arc<str> },
    /// A join wants to know who is on a topic; sent to the topic's home.
    Watch { from: Member, subscriber: Subscriber, topic: Arc<str> },
    /// Who is there: the payload of `presence_state`. What changes from now on follows.
    Watched { subscriber: Subscriber, topic: Arc<str>, state: Arc<[u8]> },
    /// What has changed, for every watcher the receiving shard has: a V2 frame of `presence_diff`.
    PresenceDiff { topic: Arc<str>, frame: Arc<[u8]> },
    /// The join is over, and who was seen through it is not any longer; sent to the topic's home.
    Untrack { from: Member, subscriber: Subscriber, topic: Arc<str> },
    /// Messages of a topic for every subscriber the receiving shard has.
    Fanout { topic: Arc<str>, messages: Vec<TopicMessage> },
    /// An acknowledgement; sent to the client's home.
    Acknowledge { from: Member, reply_to: ReplyTo, client: Box<str>, ack: Ack },
    /// About MCP servers that one shard talks to for all, and their news.
    Mcp(Box<Letter>),
    /// The operator sets something by hand, for a while.
    Override(Box<Override>),
    /// The operator has changed the blacklist.
    Blacklist(Box<Change>),
    /// The rules that hold from the next message on.
    Rules(Box<Rules>),
    /// The configuration was read again.
    Reconfigure(Box<Renewal>),
    /// For the audit log; sent to the control thread.
    Audit(Vec<Record>),
    /// A push for a handler; sent to the control thread.
    Handle(Box<Errand>),
    /// What the handler of a push answered, a JSON object, or why it did not.
    Handled { connection: Token, push: Box<PushRef>, outcome: Result<Box<str>, Error> },
    /// Spans that a shard has recorded, and how many more it has left out; sent to the control thread.
    Spans { from: Member, spans: Vec<Span>, dropped: u64 },
    /// From now on this part of the messages that begin a trace is sampled, 0 to 1.
    Sampling(f64),
    /// A client is to be traced for so long; zero: not any more.
    Trace { client: Box<str>, time: Duration },
    /// What is on from now on.
    Switch(Switches),
    /// How many backends read the clients' pushes now.
    Handlers(u32),
    /// What TLS connections are begun with from now on.
    Credentials(Arc<Credentials>),
    /// A token names a key that the shard does not know; sent to the control thread, which answers with
    /// `Keys` whatever it finds.
    KeysWanted { from: Member },
    /// All keys that hold from now on.
    Keys(Arc<KeySet>),
    /// A shard has no token for an upstream; sent to the control thread, which answers with `TokenCame` whatever it
    /// finds.
    TokenWanted(Box<TokenWanted>),
    /// A token for an upstream, or why there is none.
    TokenCame(Box<TokenCame>),
    /// A client has a newer token, on which its connections may go on; sent to its home.
    Prolong(Arc<Principal>),
    /// The token of this `jti` is not taken any more, to be remembered until `until`.
    Revoke { token_id: Box<str>, until: Wall },
}

/// A push for a handler.
#[derive(Debug)]
pub struct Errand {
    /// The shard that waits.
    pub from: Member,
    /// Of the push.
    pub connection: Token,
    /// What its reply names. None: it wants none.
    pub push: Option<Box<PushRef>>,
    /// Which of the configured handlers.
    pub handler: u16,
    /// What the handler is sent.
    pub body: Box<RawValue>,
    /// The span that it is asked in, if the push is sampled.
    pub trace: Option<TraceContext>,
}

/// A join of a topic: the connection and which of its joins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Subscriber {
    /// The connection.
    pub token: Token,
    /// Its join.
    pub ticket: u32,
}

/// What a member may ask a shard.
#[derive(Clone, Debug)]
pub enum Question {
    /// The shard's counters.
    Stats,
    /// One client's state; asked of its home shard.
    Health { client: Box<str> },
    /// Who is on a topic; asked of its home shard.
    Presence { topic: Box<str> },
    /// About dead letters.
    Dead(DeadQuestion),
    /// How clients behave, and who are the `most` most suspicious.
    Behaviour { most: usize },
    /// What features cost.
    Costs,
    /// The shard's admission, shedding, breakers and pools.
    Control,
    /// All clients whose home the shard is.
    Clients,
    /// What the rules have done since they hold.
    Rules,
    /// Forget those who are away for as long: how many?
    Cleanup { idle: Duration },
    /// Another process goes on with the streams: accept nobody, append nothing, and give them away. Answered once all
    /// is on the disk, where there is a log.
    HandOver,
}

/// What may be asked about dead letters, and done with them.
#[derive(Clone, Debug)]
pub enum DeadQuestion {
    /// At most `limit` of one client's, or of all, that come after `after` by id.
    List { client: Option<Box<str>>, after: Option<MessageId>, limit: usize },
    /// One, with its message.
    Show(MessageId),
    /// Send one again, under the same id.
    Redrive(MessageId),
    /// Send all of one client's again, or all.
    RedriveAll { client: Option<Box<str>> },
    /// Throw one away.
    Purge(MessageId),
    /// Throw away all of one client's, or all.
    PurgeAll { client: Option<Box<str>> },
}

/// What a shard answers.
#[derive(Clone, Debug)]
pub enum Answer {
    /// To `Question::Stats`.
    Stats(Box<Stats>),
    /// To `Question::Health`; `None`: nobody of that name is known.
    Health(Option<Box<Health>>),
    /// The dead letters asked for; nothing if there is no such letter here.
    Dead(Vec<View>),
    /// To how many dead letters it was done.
    DeadCount(usize),
    /// To `Question::Control`.
    Control(Box<ControlView>),
    /// To `Question::Clients`, in no order.
    Clients(Vec<ClientView>),
    /// To `Question::Rules`, in their order.
    Rules(Box<[RuleCount]>),
    /// To `Question::Cleanup`.
    Cleaned(usize),
    /// To `Question::HandOver`: a segment of a log with all that the shard keeps in memory; nothing where it is on the
    /// disk.
    Streams(Arc<[u8]>),
    /// To `Question::Presence`: how many clients, and the payload of `presence_state`.
    Presence { clients: usize, state: Arc<[u8]> },
    /// To `Question::Behaviour`.
    Behaviour(Box<Behaviour>),
    /// To `Question::Costs`.
    Costs(Box<Costs>),
}
