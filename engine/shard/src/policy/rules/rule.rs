//! One rule, ready to be asked.

use std::sync::Arc;

use regex::Regex;

use super::deed::{Act, Asks, Deed, Kind};
use super::message::{self, Message};
use crate::error::Violation;
use crate::limits::{Effect, Matchers, Names, Rule};

/// A rule with its expression compiled.
#[derive(Clone, Debug)]
pub(super) struct Compiled {
    pub(super) name: Arc<str>,
    pub(super) effect: Effect,
    pub(super) dry_run: bool,
    when: Matchers,
    pattern: Option<Regex>,
}

impl Compiled {
    /// An expression that is none, which a configuration does not have, is in no payload.
    pub(super) fn new(rule: &Rule) -> Compiled {
        let never = || Regex::new(r"[^\s\S]").ok();
        let pattern = rule.when.pattern.as_ref();
        Compiled {
            name: (&*rule.name).into(),
            effect: rule.effect.clone(),
            dry_run: rule.dry_run,
            when: rule.when.clone(),
            pattern: pattern.and_then(|pattern| Regex::new(pattern).ok().or_else(never)),
        }
    }

    /// Whether it can be about such deeds of clients of this role.
    pub(super) fn may_be_about(&self, kind: Kind, role: Option<&str>) -> bool {
        let Matchers { roles, methods, tools, topics, types, .. } = &self.when;
        let named = |name| methods.is_all() || methods.has(name, "");
        let of_kind = match kind {
            Kind::Push => named("push") && tools.is_all() && topics.is_all(),
            Kind::Publish => named("publish") && tools.is_all(),
            Kind::Call => topics.is_all() && types.is_all(),
        };
        of_kind && (roles.is_empty() || role.is_some_and(|role| roles.iter().any(|one| **one == *role)))
    }

    /// What must be looked up before it is asked.
    pub(super) fn asks(&self) -> Asks {
        let Matchers { tools, used, suspicion, .. } = &self.when;
        Asks { any: true, tools: !tools.is_all(), used: *used > 0.0, suspicion: *suspicion > 0.0 }
    }

    /// Whether it is about a deed of a kind and a role that it may be about; `kind` is the message's type. What
    /// costs most comes last.
    pub(super) fn is_about(&self, deed: &Deed<'_>, kind: impl FnOnce() -> bool) -> bool {
        let Matchers { bytes_min, used, suspicion, clients, methods, .. } = &self.when;
        let name = deed.who.name();
        deed.message.payload_bytes() >= *bytes_min
            && deed.who.used >= *used
            && deed.who.suspicion >= *suspicion
            && (methods.is_all() || methods.has(deed.act.method(), ""))
            && (clients.is_all() || name.is_some_and(|name| clients.has(name, name)))
            && self.is_aimed(deed.act, name.unwrap_or_default())
            && (self.when.types.is_all() || kind())
            && self.pattern.as_ref().is_none_or(|pattern| deed.message.matches(pattern))
    }

    /// The types of messages it is about.
    pub(super) fn types(&self) -> &Names {
        &self.when.types
    }

    fn is_aimed(&self, act: Act<'_>, subject: &str) -> bool {
        let Matchers { topics, tools, .. } = &self.when;
        let on_topic = || match act {
            Act::Publish { topic: Some(topic) } => topics.has(topic, subject),
            _ => false,
        };
        let at_tool = || match act {
            // A refusal holds for every name of a tool, an allowance for the one that clients see.
            Act::Call { tool: Some(tool), .. } => match self.effect {
                Effect::Allow => tools.has_any(&tool.shown, &tool.all, subject),
                _ => tools.has_any(&tool.all, &tool.shown, subject),
            },
            _ => false,
        };
        (topics.is_all() || on_topic()) && (tools.is_all() || at_tool())
    }
}

/// What a message lacks of what is required.
pub(super) fn missing(
    message: &Message<'_>,
    data: Option<&str>,
    (fields, bytes_max): (&[Box<str>], usize),
) -> Option<Violation> {
    if message.payload_bytes() > bytes_max {
        return Some(Violation::TooLarge { bytes_max });
    }
    let has = |field: &str| data.is_some_and(|data| message::has_field(data, field));
    let field = fields.iter().find(|field| !has(field))?;
    Some(Violation::Lacks { field: field.clone() })
}
