//! Rust text as code: comments and the insides of literals blanked, functions and inline modules found.

/// A source file. Offsets and lines are those of its text.
#[derive(Debug)]
pub struct Code {
    /// The text as it is.
    pub text: String,
    /// The text with comments and the insides of literals replaced by spaces, line by line the same.
    pub code: String,
}

/// A named stretch of a file, both ends included.
#[derive(Debug, PartialEq, Eq)]
pub struct Item {
    /// The name behind `fn` or `mod`.
    pub name: String,
    /// First line, from 1.
    pub first_line: usize,
    /// Line of the closing brace.
    pub last_line: usize,
    /// Whether `#[cfg(test)]` or `#[test]` stands before it.
    pub test: bool,
}

impl Code {
    /// Reads a source file.
    pub fn read(text: &str) -> Code {
        Code { text: text.to_owned(), code: blank(text) }
    }

    /// The line of an offset, from 1.
    pub fn line(&self, offset: usize) -> usize {
        self.code.as_bytes()[..offset].iter().filter(|byte| **byte == b'\n').count() + 1
    }

    /// Functions with a body.
    pub fn functions(&self) -> Vec<Item> {
        self.items("fn")
    }

    /// Modules written inside the file.
    pub fn modules(&self) -> Vec<Item> {
        self.items("mod")
    }

    /// Whether a line belongs to a test module of the file.
    pub fn is_test(&self, line: usize) -> bool {
        self.modules()
            .iter()
            .any(|module| module.test && (module.first_line..=module.last_line).contains(&line))
    }

    /// Offsets at which `word` stands by itself.
    pub fn words(&self, word: &str) -> Vec<usize> {
        let bytes = self.code.as_bytes();
        let alone = |at: usize| {
            let before = at.checked_sub(1).is_none_or(|before| !is_name(bytes[before]));
            before && bytes.get(at + word.len()).is_none_or(|after| !is_name(*after))
        };
        self.code.match_indices(word).map(|(at, _)| at).filter(|at| alone(*at)).collect()
    }

    fn items(&self, keyword: &str) -> Vec<Item> {
        self.words(keyword).into_iter().filter_map(|at| self.item(at, at + keyword.len())).collect()
    }

    fn item(&self, keyword: usize, after: usize) -> Option<Item> {
        let rest = &self.code[after..];
        let name: String =
            rest.trim_start().bytes().take_while(|byte| is_name(*byte)).map(char::from).collect();
        if name.is_empty() {
            return None;
        }
        let open = after + opening(rest)?;
        let close = open + closing(&self.code[open..])?;
        let before = self.code[..keyword].rsplit(['}', ';', '{']).next().unwrap_or_default();
        Some(Item {
            name,
            first_line: self.line(keyword),
            last_line: self.line(close),
            test: before.contains("test)]") || before.contains("#[test]"),
        })
    }
}

/// The offset of the `{` that opens a body; none when a `;` comes first.
fn opening(rest: &str) -> Option<usize> {
    let mut depth = 0_i32;
    for (at, byte) in rest.bytes().enumerate() {
        match byte {
            b'(' | b'[' => depth += 1,
            b')' | b']' => depth -= 1,
            b'{' if depth == 0 => return Some(at),
            b';' if depth == 0 => return None,
            _ => {}
        }
    }
    None
}

/// The offset of the brace that closes the one `body` begins with.
fn closing(body: &str) -> Option<usize> {
    let mut depth = 0_i32;
    for (at, byte) in body.bytes().enumerate() {
        match byte {
            b'{' => depth += 1,
            b'}' => depth -= 1,
            _ => {}
        }
        if depth == 0 {
            return Some(at);
        }
    }
    None
}

/// Whether a byte may stand in a name.
pub(crate) fn is_name(byte: u8) -> bool {
    byte == b'_' || byte.is_ascii_alphanumeric() || !byte.is_ascii()
}

