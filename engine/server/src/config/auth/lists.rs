//! What a file says of authentication that is no single key: roles and their limits, API keys, keys of several
//! issuers.

use std::time::Duration;

use toml::de::{DeTable, DeValue};
use weir_shard::limits::{ApiKey, Key, KeyUrl, Material, Pattern, Permissions, Role};

use super::sources::{URL, is_url_of_keys, pem};
use super::{Auth, find_role, patterns, role};
use crate::config::file::Document;
use crate::config::nearest::nearest;
use crate::config::problem::{Fault, Problem};
use crate::config::settings::{Limit, Settings};
use crate::config::value::{Value, duration, texts};

/// The lists and sections, in the order in which they are read: who names a role stands after it.
pub(in crate::config) const KEYS: [&str; 5] =
    ["auth.roles", "rate_limiting.roles", "auth.api_key", "auth.jwt.public_keys", "auth.jwt.jwks"];

/// Longest name of a role or an API key, bytes.
const NAME_BYTES_MAX: usize = 128;

/// Sets what the lists of `document` say.
pub(in crate::config) fn apply(
    document: &Document<'_>,
    settings: &mut Settings,
    problems: &mut Vec<Problem>,
) {
    for list in KEYS {
        let Some((at, value)) = document.find(list) else { continue };
        let mut reading = Reading { document, list, settings, problems };
        match list {
            "auth.roles" => reading.named(at, value, Reading::role),
            "rate_limiting.roles" => reading.named(at, value, Reading::limit),
            "auth.api_key" => reading.listed(at, value, Reading::api_key),
            "auth.jwt.public_keys" => reading.listed(at, value, Reading::public_key),
            _ => reading.listed(at, value, Reading::jwks),
        }
    }
}

/// One of the lists being read.
struct Reading<'a> {
    document: &'a Document<'a>,
    list: &'static str,
    settings: &'a mut Settings,
    problems: &'a mut Vec<Problem>,
}

/// One section of a list: where it stands, and what it holds.
#[derive(Clone, Copy)]
struct Section<'a> {
    at: usize,
    table: &'a DeTable<'a>,
}

/// A value with its key.
type Entry<'a> = (&'a str, usize, &'a DeValue<'a>);

impl<'a> Section<'a> {
    fn entries(self) -> impl Iterator<Item = Entry<'a>> {
        self.table.iter().map(|(key, value)| (key.get_ref().as_ref(), key.span().start, value.get_ref()))
    }
}

