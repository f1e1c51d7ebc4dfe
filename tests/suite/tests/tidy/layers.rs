//! The layers of the blueprint: which crate may depend on which, and who may know whom inside a crate.

use std::collections::{BTreeMap, BTreeSet};

use weir_suite::code::Code;
use weir_suite::path;
use weir_suite::repository;

use crate::manifests::{dependencies, parse};

/// Crates of this workspace that each crate may depend on.
const EDGES: [(&str, &[&str]); 8] = [
    ("transports", &[]),
    ("engine/ring", &[]),
    ("engine/shard", &["weir-ring", "weir-transports"]),
    ("engine/server", &["weir-ring", "weir-shard", "weir-transports"]),
    ("loadgen", &[]),
    ("bench", &["weir-ring", "weir-shard", "weir-transports"]),
    ("tests/sim", &["weir-ring", "weir-shard", "weir-transports"]),
    ("tests/suite", &[]),
];

/// What the outside world is made of; crates that turn values into values do without.
const OUTSIDE: [&str; 11] = [
    "axum",
    "core_affinity",
    "io-uring",
    "libc",
    "mimalloc",
    "mio",
    "monoio",
    "rand",
    "tokio",
    "tracing",
    "socket2",
];

/// Modules of the ring that are plain values, and the kernel's side.
const RING_VALUES: [&str; 6] = ["counters", "op", "token", "buffer", "mesh", "time"];

/// Codecs are siblings: each may use these others.
const CODECS: [(&str, &[&str]); 9] = [
    ("http1", &[]),
    ("json", &[]),
    ("jsonrpc", &["json"]),
    ("mcp", &["json", "jsonrpc"]),
    ("phoenix", &["json"]),
    ("proxy", &[]),
    ("sse", &["http1"]),
    ("trace_context", &[]),
    ("websocket", &["http1"]),
];

/// The shard from the bottom up. A module may use those of its own row and of the rows before it.
const SHARD: [&[&str]; 6] = [
    &[
        "chunks",
        "encryption",
        "error",
        "hash_ring",
        "lane",
        "limits",
        "operation",
        "random",
        "recovery",
        "reply_to",
        "route",
        "seal",
        "slots",
        "span",
        "stream",
        "timers",
    ],
    &["policy"],
    &[
        "acks",
        "audit",
        "dead",
        "idempotency",
        "mailbox",
        "marks",
        "message",
        "metrics",
        "outbox",
        "session",
        "vsm",
    ],
    &["channels"],
    &["downstream", "durable", "mail", "mcp", "tls", "upstream"],
    &["fuzzing", "turn"],
];

/// Declared beside the turn because they are what it works on; whoever adds to `impl Shard` names them.
const STATE: [&str; 4] = ["Shard", "Cx", "Alarm", "Post"];

/// Modules of the shard that know no codec; `error` writes JSON and may use that one.
const WITHOUT_CODECS: [&str; 21] = [
    "audit",
    "chunks",
    "encryption",
    "hash_ring",
    "lane",
    "limits",
    "mailbox",
    "marks",
    "metrics",
    "operation",
    "outbox",
    "policy",
    "random",
    "recovery",
    "route",
    "seal",
    "session",
    "slots",
    "stream",
    "timers",
    "vsm",
];

#[test]
fn crates_depend_downwards() {
    let mut findings = Vec::new();
    for (folder, allowed) in EDGES {
        let path = format!("{folder}/Cargo.toml");
        let manifest = parse(&path);
        for (kind, name, _) in dependencies(&manifest) {
            if name.starts_with("weir-") && !allowed.contains(&name) {
                findings.push(format!("{path}: {name} in {kind}: {folder} may use {allowed:?}"));
            }
        }
    }
    super::none(findings);
}

#[test]
fn every_crate_has_its_edges() {
    let manifests =
        repository::files().into_iter().filter_map(|path| Some(path.strip_suffix("/Cargo.toml")?.to_owned()));
    let known: BTreeSet<&str> = EDGES.iter().map(|(folder, _)| *folder).chain(["tests/fuzz"]).collect();
    let unknown = manifests.filter(|folder| !known.contains(folder.as_str()));
    super::none(unknown.map(|folder| format!("{folder}: give it a row in EDGES")).collect());
}

#[test]
fn pure_crates_do_without_the_outside_world() {
    let mut findings = Vec::new();
    for folder in ["transports", "engine/shard"] {
        let path = format!("{folder}/Cargo.toml");
        let manifest = parse(&path);
        let outside = dependencies(&manifest).into_iter().filter(|(_, name, _)| OUTSIDE.contains(name));
        findings.extend(
            outside.map(|(_, name, _)| format!("{path}: {name}: time, bytes and randomness are arguments")),
        );
    }
    super::none(findings);
}

#[test]
fn codecs_are_siblings() {
    let allowed: BTreeMap<&str, &[&str]> = CODECS.into_iter().collect();
    let findings =
        edges("transports/src/").into_iter().filter_map(|edge| match allowed.get(edge.from.as_str()) {
            None => Some(format!("{}: give {} a row in CODECS", edge.place, edge.from)),
            Some(others) if others.contains(&edge.to.as_str()) => None,
            Some(others) => {
                Some(format!("{}: {} uses {}; it may use {others:?}", edge.place, edge.from, edge.to))
            }
        });
    super::none(findings.collect());
}

