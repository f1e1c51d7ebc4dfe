//! Requests of clients that are under way, and their parts at upstreams.

use std::sync::Arc;

use weir_ring::token::{Member, Token};
use weir_transports::mcp::{Era, Method};

use crate::mcp::cache::Wish;
use crate::mcp::input::Input;
use crate::mcp::listen::Listen;
use crate::mcp::local::Nap;
use crate::mcp::merge::Merge;
use crate::mcp::outlet::{Client, Outlet};
use crate::operation::Traced;
use crate::policy::auth::Principal;
use crate::span::Upward;
use crate::upstream::UpstreamId;

/// A request of a client that is under way.
#[derive(Debug)]
pub(crate) struct Call {
    /// Where its answer goes.
    pub(crate) outlet: Outlet,
    /// Whose it is.
    pub(crate) client: Client,
    /// Who that is, as proved.
    pub(crate) who: Option<Arc<Principal>>,
    /// The era its client speaks.
    pub(crate) era: Era,
    /// Its id, JSON: goes back with the answer.
    pub(crate) id: Box<str>,
    /// Its progress token, JSON.
    pub(crate) progress: Option<Box<str>>,
    /// Its client wants log messages.
    pub(crate) logs: bool,
    /// What is asked for.
    pub(crate) method: Method,
    /// What was asked of a modern upstream for a legacy client, which may have to be asked again.
    pub(crate) asked: Option<Box<Unsent>>,
    /// How often the upstream needed input.
    pub(crate) rounds: u32,
    /// What is told of it.
    pub(crate) traced: Option<Box<Traced>>,
    /// What has to happen before it is answered.
    pub(crate) work: Work,
}

/// What has to happen before a call is answered.
#[derive(Debug)]
pub(crate) enum Work {
    /// One server answers.
    Direct { leg: Token },
    /// Several servers answer, and their parts are put together.
    Merge(Box<Merge>),
    /// The client is asked for what the server needs.
    Input(Box<Input>),
    /// News are passed on until the client hangs up.
    Listen(Box<Listen>),
    /// The servers' introductions are waited for.
    Introduction,
    /// The built-in `sleep`: time has to pass.
    Sleep(Nap),
}

/// Who waits for a leg.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Serves {
    /// A call.
    Call(Token),
    /// A hold: the client was answered with a question, and is to come back.
    Hold(Token),
    /// A leg of another shard, which asks the server by way of this one.
    Remote { member: Member, leg: Token },
    /// The gateway, which drops the answer.
    Nobody,
}

impl Serves {
    /// The call, if it is one.
    pub(crate) fn call(self) -> Option<Token> {
        match self {
            Serves::Call(call) => Some(call),
            Serves::Hold(_) | Serves::Remote { .. } | Serves::Nobody => None,
        }
    }
}

/// The part of a call at one upstream.
#[derive(Debug)]
pub(crate) struct Leg {
    /// Who waits for its answer.
    pub(crate) serves: Serves,
    /// Who is asked.
    pub(crate) server: UpstreamId,
    /// In which conversation.
    pub(crate) conversation: Token,
    /// What is asked.
    pub(crate) method: Method,
    /// Not asked yet: the conversation is not ready.
    pub(crate) unsent: Option<Box<Unsent>>,
    /// What its answer may be kept as.
    pub(crate) wish: Option<Box<Wish>>,
    /// Its span, if it is asked for a sampled call.
    pub(crate) upward: Option<Upward>,
}

/// A request whose conversation is not ready.
#[derive(Clone, Debug)]
pub(crate) struct Unsent {
    /// Whose it is.
    pub(crate) client: Client,
    /// The parameters as the client wrote them.
    pub(crate) params: Option<Box<str>>,
    /// What the upstream calls the thing that the client names otherwise.
    pub(crate) own: Option<Box<str>>,
    /// Headers that go with it.
    pub(crate) headers: Vec<(Box<str>, Box<str>)>,
}
