//! The configuration: one TOML file, an environment variable for every key, and flags for the common ones.
//! A flag goes before a variable, a variable before the file, the file before the default.

mod alerts;
mod auth;
mod dashboard;
mod encryption;
mod file;
mod hooks;
mod keys;
mod methods;
mod nearest;
mod problem;
mod rules;
mod settings;
#[cfg(test)]
mod tests;
mod tls;
mod upstream;
mod url;
mod value;

use std::fs;
use std::path::Path;

pub(crate) use self::alerts::Alerts;
pub(crate) use self::dashboard::Dashboard;
pub(crate) use self::hooks::{Handler, Hook, Webhook};
pub(crate) use self::problem::ConfigError;
pub(crate) use self::rules::load as load_rules;
pub(crate) use self::settings::{Server, Settings};
#[cfg(test)]
pub(crate) use self::tls::Pair;
pub(crate) use self::tls::{ClientAuth, Files, Tls, UpstreamTls};
pub(crate) use self::upstream::Command;
pub(crate) use self::value::duration;

use self::file::Document;
use self::keys::KEYS;
use self::problem::{Place, Problem};

/// The file that says what holds without one, and explains every key.
pub(crate) const DEFAULT_FILE: &str = include_str!("default.toml");

/// A flag of the command line that sets a key.
pub(crate) struct Flag {
    /// As it is written, with its dashes.
    pub(crate) name: &'static str,
    /// The key it sets.
    pub(crate) key: &'static str,
    pub(crate) value: String,
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
    let text = match file {
        Some(path) => fs::read_to_string(path).map_err(|error| ConfigError::File(path.to_owned(), error))?,
        None => String::new(),
    };
    read(file.unwrap_or(Path::new("")), &text, environment, flags)
}

/// As [`load`], where `text` is what stands in the file `path`.
pub(crate) fn read(
    path: &Path,
    text: &str,
    environment: &[(String, String)],
    flags: &[Flag],
) -> Result<Settings, ConfigError> {
    let mut settings = Settings::default();
    let mut problems = Vec::new();
    let document = Document::parse(path, text).map_err(|problem| problems.push(problem));
    if let Ok(document) = &document {
        document.sections(&mut settings, &mut problems);
    }
    apply_environment(environment, &mut settings, &mut problems);
    apply_flags(flags, &mut settings, &mut problems);
    // Last, for what all sources together say holds for upstreams and roles that do not say otherwise.
    if let Ok(document) = &document {
        document.lists(&mut settings, &mut problems);
    }
    if !problems.is_empty() {
        return Err(ConfigError::Problems(problems));
    }
    settings.read_rules()?;
    let contradictions = settings.contradictions();
    if contradictions.is_empty() { Ok(settings) } else { Err(ConfigError::Contradictions(contradictions)) }
}

/// Variables that look like settings and set nothing.
pub(crate) fn without_effect(environment: &[(String, String)]) -> impl Iterator<Item = &str> {
    let names = environment.iter().map(|(name, _)| name.as_str());
    names.filter(|name| {
        let ours = |key: &keys::Key| key.alias == Some(name) || key.variable() == **name;
        (name.starts_with("MCP_") || name.starts_with("WEIR_")) && !KEYS.iter().any(ours)
    })
}

/// A key's own variable goes before its alias.
fn apply_environment(environment: &[(String, String)], settings: &mut Settings, problems: &mut Vec<Problem>) {
    for key in KEYS {
        let names = key.alias.map(str::to_owned).into_iter().chain([key.variable()]);
        for name in names {
            let Some((_, text)) = environment.iter().find(|(variable, _)| *variable == name) else {
                continue;
            };
            if let Err(fault) = key.set(settings, key.value(text)) {
                problems.push(Problem { place: Place::Variable(name), key: key.name.into(), fault });
            }
        }
    }
}

fn apply_flags(flags: &[Flag], settings: &mut Settings, problems: &mut Vec<Problem>) {
    for flag in flags {
        let key = keys::find(flag.key).expect("a flag sets a key that exists");
        if let Err(fault) = key.set(settings, key.value(&flag.value)) {
            problems.push(Problem { place: Place::Flag(flag.name), key: key.name.into(), fault });
        }
    }
}
