//! `[[rules.message]]`: what messages of applications must be.

use toml::Spanned;
use toml::de::{DeTable, DeValue};
use weir_shard::limits::{Effect, MessageRule};
use weir_shard::policy::rules::{is_types, pattern_fault};

use super::auth::RoleSettings;
use super::file::Document;
use super::nearest::nearest;
use super::problem::{Fault, Problem};
use super::settings::Settings;
use super::value::{Value, texts};

/// What the list is called.
pub(super) const KEY: &str = "rules.message";

const KEYS: [&str; 7] = ["name", "types", "roles", "required", "max_size", "pattern", "effect"];

/// Rules of one configuration.
const RULES_MAX: usize = 1_000;
/// Longest name, bytes: it is a reason in errors and closes.
const NAME_BYTES_MAX: usize = 64;

const EFFECT: &str = "\"deny\", \"report\" or \"close\"";

/// Adds the rules of `list`, which stands at the byte `at` of `document`.
pub(super) fn apply(
    document: &Document<'_>,
    at: usize,
    list: &DeValue<'_>,
    settings: &mut Settings,
    problems: &mut Vec<Problem>,
) {
    let mut reading = Reading { document, settings, problems };
    let items = list.as_array().filter(|items| items.len() <= RULES_MAX);
    let Some(items) = items else {
        return reading.problem(
            at,
            "",
            refused(list, "a list of at most 1000 sections, each of which begins with [[rules.message]]"),
        );
    };
    for item in items.iter() {
        match item.get_ref().as_table() {
            Some(table) => reading.rule(item.span().start, table),
            None => reading.problem(item.span().start, "", refused(item.get_ref(), "a section")),
        }
    }
}

/// Rules about roles that there are not.
pub(super) fn contradictions(rules: &[MessageRule], roles: &[RoleSettings]) -> Vec<String> {
    let is_unknown = |role: &&str| !roles.iter().any(|known| &*known.rules.name == *role);
    let unknown = rules
        .iter()
        .filter_map(|rule| Some((&rule.name, rule.roles.iter().map(|role| &**role).find(is_unknown)?)));
    let said = unknown.map(|(rule, role)| {
        format!("the rule {rule} is about the role {role}, which there is not: correct it, or add [auth.roles.{role}]")
    });
    said.collect()
}

struct Reading<'a> {
    document: &'a Document<'a>,
    settings: &'a mut Settings,
    problems: &'a mut Vec<Problem>,
}

impl Reading<'_> {
    fn rule(&mut self, at: usize, table: &DeTable<'_>) {
        let mut rule = MessageRule::default();
        if !table.contains_key("name") {
            self.problem(at, "", Fault::Missing("name; senders are told it"));
        }
        for (key, value) in table {
            let name = key.get_ref().as_ref();
            if let Err(fault) = self.set(&mut rule, name, value) {
                self.problem(key.span().start, name, fault);
            }
        }
        self.settings.shard.rules.messages.push(rule);
    }

    fn set(&self, rule: &mut MessageRule, name: &str, value: &Spanned<DeValue<'_>>) -> Result<(), Fault> {
        let value = value.get_ref();
        match name {
            "name" => rule.name = self.name(value)?,
            "types" => {
                rule.types =
                    list(value, "a list of types such as \"chat\", \"order.*\" or \"!chat\"", is_types)?;
            }
            "roles" => rule.roles = list(value, "a list of names of roles", |role| !role.is_empty())?,
            "required" => {
                let is_path = |path: &str| path.split('.').all(|name| !name.is_empty());
                rule.required = list(value, "a list of fields such as \"text\" or \"customer.id\"", is_path)?;
            }
            "max_size" => match Value::of_toml(value) {
                Value::Number(bytes @ 0..=0x400_0000) => rule.bytes_max = Some(bytes as usize),
                _ => return Err(refused(value, "a whole number from 0 to 67108864")),
            },
            "pattern" => rule.pattern = Some(pattern(value)?),
            "effect" => {
                rule.effect = match value.as_str() {
                    Some("deny") => Effect::Deny,
                    Some("report") => Effect::Report,
                    Some("close") => Effect::Close,
                    _ => return Err(refused(value, EFFECT)),
                };
            }
            _ => {
                return Err(Fault::Unknown {
                    nearest: nearest(name, KEYS.into_iter()).map(|near| format!("{KEY}.{near}")),
                });
            }
        }
        Ok(())
    }

    fn name(&self, value: &DeValue<'_>) -> Result<Box<str>, Fault> {
        let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
        let name = value
            .as_str()
            .filter(|name| (1..=NAME_BYTES_MAX).contains(&name.len()) && name.bytes().all(allowed));
        let name =
            name.ok_or_else(|| refused(value, "1 to 64 letters, digits, hyphens, dots or underscores"))?;
        let taken = self.settings.shard.rules.messages.iter().any(|other| *other.name == *name);
        if taken { Err(Fault::Taken(name.to_owned())) } else { Ok(name.into()) }
    }

    fn problem(&mut self, at: usize, name: &str, fault: Fault) {
        let dot = if name.is_empty() { "" } else { "." };
        self.problems.push(self.document.problem(at, format!("{KEY}{dot}{name}"), fault));
    }
}

