//! Names that are not used here, each with what to use instead.

use weir_suite::code::Code;
use weir_suite::path;
use weir_suite::repository;

/// Where a ban holds.
type Scope = fn(path: &str, test: bool) -> bool;

/// A path, where it is banned, and what to use instead.
const PATHS: [(&str, Scope, &str); 19] = [
    ("std::collections::HashMap", deterministic, "hashbrown::HashMap with a seeded foldhash state"),
    ("std::collections::HashSet", deterministic, "hashbrown::HashSet with a seeded foldhash state"),
    ("RandomState", deterministic, "a foldhash state seeded from the shard's seed"),
    ("DefaultHashBuilder", deterministic, "a foldhash state seeded from the shard's seed"),
    ("Instant::now", pure, "the turn's `now` argument"),
    ("std::time::Instant", pure, "weir_ring::time::Instant"),
    ("SystemTime", pure, "weir_ring::time::Wall of the turn's `now`"),
    ("Timestamp::now", pure, "weir_ring::time::Wall of the turn's `now`"),
    ("TcpStream", pure, "operations and completions of weir_ring::op"),
    ("TcpListener", pure, "operations and completions of weir_ring::op"),
    ("UdpSocket", pure, "operations and completions of weir_ring::op"),
    ("std::fs", pure, "operations of weir_ring::op"),
    ("std::thread", pure, "mail to another member"),
    ("std::sync::Mutex", deterministic, "mail: nothing is shared between shards"),
    ("std::sync::RwLock", deterministic, "mail: nothing is shared between shards"),
    ("rand", pure, "the shard's seeded generator"),
    ("thread::sleep", tests, "a wait for the event itself"),
    ("time::sleep", tests, "a wait for the event itself"),
    ("process::exit", library, "an error that main turns into an exit code"),
];

/// A macro, where it is banned, and what to use instead.
const MACROS: [(&str, Scope, &str); 7] = [
    ("println", library, "a returned value, or a tracing event in the server"),
    ("print", library, "a returned value, or a tracing event in the server"),
    ("eprintln", library, "an error value, or a tracing event in the server"),
    ("eprint", library, "an error value, or a tracing event in the server"),
    ("dbg", everywhere, "nothing: remove it"),
    ("todo", everywhere, "the code, or an error that says it is not there"),
    ("unimplemented", everywhere, "the code, or an error that says it is not there"),
];

fn everywhere(_: &str, _: bool) -> bool {
    true
}

/// Crates whose results depend on nothing but their arguments.
fn pure(path: &str, _: bool) -> bool {
    path.starts_with("transports/src/") || path.starts_with("engine/shard/src/")
}

/// What a seed replays: the pure crates, the values of the ring, and the simulator.
fn deterministic(path: &str, test: bool) -> bool {
    pure(path, test) || path.starts_with("engine/ring/src/") || path.starts_with("tests/sim/src/")
}

/// Code that others call: no printing, no ending of the process.
fn library(path: &str, test: bool) -> bool {
    !test && (pure(path, test) || path.starts_with("engine/ring/src/"))
}

fn tests(path: &str, test: bool) -> bool {
    test || path.starts_with("tests/") || path.contains("/tests/")
}

#[test]
fn banned_paths_are_not_used() {
    let findings = repository::rust().into_iter().flat_map(|(path, code)| {
        let found = path::paths(&code).into_iter().filter_map(|found| {
            let test = code.is_test(found.line);
            let (_, _, instead) =
                PATHS.iter().find(|(part, scope, _)| found.contains(part) && scope(&path, test))?;
            Some(format!("{path}:{}: {}: use {instead}", found.line, found.text()))
        });
        found.collect::<Vec<_>>()
    });
    super::none(findings.collect());
}

#[test]
fn banned_macros_are_not_used() {
    let mut findings = Vec::new();
    for (path, code) in repository::rust() {
        for (name, scope, instead) in MACROS {
            for line in calls(&code, name) {
                if scope(&path, code.is_test(line)) {
                    findings.push(format!("{path}:{line}: {name}!: use {instead}"));
                }
            }
        }
    }
    super::none(findings);
}

#[test]
fn client_tests_wait_for_events_not_for_time() {
    let scripts = repository::files().into_iter().filter(|path| path.ends_with(".test.js"));
    let findings = scripts.filter(|path| repository::read(path).contains("setTimeout"));
    super::none(
        findings.map(|path| format!("{path}: setTimeout: take the awaited event from an Inbox")).collect(),
    );
}

/// Lines on which the macro `name` is called.
fn calls(code: &Code, name: &str) -> Vec<usize> {
    let words = code.words(name).into_iter();
    words.filter(|at| code.code[at + name.len()..].starts_with('!')).map(|at| code.line(at)).collect()
}
