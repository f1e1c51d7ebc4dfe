//! `[[webhook]]`: who is told over HTTP what is said on the bus. `[[handler]]`: who answers over HTTP what clients push.

use std::time::Duration;

use toml::de::{DeTable, DeValue};
use weir_shard::limits::{Pattern, Secret};
use weir_shard::vsm::Topics;

use super::file::Document;
use super::nearest::nearest;
use super::problem::{Fault, Problem};
use super::settings::Settings;
use super::url;
use super::value::{Value, duration, sections, texts};

/// What the lists are called.
pub(super) const WEBHOOKS: &str = "webhook";
pub(super) const HANDLERS: &str = "handler";

/// Hooks of one list.
const HOOKS_MAX: usize = 100;
/// Longest name, bytes.
const NAME_BYTES_MAX: usize = 64;
/// Bytes of a secret.
const SECRET_BYTES: std::ops::RangeInclusive<usize> = 16..=4_096;
const TIMEOUT_MIN: Duration = Duration::from_millis(10);
const TIMEOUT_MAX: Duration = Duration::from_secs(60);
const RETRIES_MAX: u64 = 100;

/// Keys of a hook, whatever it is for, and those that webhooks and handlers have beside them.
const HOOK_KEYS: [&str; 4] = ["name", "url", "secret", "timeout"];
const WEBHOOK_KEYS: [&str; 2] = ["topics", "retries"];
const HANDLER_KEYS: [&str; 1] = ["types"];

/// An endpoint that the gateway posts to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Hook {
    /// For logs and figures.
    pub(crate) name: Box<str>,
    pub(crate) url: Box<str>,
    /// What requests are signed with. None: they are not.
    pub(crate) secret: Option<Secret>,
    /// How long one request may take, answer included.
    pub(crate) timeout: Duration,
}

/// A hook that is told what is said on the bus.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Webhook {
    pub(crate) hook: Hook,
    pub(crate) topics: Topics,
    /// How often what was not taken is sent again.
    pub(crate) retries: u32,
}

/// A hook that answers what clients push.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Handler {
    pub(crate) hook: Hook,
    /// Of which types.
    pub(crate) types: Vec<Pattern>,
}

impl Hook {
    fn new() -> Hook {
        Hook { name: "".into(), url: "".into(), secret: None, timeout: Duration::from_secs(5) }
    }

    /// Sets one of [`HOOK_KEYS`]. False: it is none.
    fn set(&mut self, name: &str, value: &DeValue<'_>) -> Result<bool, Fault> {
        match name {
            "name" => {
                let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
                let fits =
                    |name: &&str| (1..=NAME_BYTES_MAX).contains(&name.len()) && name.bytes().all(allowed);
                let wanted = "1 to 64 letters, digits, hyphens, dots or underscores";
                self.name = value.as_str().filter(fits).ok_or_else(|| refused(value, wanted))?.into();
            }
            "url" => {
                let wanted = "a URL such as \"https://hooks.example.com/weir\", without user and fragment";
                let url = value.as_str().filter(|url| url::is_url(url));
                self.url = url.ok_or_else(|| refused(value, wanted))?.into();
            }
            "secret" => self.secret = Some(secret(value)?),
            "timeout" => {
                let fits = |time: &Duration| (TIMEOUT_MIN..=TIMEOUT_MAX).contains(time);
                let time = value.as_str().and_then(duration).filter(fits);
                let wanted = "a whole number of ms, s, m or h from \"10ms\" to \"1m\"";
                self.timeout = time.ok_or_else(|| refused(value, wanted))?;
            }
            _ => return Ok(false),
        }
        Ok(true)
    }
}

/// Adds the webhooks of `list`, which stands at the byte `at` of `document`.
pub(super) fn apply(
    document: &Document<'_>,
    at: usize,
    list: &DeValue<'_>,
    settings: &mut Settings,
    problems: &mut Vec<Problem>,
) {
    let mut reading = Reading { document, list: WEBHOOKS, problems };
    for (at, table) in reading.tables(at, list) {
        let webhook = reading.webhook(at, table);
        reading.names_one(at, &webhook.hook, settings.webhooks.iter().map(|other| &other.hook));
        settings.webhooks.push(webhook);
    }
}

