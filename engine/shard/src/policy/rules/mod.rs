//! Which messages of applications pass: injection patterns, and the rules that the operator wrote.

pub mod injection;
mod message;
#[cfg(test)]
mod tests;

use std::cell::LazyCell;
use std::sync::Arc;

use regex::Regex;

pub use self::message::Message;
use crate::error::Error;
use crate::limits::{self, Effect, Injection, MessageRule, Pattern, Role, RoleRules};

/// The rules of one shard, ready to be asked.
#[derive(Debug)]
pub struct Rules {
    /// What injection patterns do, by [`Sender`].
    injection: [Injection; 3],
    rules: Box<[Rule]>,
    /// Which rules are about clients of each role.
    of_role: Box<[Box<[u16]>]>,
    /// Which are about everybody, and those without a role among them.
    of_all: Box<[u16]>,
}

/// A rule with its expressions compiled.
#[derive(Debug)]
struct Rule {
    name: Arc<str>,
    types: Box<[Types]>,
    required: Box<[Box<str>]>,
    bytes_max: usize,
    pattern: Option<Regex>,
    effect: Effect,
    /// It demands nothing.
    bare: bool,
}

/// Types of messages that a rule is about.
#[derive(Debug)]
enum Types {
    These(Pattern),
    AllBut(Pattern),
}

/// Where a message comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sender {
    /// What a client pushes or publishes.
    Client,
    /// What a backend publishes.
    Backend,
    /// The arguments of an MCP request, which only injection patterns are about.
    Mcp,
}

/// A rule that a message breaks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Breach {
    /// Which.
    pub law: Law,
    /// What becomes of the message.
    pub effect: Effect,
}

/// What can be broken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Law {
    /// An injection pattern.
    Injection(injection::Pattern),
    /// The rule of this name.
    Rule(Arc<str>),
}

impl Breach {
    /// What the sender is told.
    pub fn error(&self) -> Error {
        match &self.law {
            Law::Injection(pattern) => Error::PotentialInjection { pattern: pattern.name() },
            Law::Rule(name) => Error::PolicyViolation { rule: Arc::clone(name) },
        }
    }

    /// Whether the message goes no further.
    pub fn refuses(&self) -> bool {
        self.effect != Effect::Report
    }
}

impl Rules {
    /// The rules that `limits` says, for clients of these roles. A pattern that is none, which a configuration
    /// does not have, matches nothing.
    pub fn new(limits: &limits::Rules, roles: &[RoleRules]) -> Rules {
        let reported = match limits.injection {
            Injection::Enforce => Injection::Report,
            other => other,
        };
        let about = |role: Option<&str>| {
            let is_about = |rule: &MessageRule| {
                rule.roles.is_empty() || role.is_some_and(|role| rule.roles.iter().any(|one| **one == *role))
            };
            let rules = (0..).zip(&limits.messages).filter(|(_, rule)| is_about(rule));
            rules.map(|(at, _)| at).collect::<Box<[u16]>>()
        };
        Rules {
            injection: [limits.injection, limits.backend_injection, reported],
            rules: limits.messages.iter().map(Rule::new).collect(),
            of_role: roles.iter().map(|role| about(Some(&role.name))).collect(),
            of_all: about(None),
        }
    }

    /// Which rules a message breaks, in order, up to the first that refuses it: injection patterns first. `role` is
    /// that of the sender, if it has one.
    pub fn judge(&self, message: &Message<'_>, sender: Sender, role: Option<Role>) -> Vec<Breach> {
        let mut breaches = Vec::new();
        let injection = self.injection[sender as usize];
        if injection != Injection::Off
            && let Some(pattern) = message.texts().find_map(|text| injection::find(text.as_bytes()))
        {
            let effect = if injection == Injection::Enforce { Effect::Deny } else { Effect::Report };
            breaches.push(Breach { law: Law::Injection(pattern), effect });
        }
        let rules = role.and_then(|role| self.of_role.get(usize::from(role.0))).unwrap_or(&self.of_all);
        if rules.is_empty() || sender == Sender::Mcp || breaches.iter().any(Breach::refuses) {
            return breaches;
        }
        let envelope = LazyCell::new(|| message.envelope());
        for rule in rules.iter().filter_map(|at| self.rules.get(usize::from(*at))) {
            if !rule.is_about(&envelope.0) || rule.is_kept(message, envelope.1) {
                continue;
            }
            breaches.push(Breach { law: Law::Rule(Arc::clone(&rule.name)), effect: rule.effect });
            if rule.effect != Effect::Report {
                break;
            }
        }
        breaches
    }
}

impl Rule {
    fn new(rule: &MessageRule) -> Rule {
        let MessageRule { name, types, required, bytes_max, pattern, effect, .. } = rule;
        Rule {
            name: (&**name).into(),
            types: types.iter().filter_map(|text| Types::parse(text)).collect(),
            required: required.clone().into(),
            bytes_max: bytes_max.unwrap_or(usize::MAX),
            pattern: pattern.as_ref().and_then(|pattern| Regex::new(pattern).ok()),
            effect: *effect,
            bare: required.is_empty() && bytes_max.is_none() && pattern.is_none(),
        }
    }

    /// Whether it is about messages of this type: one of those it names, or none of those it excepts.
    fn is_about(&self, kind: &str) -> bool {
        let is_named = |types: &Types| matches!(types, Types::These(these) if these.matches(kind, ""));
        let is_excepted = |types: &Types| matches!(types, Types::AllBut(these) if these.matches(kind, ""));
        let mut exceptions = self.types.iter().filter(|types| matches!(types, Types::AllBut(_))).peekable();
        self.types.is_empty()
            || self.types.iter().any(is_named)
            || exceptions.peek().is_some() && !exceptions.any(is_excepted)
    }

    /// Whether a message that it is about is as it demands.
    fn is_kept(&self, message: &Message<'_>, data: Option<&str>) -> bool {
        let has = |field: &str| data.is_some_and(|data| message::has_field(data, field));
        !self.bare
            && message.payload_bytes() <= self.bytes_max
            && self.required.iter().all(|field| has(field))
            && self.pattern.as_ref().is_none_or(|pattern| !message.matches(pattern))
    }
}

/// Why `pattern` is no regular expression, in the words of whoever reads them.
pub fn pattern_fault(pattern: &str) -> Option<String> {
    Some(Regex::new(pattern).err()?.to_string())
}

/// Whether `types` can be read as types of messages.
pub fn is_types(text: &str) -> bool {
    Types::parse(text).is_some()
}

impl Types {
    fn parse(text: &str) -> Option<Types> {
        match text.strip_prefix('!') {
            Some(others) => Pattern::parse(others).map(Types::AllBut),
            None => Pattern::parse(text).map(Types::These),
        }
    }
}
