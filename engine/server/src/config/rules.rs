//! The rule file: `[[rule]]`, in order, and `dry_run`. It is read whole or not at all, at start and again while the
//! gateway runs.

use std::fs;
use std::path::Path;

use toml::Spanned;
use toml::de::{DeTable, DeValue};
use weir_shard::limits::{Effect, Matchers, Names, Rule, RuleSet};
use weir_shard::policy::rules::pattern_fault;

use super::file::Document;
use super::methods;
use super::nearest::nearest;
use super::problem::{ConfigError, Fault, Problem};
use super::value::{Value, texts};

/// Rules of one file.
const RULES_MAX: usize = 1_000;
/// Longest name, bytes: it is a reason in errors and closes.
const NAME_BYTES_MAX: usize = 64;
/// Largest payload that a rule can speak of, bytes.
const BYTES_MAX: i64 = 0x400_0000;
/// Largest score that a rule can speak of.
const SUSPICION_MAX: f64 = 1e6;

/// Keys of the file beside the rules.
const TOP: [&str; 2] = ["dry_run", "rule"];

/// Keys of a rule.
const KEYS: [&str; 16] = [
    "name",
    "roles",
    "clients",
    "methods",
    "tools",
    "topics",
    "types",
    "min_size",
    "pattern",
    "rate",
    "suspicion",
    "effect",
    "limit",
    "required",
    "max_size",
    "dry_run",
];

/// Keys that one effect alone has.
const OF_EFFECT: [(&str, &str); 3] =
    [("limit", "throttle"), ("required", "require"), ("max_size", "require")];

/// The rules of the file `path`, which may be about these roles.
///
/// # Errors
/// It cannot be read, or all that is wrong with it: line, key, and what would be right.
pub(crate) fn load(path: &Path, roles: &[&str]) -> Result<RuleSet, ConfigError> {
    let text = fs::read_to_string(path).map_err(|error| ConfigError::File(path.to_owned(), error))?;
    parse(path, &text, roles).map_err(ConfigError::Problems)
}

/// As [`load`], where `text` is what stands in the file.
fn parse(path: &Path, text: &str, roles: &[&str]) -> Result<RuleSet, Vec<Problem>> {
    let document = Document::parse(path, text).map_err(|problem| vec![problem])?;
    let mut reading = Reading { document: &document, roles, set: RuleSet::default(), problems: Vec::new() };
    reading.file();
    if reading.problems.is_empty() { Ok(reading.set) } else { Err(reading.problems) }
}

struct Reading<'a> {
    document: &'a Document<'a>,
    /// Those that there are.
    roles: &'a [&'a str],
    set: RuleSet,
    problems: Vec<Problem>,
}

