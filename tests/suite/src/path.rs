//! Paths in Rust code: `use` declarations with their groups spread out, and paths in expressions.

use crate::code::{Code, is_name};

/// One path and where it stands.
#[derive(Debug, PartialEq, Eq)]
pub struct Found {
    /// Line of its first name, from 1.
    pub line: usize,
    /// Its names, groups spread out: `a::{b, c::d}` is `a::b` and `a::c::d`.
    pub names: Vec<String>,
}

impl Found {
    /// Whether `part` (`a::b`) occurs in it, name by name.
    pub fn contains(&self, part: &str) -> bool {
        let part: Vec<&str> = part.split("::").collect();
        self.names.windows(part.len()).any(|window| window == part)
    }

    /// As it is written.
    pub fn text(&self) -> String {
        self.names.join("::")
    }
}

/// Every path of a file with at least two names, in order.
pub fn paths(code: &Code) -> Vec<Found> {
    let mut reader = Reader { code: &code.code, at: 0 };
    let mut found = Vec::new();
    while reader.at < code.code.len() {
        let start = reader.at;
        if reader.name_begins() {
            let mut spread = Vec::new();
            reader.path(&mut Vec::new(), &mut spread);
            let line = code.line(start);
            let long = spread.into_iter().filter(|names| names.len() > 1);
            found.extend(long.map(|names| Found { line, names }));
        } else {
            reader.step();
        }
    }
    found
}

struct Reader<'a> {
    code: &'a str,
    at: usize,
}

impl Reader<'_> {
    fn peek(&self) -> Option<u8> {
        self.code.as_bytes().get(self.at).copied()
    }

    fn step(&mut self) {
        self.at += 1;
    }

    fn skip_space(&mut self) {
        while self.peek().is_some_and(|byte| byte.is_ascii_whitespace()) {
            self.step();
        }
    }

    fn name_begins(&self) -> bool {
        self.peek().is_some_and(|byte| is_name(byte) && !byte.is_ascii_digit())
    }

    fn name(&mut self) -> String {
        let start = self.at;
        while self.peek().is_some_and(is_name) {
            self.step();
        }
        String::from_utf8_lossy(&self.code.as_bytes()[start..self.at]).into_owned()
    }

    /// Takes `::` if it is next.
    fn joint(&mut self) -> bool {
        let here = self.at;
        self.skip_space();
        let joint = self.code.as_bytes()[self.at..].starts_with(b"::");
        self.at = if joint { self.at + 2 } else { here };
        if joint {
            self.skip_space();
        }
        joint
    }

    /// Reads one path behind `prefix` and adds all that it spreads out to.
    fn path(&mut self, prefix: &mut Vec<String>, spread: &mut Vec<Vec<String>>) {
        let depth = prefix.len();
        prefix.push(self.name());
        loop {
            if !self.joint() {
                spread.push(prefix.clone());
                break;
            }
            if self.name_begins() {
                prefix.push(self.name());
            } else if self.peek() == Some(b'{') {
                self.step();
                self.group(prefix, spread);
                break;
            } else {
                spread.push(prefix.clone());
                break;
            }
        }
        prefix.truncate(depth);
    }

    /// Reads the rest of a group up to its brace.
    fn group(&mut self, prefix: &mut Vec<String>, spread: &mut Vec<Vec<String>>) {
        loop {
            self.skip_space();
            match self.peek() {
                None => return,
                Some(b'}') => return self.step(),
                Some(_) if self.name_begins() => {
                    self.path(prefix, spread);
                    self.alias();
                }
                Some(_) => self.step(),
            }
        }
    }

    /// Skips `as NAME`.
    fn alias(&mut self) {
        self.skip_space();
        if self.code.as_bytes()[self.at..].starts_with(b"as ") {
            self.name();
            self.skip_space();
            self.name();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spreads_groups_and_finds_inline_paths() {
        let code = Code::read(
            "use std::{collections::{HashMap as M, hash_map},\n  time};\nlet x = crate::a::B::new(1) + y;\nf::<u8>();",
        );
        let texts: Vec<_> = paths(&code).iter().map(|found| (found.line, found.text())).collect();
        let expected = [
            (1, "std::collections::HashMap"),
            (1, "std::collections::hash_map"),
            (1, "std::time"),
            (3, "crate::a::B::new"),
        ];
        assert_eq!(texts, expected.map(|(line, text)| (line, text.to_owned())));
    }

    #[test]
    fn contains_goes_name_by_name() {
        let found = Found { line: 1, names: ["a", "bc", "d"].map(str::to_owned).to_vec() };
        assert!(found.contains("bc::d") && !found.contains("c::d") && !found.contains("a::d"));
    }
}
