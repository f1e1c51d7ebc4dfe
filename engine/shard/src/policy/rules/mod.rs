//! What may be sent and asked for: injection patterns, and the rules that the operator wrote.

mod deed;
pub mod injection;
mod message;
mod rule;
#[cfg(test)]
mod tests;

use std::cell::LazyCell;
use std::sync::Arc;

use regex::Regex;
use weir_ring::time::Instant;

pub use self::deed::{Act, Asks, Deed, Doer, Kind, Tool};
pub use self::message::Message;
use self::rule::{Compiled, missing};
use super::{Buckets, Verdict};
use crate::error::{Error, Violation};
use crate::limits::{self, Effect, Injection, Rate, Role, RoleRules};

/// The rules of one shard, ready to be asked. Clones have the same rules, and what they count is their own.
#[derive(Clone, Debug)]
pub struct Rules {
    /// What injection patterns do, by [`Sender`].
    injection: [Injection; 3],
    dry_run: bool,
    rules: Box<[Compiled]>,
    /// What each has done.
    counts: Box<[RuleCount]>,
    /// By [`Kind`].
    about: [About; 3],
    /// Of rules that throttle; of others nobody asks.
    buckets: Buckets,
}

/// Which rules may be about deeds of one kind: what depends on who it is alone is not asked for each message.
#[derive(Clone, Debug)]
struct About {
    /// Done by clients of each role.
    of_role: Box<[Few]>,
    /// By those without a role.
    of_all: Few,
}

/// Some of the rules, in order.
#[derive(Clone, Debug)]
struct Few {
    places: Box<[u16]>,
    asks: Asks,
}

/// What a rule has done so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RuleCount {
    /// What it let pass before other rules were asked.
    pub allowed: u64,
    /// What it refused.
    pub refused: u64,
    /// What it would have refused.
    pub reported: u64,
}

/// Where a message comes from that may have injection patterns.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sender {
    /// What a client pushes or publishes.
    Client,
    /// What a backend publishes.
    Backend,
    /// The arguments of an MCP request.
    Mcp,
}

/// What is wrong with a message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Breach {
    /// What it breaks.
    pub law: Law,
    /// What becomes of it.
    pub outcome: Outcome,
}

/// What can be broken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Law {
    /// An injection pattern.
    Injection(injection::Pattern),
    /// The rule of this name.
    Rule { name: Arc<str>, why: Violation },
}

/// What becomes of a message that breaks something.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It passes.
    Reported,
    /// It is refused.
    Denied,
    /// It is refused, and the WebSocket it came on is closed.
    Closed,
}

impl RuleCount {
    /// Adds what another shard has counted.
    pub fn add(&mut self, other: &RuleCount) {
        self.allowed += other.allowed;
        self.refused += other.refused;
        self.reported += other.reported;
    }
}

impl Breach {
    /// What the sender is told.
    pub fn error(&self) -> Error {
        match &self.law {
            Law::Injection(pattern) => Error::PotentialInjection { pattern: pattern.name() },
            Law::Rule { name, why } => Error::PolicyViolation { rule: Arc::clone(name), why: why.clone() },
        }
    }

    /// Whether the message goes no further.
    pub fn refuses(&self) -> bool {
        self.outcome != Outcome::Reported
    }
}

impl Rules {
    /// The rules that `limits` says, for clients of these roles. `seed` keeps the order of tables out of an attacker's
    /// reach.
    pub fn new(limits: &limits::Rules, roles: &[RoleRules], seed: u64) -> Rules {
        let reported = match limits.injection {
            Injection::Enforce => Injection::Report,
            other => other,
        };
        let rules: Box<[Compiled]> = limits.set.rules.iter().map(Compiled::new).collect();
        let rate = |rule: &Compiled| match rule.effect {
            Effect::Throttle(rate) => rate,
            _ => Rate::new(0.0, 0),
        };
        Rules {
            injection: [limits.injection, limits.backend_injection, reported],
            dry_run: limits.set.dry_run,
            counts: vec![RuleCount::default(); rules.len()].into(),
            about: Kind::ALL.map(|kind| About::new(&rules, kind, roles)),
            buckets: Buckets::new(rules.iter().map(rate).collect(), seed),
            rules,
        }
    }

