//! The configuration: one TOML file, an environment variable for every key, and flags for the common ones.
//! A flag goes before a variable, a variable before the file, the file before the default.

mod alerts;
mod auth;
mod change;
mod dashboard;
mod encryption;
mod file;
mod foreign;
mod hooks;
mod keys;
mod manual;
mod methods;
mod nearest;
mod problem;
mod rules;
mod schema;
mod settings;
#[cfg(test)]
mod tests;
mod tls;
mod tracing;
mod upstream;
mod url;
mod value;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

pub(crate) use self::alerts::Alerts;
pub(crate) use self::change::{Changed, Changes, Waiting};
pub(crate) use self::dashboard::Dashboard;
pub(crate) use self::hooks::{Handler, Hook, Webhook};
pub(crate) use self::manual::page;
pub(crate) use self::problem::ConfigError;
pub(crate) use self::rules::load as load_rules;
pub(crate) use self::schema::schema;
pub(crate) use self::settings::{Live, Server, Settings};
#[cfg(test)]
pub(crate) use self::tls::Pair;
pub(crate) use self::tls::{ClientAuth, Files, Tls, UpstreamTls};
pub(crate) use self::tracing::{Collector, Format, Log};
pub(crate) use self::upstream::Command;
pub(crate) use self::value::duration;

use self::file::Document;
use self::keys::KEYS;
use self::problem::{Place, Problem};
use self::value::Value;

/// The file that says what holds without one, and explains every key.
pub(crate) const DEFAULT_FILE: &str = include_str!("default.toml");

/// A flag of the command line that sets a key.
#[derive(Clone, Debug)]
pub(crate) struct Flag {
    /// As it is written, with its dashes.
    pub(crate) name: &'static str,
    /// The key it sets.
    pub(crate) key: &'static str,
    pub(crate) value: String,
}

/// Where a configuration comes from; to be read as often as one likes.
#[derive(Clone, Debug, Default)]
pub(crate) struct Sources {
    pub(crate) file: Option<PathBuf>,
    pub(crate) environment: Vec<(String, String)>,
    pub(crate) flags: Vec<Flag>,
}

/// What all sources say together.
#[derive(Clone, Debug)]
pub(crate) struct Configuration {
    pub(crate) settings: Settings,
    said: Said,
}

/// What sources say, beside what it sets.
#[derive(Clone, Debug, Default)]
struct Said {
    /// The value that holds, of keys that are given one.
    values: BTreeMap<&'static str, Value>,
    /// What has no effect, each with its reason.
    idle: Vec<String>,
}

impl Said {
    /// Sets a key, and remembers what to.
    ///
    /// # Errors
    /// The key does not take the value.
    fn set(
        &mut self,
        key: &'static keys::Key,
        settings: &mut Settings,
        value: Value,
    ) -> Result<(), problem::Fault> {
        key.set(settings, value.clone())?;
        self.values.insert(key.name, value);
        Ok(())
    }
}

impl Sources {
    /// Reads all of them.
    ///
    /// # Errors
    /// All that is wrong with them; a part of them is never used.
    pub(crate) fn read(&self) -> Result<Configuration, ConfigError> {
        let text = match &self.file {
            Some(path) => fs::read_to_string(path).map_err(|error| ConfigError::File(path.clone(), error))?,
            None => String::new(),
        };
        let path = self.file.as_deref().unwrap_or(Path::new(""));
        read(path, &text, &self.environment, &self.flags)
    }
}

impl Configuration {
    /// What was said and has no effect, each with its reason.
    pub(crate) fn idle(&self) -> &[String] {
        &self.said.idle
    }
}

/// Flags of `weir serve`, and the keys that they set.
#[cfg(test)]
pub(crate) fn flags() -> impl Iterator<Item = (&'static str, &'static str)> {
    KEYS.iter().filter_map(|key| Some((key.flag?, key.name)))
}

