//! A configuration file: a tree of sections whose leaves are keys.

use std::path::Path;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::keys::{self, KEYS};
use super::nearest::nearest;
use super::problem::{Fault, Place, Problem};
use super::settings::Settings;
use super::value::Value;

/// Sets what `text`, the content of `path`, says; what is wrong with it goes to `problems`.
pub(super) fn apply(path: &Path, text: &str, settings: &mut Settings, problems: &mut Vec<Problem>) {
    let mut file = File { path, text, settings, problems };
    match DeTable::parse(text) {
        Ok(table) => file.section("", table.get_ref()),
        Err(error) => {
            let at = error.span().map_or(0, |span| span.start);
            file.problem(at, String::new(), Fault::Syntax(error.message().to_owned()));
        }
    }
}

struct File<'a> {
    path: &'a Path,
    text: &'a str,
    settings: &'a mut Settings,
    problems: &'a mut Vec<Problem>,
}

impl File<'_> {
    /// Sets the keys of the section `name`; the whole file is the section without a name.
    fn section(&mut self, name: &str, table: &DeTable<'_>) {
        for (key, value) in table {
            let full =
                if name.is_empty() { key.get_ref().to_string() } else { format!("{name}.{}", key.get_ref()) };
            let at = key.span().start;
            match value.get_ref() {
                DeValue::Table(inner) if keys::sections().any(|section| section == full) => {
                    self.section(&full, inner)
                }
                _ => self.key(at, full, value),
            }
        }
    }

    fn key(&mut self, at: usize, name: String, value: &Spanned<DeValue<'_>>) {
        let result = match keys::find(&name) {
            Some(key) => key.set(self.settings, Value::of_toml(value.get_ref())),
            None => Err(unknown(&name)),
        };
        if let Err(fault) = result {
            self.problem(at, name, fault);
        }
    }

    fn problem(&mut self, at: usize, key: String, fault: Fault) {
        let line = 1 + self.text.bytes().take(at).filter(|byte| *byte == b'\n').count();
        self.problems.push(Problem { place: Place::Line(self.path.to_owned(), line), key, fault });
    }
}

fn unknown(name: &str) -> Fault {
    if keys::sections().any(|section| section == name) {
        return Fault::Section;
    }
    Fault::Unknown { nearest: nearest(name, KEYS.iter().map(|key| key.name).chain(keys::sections())) }
}
