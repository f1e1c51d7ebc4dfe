//! `[[upstream]]`: the MCP servers behind the gateway.

mod credential;
#[cfg(test)]
mod tests;

use std::mem;
use std::path::PathBuf;

use toml::Spanned;
use toml::de::{DeTable, DeValue};
use weir_shard::limits::{self, Grant, Target, TargetKind};

use super::file::Document;
use super::keys::{self, Key, UPSTREAM_KEYS, UPSTREAM_SECTIONS};
use super::nearest::nearest;
use super::problem::{Fault, Problem};
use super::settings::Settings;
use super::tls::UpstreamTls;
use super::url;
use super::value::{Value, is_token, sections};

/// What the list is called.
pub(super) const KEY: &str = "upstream";

/// Keys beside those that set bounds.
pub(super) const OWN_KEYS: [&str; 11] =
    ["name", "command", "url", "urls", "env", "cwd", "headers", "auth", "ca", "cert", "key"];

/// Letters, digits and hyphens of a name.
const NAME_BYTES_MAX: usize = 32;
/// Replicas of one upstream.
const URLS_MAX: usize = 256;
const WEIGHT_MAX: i64 = 1_000;

/// Headers that the gateway writes itself or that belong to one hop.
const HEADERS_TAKEN: [&str; 12] = [
    "accept",
    "connection",
    "content-length",
    "content-type",
    "expect",
    "host",
    "keep-alive",
    "last-event-id",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
];

/// One upstream as it is configured.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Upstream {
    /// Its bounds, those of the pool for all shards together. A command has no target yet.
    pub(super) bounds: limits::Upstream,
    /// What is started for each connection. None: it is reached by HTTP.
    pub(super) command: Option<Command>,
    /// What https takes.
    pub(super) tls: UpstreamTls,
}

/// How a child is started.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Command {
    pub(crate) program: String,
    pub(crate) arguments: Vec<String>,
    /// Variables beside the few that every child gets.
    pub(crate) environment: Vec<(String, String)>,
    /// None: where the gateway was started.
    pub(crate) directory: Option<PathBuf>,
}

impl Upstream {
    /// Whether there is a URL that begins with https.
    pub(super) fn is_secure(&self) -> bool {
        let secure = |target: &Target| matches!(target.kind, TargetKind::Http { tls: Some(_), .. });
        self.bounds.targets.iter().any(secure)
    }

    /// Whether it is told who asks.
    pub(super) fn exchanges(&self) -> bool {
        let credential = self.bounds.credential.as_ref();
        credential.is_some_and(|credential| credential.grant == Grant::TokenExchange)
    }

    /// Values that are fine alone and not together; `authenticates`: clients prove who they are.
    pub(super) fn contradictions(&self, authenticates: bool) -> Vec<String> {
        let limits::Upstream { name, timeout, timeout_max, headers, .. } = &self.bounds;
        let fixed = headers.iter().any(|(header, _)| header.eq_ignore_ascii_case("authorization"));
        let mut found = Vec::new();
        if timeout_max < timeout {
            found.push(format!(
                "timeout_max = {timeout_max:?} of the upstream {name} is smaller than its timeout = {timeout:?}: raise \
                 the first or lower the second"
            ));
        }
        if fixed && self.bounds.credential.is_some() {
            found.push(format!(
                "the upstream {name} has auth and a header Authorization, and a request has one: take one of them away"
            ));
        }
        if self.exchanges() && !authenticates {
            found.push(format!(
                "auth of the upstream {name} exchanges the tokens of clients, who need none while auth.mode is off: \
                 configure authentication, or set its grant to \"client_credentials\""
            ));
        }
        if self.exchanges() && self.bounds.share {
            found.push(format!(
                "auth of the upstream {name} exchanges the tokens of clients, who have one conversation together by \
                 share = true: set that to false"
            ));
        }
        found
    }

    /// The bounds of one of so many shards: an equal part, rounded up, of what all may have.
    pub(super) fn divided(&self, shards: u16) -> limits::Upstream {
        let mut bounds = self.bounds.clone();
        for total in [&mut bounds.pool.size, &mut bounds.pool.overflow, &mut bounds.pool.queue] {
            *total = total.div_ceil(u32::from(shards));
        }
        bounds
    }
}

/// Adds the upstreams of `list`, which stands at the byte `at` of `document`.
pub(super) fn apply(
    document: &Document<'_>,
    at: usize,
    list: &DeValue<'_>,
    settings: &mut Settings,
    problems: &mut Vec<Problem>,
) {
    let Some(tables) = sections(list) else {
        let wanted = "a list of sections, each of which begins with [[upstream]]".to_owned();
        let fault = Fault::Value { value: Value::of_toml(list), wanted };
        problems.push(document.problem(at, KEY.to_owned(), fault));
        return;
    };
    for (at, table) in tables {
        let common = settings.upstream.clone();
        let tls = UpstreamTls::default();
        let mut reading = Reading { document, settings, problems, command: None, tls };
        reading.table(at, table);
        let Reading { command, tls, .. } = reading;
        let bounds = mem::replace(&mut settings.upstream, common);
        settings.upstreams.push(Upstream { bounds, command, tls });
    }
}