#[test]
fn the_shards_modules_look_downwards() {
    let row = |module: &str| SHARD.iter().position(|row| row.contains(&module));
    let upwards = edges("engine/shard/src/").into_iter().filter(|edge| !edge.names_the_state());
    let findings = upwards.filter_map(|edge| match (row(&edge.from), row(&edge.to)) {
        (None, _) => Some(format!("{}: give {} a row in SHARD", edge.place, edge.from)),
        (_, None) => Some(format!("{}: give {} a row in SHARD", edge.place, edge.to)),
        (Some(from), Some(to)) if to <= from => None,
        _ => Some(format!("{}: {} uses {}, which stands above it", edge.place, edge.from, edge.to)),
    });
    super::none(findings.collect());
}

#[test]
fn the_shards_lower_modules_know_no_codec() {
    let mut findings = Vec::new();
    for (path, code) in rust_of("engine/shard/src/") {
        let Some(module) = module_of(&path, "engine/shard/src/") else { continue };
        for found in path::paths(&code).into_iter().filter(|found| found.names[0] == "weir_transports") {
            let banned = WITHOUT_CODECS.contains(&module) || (module == "error" && found.names[1] != "json");
            if banned && !code.is_test(found.line) {
                findings.push(format!("{path}:{}: {module} uses {}", found.line, found.text()));
            }
        }
    }
    super::none(findings);
}

#[test]
fn the_shard_knows_the_rings_values_only() {
    let mut findings = Vec::new();
    for (path, code) in rust_of("engine/shard/src/") {
        let ring = path::paths(&code).into_iter().filter(|found| found.names[0] == "weir_ring");
        let outside = ring.filter(|found| !RING_VALUES.contains(&found.names[1].as_str()));
        findings.extend(
            outside.map(|found| format!("{path}:{}: {}: ask by an operation", found.line, found.text())),
        );
    }
    super::none(findings);
}

#[test]
fn the_rings_values_do_not_know_the_kernel() {
    let mut findings = Vec::new();
    for (path, code) in rust_of("engine/ring/src/") {
        let Some(module) = module_of(&path, "engine/ring/src/") else { continue };
        if !RING_VALUES.contains(&module) {
            continue;
        }
        for found in path::paths(&code) {
            let kernel = ["libc", "io_uring", "core_affinity"].contains(&found.names[0].as_str());
            let inside = found.names[0] == "crate" && !RING_VALUES.contains(&found.names[1].as_str());
            if kernel || inside {
                findings.push(format!("{path}:{}: {module} uses {}", found.line, found.text()));
            }
        }
    }
    super::none(findings);
}

/// One module's use of another of the same crate.
struct Edge {
    from: String,
    to: String,
    /// What is named inside `to`; empty for the module itself.
    item: String,
    place: String,
}

impl Edge {
    /// Whether it is the way in which the shard's highest rows add to the one struct they all work on.
    fn names_the_state(&self) -> bool {
        SHARD[4].contains(&self.from.as_str()) && self.to == "turn" && STATE.contains(&self.item.as_str())
    }
}

/// Who uses whom among the top modules of a crate, test modules left out.
fn edges(src: &str) -> Vec<Edge> {
    let mut edges = Vec::new();
    for (path, code) in rust_of(src) {
        let Some(module) = module_of(&path, src) else { continue };
        for found in path::paths(&code) {
            let place = format!("{path}:{}: {}", found.line, found.text());
            let to = used(&path, src, &code, &found);
            let other = to.filter(|(to, _)| to != module && !code.is_test(found.line));
            edges.extend(other.map(|(to, item)| Edge { from: module.to_owned(), to, item, place }));
        }
    }
    edges
}

/// The top module that a path names, by `crate::` or by as many `super::` as lead to the crate, and what
/// it names there.
fn used(path: &str, src: &str, code: &Code, found: &path::Found) -> Option<(String, String)> {
    let from = |at: usize| {
        Some((found.names.get(at)?.clone(), found.names.get(at + 1).cloned().unwrap_or_default()))
    };
    if found.names[0] == "crate" {
        return from(1);
    }
    let supers = found.names.iter().take_while(|name| *name == "super").count();
    let inline = code.modules().iter().filter(|m| (m.first_line..=m.last_line).contains(&found.line)).count();
    let within = path[src.len()..].trim_end_matches(".rs").trim_end_matches("/mod");
    let depth = within.split('/').count() + inline;
    if supers > 0 && supers == depth { from(supers) } else { None }
}

fn rust_of(src: &str) -> impl Iterator<Item = (String, Code)> {
    repository::rust().into_iter().filter(move |(path, _)| path.starts_with(src))
}

/// The top module a file belongs to; none for the crate's root.
fn module_of<'a>(path: &'a str, src: &str) -> Option<&'a str> {
    let first = path[src.len()..].split('/').next()?.trim_end_matches(".rs");
    (first != "lib").then_some(first)
}
