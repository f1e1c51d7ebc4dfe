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
use crate::limits::{self, Effect, Injection, MessageRule};

/// The rules of one shard, ready to be asked.
#[derive(Debug)]
pub struct Rules {
    /// What injection patterns do, by [`Source`].
    injection: [Injection; 3],
    rules: Box<[Rule]>,
    /// Which rules are about whom: one list for each role, and last one for those without.
    about: Box<[Box<[u16]>]>,
}

/// A rule with its expressions compiled.
#[derive(Debug)]
struct Rule {
    name: Arc<str>,
    types: Box<[Box<str>]>,
    required: Box<[Box<str>]>,
    bytes_max: usize,
    pattern: Option<Regex>,
    effect: Effect,
    /// It demands nothing.
    bare: bool,
}

/// Where a message comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Source {
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
    pub fn new(limits: &limits::Rules, roles: &[&str]) -> Rules {
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
            about: roles.iter().map(|role| about(Some(role))).chain([about(None)]).collect(),
        }
    }

    /// Which rules a message breaks, in order, up to the first that refuses it: injection patterns first. `role` is
    /// the place of the sender's role among those the rules were made for.
    pub fn judge(&self, message: &Message<'_>, source: Source, role: Option<usize>) -> Vec<Breach> {
        let mut breaches = Vec::new();
        let injection = self.injection[source as usize];
        if injection != Injection::Off
            && let Some(pattern) = message.texts().find_map(|text| injection::find(text.as_bytes()))
        {
            let effect = if injection == Injection::Enforce { Effect::Deny } else { Effect::Report };
            breaches.push(Breach { law: Law::Injection(pattern), effect });
        }
        let about = role.and_then(|role| self.about[..self.about.len() - 1].get(role)).or(self.about.last());
        let rules = about.map_or(&[][..], |about| about);
        if rules.is_empty() || source == Source::Mcp || breaches.iter().any(Breach::refuses) {
            return breaches;
        }
        let envelope = LazyCell::new(|| message.envelope());
        for rule in rules.iter().filter_map(|at| self.rules.get(usize::from(*at))) {
            let about = rule.types.is_empty() || is_of(&rule.types, &envelope.0);
            if !about || rule.is_kept(message, envelope.1) {
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
            types: types.clone().into(),
            required: required.clone().into(),
            bytes_max: bytes_max.unwrap_or(usize::MAX),
            pattern: pattern.as_ref().and_then(|pattern| Regex::new(pattern).ok()),
            effect: *effect,
            bare: required.is_empty() && bytes_max.is_none() && pattern.is_none(),
        }
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

/// Whether a type is one of these: exact, the beginning before a `*`, or anything but what follows a `!`.
fn is_of(types: &[Box<str>], kind: &str) -> bool {
    let is = |one: &str| match one.strip_suffix('*') {
        Some(beginning) => kind.starts_with(beginning),
        None => one == kind,
    };
    let mut others = types.iter().filter_map(|one| one.strip_prefix('!')).peekable();
    let is_other = others.peek().is_some() && !others.any(is);
    is_other || types.iter().any(|one| !one.starts_with('!') && is(one))
}