impl Reading<'_> {
    fn file(&mut self) {
        for (key, value) in self.document.root() {
            let (at, name) = (key.span().start, key.get_ref().as_ref());
            match (name, value.get_ref()) {
                ("dry_run", DeValue::Boolean(on)) => self.set.dry_run = *on,
                ("dry_run", other) => self.problem(at, name, refused(other, "true or false")),
                ("rule", list) => self.list(at, list),
                _ => {
                    let nearest = nearest(name, TOP.into_iter()).map(str::to_owned);
                    self.problem(at, name, Fault::Unknown { nearest });
                }
            }
        }
    }

    fn list(&mut self, at: usize, list: &DeValue<'_>) {
        let items = list.as_array().filter(|items| items.len() <= RULES_MAX);
        let Some(items) = items else {
            let wanted = "a list of at most 1000 sections, each of which begins with [[rule]]";
            return self.problem(at, "rule", refused(list, wanted));
        };
        for item in items.iter() {
            match item.get_ref().as_table() {
                Some(table) => self.rule(item.span().start, table),
                None => self.problem(item.span().start, "rule", refused(item.get_ref(), "a section")),
            }
        }
    }

    fn rule(&mut self, at: usize, table: &DeTable<'_>) {
        for (key, what) in [("name", "name; senders are told it"), ("effect", "effect")] {
            if !table.contains_key(key) {
                self.problem(at, "rule", Fault::Missing(what));
            }
        }
        let mut rule =
            Rule { name: "".into(), when: Matchers::default(), effect: Effect::Deny, dry_run: false };
        let effect = table.get("effect").and_then(|effect| effect.get_ref().as_str());
        for (key, value) in table {
            let (at, name) = (key.span().start, key.get_ref().as_ref());
            let set = match OF_EFFECT.iter().find(|(key, _)| *key == name) {
                Some((_, of)) if effect != Some(of) => Err(Fault::Of { effect: of }),
                Some(_) => Ok(()),
                None => self.set(&mut rule, name, value.get_ref()),
            };
            if let Err(fault) = set {
                self.problem(at, &format!("rule.{name}"), fault);
            }
        }
        match self.effect(at, table) {
            Some(Effect::Allow) if rule.dry_run => {
                self.problem(at, "rule.dry_run", Fault::Beside("the effect allow, which refuses nothing"));
            }
            Some(effect) => rule.effect = effect,
            None => {}
        }
        self.set.rules.push(rule);
    }

    /// Sets what does not depend on the effect.
    fn set(&self, rule: &mut Rule, name: &str, value: &DeValue<'_>) -> Result<(), Fault> {
        let when = &mut rule.when;
        let names = |such: &str| names(value, such);
        match name {
            "name" => rule.name = self.name(value)?,
            "roles" => when.roles = self.role_names(value)?,
            "clients" => when.clients = names("clients such as \"ann\", \"u-*\" or \"!ann\"")?,
            "methods" => when.methods = names("methods such as \"push\", \"publish\" or \"tools/*\"")?,
            "tools" => when.tools = names("tools such as \"files__*\" or \"!search\"")?,
            "topics" => when.topics = names("topics such as \"room:*\" or \"!room:1\"")?,
            "types" => when.types = names("types such as \"chat\", \"order.*\" or \"!chat\"")?,
            "min_size" => when.bytes_min = bytes(value)?,
            "pattern" => when.pattern = Some(pattern(value)?),
            "rate" => when.used = number(value, 1.0, "a number above 0 and up to 1")?,
            "suspicion" => {
                when.suspicion = number(value, SUSPICION_MAX, "a number above 0 and up to 1000000")? as f32;
            }
            "dry_run" => rule.dry_run = value.as_bool().ok_or_else(|| refused(value, "true or false"))?,
            "effect" => {}
            _ => {
                let nearest = nearest(name, KEYS.into_iter());
                return Err(Fault::Unknown { nearest: nearest.map(|near| format!("rule.{near}")) });
            }
        }
        Ok(())
    }

    /// The effect with what it needs. None: it is said what is wrong.
    fn effect(&mut self, at: usize, table: &DeTable<'_>) -> Option<Effect> {
        let (key, value) = table.get_key_value("effect")?;
        let lacks = |reading: &mut Self, what| {
            reading.problem(at, "rule", Fault::Missing(what));
            None
        };
        match value.get_ref().as_str() {
            Some("allow") => Some(Effect::Allow),
            Some("deny") => Some(Effect::Deny),
            Some("close") => Some(Effect::Close),
            Some("throttle") => match table.get_key_value("limit") {
                Some((key, limit)) => self.throttle(key.span().start, limit.get_ref()),
                None => lacks(self, "limit, such as { limit = 10, per = \"1s\" }"),
            },
            Some("require") => match (table.get_key_value("required"), table.get_key_value("max_size")) {
                (None, None) => lacks(self, "required or max_size"),
                (fields, size) => self.require(fields, size),
            },
            _ => {
                let wanted = "\"allow\", \"deny\", \"close\", \"throttle\" or \"require\"";
                self.problem(key.span().start, "rule.effect", refused(value.get_ref(), wanted));
                None
            }
        }
    }

    fn throttle(&mut self, at: usize, value: &DeValue<'_>) -> Option<Effect> {
        let Reading { document, problems, .. } = self;
        let limit = methods::limit(document, ("rule.limit", "rule.limit"), (at, value), problems)?;
        if limit.limit == 0 {
            let wanted = "a whole number from 1; with the effect deny nothing passes".to_owned();
            self.problem(at, "rule.limit.limit", Fault::Value { value: Value::Number(0), wanted });
        }
        Some(Effect::Throttle(limit.rate()))
    }

    fn require(&mut self, fields: Option<Entry<'_, '_>>, size: Option<Entry<'_, '_>>) -> Option<Effect> {
        let is_path = |path: &str| path.split('.').all(|name| !name.is_empty());
        let wanted = "a list of fields such as \"text\" or \"customer.id\"";
        let fields = fields.map(|(key, value)| (key, list(value.get_ref(), wanted, is_path)));
        let size = size.map(|(key, value)| (key, bytes(value.get_ref())));
        let (mut effect_fields, mut bytes_max) = (Vec::new(), usize::MAX);
        match fields {
            Some((_, Ok(fields))) => effect_fields = fields,
            Some((key, Err(fault))) => self.problem(key.span().start, "rule.required", fault),
            None => {}
        }
        match size {
            Some((_, Ok(bytes))) => bytes_max = bytes,
            Some((key, Err(fault))) => self.problem(key.span().start, "rule.max_size", fault),
            None => {}
        }
        Some(Effect::Require { fields: effect_fields, bytes_max })
    }

    fn name(&self, value: &DeValue<'_>) -> Result<Box<str>, Fault> {
        let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
        let name = value
            .as_str()
            .filter(|name| (1..=NAME_BYTES_MAX).contains(&name.len()) && name.bytes().all(allowed));
        let name =
            name.ok_or_else(|| refused(value, "1 to 64 letters, digits, hyphens, dots or underscores"))?;
        let taken = self.set.rules.iter().any(|other| *other.name == *name);
        if taken { Err(Fault::Taken(name.to_owned())) } else { Ok(name.into()) }
    }

    fn role_names(&self, value: &DeValue<'_>) -> Result<Vec<Box<str>>, Fault> {
        let known = self.roles.join(", ");
        let wanted = format!("a list of roles that there are ({known}); [auth.roles.NAME] adds one");
        list(value, &wanted, |role| self.roles.contains(&role))
    }

    fn problem(&mut self, at: usize, key: &str, fault: Fault) {
        self.problems.push(self.document.problem(at, key.to_owned(), fault));
    }
}