impl Reading<'_> {
    /// A section whose keys are names and whose values are sections.
    fn named(&mut self, at: usize, value: &DeValue<'_>, read: fn(&mut Self, &str, Section<'_>)) {
        let Some(table) = value.as_table() else {
            return self.refuse(at, "", value, "a section of names, each with a section of its own");
        };
        for (name, at, value) in (Section { at, table }).entries() {
            match value.as_table() {
                Some(table) if is_name(name) => read(self, name, Section { at, table }),
                Some(_) => self.refuse(at, name, &DeValue::String(name.into()), NAME),
                None => self.refuse(at, name, value, "a section"),
            }
        }
    }

    /// A list of sections.
    fn listed(&mut self, at: usize, value: &DeValue<'_>, read: fn(&mut Self, Section<'_>)) {
        let items = value.as_array().map(|items| items.iter());
        let Some(items) = items else {
            return self.refuse(at, "", value, "a list of sections");
        };
        for item in items {
            let at = item.span().start;
            match item.get_ref().as_table() {
                Some(table) => read(self, Section { at, table }),
                None => self.refuse(at, "", item.get_ref(), "a list of sections"),
            }
        }
    }

    fn auth(&mut self) -> &mut Auth {
        &mut self.settings.auth
    }

    /// `[auth.roles.NAME]`.
    fn role(&mut self, name: &str, section: Section<'_>) {
        let Some(place) = self.role_place(name, section.at) else { return };
        for (key, at, value) in section.entries() {
            let rules = &mut self.settings.auth.roles[place].rules;
            let set = match key {
                "permissions" => permissions(value).map(|all| rules.permissions = all),
                "mcp_allow" => pattern_list(value).map(|all| rules.mcp_allow = all),
                "mcp_deny" => pattern_list(value).map(|all| rules.mcp_deny = all),
                "topics_allow" => pattern_list(value).map(|all| rules.topics_allow = all),
                "topics_deny" => pattern_list(value).map(|all| rules.topics_deny = all),
                _ => Err(unknown(
                    key,
                    &["permissions", "mcp_allow", "mcp_deny", "topics_allow", "topics_deny"],
                )),
            };
            self.note(set, at, &format!("{name}.{key}"));
        }
    }

    /// `rate_limiting.roles.NAME`.
    fn limit(&mut self, name: &str, section: Section<'_>) {
        let Some(place) = self.role_place(name, section.at) else { return };
        let mut limit = self.settings.auth.roles[place].limit.unwrap_or(self.settings.client_limit);
        for (key, at, value) in section.entries() {
            let wanted = "a whole number from 0 to 1000000000";
            let set = match key {
                "limit" => whole(value, wanted).map(|number| limit = Limit { limit: number, ..limit }),
                "burst" => whole(value, wanted).map(|number| limit = Limit { burst: number, ..limit }),
                "per" => span(value).map(|per| limit = Limit { per, ..limit }),
                _ => Err(unknown(key, &["limit", "per", "burst"])),
            };
            self.note(set, at, &format!("{name}.{key}"));
        }
        self.settings.auth.roles[place].limit = Some(limit);
    }

    /// `[[auth.api_key]]`.
    fn api_key(&mut self, section: Section<'_>) {
        let user = find_role(&self.auth().roles, "user").unwrap_or(Role::GUEST);
        let mut key = ApiKey { name: Box::default(), hash: [0; 32], role: user, permissions: None };
        let mut hashed = false;
        for (name, at, value) in section.entries() {
            let set = match name {
                "name" => self.client_name(value).map(|name| key.name = name),
                "hash" => hash(value).map(|hash| {
                    key.hash = hash;
                    hashed = true;
                }),
                "role" => self.known_role(value).map(|role| key.role = role),
                "permissions" => permissions(value).map(|all| key.permissions = Some(all)),
                _ => Err(unknown(name, &["name", "hash", "role", "permissions"])),
            };
            self.note(set, at, name);
        }
        let has = |name| section.table.contains_key(name);
        let missing =
            [(!has("name"), "name"), (!has("hash"), "hash; `weir token key NAME` makes a key and prints it")];
        for (_, what) in missing.into_iter().filter(|(missing, _)| *missing) {
            self.problem(section.at, "", Fault::Missing(what));
        }
        if hashed && !key.name.is_empty() {
            self.auth().api_keys.push(key);
        }
    }

    /// `[[auth.jwt.public_keys]]`.
    fn public_key(&mut self, section: Section<'_>) {
        let (mut issuer, mut kid, mut material) = (None, None, None);
        for (name, at, value) in section.entries() {
            let set = match name {
                "pem" => material_of(value).map(|found| material = Some(found)),
                "kid" => text(value, "a key's name").map(|text| kid = Some(text)),
                "issuer" => {
                    text(value, "an issuer as its tokens name it (iss)").map(|text| issuer = Some(text))
                }
                _ => Err(unknown(name, &["pem", "kid", "issuer"])),
            };
            self.note(set, at, name);
        }
        if !section.table.contains_key("pem") {
            self.problem(section.at, "", Fault::Missing("pem; name a file, or write the key itself"));
        }
        if let Some(material) = material {
            self.auth().public_keys.push(Key { issuer, kid, material });
        }
    }

    /// `[[auth.jwt.jwks]]`.
    fn jwks(&mut self, section: Section<'_>) {
        let (mut issuer, mut url) = (None, None);
        for (name, at, value) in section.entries() {
            let set = match name {
                "issuer" => {
                    text(value, "an issuer as its tokens name it (iss)").map(|text| issuer = Some(text))
                }
                "url" => url_of_keys(value).map(|text| url = Some(text)),
                _ => Err(unknown(name, &["issuer", "url"])),
            };
            self.note(set, at, name);
        }
        for name in ["issuer", "url"].into_iter().filter(|name| !section.table.contains_key(*name)) {
            self.problem(section.at, "", Fault::Missing(name));
        }
        if let (Some(issuer), Some(url)) = (issuer, url) {
            self.auth().jwks.push(KeyUrl { issuer, url });
        }
    }

    /// The place of the role `name`, which is new if need be.
    fn role_place(&mut self, name: &str, at: usize) -> Option<usize> {
        if let Some(Role(place)) = find_role(&self.auth().roles, name) {
            return Some(place.into());
        }
        if self.auth().roles.len() >= Role::MAX {
            let fault = Fault::Many { most: Role::MAX, what: "roles" };
            self.problem(at, name, fault);
            return None;
        }
        self.auth().roles.push(role(name));
        Some(self.auth().roles.len() - 1)
    }

    fn known_role(&mut self, value: &DeValue<'_>) -> Result<Role, Fault> {
        let name = text(value, "a role's name")?;
        find_role(&self.auth().roles, &name).ok_or_else(|| {
            let names: Vec<&str> = self.settings.auth.roles.iter().map(|role| &*role.rules.name).collect();
            let wanted =
                format!("one of the roles {}; others need a section [auth.roles.NAME]", names.join(", "));
            Fault::Value { value: Value::Text(name.into()), wanted }
        })
    }

    /// The name of an API key, which no other has.
    fn client_name(&mut self, value: &DeValue<'_>) -> Result<Box<str>, Fault> {
        let name = text(value, NAME)?;
        if !is_name(&name) {
            return Err(Fault::Value { value: Value::Text(name.into()), wanted: NAME.into() });
        }
        let taken = self.auth().api_keys.iter().any(|key| key.name == name);
        if taken { Err(Fault::Taken(name.into())) } else { Ok(name) }
    }

    fn note(&mut self, set: Result<(), Fault>, at: usize, name: &str) {
        if let Err(fault) = set {
            self.problem(at, name, fault);
        }
    }

    fn refuse(&mut self, at: usize, name: &str, value: &DeValue<'_>, wanted: &str) {
        self.problem(at, name, refused(value, wanted));
    }

    fn problem(&mut self, at: usize, name: &str, fault: Fault) {
        let dot = if name.is_empty() { "" } else { "." };
        let key = format!("{}{dot}{name}", self.list);
        let fault = placed(fault, &key);
        self.problems.push(self.document.problem(at, key, fault));
    }
}

