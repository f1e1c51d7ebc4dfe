//! What may be sent and asked for, and what may not.

use super::{Names, Rate};

/// The rules of a process.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Rules {
    /// What injection patterns do in what clients push and publish. Default `Enforce`. In the arguments of MCP
    /// requests they are reported at the most: tools are called with code.
    pub injection: Injection,
    /// The same in what backends publish. Default `Enforce`.
    pub backend_injection: Injection,
    /// The operator's own.
    pub set: RuleSet,
}

/// What follows from an injection pattern.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Injection {
    /// The message is refused.
    #[default]
    Enforce,
    /// It passes, and the audit log has it.
    Report,
    /// Nobody looks.
    Off,
}

/// The operator's rules: what a rule file says. They are replaced as a whole.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct RuleSet {
    /// Nothing is refused; what would have been is reported. Default false.
    pub dry_run: bool,
    /// In order: the first that decides counts. Default none; at most 65,535.
    pub rules: Vec<Rule>,
}

/// A rule: what it is about, and what follows.
#[derive(Clone, Debug, PartialEq)]
pub struct Rule {
    /// What it is called where it refuses something; no other of the set is.
    pub name: Box<str>,
    /// All of these must hold.
    pub when: Matchers,
    /// What follows.
    pub effect: Effect,
    /// It refuses nothing; what it would have refused is reported, and the next rules are asked.
    pub dry_run: bool,
}

/// What a rule is about. What is empty or 0 always holds; what a message does not have does not fit.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Matchers {
    /// Roles of whoever sends it.
    pub roles: Vec<Box<str>>,
    /// Names of whoever sends it.
    pub clients: Names,
    /// `push`, `publish`, or MCP's methods.
    pub methods: Names,
    /// Tools that are called.
    pub tools: Names,
    /// Topics that something is published to.
    pub topics: Names,
    /// Types of application messages.
    pub types: Names,
    /// Bytes of the payload, at least.
    pub bytes_min: usize,
    /// A regular expression that is in the payload.
    pub pattern: Option<Box<str>>,
    /// The part of its limit that the sender has used, at least: 1 is all of it.
    pub used: f64,
    /// The sender's suspicion score, at least.
    pub suspicion: f32,
}

/// What follows from a rule.
#[derive(Clone, Debug, PartialEq)]
pub enum Effect {
    /// It passes, and no further rule is asked.
    Allow,
    /// It is refused.
    Deny,
    /// It is refused, and the WebSocket that it came on is closed.
    Close,
    /// It is refused while its sender does this more often; else the next rules are asked.
    Throttle(Rate),
    /// It is refused unless it is so; else the next rules are asked.
    Require {
        /// Fields of its data that are there and not null; a dot leads into an object.
        fields: Vec<Box<str>>,
        /// Most bytes of its payload.
        bytes_max: usize,
    },
}

impl Effect {
    /// What it is called.
    pub const fn name(&self) -> &'static str {
        match self {
            Effect::Allow => "allow",
            Effect::Deny => "deny",
            Effect::Close => "close",
            Effect::Throttle(_) => "throttle",
            Effect::Require { .. } => "require",
        }
    }
}
