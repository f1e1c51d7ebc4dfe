//! The reference: what `default.toml` says of each key, beside what the table of keys knows of it.

use std::fmt::Write;
use std::sync::LazyLock;

use super::DEFAULT_FILE;
use super::keys::{self, Key};

/// The default file, taken apart.
pub(super) static MANUAL: LazyLock<Manual> = LazyLock::new(|| Manual::of(DEFAULT_FILE));

/// A file such as the default one.
#[derive(Default)]
pub(super) struct Manual {
    /// What stands before the first section.
    preface: Text,
    sections: Vec<Section>,
    /// What stands behind the last key: about lists.
    lists: Text,
}

struct Section {
    name: &'static str,
    says: Text,
    keys: Vec<Entry>,
    /// What stands in it and is about no single key.
    beside: Text,
}

/// A key as the file has it.
pub(super) struct Entry {
    pub(super) key: &'static Key,
    /// As TOML has it.
    pub(super) default: String,
    says: Text,
}

/// Lines of a comment, without what makes them one.
#[derive(Clone, Debug, Default)]
pub(super) struct Text(Vec<&'static str>);

impl Manual {
    fn of(file: &'static str) -> Manual {
        let (mut manual, mut comment) = (Manual::default(), Text::default());
        let mut lines = file.lines();
        while let Some(line) = lines.next() {
            if let Some(said) = line.strip_prefix('#') {
                comment.0.push(said.strip_prefix(' ').unwrap_or(said));
            } else if let Some(name) = line.strip_prefix('[') {
                let (name, says) = (name.trim_end_matches(']'), std::mem::take(&mut comment));
                manual.sections.push(Section { name, says, keys: Vec::new(), beside: Text::default() });
            } else if let Some((name, value)) = line.split_once(" = ") {
                let mut default = value.to_owned();
                while default.starts_with('[') && !default.ends_with(']') {
                    // A list on several lines.
                    let Some(more) = lines.next() else { break };
                    let _ = write!(default, " {}", more.trim());
                }
                manual.entry(name, default, std::mem::take(&mut comment));
            } else {
                manual.beside(std::mem::take(&mut comment));
            }
        }
        manual.beside(comment);
        if let Some(last) = manual.sections.last_mut() {
            manual.lists = std::mem::take(&mut last.beside);
        }
        manual
    }

    fn entry(&mut self, name: &str, default: String, says: Text) {
        let Some(section) = self.sections.last_mut() else { return };
        // A test holds that the file has no other keys than the table.
        if let Some(key) = keys::find(&format!("{}.{name}", section.name)) {
            section.keys.push(Entry { key, default, says });
        }
    }

    fn beside(&mut self, text: Text) {
        let place = match self.sections.last_mut() {
            Some(section) => &mut section.beside,
            None => &mut self.preface,
        };
        if !place.0.is_empty() && !text.0.is_empty() {
            place.0.push("");
        }
        place.0.extend(text.0);
    }

    /// All keys.
    pub(super) fn entries(&self) -> impl Iterator<Item = &Entry> {
        self.sections.iter().flat_map(|section| &section.keys)
    }

    /// What a section is for, in one line.
    pub(super) fn section(&self, name: &str) -> Option<String> {
        let section = self.sections.iter().find(|section| section.name == name)?;
        (!section.says.0.is_empty()).then(|| section.says.line())
    }
}

impl Text {
    /// In one line.
    pub(super) fn line(&self) -> String {
        self.0.join(" ")
    }

    /// As Markdown: paragraphs, and TOML where the text shows some.
    fn markdown(&self, out: &mut String) {
        for part in self.0.split(|line| line.is_empty()).filter(|part| !part.is_empty()) {
            if is_toml(part[0]) {
                let _ = writeln!(out, "```toml\n{}\n```\n", part.join("\n"));
            } else {
                let _ = writeln!(out, "{}\n", part.join("\n").replace('*', "\\*").replace('<', "\\<"));
            }
        }
    }
}

/// Whether a line of a comment shows what stands in a file.
fn is_toml(line: &str) -> bool {
    let name = |name: &str| name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_/\"".contains(&byte));
    let header = line.starts_with('[') && line.trim_end().ends_with(']');
    header || line.split_once(" = ").is_some_and(|(before, _)| name(before))
}