/// One `[[upstream]]` being read; its bounds gather in `settings.upstream`.
struct Reading<'a> {
    document: &'a Document<'a>,
    settings: &'a mut Settings,
    problems: &'a mut Vec<Problem>,
    command: Option<Command>,
    tls: UpstreamTls,
}

impl Reading<'_> {
    fn table(&mut self, at: usize, table: &DeTable<'_>) {
        self.needed(at, table);
        // First, as env and cwd add to it.
        if let Some((key, value)) = table.get_key_value("command") {
            match command(value.get_ref()) {
                Ok(command) => self.command = Some(command),
                Err(fault) => self.problem(key.span().start, "command", fault),
            }
        }
        for (key, value) in table {
            let (at, name) = (key.span().start, key.get_ref().as_ref());
            match value.get_ref() {
                DeValue::Table(inner) if UPSTREAM_SECTIONS.contains(&name) => {
                    for (key, value) in inner {
                        self.bound(key.span().start, &format!("{name}.{}", key.get_ref()), value);
                    }
                }
                _ if OWN_KEYS.contains(&name) => {
                    if let Err(fault) = self.own(name, value) {
                        self.problem(at, name, fault);
                    }
                }
                _ => self.bound(at, name, value),
            }
        }
    }

    /// What every upstream has, and what does not go together.
    fn needed(&mut self, at: usize, table: &DeTable<'_>) {
        if !table.contains_key("name") {
            self.problems.push(self.document.problem(at, KEY.to_owned(), Fault::Missing("name")));
        }
        let ways = ["command", "url", "urls"].map(|way| table.get_key_value(way).map(|(key, _)| (way, key)));
        let mut ways = ways.into_iter().flatten();
        let Some((way, _)) = ways.next() else {
            let fault = Fault::Missing("command, url or urls; say what is to be started, or where it is");
            self.problems.push(self.document.problem(at, KEY.to_owned(), fault));
            return;
        };
        let others: &[&str] =
            if way == "command" { &["headers", "auth", "ca", "cert", "key"] } else { &["env", "cwd"] };
        let others = others.iter().filter_map(|other| Some((*other, table.get_key_value(*other)?.0)));
        for (other, key) in ways.chain(others) {
            self.problem(
                key.span().start,
                other,
                Fault::Beside(match way {
                    "command" => "upstream.command",
                    "url" => "upstream.url",
                    _ => "upstream.urls",
                }),
            );
        }
    }

    /// One of [`OWN_KEYS`].
    fn own(&mut self, name: &str, value: &Spanned<DeValue<'_>>) -> Result<(), Fault> {
        let value = value.get_ref();
        match name {
            "name" => self.settings.upstream.name = self.name(value)?.into(),
            "url" => self.settings.upstream.targets.push(target(value)?),
            "urls" => self.settings.upstream.targets.extend(targets(value)?),
            "headers" => {
                let headers = headers(value)?.into_iter();
                let headers = headers.map(|(name, value)| (name.into(), value.trim().into()));
                self.settings.upstream.headers = headers.collect();
            }
            "auth" => self.settings.upstream.credential = Some(credential::credential(value)?),
            "env" => {
                let environment = environment(value)?;
                self.command.get_or_insert_default().environment = environment;
            }
            "ca" => self.tls.ca = Some(file(value)?),
            "cert" => self.tls.cert = Some(file(value)?),
            "key" => self.tls.key = Some(file(value)?),
            "cwd" => {
                let directory =
                    text(value, "a folder's path", |text| !text.is_empty() && !text.contains('\0'))?;
                self.command.get_or_insert_default().directory = Some(directory.into());
            }
            _ => {}
        }
        Ok(())
    }

    fn name(&self, value: &DeValue<'_>) -> Result<String, Fault> {
        let wanted = "a lower-case letter and up to 31 more, or digits or hyphens";
        let name = text(value, wanted, |text| {
            let allowed = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
            text.len() <= NAME_BYTES_MAX
                && text.starts_with(|first: char| first.is_ascii_lowercase())
                && text.bytes().all(allowed)
        })?;
        let taken = self.settings.upstreams.iter().any(|other| *other.bounds.name == name);
        if taken || name == limits::BUILTIN_NAME { Err(Fault::Taken(name)) } else { Ok(name) }
    }

    /// A key that sets a bound.
    fn bound(&mut self, at: usize, name: &str, value: &Spanned<DeValue<'_>>) {
        let result = match bounds().find(|key| key.name == name) {
            Some(key) => key.set(self.settings, Value::of_toml(value.get_ref())),
            None => Err(unknown(name)),
        };
        if let Err(fault) = result {
            self.problem(at, name, fault);
        }
    }

    fn problem(&mut self, at: usize, name: &str, fault: Fault) {
        self.problems.push(self.document.problem(at, format!("{KEY}.{name}"), fault));
    }
}

