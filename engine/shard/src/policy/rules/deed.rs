//! What somebody wants to do, as rules see it.

use super::Message;
use crate::limits::Role;
use crate::policy::Caller;

/// Something that somebody wants to do.
#[derive(Clone, Copy, Debug)]
pub struct Deed<'a> {
    /// Of what kind.
    pub act: Act<'a>,
    /// What is sent with it.
    pub message: Message<'a>,
    /// Who does it.
    pub who: Doer<'a>,
}

/// Kinds of deeds.
#[derive(Clone, Copy, Debug)]
pub enum Act<'a> {
    /// A client pushes on its own stream.
    Push,
    /// A client publishes to a topic, or a backend to one or, without a topic, to a client.
    Publish { topic: Option<&'a str> },
    /// An MCP client calls a method, and with it perhaps a tool.
    Call { method: &'a str, tool: Option<&'a Tool> },
}

/// What a tool is called.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tool {
    /// As clients see it.
    pub shown: Vec<String>,
    /// In any way.
    pub all: Vec<String>,
}

/// Who does something.
#[derive(Clone, Copy, Debug)]
pub struct Doer<'a> {
    /// Its name, or what it is known by.
    pub caller: Caller<'a>,
    /// None: nobody is asked.
    pub role: Option<Role>,
    /// The part of its limit that it has used; asked for only where [`super::Rules::asks`] says so.
    pub used: f64,
    /// Its suspicion score; likewise.
    pub suspicion: f32,
}

/// What of a sender rules want to know that has to be looked up.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Asks {
    /// Any rule is asked at all.
    pub any: bool,
    /// Names of tools.
    pub tools: bool,
    /// How much of its limit it has used.
    pub used: bool,
    /// Its suspicion score.
    pub suspicion: bool,
}

/// The kinds without what is particular to one deed: the index of rules.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// [`Act::Push`].
    Push,
    /// [`Act::Publish`].
    Publish,
    /// [`Act::Call`].
    Call,
}

impl Asks {
    /// What either asks.
    pub(super) fn and(self, other: Asks) -> Asks {
        Asks {
            any: self.any || other.any,
            tools: self.tools || other.tools,
            used: self.used || other.used,
            suspicion: self.suspicion || other.suspicion,
        }
    }
}

impl Kind {
    pub(super) const ALL: [Kind; 3] = [Kind::Push, Kind::Publish, Kind::Call];
}

impl<'a> Act<'a> {
    /// Of which kind it is.
    pub fn kind(self) -> Kind {
        match self {
            Act::Push => Kind::Push,
            Act::Publish { .. } => Kind::Publish,
            Act::Call { .. } => Kind::Call,
        }
    }

    /// What rules call it.
    pub(super) fn method(self) -> &'a str {
        match self {
            Act::Push => "push",
            Act::Publish { .. } => "publish",
            Act::Call { method, .. } => method,
        }
    }
}

impl<'a> Doer<'a> {
    /// The client's name.
    pub(super) fn name(&self) -> Option<&'a str> {
        match self.caller {
            Caller::Client(name) => Some(name),
            Caller::Session(_) | Caller::Connection(_) => None,
        }
    }
}
