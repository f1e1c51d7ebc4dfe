//! A file has one subject and a function one thought: both have a length at which to split them.

use weir_suite::repository;

/// Lines of a source file, its tests included.
const FILE_LINES_MAX: usize = 500;
/// Lines of a function, from `fn` to its last brace.
const FUNCTION_LINES_MAX: usize = 70;
/// What counts as source beside Rust.
const OTHERS: [&str; 4] = [".js", ".py", ".sh", "/run"];

#[test]
fn files_are_short() {
    let sources = repository::files().into_iter();
    let sources =
        sources.filter(|path| path.ends_with(".rs") || OTHERS.iter().any(|end| path.ends_with(end)));
    let long = sources.filter_map(|path| {
        let lines = repository::read(&path).lines().count();
        (lines > FILE_LINES_MAX)
            .then(|| format!("{path}: {lines} lines; split it by subject below {FILE_LINES_MAX}"))
    });
    super::none(long.collect());
}

#[test]
fn functions_are_short() {
    let mut findings = Vec::new();
    for (path, code) in repository::rust() {
        for function in code.functions() {
            let lines = function.last_line - function.first_line + 1;
            if lines > FUNCTION_LINES_MAX {
                let (line, name) = (function.first_line, function.name);
                findings.push(format!(
                    "{path}:{line}: fn {name} has {lines} lines, more than {FUNCTION_LINES_MAX}"
                ));
            }
        }
    }
    super::none(findings);
}