/// Blanks comments and the insides of literals; keeps line ends and the length.
fn blank(text: &str) -> String {
    let bytes = text.as_bytes();
    let mut code = Vec::with_capacity(bytes.len());
    while code.len() < bytes.len() {
        let at = code.len();
        let skip = skipped(bytes, at);
        if skip == 0 {
            code.push(bytes[at]);
        } else {
            code.extend(bytes[at..at + skip].iter().map(|byte| if *byte == b'\n' { b'\n' } else { b' ' }));
        }
    }
    String::from_utf8_lossy(&code).into_owned()
}

/// How many bytes at `at` are a comment or a literal.
fn skipped(bytes: &[u8], at: usize) -> usize {
    let rest = &bytes[at..];
    let inside_name = at > 0 && is_name(bytes[at - 1]);
    match rest {
        [b'/', b'/', ..] => rest.iter().position(|byte| *byte == b'\n').unwrap_or(rest.len()),
        [b'/', b'*', ..] => block_comment(rest),
        [b'"', ..] => string(rest, 1),
        [b'b' | b'c', b'"', ..] if !inside_name => string(rest, 2),
        [b'r', b'"' | b'#', ..] if !inside_name => raw_string(rest, 1),
        [b'b' | b'c', b'r', b'"' | b'#', ..] if !inside_name => raw_string(rest, 2),
        [b'\'', b'\\', ..] => character(rest),
        [b'\'', first, ..] if !first.is_ascii() => character(rest),
        [b'\'', _, b'\'', ..] => 3,
        _ => 0,
    }
}

fn block_comment(rest: &[u8]) -> usize {
    let mut depth = 0;
    let mut at = 0;
    while at < rest.len() {
        match &rest[at..] {
            [b'/', b'*', ..] => {
                depth += 1;
                at += 2;
            }
            [b'*', b'/', ..] => {
                depth -= 1;
                at += 2;
            }
            _ => at += 1,
        }
        if depth == 0 {
            break;
        }
    }
    at
}

/// A string whose first byte of content is at `start`.
fn string(rest: &[u8], start: usize) -> usize {
    let mut at = start;
    while at < rest.len() && rest[at] != b'"' {
        at += if rest[at] == b'\\' { 2 } else { 1 };
    }
    (at + 1).min(rest.len())
}

/// A raw string whose hashes begin at `start`; 0 if it is a raw name.
fn raw_string(rest: &[u8], start: usize) -> usize {
    let hashes = rest[start..].iter().take_while(|byte| **byte == b'#').count();
    if rest.get(start + hashes) != Some(&b'"') {
        return 0;
    }
    let end = [b"\"".as_slice(), &b"#".repeat(hashes)].concat();
    let body = start + hashes + 1;
    let length = rest[body..].windows(end.len()).position(|window| window == end);
    length.map_or(rest.len(), |length| body + length + end.len())
}

fn character(rest: &[u8]) -> usize {
    let escape = if rest[1] == b'\\' { 3 } else { 2 };
    rest.iter().skip(escape).position(|byte| *byte == b'\'').map_or(rest.len(), |at| escape + at + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blanks_comments_and_literals_and_nothing_else() {
        for (text, code) in [
            ("a // b\nc", "a     \nc"),
            ("a /* b /* c */ d */ e", "a                   e"),
            (r#"f("x\"y{", 'z', '\'', b"{")"#, r"f(       ,    ,     ,     )"),
            (r###"r#"a"b"# c"###, "         c"),
            ("fn f<'a>(x: &'a str)", "fn f<'a>(x: &'a str)"),
            ("r#type('ü')", "r#type(    )"),
        ] {
            assert_eq!(blank(text), code, "{text}");
        }
    }

    #[test]
    fn finds_functions_and_modules() {
        let code = Code::read(
            "fn a(x: [u8; 2]) -> u8 {\n  \"}\"\n}\ntrait T { fn b(); }\n#[cfg(test)]\nmod tests {\n #[test]\n fn c() {}\n}",
        );
        let found: Vec<_> =
            code.functions().into_iter().map(|f| (f.name, f.first_line, f.last_line, f.test)).collect();
        assert_eq!(found, [("a".to_owned(), 1, 3, false), ("c".to_owned(), 8, 8, true)]);
        assert_eq!(code.modules()[0].name, "tests");
        assert!(code.is_test(8) && !code.is_test(4));
    }
}
