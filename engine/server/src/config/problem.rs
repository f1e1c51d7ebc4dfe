//! What is wrong with a configuration: where, what, and what would be right.

use std::fmt;
use std::io;
use std::path::PathBuf;

use serde_json::{Value as Json, json};
use weir_shard::limits::Algorithm;

use super::auth;
use super::keys::Kind;
use super::value::{Value, duration_text};

/// Why nothing is started.
#[derive(Debug)]
pub(crate) enum ConfigError {
    /// The file cannot be read.
    File(PathBuf, io::Error),
    /// All that is wrong, in the order of the sources.
    Problems(Vec<Problem>),
    /// Each value is fine, and together they are not.
    Contradictions(Vec<String>),
}

/// One wrong setting.
#[derive(Debug, PartialEq)]
pub(crate) struct Problem {
    pub(super) place: Place,
    /// Section and name, with dots between; empty where no key is at fault.
    pub(super) key: String,
    pub(super) fault: Fault,
}

/// Where a setting comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Place {
    /// A line of a file, from 1.
    Line(PathBuf, usize),
    Variable(String),
    Flag(&'static str),
}

/// What is wrong with a setting.
#[derive(Debug, PartialEq)]
pub(super) enum Fault {
    /// The file is not TOML.
    Syntax(String),
    /// There is no such key or section.
    Unknown { nearest: Option<String> },
    /// A section is given as if it were a key.
    Section,
    /// The key does not take the value.
    Value { value: Value, wanted: String },
    /// The section lacks what it cannot do without.
    Missing(&'static str),
    /// The key contradicts another one of its section.
    Beside(&'static str),
    /// The key belongs to another effect of a rule.
    Of { effect: &'static str },
    /// Another section has this name.
    Taken(String),
    /// There are more of them than may be.
    Many { most: usize, what: &'static str },
    /// What should be a public key is none.
    Pem { source: String, why: String },
    /// The resolver does not find the host.
    Unresolved { host: String, error: String },
}

impl Kind {
    /// What values are taken, in words.
    pub(super) fn wanted(&self) -> String {
        match self {
            Kind::Switch(_) => "true or false".into(),
            Kind::Number { min, max, .. } => format!("a whole number from {min} to {max}"),
            Kind::Part(_) => "a number above 0 and up to 1".into(),
            Kind::Probability(_) => "a number from 0 to 1".into(),
            Kind::Endpoint(_) => "a URL such as \"http://127.0.0.1:4318\", without user, where OTLP is spoken over HTTP \
                                  (4317 is the port of OTLP over gRPC, which Weir does not speak; the same collector takes \
                                  OTLP over HTTP at 4318), or \"\" for none"
                .into(),
            Kind::Time { min, max, off, .. } => {
                let off = if *off { ", or \"0s\" to switch it off" } else { "" };
                format!(
                    "a whole number of ms, s, m or h from \"{}\" to \"{}\"{off}",
                    duration_text(*min),
                    duration_text(*max)
                )
            }
            Kind::Address(_) => "an IP address such as \"127.0.0.1\" or \"::1\"".into(),
            Kind::Socket(_) => {
                "an IP address with a port, such as \"0.0.0.0:9100\" or \"[::]:9100\", or \"\" for none".into()
            }
            Kind::Cores(_) => "core numbers and ranges such as \"0,2-5\"".into(),
            Kind::Hosts(_) => {
                "a list of host names or addresses without port, such as [\"weir.example.com\", \"[::1]\"]"
                    .into()
            }
            Kind::Networks(_) => {
                "a list of IP addresses and networks, such as [\"10.0.0.0/8\", \"::1\"]".into()
            }
            Kind::Origins(_) => "a list of origins as browsers send them: scheme, host, and the port unless it is the \
                                 scheme's own, such as [\"https://app.example.com\", \"http://localhost:5173\"], \
                                 letters outside of ASCII as xn--; or \"*\" for all pages there are"
                .into(),
            Kind::Tokens(_) => "a list of names such as [\"GET\", \"POST\"] or [\"X-Client-ID\"]".into(),
            Kind::Folder(_) => "a folder, such as \"/var/lib/weir\" or \"./1\", or \"\" for none".into(),
            Kind::Choice { words, .. } => alternatives(words),
            Kind::Names(_) => "a list of at least one text, such as [\"weir\"]".into(),
            Kind::Algorithms(_) => {
                let names = Algorithm::ALL.map(Algorithm::name);
                format!("a list of at least one of {}", alternatives(&names))
            }
            Kind::Secret { min, .. } => format!("a text of {min} to 4096 bytes, or \"\" for none"),
            Kind::PublicKey(_) => "a PEM file's path, the key itself, or \"\" for none".into(),
            Kind::File(_) => "a file's path, such as \"/var/log/weir/audit.ndjson\", or \"\" for none".into(),
            Kind::Subjects(_) => {
                "a list of addresses, networks and clients, such as [\"10.0.0.0/8\", \"client:mallory\"]".into()
            }
            Kind::PayloadKeys { most, .. } => {
                let list = if *most == 1 { "" } else { "a list of " };
                format!("{list}\"NAME:\" and 32 bytes in base64, or \"\" for none")
            }
            Kind::Servers(_) => format!("a list of URLs, each {}", auth::URL),
            Kind::Resource(_) => {
                "the URL of /mcp as clients have it, such as \"https://weir.example.com/mcp\", or \"\" for none".into()
            }
            Kind::KeyUrl(_) => format!("{}, or \"\" for none", auth::URL),
        }
    }
}

/// `"a", "b" or "c"`; what TOML has a word for stands without quotes.
fn alternatives(words: &[&str]) -> String {
    let quoted = words.iter().map(|word| match *word {
        "true" | "false" => (*word).to_owned(),
        word => format!("\"{word}\""),
    });
    let mut text = quoted.collect::<Vec<_>>().join(", ");
    if let Some(comma) = text.rfind(", ") {
        text.replace_range(comma..comma + 2, " or ");
    }
    text
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ConfigError::File(path, error) => write!(f, "{} cannot be read: {error}", path.display()),
            ConfigError::Problems(problems) => lines(f, problems),
            ConfigError::Contradictions(contradictions) => lines(f, contradictions),
        }
    }
}

impl ConfigError {
    /// All that is wrong: each with a message, and, where they are known, file, line, variable or flag, the key, and
    /// the nearest name.
    pub(crate) fn problems(&self) -> Vec<Json> {
        match self {
            ConfigError::File(path, _) => vec![json!({ "file": path, "message": self.to_string() })],
            ConfigError::Problems(problems) => problems.iter().map(Problem::to_json).collect(),
            ConfigError::Contradictions(found) => {
                found.iter().map(|said| json!({ "message": said })).collect()
            }
        }
    }
}

impl Problem {
    /// Where it is in the file; what stands elsewhere comes behind.
    pub(super) fn line(&self) -> usize {
        if let Place::Line(_, line) = self.place { line } else { usize::MAX }
    }

    fn to_json(&self) -> Json {
        let mut told = json!({ "key": self.key, "message": self.to_string() });
        match &self.place {
            Place::Line(file, line) => (told["file"], told["line"]) = (json!(file), json!(line)),
            Place::Variable(name) => told["variable"] = json!(name),
            Place::Flag(name) => told["flag"] = json!(name),
        }
        if let Fault::Unknown { nearest: Some(nearest) } = &self.fault {
            told["nearest"] = json!(nearest);
        }
        told
    }
}

fn lines<T: fmt::Display>(f: &mut fmt::Formatter<'_>, items: &[T]) -> fmt::Result {
    for (index, item) in items.iter().enumerate() {
        let end = if index + 1 < items.len() { "\n" } else { "" };
        write!(f, "{item}{end}")?;
    }
    Ok(())
}

impl std::error::Error for ConfigError {}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Problem { place, key, fault } = self;
        match fault {
            Fault::Syntax(message) => write!(f, "{place}: this is no TOML: {message}"),
            Fault::Unknown { nearest: Some(nearest) } => {
                write!(f, "{place}: there is no {key}; did you mean {nearest}?")
            }
            Fault::Unknown { nearest: None } => {
                write!(f, "{place}: there is no {key}; `weir default-config` shows every key")
            }
            Fault::Section => write!(f, "{place}: {key} is a section, not a key; its keys go below [{key}]"),
            Fault::Value { value, wanted } => write!(f, "{place}: {key} is {value} and must be {wanted}"),
            Fault::Missing(what) => write!(f, "{place}: this {key} has no {what}"),
            Fault::Beside(other) => {
                write!(f, "{place}: {key} cannot stand beside {other}; leave one of them out")
            }
            Fault::Of { effect } => {
                write!(
                    f,
                    "{place}: {key} is of the effect \"{effect}\" only; take it away, or change the effect"
                )
            }
            Fault::Taken(name) => {
                write!(f, "{place}: {key} is {name:?}, and so is another's; rename one of them")
            }
            Fault::Many { most, what } => {
                write!(f, "{place}: {key} is one too many: there are at most {most} {what}; take some away")
            }
            Fault::Pem { source, why } => write!(
                f,
                "{place}: {key}: {source} {why}; name a PEM file with a public key, or write the key itself"
            ),
            Fault::Unresolved { host, error } => write!(
                f,
                "{place}: {key} names the host {host:?}, which cannot be resolved: {error}; correct the name or the \
                 resolver (`getent hosts {host}` asks it, too)"
            ),
        }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Place::Line(file, line) => write!(f, "{}:{line}", file.display()),
            Place::Variable(name) => write!(f, "environment variable {name}"),
            Place::Flag(name) => f.write_str(name),
        }
    }
}
