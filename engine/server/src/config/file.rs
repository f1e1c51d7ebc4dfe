//! A configuration file: a tree of sections whose leaves are keys, and a list of upstreams.

use std::path::Path;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::keys::{self, KEYS};
use super::nearest::nearest;
use super::problem::{Fault, Place, Problem};
use super::settings::Settings;
use super::value::Value;
use super::{tls, upstream};

/// A file that is TOML.
pub(super) struct Document<'a> {
    path: &'a Path,
    text: &'a str,
    root: Spanned<DeTable<'a>>,
}

impl<'a> Document<'a> {
    /// Reads `text`, the content of `path`.
    ///
    /// # Errors
    /// It is not TOML.
    pub(super) fn parse(path: &'a Path, text: &'a str) -> Result<Document<'a>, Problem> {
        match DeTable::parse(text) {
            Ok(root) => Ok(Document { path, text, root }),
            Err(error) => {
                let place = place(path, text, error.span().map_or(0, |span| span.start));
                let fault = Fault::Syntax(error.message().to_owned());
                Err(Problem { place, key: String::new(), fault })
            }
        }
    }

    /// Sets what its sections say; what is wrong with them goes to `problems`.
    pub(super) fn sections(&self, settings: &mut Settings, problems: &mut Vec<Problem>) {
        let mut filling = Filling { document: self, settings, problems };
        filling.section("", self.root.get_ref());
    }

    /// Adds the upstreams it lists; `settings` says what holds where they say nothing.
    pub(super) fn upstreams(&self, settings: &mut Settings, problems: &mut Vec<Problem>) {
        if let Some((key, list)) = self.root.get_ref().get_key_value(upstream::KEY) {
            upstream::apply(self, key.span().start, list.get_ref(), settings, problems);
        }
    }

    /// What is wrong at the byte `at`.
    pub(super) fn problem(&self, at: usize, key: String, fault: Fault) -> Problem {
        Problem { place: place(self.path, self.text, at), key, fault }
    }
}

fn place(path: &Path, text: &str, at: usize) -> Place {
    let line = 1 + text.bytes().take(at).filter(|byte| *byte == b'\n').count();
    Place::Line(path.to_owned(), line)
}

struct Filling<'a> {
    document: &'a Document<'a>,
    settings: &'a mut Settings,
    problems: &'a mut Vec<Problem>,
}

impl Filling<'_> {
    /// Sets the keys of the section `name`; the whole file is the section without a name.
    fn section(&mut self, name: &str, table: &DeTable<'_>) {
        for (key, value) in table {
            let full =
                if name.is_empty() { key.get_ref().to_string() } else { format!("{name}.{}", key.get_ref()) };
            let at = key.span().start;
            match value.get_ref() {
                _ if full == upstream::KEY => {}
                list if full == tls::CERTIFICATES => {
                    tls::apply(self.document, at, list, self.settings, self.problems);
                }
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
            self.problems.push(self.document.problem(at, name, fault));
        }
    }
}

fn unknown(name: &str) -> Fault {
    if keys::sections().any(|section| section == name) {
        return Fault::Section;
    }
    let known =
        KEYS.iter().map(|key| key.name).chain(keys::sections()).chain([upstream::KEY, tls::CERTIFICATES]);
    Fault::Unknown { nearest: nearest(name, known).map(str::to_owned) }
}
