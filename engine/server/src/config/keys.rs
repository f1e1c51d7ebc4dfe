//! Keys: what values they take, and where those go.

mod table;

use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use ipnet::IpNet;
use weir_shard::limits::{Algorithm, Material, Origins, PayloadKey, Secret, Subject};

pub(super) use self::table::{KEYS, METHOD_KEYS, UPSTREAM_KEYS, UPSTREAM_SECTIONS};
use super::auth;
use super::problem::Fault;
use super::settings::{NEVER, Settings};
use super::tracing::Endpoint;
use super::value::{
    Value, algorithms, cores, duration, hosts, networks, origins, payload_keys, subjects, texts, tokens,
};

/// One key of the configuration.
pub(super) struct Key {
    /// Section and name, with dots between.
    pub(super) name: &'static str,
    /// The variable that sets it beside `WEIR_SECTION_NAME`.
    pub(super) alias: Option<&'static str>,
    /// The flag of `weir serve` that sets it, with its dashes.
    pub(super) flag: Option<&'static str>,
    /// Why it holds from the next start on, one clause. None: a reload applies it.
    pub(super) fixed: Option<&'static str>,
    pub(super) kind: Kind,
}

/// What values a key takes, and where they go.
pub(super) enum Kind {
    Switch(fn(&mut Settings, bool)),
    Number {
        min: u64,
        max: u64,
        set: fn(&mut Settings, u64),
    },
    Time {
        min: Duration,
        max: Duration,
        /// 0 switches it off.
        off: bool,
        set: fn(&mut Settings, Duration),
    },
    /// Above 0 and up to 1.
    Part(fn(&mut Settings, f64)),
    /// From 0 to 1.
    Probability(fn(&mut Settings, f64)),
    /// Where spans are taken; "" is nowhere.
    Endpoint(fn(&mut Settings, Option<Endpoint>)),
    Address(fn(&mut Settings, IpAddr)),
    /// An address with a port; "" is none.
    Socket(fn(&mut Settings, Option<SocketAddr>)),
    Cores(fn(&mut Settings, Vec<usize>)),
    Hosts(fn(&mut Settings, Vec<Box<str>>)),
    Networks(fn(&mut Settings, Vec<IpNet>)),
    Origins(fn(&mut Settings, Origins)),
    /// Names of methods or headers, as one header lists them.
    Tokens(fn(&mut Settings, Box<str>)),
    /// A path; "" is none.
    Folder(fn(&mut Settings, Option<PathBuf>)),
    /// One of these words.
    Choice {
        words: &'static [&'static str],
        set: fn(&mut Settings, &str),
    },
    /// At least one text, none of them empty.
    Names(fn(&mut Settings, Vec<Box<str>>)),
    /// At least one.
    Algorithms(fn(&mut Settings, Vec<Algorithm>)),
    /// At least so many bytes that nobody is shown; "" is none.
    Secret {
        min: usize,
        set: fn(&mut Settings, Option<Secret>),
    },
    /// PEM, or its path; "" is none.
    PublicKey(fn(&mut Settings, Option<Material>)),
    /// A path; "" is none.
    File(fn(&mut Settings, Option<PathBuf>)),
    /// Addresses, networks and clients.
    Subjects(fn(&mut Settings, Vec<Subject>)),
    /// At most so many keys of payloads, which nobody is shown; "" is none.
    PayloadKeys {
        most: usize,
        set: fn(&mut Settings, Vec<PayloadKey>),
    },
    /// Where keys are fetched; "" is nowhere.
    KeyUrl(fn(&mut Settings, Option<Box<str>>)),
    /// Authorization servers.
    Servers(fn(&mut Settings, Vec<Box<str>>)),
    /// The gateway's own URL; "" is none.
    Resource(fn(&mut Settings, Option<Box<str>>)),
}

/// Bytes of the longest secret.
const SECRET_BYTES_MAX: usize = 4_096;

impl Key {
    /// The same with a flag of `weir serve`.
    const fn flag(self, flag: &'static str) -> Key {
        Key { flag: Some(flag), ..self }
    }

    /// The same, which a reload does not apply, because of `why`.
    const fn fixed(self, why: &'static str) -> Key {
        Key { fixed: Some(why), ..self }
    }

