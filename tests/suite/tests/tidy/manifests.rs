//! Dependencies are pinned once, in the workspace, and every client library to one version.

use toml::{Table, Value};
use weir_suite::repository;

/// Kinds of dependency tables in a manifest.
const KINDS: [&str; 3] = ["dependencies", "dev-dependencies", "build-dependencies"];

/// The manifests of the workspace's members.
fn members() -> Vec<(String, Table)> {
    let manifests = repository::files().into_iter().filter(|path| path.ends_with("/Cargo.toml"));
    let members = manifests.filter(|path| !path.starts_with("tests/fuzz/"));
    members.map(|path| (path.clone(), parse(&path))).collect()
}

pub(crate) fn parse(path: &str) -> Table {
    repository::read(path).parse().unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// Every dependency of a manifest: its kind, name and what it says.
pub(crate) fn dependencies(manifest: &Table) -> Vec<(&str, &str, &Value)> {
    let mut tables: Vec<&Table> = vec![manifest];
    let targets = manifest.get("target").and_then(Value::as_table);
    tables.extend(targets.into_iter().flat_map(Table::values).filter_map(Value::as_table));
    let mut all = Vec::new();
    for table in tables {
        for kind in KINDS {
            let entries = table.get(kind).and_then(Value::as_table).into_iter().flatten();
            all.extend(entries.map(|(name, value)| (kind, name.as_str(), value)));
        }
    }
    all
}

#[test]
fn members_take_dependencies_from_the_workspace() {
    let mut findings = Vec::new();
    for (path, manifest) in members() {
        for (_, name, value) in dependencies(&manifest) {
            let table = value.as_table();
            let inherits = table.is_some_and(|table| table.get("workspace") == Some(&Value::Boolean(true)));
            if !inherits
                || table.is_some_and(|table| table.contains_key("version") || table.contains_key("path"))
            {
                findings.push(format!(
                    "{path}: {name}: pin it in the root Cargo.toml and write {name}.workspace = true"
                ));
            }
        }
    }
    super::none(findings);
}

#[test]
fn the_workspace_pins_nothing_that_nobody_uses() {
    let root = parse("Cargo.toml");
    let pinned = root["workspace"]["dependencies"].as_table().expect("the workspace pins dependencies");
    let members = members();
    let used = |name: &str| {
        members.iter().any(|(_, manifest)| dependencies(manifest).iter().any(|found| found.1 == name))
    };
    let unused = pinned.keys().filter(|name| !used(name));
    super::none(unused.map(|name| format!("Cargo.toml: {name}: nobody uses it; remove the line")).collect());
}

#[test]
fn members_inherit_the_packages_facts_and_lints() {
    let mut findings = Vec::new();
    for (path, manifest) in members() {
        for fact in ["version", "edition", "rust-version", "license", "publish"] {
            let inherits = manifest["package"].get(fact).and_then(|fact| fact.get("workspace"));
            if inherits != Some(&Value::Boolean(true)) {
                findings.push(format!("{path}: package.{fact}: write {fact}.workspace = true"));
            }
        }
        if !manifest.contains_key("lints") {
            findings.push(format!("{path}: has no [lints]; write workspace = true there"));
        }
    }
    super::none(findings);
}

#[test]
fn client_libraries_are_pinned() {
    let mut findings = Vec::new();
    for path in repository::files() {
        if path.ends_with("/package.json") {
            let manifest: serde_json::Value = serde_json::from_str(&repository::read(&path)).expect(&path);
            for (name, version) in manifest["dependencies"].as_object().into_iter().flatten() {
                // Of an alias, `npm:NAME@VERSION`, the version.
                let version = version.as_str().and_then(|version| version.rsplit('@').next());
                if !version.is_some_and(|version| version.starts_with(|c: char| c.is_ascii_digit())) {
                    findings.push(format!("{path}: {name}: {version:?}: pin one version"));
                }
            }
        } else if path.ends_with("requirements.txt") {
            let loose = repository::read(&path)
                .lines()
                .filter(|line| !line.contains("=="))
                .map(str::to_owned)
                .collect::<Vec<_>>();
            findings.extend(loose.iter().map(|line| format!("{path}: {line}: pin it with ==")));
        }
    }
    super::none(findings);
}