impl Entry {
    /// What the key is for, in one line.
    pub(super) fn line(&self) -> String {
        self.says.line()
    }

    fn markdown(&self, out: &mut String) {
        let Entry { key, default, says } = self;
        let variables = [Some(key.variable()), key.alias.map(str::to_owned)].into_iter().flatten();
        let variables = variables.collect::<Vec<_>>().join(", ");
        let _ = writeln!(out, "### {}\n", key.name);
        let _ = writeln!(out, "    default   {default}\n    takes     {}", key.kind.wanted());
        let _ = writeln!(out, "    variable  {variables}");
        if let Some(flag) = key.flag {
            let _ = writeln!(out, "    flag      {flag}");
        }
        match key.fixed {
            None => out.push_str("    reload    applies it\n\n"),
            Some(why) => {
                let _ = writeln!(out, "    reload    needs a restart: {why}\n");
            }
        }
        says.markdown(out);
    }
}

/// The page about all keys, or about those whose names are `of` or begin with it and a dot; Markdown. `None`: there
/// are none.
pub(crate) fn page(of: Option<&str>) -> Option<String> {
    let mut page = String::new();
    if of.is_none() {
        page.push_str("# Configuration\n\nMade by `weir config-doc`; change `engine/server/src/config/default.toml`.\n\n");
        MANUAL.preface.markdown(&mut page);
    }
    let wanted = |name: &str| {
        of.is_none_or(|of| name.strip_prefix(of).is_some_and(|rest| rest.is_empty() || rest.starts_with('.')))
    };
    for section in &MANUAL.sections {
        let whole = wanted(section.name);
        if whole {
            let _ = writeln!(page, "## [{}]\n", section.name);
            section.says.markdown(&mut page);
        }
        section
            .keys
            .iter()
            .filter(|entry| wanted(entry.key.name))
            .for_each(|entry| entry.markdown(&mut page));
        if whole {
            section.beside.markdown(&mut page);
        }
    }
    if of.is_none() {
        page.push_str("## Lists\n\n");
        MANUAL.lists.markdown(&mut page);
    }
    (!page.is_empty()).then(|| page.trim_end().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::keys::KEYS;

    #[test]
    fn every_key_is_explained_with_its_default() {
        let explained: Vec<&str> = MANUAL.entries().map(|entry| entry.key.name).collect();
        assert_eq!(explained, KEYS.iter().map(|key| key.name).collect::<Vec<_>>());
        for entry in MANUAL.entries() {
            let section = entry.key.name.rsplit_once('.').map_or("", |(section, _)| section);
            let about = entry.says.0.is_empty().then(|| MANUAL.section(section)).flatten();
            assert!(!entry.says.0.is_empty() || about.is_some(), "{} is not explained", entry.key.name);
            assert!(!entry.default.is_empty(), "{}", entry.key.name);
        }
    }

    #[test]
    fn a_key_has_its_type_default_bounds_variable_flag_and_reload() {
        let page = page(Some("server.shards")).expect("a key");
        let wanted = "### server.shards\n\n    default   0\n    takes     a whole number from 0 to 256\n    variable  \
                      WEIR_SERVER_SHARDS\n    flag      --shards\n    reload    needs a restart: data threads and \
                      their tables are made at start\n\nData threads, each";
        assert!(page.starts_with(wanted), "{page}");
        assert!(super::page(Some("http_sse")).expect("a section").contains("reload    applies it"));
        assert_eq!((super::page(Some("http_ss")), super::page(Some("server.shard"))), (None, None));
    }

    #[test]
    fn the_reference_page_is_that_of_this_version() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/configuration.md");
        let stands = std::fs::read_to_string(path).unwrap_or_default();
        let made = page(None).expect("all keys");
        assert!(
            stands.trim_end() == made,
            "docs/configuration.md is stale: weir config-doc > docs/configuration.md"
        );
    }
}