    /// Sets the key in `settings`.
    ///
    /// # Errors
    /// The key does not take the value; `settings` is as before.
    pub(super) fn set(&self, settings: &mut Settings, value: Value) -> Result<(), Fault> {
        match (&self.kind, &value) {
            (Kind::Switch(set), Value::Switch(switch)) => set(settings, *switch),
            (Kind::Number { min, max, set }, Value::Number(number)) => match u64::try_from(*number) {
                Ok(number) if (*min..=*max).contains(&number) => set(settings, number),
                _ => return Err(self.refuses(value)),
            },
            (Kind::Time { min, max, off, set }, Value::Text(text)) => match duration(text) {
                Some(Duration::ZERO) if *off => set(settings, NEVER),
                Some(time) if (*min..=*max).contains(&time) => set(settings, time),
                _ => return Err(self.refuses(value)),
            },
            (Kind::Part(set), Value::Fraction(part)) if *part > 0.0 && *part <= 1.0 => set(settings, *part),
            (Kind::Part(set), Value::Number(1)) => set(settings, 1.0),
            (Kind::Address(set), Value::Text(text)) => match text.parse() {
                Ok(address) => set(settings, address),
                Err(_) => return Err(self.refuses(value)),
            },
            (Kind::Socket(set), Value::Text(text)) if text.is_empty() => set(settings, None),
            (Kind::Socket(set), Value::Text(text)) => match text.parse() {
                Ok(address) => set(settings, Some(address)),
                Err(_) => return Err(self.refuses(value)),
            },
            (Kind::Cores(set), Value::Text(text)) => match cores(text) {
                Some(cores) => set(settings, cores),
                None => return Err(self.refuses(value)),
            },
            // A single core, given as text, reads as a number.
            (Kind::Cores(set), Value::Number(core)) if u16::try_from(*core).is_ok() => {
                set(settings, vec![*core as usize]);
            }
            (Kind::Folder(set), Value::Text(path)) => set(settings, (!path.is_empty()).then(|| path.into())),
            (Kind::Hosts(set), value) => match hosts(value) {
                Some(hosts) => set(settings, hosts),
                None => return Err(self.refuses(value.clone())),
            },
            (Kind::Networks(set), value) => match networks(value) {
                Some(networks) => set(settings, networks),
                None => return Err(self.refuses(value.clone())),
            },
            (Kind::Origins(set), value) => match origins(value) {
                Some(origins) => set(settings, origins),
                None => return Err(self.refuses(value.clone())),
            },
            (Kind::Tokens(set), value) => match tokens(value) {
                Some(tokens) => set(settings, tokens),
                None => return Err(self.refuses(value.clone())),
            },
            (Kind::Choice { words, set }, Value::Text(word)) if words.contains(&word.as_str()) => {
                set(settings, word);
            }
            (Kind::Choice { words, set }, Value::Switch(switch)) => {
                let word = if *switch { "true" } else { "false" };
                match words.contains(&word) {
                    true => set(settings, word),
                    false => return Err(self.refuses(value)),
                }
            }
            // A version, given as text, reads as a number.
            (Kind::Choice { words, set }, Value::Fraction(number))
                if words.contains(&number.to_string().as_str()) =>
            {
                set(settings, &number.to_string());
            }
            _ => return self.set_of_auth(settings, value),
        }
        Ok(())
    }

    /// As [`Key::set`], for the kinds that spans have.
    fn set_of_tracing(&self, settings: &mut Settings, value: Value) -> Result<(), Fault> {
        match (&self.kind, &value) {
            (Kind::Probability(set), Value::Fraction(part)) if (0.0..=1.0).contains(part) => {
                set(settings, *part)
            }
            (Kind::Probability(set), Value::Number(part @ 0..=1)) => set(settings, *part as f64),
            (Kind::Endpoint(set), Value::Text(url)) => match Endpoint::parse(url) {
                _ if url.is_empty() => set(settings, None),
                Ok(endpoint) => set(settings, Some(endpoint)),
                // A user's password may stand there.
                Err(_) if url.contains('@') => return Err(self.refuses(Value::Hidden { bytes: url.len() })),
                Err(_) => return Err(self.refuses(value)),
            },
            _ => return Err(self.refuses(value)),
        }
        Ok(())
    }