/// What is said of a name that no key or section has.
pub(crate) fn no_key(name: &str) -> String {
    let unknown = file::unknown(name);
    let nearest =
        if let problem::Fault::Unknown { nearest: Some(near) } = unknown { near } else { String::new() };
    match nearest.as_str() {
        "" => format!("there is no {name}; `weir config-doc` shows every key"),
        near => format!("there is no {name}; did you mean {near}?"),
    }
}

/// What holds, from all sources.
///
/// # Errors
/// All that is wrong with them; a part of them is never used.
pub(crate) fn load(
    file: Option<&Path>,
    environment: &[(String, String)],
    flags: &[Flag],
) -> Result<Settings, ConfigError> {
    let (file, environment, flags) = (file.map(Path::to_owned), environment.to_owned(), flags.to_owned());
    Sources { file, environment, flags }.read().map(|configuration| configuration.settings)
}

/// What all sources say, where `text` is what stands in the file `path`.
///
/// # Errors
/// As of [`Sources::read`].
pub(crate) fn read(
    path: &Path,
    text: &str,
    environment: &[(String, String)],
    flags: &[Flag],
) -> Result<Configuration, ConfigError> {
    let (mut settings, mut said, mut problems) = (Settings::default(), Said::default(), Vec::new());
    let document = Document::parse(path, text).map_err(|problem| problems.push(problem));
    if let Ok(document) = &document {
        document.sections(&mut settings, &mut said, &mut problems);
    }
    apply_environment(environment, &mut settings, &mut said, &mut problems);
    apply_flags(flags, &mut settings, &mut said, &mut problems);
    // Last, for what all sources together say holds for upstreams and roles that do not say otherwise.
    if let Ok(document) = &document {
        document.lists(&mut settings, &mut problems);
    }
    if !problems.is_empty() {
        // As somebody who mends the file goes through it.
        problems.sort_by_key(Problem::line);
        return Err(ConfigError::Problems(problems));
    }
    settings.read_rules()?;
    let contradictions = settings.contradictions();
    if !contradictions.is_empty() {
        return Err(ConfigError::Contradictions(contradictions));
    }
    said.idle.extend(idle_variables(environment));
    Ok(Configuration { settings, said })
}

/// Variables that look like settings, of this gateway or of one that it follows, and set nothing.
fn idle_variables(environment: &[(String, String)]) -> impl Iterator<Item = String> {
    let names = environment.iter().map(|(name, _)| name.as_str());
    names.filter_map(|name| {
        let ours = |key: &keys::Key| key.alias == Some(name) || key.variable() == *name;
        let looks = name.starts_with("MCP_") || name.starts_with("WEIR_");
        let why = match foreign::variable(name) {
            Some(why) => why,
            None if looks && !KEYS.iter().any(ours) => "no key of this version has that name",
            None => return None,
        };
        Some(format!("the environment variable {name} has no effect, because {why}"))
    })
}

/// A key's own variable goes before its alias.
fn apply_environment(
    environment: &[(String, String)],
    settings: &mut Settings,
    said: &mut Said,
    problems: &mut Vec<Problem>,
) {
    for key in KEYS {
        let names = key.alias.map(str::to_owned).into_iter().chain([key.variable()]);
        for name in names {
            let Some((_, text)) = environment.iter().find(|(variable, _)| *variable == name) else {
                continue;
            };
            if let Err(fault) = said.set(key, settings, key.value(text)) {
                problems.push(Problem { place: Place::Variable(name), key: key.name.into(), fault });
            }
        }
    }
}

fn apply_flags(flags: &[Flag], settings: &mut Settings, said: &mut Said, problems: &mut Vec<Problem>) {
    for flag in flags {
        let key = keys::find(flag.key).expect("a flag sets a key that exists");
        if let Err(fault) = said.set(key, settings, key.value(&flag.value)) {
            problems.push(Problem { place: Place::Flag(flag.name), key: key.name.into(), fault });
        }
    }
}