    /// What must be looked up before [`Rules::judge`].
    pub fn asks(&self, kind: Kind, role: Option<Role>) -> Asks {
        self.about[kind as usize].of(role).asks
    }

    /// What each rule has done, by its place.
    pub fn counts(&self) -> &[RuleCount] {
        &self.counts
    }

    /// The injection pattern in a message, if that is looked for.
    pub fn injected(&self, message: &Message<'_>, sender: Sender) -> Option<Breach> {
        let outcome = match self.injection[sender as usize] {
            Injection::Off => return None,
            Injection::Report => Outcome::Reported,
            Injection::Enforce => Outcome::Denied,
        };
        let pattern = message.texts().find_map(|text| injection::find(text.as_bytes()))?;
        Some(Breach { law: Law::Injection(pattern), outcome })
    }

    /// Which rules a deed breaks, in order, up to the first that decides: one that refuses, or one that allows.
    pub fn judge(&mut self, deed: &Deed<'_>, now: Instant) -> Vec<Breach> {
        let mut breaches = Vec::new();
        let Rules { about, rules, counts, buckets, dry_run, .. } = self;
        let few = about[deed.act.kind() as usize].of(deed.who.role);
        let envelope = LazyCell::new(|| deed.message.envelope());
        for &at in &few.places {
            let place = usize::from(at);
            let (Some(rule), Some(count)) = (rules.get(place), counts.get_mut(place)) else { continue };
            if !rule.is_about(deed, || rule.types().has(&envelope.0, "")) {
                continue;
            }
            let (why, outcome) = match &rule.effect {
                Effect::Allow => {
                    count.allowed += 1;
                    break;
                }
                Effect::Deny => (Violation::Denied, Outcome::Denied),
                Effect::Close => (Violation::Denied, Outcome::Closed),
                Effect::Throttle(_) => match buckets.take(deed.who.caller, at, now) {
                    Verdict::Allow { .. } => continue,
                    Verdict::Deny { retry_after } => (Violation::Throttled { retry_after }, Outcome::Denied),
                },
                Effect::Require { fields, bytes_max } => {
                    match missing(&deed.message, envelope.1, (fields, *bytes_max)) {
                        None => continue,
                        Some(why) => (why, Outcome::Denied),
                    }
                }
            };
            let law = Law::Rule { name: Arc::clone(&rule.name), why };
            if rule.dry_run || *dry_run {
                count.reported += 1;
                breaches.push(Breach { law, outcome: Outcome::Reported });
            } else {
                count.refused += 1;
                breaches.push(Breach { law, outcome });
            }
            // A rule that is tried out changes nothing for the next ones; where all are, the first that would decide does.
            if !rule.dry_run {
                break;
            }
        }
        breaches
    }
}

impl About {
    fn new(rules: &[Compiled], kind: Kind, roles: &[RoleRules]) -> About {
        let about = |role: Option<&str>| {
            let few = (0..).zip(rules).filter(|(_, rule)| rule.may_be_about(kind, role));
            Few {
                places: few.clone().map(|(at, _)| at).collect(),
                asks: few.fold(Asks::default(), |all, (_, rule)| all.and(rule.asks())),
            }
        };
        About { of_role: roles.iter().map(|role| about(Some(&role.name))).collect(), of_all: about(None) }
    }

    fn of(&self, role: Option<Role>) -> &Few {
        role.and_then(|role| self.of_role.get(usize::from(role.0))).unwrap_or(&self.of_all)
    }
}

/// Why `pattern` is no regular expression, in the words of whoever reads them.
pub fn pattern_fault(pattern: &str) -> Option<String> {
    Some(Regex::new(pattern).err()?.to_string())
}