    /// As [`Key::set`], for the kinds that authentication has.
    fn set_of_auth(&self, settings: &mut Settings, value: Value) -> Result<(), Fault> {
        match (&self.kind, &value) {
            (Kind::Names(set), value) => match texts(value) {
                Some(names) if !names.is_empty() && names.iter().all(|name| !name.is_empty()) => {
                    set(settings, names);
                }
                _ => return Err(self.refuses(value.clone())),
            },
            (Kind::Algorithms(set), value) => match algorithms(value) {
                Some(algorithms) if !algorithms.is_empty() => set(settings, algorithms),
                _ => return Err(self.refuses(value.clone())),
            },
            (Kind::Secret { set, .. }, Value::Text(text)) if text.is_empty() => set(settings, None),
            (Kind::Secret { min, set }, Value::Text(text))
                if (*min..=SECRET_BYTES_MAX).contains(&text.len()) =>
            {
                set(settings, Some(Secret::new(text.as_bytes())));
            }
            (Kind::Secret { .. }, Value::Text(text)) => {
                return Err(self.refuses(Value::Hidden { bytes: text.len() }));
            }
            (Kind::Secret { .. }, _) => return Err(self.refuses(Value::Other("no text"))),
            (Kind::PublicKey(set), Value::Text(text)) => match text.as_str() {
                "" => set(settings, None),
                text => set(settings, Some(auth::pem(text)?)),
            },
            (Kind::Servers(set), value) => match texts(value) {
                Some(urls) if urls.iter().all(|url| auth::is_url_of_keys(url)) => set(settings, urls),
                _ => return Err(self.refuses(value.clone())),
            },
            (Kind::Resource(set), Value::Text(url)) if url.is_empty() => set(settings, None),
            (Kind::Resource(set), Value::Text(url)) if auth::is_resource(url) => {
                set(settings, Some(url.as_str().into()));
            }
            (Kind::KeyUrl(set), Value::Text(url)) if url.is_empty() => set(settings, None),
            (Kind::KeyUrl(set), Value::Text(url)) if auth::is_url_of_keys(url) => {
                set(settings, Some(url.as_str().into()));
            }
            _ => return self.set_of_rules(settings, value),
        }
        Ok(())
    }

    /// As [`Key::set`], for the kinds that rules, the audit log and encryption have.
    fn set_of_rules(&self, settings: &mut Settings, value: Value) -> Result<(), Fault> {
        match (&self.kind, &value) {
            (Kind::File(set), Value::Text(path)) => set(settings, (!path.is_empty()).then(|| path.into())),
            (Kind::Subjects(set), value) => match subjects(value) {
                Some(subjects) => set(settings, subjects),
                None => return Err(self.refuses(value.clone())),
            },
            (Kind::PayloadKeys { most, set }, value) => match payload_keys(value) {
                Some(keys) if keys.len() <= *most => set(settings, keys),
                // It may be a key all the same.
                _ => return Err(self.refuses(Value::Other("something else"))),
            },
            _ => return self.set_of_tracing(settings, value),
        }
        Ok(())
    }

    /// What a variable or flag says: what it is meant to be decides whether digits are a number.
    pub(super) fn value(&self, text: &str) -> Value {
        match self.kind {
            Kind::Names(_)
            | Kind::Algorithms(_)
            | Kind::Secret { .. }
            | Kind::PublicKey(_)
            | Kind::PayloadKeys { .. }
            | Kind::KeyUrl(_)
            | Kind::Endpoint(_) => Value::Text(text.to_owned()),
            _ => Value::of_text(text),
        }
    }

    fn refuses(&self, value: Value) -> Fault {
        Fault::Value { value, wanted: self.kind.wanted() }
    }

    /// The variable that every key has.
    pub(super) fn variable(&self) -> String {
        format!("WEIR_{}", self.name.replace('.', "_").to_uppercase())
    }
}

/// The key of that name.
pub(super) fn find(name: &str) -> Option<&'static Key> {
    KEYS.iter().find(|key| key.name == name)
}

/// Every section's full name.
pub(super) fn sections() -> impl Iterator<Item = &'static str> {
    KEYS.iter().flat_map(|key| key.name.match_indices('.').map(|(dot, _)| &key.name[..dot]))
}
