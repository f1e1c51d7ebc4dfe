//! What documents name exists, and nothing names the machine it was written on.

use std::path::Path;

use weir_suite::repository;

/// First folders of what looks like a path in a document and is an endpoint, a media type or made later.
const NO_PATHS: [&str; 8] =
    ["mcp", "text", "application", "target", "tests/.deps", "tests/.output", "var", "etc"];

#[test]
fn documents_name_paths_that_exist() {
    let documents = repository::files().into_iter().filter(|path| path.ends_with(".md"));
    let findings = documents.flat_map(|document| {
        let folder = Path::new(&document).parent().expect("a document lies in a folder").to_path_buf();
        let text = repository::read(&document);
        let missing = quoted_paths(&text).into_iter().filter(|(_, path)| {
            let root = repository::root();
            !root.join(path).exists() && !root.join(&folder).join(path).exists()
        });
        missing.map(|(line, path)| format!("{document}:{line}: {path} does not exist")).collect::<Vec<_>>()
    });
    super::none(findings.collect());
}

/// What stands in backticks and looks like a path: `folder/name`.
fn quoted_paths(text: &str) -> Vec<(usize, &str)> {
    let mut found = Vec::new();
    for (index, line) in text.lines().enumerate() {
        let quoted = line.split('`').skip(1).step_by(2).filter_map(|quoted| quoted.split_whitespace().next());
        found.extend(quoted.filter(|quoted| is_path(quoted)).map(|quoted| (index + 1, quoted)));
    }
    found
}

fn is_path(quoted: &str) -> bool {
    let legal = |byte: u8| byte.is_ascii_alphanumeric() || b"_-./".contains(&byte);
    let starts = quoted.starts_with(|first: char| first.is_ascii_lowercase() || first == '.');
    let within = |first: &&str| {
        quoted == *first || quoted.strip_prefix(*first).is_some_and(|rest| rest.starts_with('/'))
    };
    let endpoint = NO_PATHS.iter().any(within);
    starts && quoted.contains('/') && quoted.bytes().all(legal) && !endpoint && !has_placeholder(quoted)
}

/// Whether a part of it stands for something else: `results/DATE.md`.
fn has_placeholder(path: &str) -> bool {
    let upper = |word: &str| word.len() > 1 && word.bytes().all(|byte| byte.is_ascii_uppercase());
    path.split(['/', '-', '.', '_']).any(|word| upper(word) && !["README", "LICENSE"].contains(&word))
}

#[test]
fn no_file_names_this_machine() {
    let folders = ["work", "root", "home"].map(|name| format!("/{name}/"));
    let mut findings = Vec::new();
    for path in repository::files() {
        for (index, line) in repository::read(&path).lines().enumerate() {
            for folder in &folders {
                let named = line.match_indices(folder.as_str());
                // Inside a longer path it names no folder at the top.
                let absolute = |at: usize| {
                    !line[..at].ends_with(|c: char| c.is_ascii_alphanumeric() || "._-*}>".contains(c))
                };
                if named.into_iter().any(|(at, _)| absolute(at)) {
                    findings.push(format!("{path}:{}: names a folder of one machine ({folder})", index + 1));
                }
            }
        }
    }
    super::none(findings);
}

#[test]
fn paths_in_documents_are_recognized() {
    let text =
        "`engine/ring` and `cargo run`, `GET /mcp`, `text/event-stream`, `tests/run phoenix`, `/mcp/ws`";
    let paths: Vec<&str> = quoted_paths(text).into_iter().map(|(_, path)| path).collect();
    assert_eq!(paths, ["engine/ring", "tests/run"]);
}