/// Adds the handlers of `list`, which stands at the byte `at` of `document`.
pub(super) fn apply_handlers(
    document: &Document<'_>,
    at: usize,
    list: &DeValue<'_>,
    settings: &mut Settings,
    problems: &mut Vec<Problem>,
) {
    let mut reading = Reading { document, list: HANDLERS, problems };
    for (at, table) in reading.tables(at, list) {
        let handler = reading.handler(at, table);
        reading.names_one(at, &handler.hook, settings.handlers.iter().map(|other| &other.hook));
        settings.handlers.push(handler);
    }
}

struct Reading<'a> {
    document: &'a Document<'a>,
    /// What the list is called.
    list: &'static str,
    problems: &'a mut Vec<Problem>,
}

impl Reading<'_> {
    /// The sections of the list, and where each is.
    fn tables<'v>(&mut self, at: usize, list: &'v DeValue<'v>) -> Vec<(usize, &'v DeTable<'v>)> {
        sections(list).filter(|tables| tables.len() <= HOOKS_MAX).unwrap_or_else(|| {
            let list_name = self.list;
            let wanted =
                format!("a list of at most {HOOKS_MAX} sections, each of which begins with [[{list_name}]]");
            self.problem(at, "", refused(list, &wanted));
            Vec::new()
        })
    }

    /// No two of a list have one name.
    fn names_one<'h>(&mut self, at: usize, hook: &Hook, mut others: impl Iterator<Item = &'h Hook>) {
        if others.any(|other| other.name == hook.name) {
            self.problem(at, "name", Fault::Taken(hook.name.clone().into()));
        }
    }

    fn webhook(&mut self, at: usize, table: &DeTable<'_>) -> Webhook {
        self.needed(at, table, &["name", "url"]);
        let mut webhook = Webhook { hook: Hook::new(), topics: Topics::all(), retries: 5 };
        for (key, value) in table {
            let (at, name, value) = (key.span().start, key.get_ref().as_ref(), value.get_ref());
            let set = match name {
                "topics" => topics(value).map(|topics| webhook.topics = topics),
                "retries" => retries(value).map(|retries| webhook.retries = retries),
                name => {
                    webhook.hook.set(name, value).and_then(|known| self.known(name, known, &WEBHOOK_KEYS))
                }
            };
            if let Err(fault) = set {
                self.problem(at, name, fault);
            }
        }
        webhook
    }

    fn handler(&mut self, at: usize, table: &DeTable<'_>) -> Handler {
        self.needed(at, table, &["name", "url", "types"]);
        let mut handler = Handler { hook: Hook::new(), types: Vec::new() };
        for (key, value) in table {
            let (at, name, value) = (key.span().start, key.get_ref().as_ref(), value.get_ref());
            let set = match name {
                "types" => types(value).map(|types| handler.types = types),
                name => {
                    handler.hook.set(name, value).and_then(|known| self.known(name, known, &HANDLER_KEYS))
                }
            };
            if let Err(fault) = set {
                self.problem(at, name, fault);
            }
        }
        handler
    }

    /// Keys that must be there.
    fn needed(&mut self, at: usize, table: &DeTable<'_>, names: &[&'static str]) {
        for name in names.iter().filter(|name| !table.contains_key(**name)) {
            self.problem(at, "", Fault::Missing(name));
        }
    }

    fn known(&self, name: &str, known: bool, own: &[&'static str]) -> Result<(), Fault> {
        if known {
            return Ok(());
        }
        let near = nearest(name, HOOK_KEYS.iter().chain(own).copied());
        Err(Fault::Unknown { nearest: near.map(|near| format!("{}.{near}", self.list)) })
    }

    fn problem(&mut self, at: usize, name: &str, fault: Fault) {
        let dot = if name.is_empty() { "" } else { "." };
        self.problems.push(self.document.problem(at, format!("{}{dot}{name}", self.list), fault));
    }
}

fn refused(value: &DeValue<'_>, wanted: &str) -> Fault {
    Fault::Value { value: Value::of_toml(value), wanted: wanted.to_owned() }
}

fn secret(value: &DeValue<'_>) -> Result<Secret, Fault> {
    let wanted = "a text of 16 to 4096 bytes".to_owned();
    match value.as_str() {
        Some(text) if SECRET_BYTES.contains(&text.len()) => Ok(Secret::new(text.as_bytes())),
        Some(text) => Err(Fault::Value { value: Value::Hidden { bytes: text.len() }, wanted }),
        None => Err(refused(value, &wanted)),
    }
}