/// What names are.
const NAME: &str = "a name of 1 to 128 bytes without control characters that does not begin with \"mcp:\"";

fn is_name(name: &str) -> bool {
    let control = name.chars().any(char::is_control);
    !name.is_empty() && name.len() <= NAME_BYTES_MAX && !control && !name.starts_with("mcp:")
}

fn refused(value: &DeValue<'_>, wanted: &str) -> Fault {
    Fault::Value { value: Value::of_toml(value), wanted: wanted.into() }
}

fn unknown(name: &str, known: &'static [&'static str]) -> Fault {
    Fault::Unknown { nearest: nearest(name, known.iter().copied()).map(str::to_owned) }
}

/// With its list before it, as all keys are named.
fn placed(fault: Fault, key: &str) -> Fault {
    match fault {
        Fault::Unknown { nearest: Some(near) } => {
            let section = key.rsplit_once('.').map_or("", |(section, _)| section);
            Fault::Unknown { nearest: Some(format!("{section}.{near}")) }
        }
        fault => fault,
    }
}

fn text(value: &DeValue<'_>, wanted: &str) -> Result<Box<str>, Fault> {
    match value.as_str() {
        Some(text) if !text.is_empty() => Ok(text.into()),
        _ => Err(refused(value, wanted)),
    }
}

fn whole(value: &DeValue<'_>, wanted: &str) -> Result<u32, Fault> {
    match Value::of_toml(value) {
        Value::Number(number @ 0..=1_000_000_000) => Ok(number as u32),
        _ => Err(refused(value, wanted)),
    }
}

fn span(value: &DeValue<'_>) -> Result<Duration, Fault> {
    let day = Duration::from_secs(24 * 3_600);
    let found = value.as_str().and_then(duration).filter(|span| !span.is_zero() && *span <= day);
    found.ok_or_else(|| refused(value, "a whole number of ms, s, m or h from \"1ms\" to \"24h\""))
}

fn permissions(value: &DeValue<'_>) -> Result<Permissions, Fault> {
    let found = texts(&Value::of_toml(value)).and_then(|words| {
        words.iter().try_fold(Permissions::NONE, |all, word| Some(all | Permissions::of_word(word)?))
    });
    found.ok_or_else(|| {
        let words: Vec<&str> = Permissions::all_words().collect();
        refused(value, &format!("a list of {}", words.join(", ")))
    })
}

fn pattern_list(value: &DeValue<'_>) -> Result<Box<[Pattern]>, Fault> {
    let found = texts(&Value::of_toml(value)).and_then(|texts| patterns(&texts));
    found.ok_or_else(|| {
        refused(value, "a list of patterns such as \"room:*\", each of 1 to 256 bytes with at most 8 *")
    })
}

/// SHA-256 in hexadecimal digits. What stands there instead may be the key itself, and is not shown.
fn hash(value: &DeValue<'_>) -> Result<[u8; 32], Fault> {
    let digits = value.as_str().and_then(|text| text.strip_prefix("sha256:"));
    let hash = digits
        .filter(|digits| digits.len() == 64 && digits.bytes().all(|byte| byte.is_ascii_hexdigit()))
        .and_then(|digits| {
            let mut hash = [0; 32];
            for (byte, at) in hash.iter_mut().zip((0..64).step_by(2)) {
                *byte = u8::from_str_radix(&digits[at..at + 2], 16).ok()?;
            }
            Some(hash)
        });
    hash.ok_or_else(|| Fault::Value {
        value: Value::Other("something else"),
        wanted: "\"sha256:\" and 64 hexadecimal digits, as `weir token hash` prints them".into(),
    })
}

fn material_of(value: &DeValue<'_>) -> Result<Material, Fault> {
    let text = text(value, "a PEM file's path, or the key itself")?;
    pem(&text)
}

fn url_of_keys(value: &DeValue<'_>) -> Result<Box<str>, Fault> {
    let url = text(value, URL)?;
    if is_url_of_keys(&url) { Ok(url) } else { Err(refused(value, URL)) }
}
