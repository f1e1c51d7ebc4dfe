//! `unsafe` lives in one crate, and each use of it argues why it is sound.

use weir_suite::code::Code;
use weir_suite::repository;

/// The only folder with `unsafe`.
const HOME: &str = "engine/ring/";

#[test]
fn unsafe_is_in_the_ring_only() {
    let outside = repository::rust().into_iter().filter(|(path, _)| !path.starts_with(HOME));
    let findings = outside.flat_map(|(path, code)| {
        let uses = code.words("unsafe").into_iter();
        uses.map(|at| format!("{path}:{}: unsafe outside {HOME}", code.line(at))).collect::<Vec<_>>()
    });
    super::none(findings.collect());
}

#[test]
fn every_unsafe_argues_for_itself() {
    let mut findings = Vec::new();
    for (path, code) in repository::rust().into_iter().filter(|(path, _)| path.starts_with(HOME)) {
        for at in code.words("unsafe") {
            let line = code.line(at);
            let what = code.code[at + "unsafe".len()..].trim_start();
            // A declared `unsafe fn` says in its documentation what its callers owe (clippy holds that).
            let needs = what.starts_with('{') || what.starts_with("impl");
            if needs && !argued(&code, line) {
                findings.push(format!("{path}:{line}: unsafe without a `// SAFETY:` above it"));
            }
        }
    }
    super::none(findings);
}

#[test]
fn pure_crates_forbid_unsafe() {
    for lib in ["transports/src/lib.rs", "engine/shard/src/lib.rs"] {
        assert!(
            repository::read(lib).contains("#![forbid(unsafe_code)]"),
            "{lib} does not forbid unsafe code"
        );
    }
}

/// Whether the line, or the comment above the statement it stands in, holds `SAFETY:`.
fn argued(code: &Code, line: usize) -> bool {
    let lines: Vec<&str> = code.text.lines().collect();
    if lines[line - 1].contains("SAFETY:") {
        return true;
    }
    let above = lines[..line - 1].iter().rev().map(|line| line.trim());
    // A block inside a longer statement has its comment above the statement.
    let mut above = above.skip_while(|line| !line.starts_with("//") && !ends_statement(line));
    above.by_ref().take_while(|line| line.starts_with("//")).any(|line| line.contains("SAFETY:"))
}

fn ends_statement(line: &str) -> bool {
    line.is_empty() || line.ends_with([';', '{', '}'])
}