/// A key with its value, as they stand in the file.
type Entry<'a, 'i> = (&'a Spanned<std::borrow::Cow<'i, str>>, &'a Spanned<DeValue<'i>>);

fn refused(value: &DeValue<'_>, wanted: &str) -> Fault {
    Fault::Value { value: Value::of_toml(value), wanted: wanted.to_owned() }
}

/// A list of texts that all fit.
fn list(value: &DeValue<'_>, wanted: &str, fits: impl Fn(&str) -> bool) -> Result<Vec<Box<str>>, Fault> {
    let found = value.as_array().and_then(|_| texts(&Value::of_toml(value)));
    found.filter(|all| all.iter().all(|text| fits(text))).ok_or_else(|| refused(value, wanted))
}

/// A list of patterns of names.
fn names(value: &DeValue<'_>, such: &str) -> Result<Names, Fault> {
    let wanted = format!("a list of {such}");
    let texts = list(value, &wanted, |_| true)?;
    Names::parse(&texts).ok_or_else(|| refused(value, &wanted))
}

fn bytes(value: &DeValue<'_>) -> Result<usize, Fault> {
    match Value::of_toml(value) {
        Value::Number(bytes @ 0..=BYTES_MAX) => Ok(bytes as usize),
        _ => Err(refused(value, "a whole number from 0 to 67108864")),
    }
}

fn number(value: &DeValue<'_>, max: f64, wanted: &str) -> Result<f64, Fault> {
    let number = match Value::of_toml(value) {
        Value::Number(number) => Some(number as f64),
        Value::Fraction(number) => Some(number),
        _ => None,
    };
    number.filter(|number| *number > 0.0 && *number <= max).ok_or_else(|| refused(value, wanted))
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
mod tests;
