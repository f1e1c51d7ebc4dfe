//! What messages of applications must be, and must not.

/// The rules of a process.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Rules {
    /// What injection patterns do in what clients push and publish. Default `Enforce`. In the arguments of MCP
    /// requests they are reported at the most: tools are called with code.
    pub injection: Injection,
    /// The same in what backends publish. Default `Enforce`.
    pub backend_injection: Injection,
    /// Rules of its own, in order. Default none.
    pub messages: Vec<MessageRule>,
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

/// A rule: which messages it is about, and what they must be. One that demands nothing is broken by every message
/// that it is about.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct MessageRule {
    /// What it is called where it is broken.
    pub name: Box<str>,
    /// Types of messages, as [`super::Pattern`]; with a `!` before them all others. Empty: all.
    pub types: Vec<Box<str>>,
    /// Roles of their senders. Empty: all, and those without one.
    pub roles: Vec<Box<str>>,
    /// Fields of their data; a dot leads into an object.
    pub required: Vec<Box<str>>,
    /// Bytes of their payload.
    pub bytes_max: Option<usize>,
    /// A regular expression that their payload must not match.
    pub pattern: Option<Box<str>>,
    /// What becomes of those that break it.
    pub effect: Effect,
}

/// What becomes of a message that breaks a rule.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Effect {
    /// It is refused.
    #[default]
    Deny,
    /// It passes, and the audit log has it.
    Report,
    /// It is refused, and so is its connection.
    Close,
}