fn refused(value: &DeValue<'_>, wanted: &str) -> Fault {
    Fault::Value { value: Value::of_toml(value), wanted: wanted.to_owned() }
}

/// A list of texts that all fit.
fn list(value: &DeValue<'_>, wanted: &str, fits: impl Fn(&str) -> bool) -> Result<Vec<Box<str>>, Fault> {
    let found = value.as_array().and_then(|_| texts(&Value::of_toml(value)));
    found.filter(|all| all.iter().all(|text| fits(text))).ok_or_else(|| refused(value, wanted))
}

fn pattern(value: &DeValue<'_>) -> Result<Box<str>, Fault> {
    let text = value.as_str().ok_or_else(|| refused(value, "a regular expression"))?;
    match pattern_fault(text) {
        None => Ok(text.into()),
        Some(fault) => {
            let why = fault.lines().last().unwrap_or_default().trim_start_matches("error: ").to_owned();
            Err(refused(value, &format!("a regular expression, which this is not: {why}")))
        }
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    fn read(text: &str) -> Result<Vec<MessageRule>, String> {
        let (mut settings, mut problems) = (Settings::default(), Vec::new());
        let document = Document::parse(Path::new("weir.toml"), text).expect("TOML");
        document.sections(&mut settings, &mut problems);
        document.lists(&mut settings, &mut problems);
        let problems: Vec<String> = problems.iter().map(ToString::to_string).collect();
        if problems.is_empty() { Ok(settings.shard.rules.messages) } else { Err(problems.join("\n")) }
    }

    #[test]
    fn rules_are_read_in_order() {
        let rules = read(
            "[[rules.message]]\nname = \"small-chats\"\ntypes = [\"chat\", \"chat.*\"]\nmax_size = 4096\n\
             [[rules.message]]\nname = \"orders\"\ntypes = [\"order\"]\nroles = [\"guest\"]\nrequired = [\"amount\", \
             \"to.name\"]\npattern = '(?i)\"iban\"'\neffect = \"close\"\n",
        );
        let small = MessageRule {
            name: "small-chats".into(),
            types: vec!["chat".into(), "chat.*".into()],
            bytes_max: Some(4096),
            ..MessageRule::default()
        };
        let orders = MessageRule {
            name: "orders".into(),
            types: vec!["order".into()],
            roles: vec!["guest".into()],
            required: vec!["amount".into(), "to.name".into()],
            bytes_max: None,
            pattern: Some("(?i)\"iban\"".into()),
            effect: Effect::Close,
        };
        assert_eq!(rules, Ok(vec![small, orders]));
    }

    #[test]
    fn what_is_wrong_with_a_rule_is_said() {
        for (text, said) in [
            ("max_size = 1", "weir.toml:1: this rules.message has no name; senders are told it"),
            ("name = \"a b\"", "rules.message.name is \"a b\" and must be 1 to 64 letters"),
            (
                "name = \"a\"\nmax_sise = 1",
                "there is no rules.message.max_sise; did you mean rules.message.max_size?",
            ),
            ("name = \"a\"\neffect = \"drop\"", "must be \"deny\", \"report\" or \"close\""),
            ("name = \"a\"\npattern = \"(\"", "which this is not: unclosed group"),
            ("name = \"a\"\nrequired = [\"a..b\"]", "must be a list of fields"),
            ("name = \"a\"\ntypes = \"chat\"", "must be a list of types"),
            (
                "name = \"a\"\n[[rules.message]]\nname = \"a\"",
                "is \"a\", and so is another's; rename one of them",
            ),
        ] {
            let found = read(&format!("[[rules.message]]\n{text}\n")).expect_err(text);
            assert!(found.contains(said), "{found}");
        }
        let stranger = MessageRule {
            name: "r".into(),
            roles: vec!["guest".into(), "x".into()],
            ..MessageRule::default()
        };
        let said = contradictions(&[stranger], &Settings::default().auth.roles);
        assert!(said.len() == 1 && said[0].starts_with("the rule r is about the role x, which"), "{said:?}");
        let found = read("[rules]\nmessage = 7\n").expect_err("no list");
        assert!(found.contains("weir.toml:2: rules.message is 7 and must be a list"), "{found}");
    }
}