/// The keys that set bounds.
fn bounds() -> impl Iterator<Item = &'static Key> {
    let of_section =
        |key: &&Key| key.name.split_once('.').is_some_and(|(one, _)| UPSTREAM_SECTIONS.contains(&one));
    UPSTREAM_KEYS.iter().chain(keys::KEYS.iter().filter(of_section))
}

fn unknown(name: &str) -> Fault {
    if UPSTREAM_SECTIONS.contains(&name) {
        return Fault::Section;
    }
    let known = OWN_KEYS.into_iter().chain(UPSTREAM_SECTIONS).chain(bounds().map(|key| key.name));
    Fault::Unknown { nearest: nearest(name, known).map(|near| format!("{KEY}.{near}")) }
}

/// A text that `fits`.
fn text(value: &DeValue<'_>, wanted: &str, fits: impl Fn(&str) -> bool) -> Result<String, Fault> {
    match value {
        DeValue::String(text) if fits(text) => Ok(text.to_string()),
        _ => Err(Fault::Value { value: Value::of_toml(value), wanted: wanted.to_owned() }),
    }
}

fn file(value: &DeValue<'_>) -> Result<PathBuf, Fault> {
    text(value, "a file's path", |text| !text.is_empty() && !text.contains('\0')).map(PathBuf::from)
}

fn command(value: &DeValue<'_>) -> Result<Command, Fault> {
    let wanted = "a list of a program and its arguments, such as [\"uvx\", \"mcp-server-time\"]";
    let refused = || Fault::Value { value: Value::of_toml(value), wanted: wanted.to_owned() };
    let words = value.as_array().ok_or_else(refused)?.iter();
    let words = words.map(|word| text(word.get_ref(), "", |text| !text.contains('\0')));
    let mut words = words.collect::<Result<Vec<_>, _>>().map_err(|_| refused())?.into_iter();
    let program = words.next().filter(|program| !program.is_empty()).ok_or_else(refused)?;
    Ok(Command { program, arguments: words.collect(), ..Command::default() })
}

fn environment(value: &DeValue<'_>) -> Result<Vec<(String, String)>, Fault> {
    let wanted = "a section of variables with texts, such as { API_KEY = \"...\" }";
    pairs(value, wanted, |name, value| {
        !name.is_empty() && !name.contains(['=', '\0']) && !value.contains('\0')
    })
}

/// Names are tokens, values visible (RFC 9110, 5.5 and 5.6.2).
fn headers(value: &DeValue<'_>) -> Result<Vec<(String, String)>, Fault> {
    let wanted = "a section of headers with texts, such as { Authorization = \"Bearer ...\" }, without those of MCP, of \
                  the connection and of the body, which the gateway writes itself";
    pairs(value, wanted, |name, value| {
        let lower = name.to_ascii_lowercase();
        is_token(name)
            && value.bytes().all(|byte| byte.is_ascii_graphic() || byte == b' ')
            && !lower.starts_with("mcp-")
            && !HEADERS_TAKEN.contains(&lower.as_str())
    })
}

/// A section whose keys and texts all fit.
fn pairs(
    value: &DeValue<'_>,
    wanted: &str,
    fits: impl Fn(&str, &str) -> bool,
) -> Result<Vec<(String, String)>, Fault> {
    let refused =
        |value: &DeValue<'_>| Fault::Value { value: Value::of_toml(value), wanted: wanted.to_owned() };
    let table = value.as_table().ok_or_else(|| refused(value))?;
    let pairs = table.iter().map(|(name, value)| {
        let text = text(value.get_ref(), wanted, |text| fits(name.get_ref(), text))?;
        Ok((name.get_ref().to_string(), text))
    });
    pairs.collect()
}

fn target(value: &DeValue<'_>) -> Result<Target, Fault> {
    url::target(&text(value, "a URL such as \"http://127.0.0.1:3000/mcp\"", |_| true)?)
}

fn targets(value: &DeValue<'_>) -> Result<Vec<Target>, Fault> {
    let wanted = "a list of URLs or of { url = \"http://...\", weight = 1 } with a weight from 1 to 1000";
    let refused = || Fault::Value { value: Value::of_toml(value), wanted: wanted.to_owned() };
    let items = value.as_array().filter(|items| (1..=URLS_MAX).contains(&items.len())).ok_or_else(refused)?;
    let targets = items.iter().map(|item| match item.get_ref() {
        DeValue::Table(table) => {
            let known = table.keys().all(|key| ["url", "weight"].contains(&key.get_ref().as_ref()));
            let weight =
                table.get("weight").map_or(Value::Number(1), |weight| Value::of_toml(weight.get_ref()));
            match (known, table.get("url"), weight) {
                (true, Some(url), Value::Number(weight @ 1..=WEIGHT_MAX)) => {
                    target(url.get_ref()).map(|target| Target { weight: weight as u32, ..target })
                }
                _ => Err(refused()),
            }
        }
        item => target(item),
    });
    targets.collect()
}
