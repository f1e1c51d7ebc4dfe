//! A configuration file: a tree of sections whose leaves are keys, and lists of upstreams, hooks, roles and API keys.

use std::path::Path;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::Said;
use super::auth;
use super::foreign;
use super::hooks;
use super::keys::{self, KEYS};
use super::methods;
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

    /// Sets what its sections say, which `said` remembers; what is wrong with them goes to `problems`.
    pub(super) fn sections(&self, settings: &mut Settings, said: &mut Said, problems: &mut Vec<Problem>) {
        let mut filling = Filling { document: self, settings, said, problems };
        filling.section("", self.root.get_ref());
    }

    /// Adds the upstreams, hooks, roles and keys it lists; `settings` says what holds where they say nothing.
    pub(super) fn lists(&self, settings: &mut Settings, problems: &mut Vec<Problem>) {
        auth::apply(self, settings, problems);
        if let Some((at, list)) = self.find(hooks::WEBHOOKS) {
            hooks::apply(self, at, list, settings, problems);
        }
        if let Some((at, list)) = self.find(hooks::HANDLERS) {
            hooks::apply_handlers(self, at, list, settings, problems);
        }
        if let Some((at, list)) = self.find(upstream::KEY) {
            upstream::apply(self, at, list, settings, problems);
        }
    }

    /// All of it.
    pub(super) fn root(&self) -> &DeTable<'a> {
        self.root.get_ref()
    }

    /// What stands under `name`, in which dots lead into sections, and where.
    pub(super) fn find(&self, name: &str) -> Option<(usize, &DeValue<'a>)> {
        let mut table = self.root.get_ref();
        let mut names = name.split('.').peekable();
        loop {
            let (key, value) = table.get_key_value(names.next()?)?;
            match names.peek() {
                None => return Some((key.span().start, value.get_ref())),
                Some(_) => table = value.get_ref().as_table()?,
            }
        }
    }

    /// The line of the byte `at`, as it stands before what is said about it.
    fn at(&self, at: usize) -> String {
        format!("{}: ", place(self.path, self.text, at))
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
    said: &'a mut Said,
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
                list if full == tls::CERTIFICATES => {
                    tls::apply(self.document, at, list, self.settings, self.problems);
                }
                _ if is_list(&full) => {}
                DeValue::Table(inner) if full == methods::KEY => {
                    methods::apply(self.document, inner, self.settings, self.problems);
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
            Some(key) => self.said.set(key, self.settings, Value::of_toml(value.get_ref())),
            None => match foreign::key(&name) {
                Some(why) => {
                    self.said
                        .idle
                        .push(format!("{}{name} has no effect, because {why}", self.document.at(at)));
                    Ok(())
                }
                None => Err(unknown(&name)),
            },
        };
        if let Err(fault) = result {
            self.problems.push(self.document.problem(at, name, fault));
        }
    }
}

/// Whether it is read by [`Document::lists`].
fn is_list(name: &str) -> bool {
    [upstream::KEY, hooks::WEBHOOKS, hooks::HANDLERS].contains(&name) || auth::LISTS.contains(&name)
}

/// What is wrong with a name that no key has.
pub(super) fn unknown(name: &str) -> Fault {
    if keys::sections().any(|section| section == name) {
        return Fault::Section;
    }
    let lists =
        auth::LISTS.into_iter().chain([upstream::KEY, hooks::WEBHOOKS, hooks::HANDLERS, tls::CERTIFICATES]);
    let known: Vec<&str> = KEYS.iter().map(|key| key.name).chain(keys::sections()).chain(lists).collect();
    // Perhaps only the section before it is missing.
    let inner = |known: &&str| known.strip_suffix(name).is_some_and(|section| section.ends_with('.'));
    let found = known.iter().copied().find(inner);
    let nearest = found.or_else(|| nearest(name, known.into_iter()));
    Fault::Unknown { nearest: nearest.map(str::to_owned) }
}