fn topics(value: &DeValue<'_>) -> Result<Topics, Fault> {
    let names = value.as_array().and_then(|_| texts(&Value::of_toml(value)));
    let topics = names.as_ref().and_then(|names| Topics::of(names.iter().map(|name| &**name)).ok());
    topics.ok_or_else(|| {
        refused(value, "a list of topics: \"s1_operations\" to \"s5_policy\", \"algedonic\", \"transport\", \"client:NAME\", \
                        \"client:*\" or \"*\"")
    })
}

fn types(value: &DeValue<'_>) -> Result<Vec<Pattern>, Fault> {
    let names = value.as_array().and_then(|_| texts(&Value::of_toml(value)));
    let types =
        names.and_then(|names| names.iter().map(|name| Pattern::parse(name)).collect::<Option<Vec<_>>>());
    let types = types.filter(|types| !types.is_empty());
    types.ok_or_else(|| refused(value, "a list of at least one type, such as [\"order.*\"]"))
}

fn retries(value: &DeValue<'_>) -> Result<u32, Fault> {
    match Value::of_toml(value) {
        Value::Number(number) if u64::try_from(number).is_ok_and(|number| number <= RETRIES_MAX) => {
            Ok(number as u32)
        }
        _ => Err(refused(value, "a whole number from 0 to 100")),
    }
}

#[cfg(test)]
mod tests {
    use weir_shard::vsm::Topic;

    use crate::config::tests::file;

    use super::*;

    #[test]
    fn webhooks_are_read() {
        let settings = file(
            "[[webhook]]\nname = \"ops\"\nurl = \"https://hooks.example.com/weir\"\nsecret = \"sixteen bytes or more\"\n\
             topics = [\"algedonic\", \"s3_control\"]\ntimeout = \"2s\"\nretries = 3\n[[webhook]]\nname = \"all\"\nurl = \
             \"http://[::1]:8080\"\n",
        )
        .expect("right");
        let [ops, all] = &settings.webhooks[..] else { panic!("two") };
        assert_eq!((ops.hook.timeout, ops.retries), (Duration::from_secs(2), 3));
        assert_eq!(ops.hook.secret, Some(Secret::new(*b"sixteen bytes or more")));
        assert!(ops.topics.has(&Topic::Algedonic) && !ops.topics.has(&Topic::Policy));
        assert!(all.topics.has(&Topic::Policy) && all.hook.secret.is_none());
    }

    #[test]
    fn handlers_are_read() {
        let text =
            "[[handler]]\nname = \"orders\"\nurl = \"http://127.0.0.1:8080/orders\"\ntypes = [\"order.*\"]\n";
        let settings = file(text).expect("right");
        assert_eq!(settings.handlers[0].hook.timeout, Duration::from_secs(5));
        let shard = settings.shard(1, 1_000, 2);
        assert!(shard.handlers[0][0].matches("order.new", "") && !shard.handlers[0][0].matches("orders", ""));
        let found = file(&text.replace("[\"order.*\"]", "[]")).expect_err("no types");
        assert!(found.contains("handler.types is a list and must be a list of at least one type"), "{found}");
        let found = file(&text.replace("types", "topics")).expect_err("no types");
        assert!(found.contains("this handler has no types"), "{found}");
    }

    #[test]
    fn what_is_wrong_with_a_webhook_is_said() {
        for (text, said) in [
            ("url = \"http://a\"", "weir.toml:1: this webhook has no name"),
            ("name = \"a\"\nurl = \"ftp://a\"", "webhook.url is \"ftp://a\" and must be a URL"),
            (
                "name = \"a\"\nurl = \"http://a\"\nsecret = \"short\"",
                "is a text of 5 bytes and must be a text of 16",
            ),
            (
                "name = \"a\"\nurl = \"http://a\"\ntopics = [\"s6\"]",
                "webhook.topics is a list and must be a list of topics",
            ),
            (
                "name = \"a\"\nurl = \"http://a\"\ntopic = []",
                "there is no webhook.topic; did you mean webhook.topics?",
            ),
            ("name = \"a\"\nurl = \"http://a\"\nretries = -1", "must be a whole number from 0 to 100"),
            (
                "name = \"a\"\nurl = \"http://a\"\n[[webhook]]\nname = \"a\"\nurl = \"http://b\"",
                "and so is another's",
            ),
        ] {
            let found = file(&format!("[[webhook]]\n{text}\n")).expect_err(text);
            assert!(found.contains(said), "{found}");
        }
    }
}
