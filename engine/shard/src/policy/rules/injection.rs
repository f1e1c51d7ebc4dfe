//! What becomes script where a page shows it as it is: `<script`, `javascript:`, event handlers (`onclick=`) and
//! template expressions (`${`).
//!
//! Two passes, both linear. The first looks for the few bytes that every pattern has, 32 at a time, and nearly
//! always that is all. Only from a hint on the second reads character by character, with the escapes of JSON
//! replaced, so that `\u003cscript` is what it says. It is no substitute for escaping where text is shown.

/// Stands for every character that is in no pattern and no word.
const OTHER: u8 = 0xff;

/// A pattern.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pattern {
    /// `<script`, in any case.
    ScriptTag,
    /// `javascript:`, in any case.
    ScriptUrl,
    /// A word of ASCII letters, digits and underscores that begins with `on`, and an equals sign.
    EventHandler,
    /// `${`: its end may be anywhere.
    Template,
}

impl Pattern {
    /// What it is called in the error and in the audit log.
    pub const fn name(self) -> &'static str {
        match self {
            Pattern::ScriptTag => "script_tag",
            Pattern::ScriptUrl => "script_url",
            Pattern::EventHandler => "event_handler",
            Pattern::Template => "template",
        }
    }
}

/// The first pattern in a text, JSON or not.
pub fn find(text: &[u8]) -> Option<Pattern> {
    let hint = hint(text)?;
    let is_part = |byte: &&u8| is_word(**byte) || **byte == b'\\';
    let begun = text.get(..hint)?.iter().rev().take_while(is_part).count();
    read(text.get(hint - begun..)?)
}

/// Where a pattern may have begun: a byte that each of them has, or an escape that may stand for one, and what
/// follows it. A word before it may be part of the pattern.
fn hint(text: &[u8]) -> Option<usize> {
    let mut at = 0;
    loop {
        at += plain_len(text.get(at..)?);
        let next = text.get(at + 1).copied().unwrap_or(OTHER);
        let hints = match text.get(at)? {
            b'<' => matches!(next, b's' | b'S' | b'\\'),
            b'j' | b'J' => matches!(next, b'a' | b'A' | b'\\'),
            b'$' => matches!(next, b'{' | b'\\'),
            b'\\' => next == b'u',
            b'=' => at.checked_sub(1).and_then(|before| text.get(before)).is_some_and(|byte| is_word(*byte)),
            _ => false,
        };
        if hints {
            return Some(at);
        }
        at += 1;
    }
}

/// Length of the run before the first byte that [`hint`] looks at.
fn plain_len(text: &[u8]) -> usize {
    let mut len = 0;
    while let Some(chunk) = text.get(len..).and_then(<[u8]>::first_chunk::<32>) {
        // Without an early exit the compiler looks at all of them at once.
        if chunk.iter().fold(false, |any, &byte| any | is_mark(byte)) {
            break;
        }
        len += 32;
    }
    let rest = text.get(len..).unwrap_or_default();
    len + rest.iter().take_while(|&&byte| !is_mark(byte)).count()
}

#[inline(always)]
const fn is_mark(byte: u8) -> bool {
    (byte == b'<') | (byte | 0x20 == b'j') | (byte == b'$') | (byte == b'\\') | (byte == b'=')
}

const fn is_word(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_'
}

/// The first pattern, character by character.
fn read(text: &[u8]) -> Option<Pattern> {
    let (mut tag, mut url) = (Literal::new(b"<script"), Literal::new(b"javascript:"));
    let (mut handler, mut dollar) = (Handler::default(), false);
    Characters(text).find_map(|character| {
        let character = character.to_ascii_lowercase();
        let template = std::mem::replace(&mut dollar, character == b'$') && character == b'{';
        // All of them, each time: each keeps where it is.
        let found = [
            (tag.ends(character), Pattern::ScriptTag),
            (url.ends(character), Pattern::ScriptUrl),
            (handler.ends(character), Pattern::EventHandler),
            (template, Pattern::Template),
        ];
        found.into_iter().find_map(|(ends, pattern)| ends.then_some(pattern))
    })
}

/// A pattern that is one text, whose first character it does not have twice.
struct Literal {
    text: &'static [u8],
    at: usize,
}

impl Literal {
    const fn new(text: &'static [u8]) -> Literal {
        Literal { text, at: 0 }
    }

    fn ends(&mut self, character: u8) -> bool {
        let goes_on = self.text.get(self.at) == Some(&character);
        self.at = if goes_on { self.at + 1 } else { usize::from(self.text.first() == Some(&character)) };
        self.at == self.text.len()
    }
}

/// The word that is being read, as far as it may be the name of an event handler.
#[derive(Default)]
enum Handler {
    /// It has not begun.
    #[default]
    Start,
    /// It is `o`.
    O,
    /// It is `on`.
    On,
    /// It begins with `on`.
    Named,
    /// It begins otherwise.
    No,
}

impl Handler {
    fn ends(&mut self, character: u8) -> bool {
        let ends = matches!(self, Handler::Named) && character == b'=';
        *self = match (&*self, character) {
            (_, character) if !is_word(character) => Handler::Start,
            (Handler::Start, b'o') => Handler::O,
            (Handler::O, b'n') => Handler::On,
            (Handler::On | Handler::Named, _) => Handler::Named,
            _ => Handler::No,
        };
        ends
    }
}

/// The characters that a text stands for, those beyond Latin-1 as [`OTHER`].
struct Characters<'a>(&'a [u8]);

impl Iterator for Characters<'_> {
    type Item = u8;

    fn next(&mut self) -> Option<u8> {
        let (&byte, rest) = self.0.split_first()?;
        self.0 = rest;
        if byte != b'\\' {
            return Some(byte);
        }
        // JSON within JSON is escaped once more, and each time the backslashes are doubled: a power of two of them
        // is one escape. Of any other number, all but its smallest power of two stand for backslashes.
        let more = rest.iter().take_while(|byte| **byte == b'\\').count();
        let own = 1 << (more + 1).trailing_zeros();
        if own <= more {
            self.0 = rest.get(more - own..).unwrap_or_default();
            return Some(byte);
        }
        let rest = rest.get(more..).unwrap_or_default();
        let (len, character) = match rest.first() {
            Some(b'u') => match rest.get(1..5).and_then(unit) {
                Some(unit) => (5, u8::try_from(unit).unwrap_or(OTHER)),
                None => (0, b'\\'),
            },
            Some(b'b' | b'f' | b'n' | b'r' | b't') => (1, b' '),
            _ => (0, b'\\'),
        };
        self.0 = rest.get(len..).unwrap_or_default();
        Some(character)
    }
}

/// The number that four hexadecimal digits say.
fn unit(digits: &[u8]) -> Option<u16> {
    digits.iter().try_fold(0, |unit, digit| Some(unit << 4 | char::from(*digit).to_digit(16)? as u16))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// What is found in a text without escapes, written down once more in the words of regular expressions.
    fn model(text: &str) -> bool {
        let text = text.to_ascii_lowercase();
        let words = text.split(|c: char| !c.is_ascii_alphanumeric() && c != '_' && c != '=');
        let handler = |run: &str| {
            let parts: Vec<&str> = run.split('=').collect();
            parts.iter().take(parts.len() - 1).any(|word| word.len() > 2 && word.starts_with("on"))
        };
        ["<script", "javascript:", "${"].iter().any(|literal| text.contains(literal))
            || words.into_iter().any(handler)
    }

    /// A character as JSON has it, escaped so many times over.
    fn escaped(character: char, how: u8, depth: usize) -> String {
        let mut units = [0; 2];
        let units = character.encode_utf16(&mut units);
        let code = |unit: u16, upper| match upper {
            true => format!("\\u{unit:04X}"),
            false => format!("\\u{unit:04x}"),
        };
        let text: String = match (how % 3, character) {
            (0, '"' | '\\') => format!("\\{character}"),
            (0, c) if c >= ' ' => return c.to_string(),
            (way, _) => units.iter().map(|unit| code(*unit, way == 1)).collect(),
        };
        (1..depth).fold(text, |text, _| text.replace('\\', "\\\\"))
    }

    fn json(text: &str, ways: &[u8], depth: usize) -> String {
        let ways = ways.iter().copied().cycle();
        let inner: String = text.chars().zip(ways).map(|(c, way)| escaped(c, way, depth)).collect();
        format!("{{\"k\":\"{inner}\"}}")
    }

    fn attack() -> impl Strategy<Value = String> {
        prop_oneof![
            "<[sS][cC][rR][iI][pP][tT]",
            "[jJ][aA][vV][aA][sS]cript:",
            "[oO][nN][a-zA-Z_0-9]{1,20}=",
            "\\$\\{",
        ]
    }

    proptest! {
        /// Whatever is around it and however it is escaped, once or more often.
        #[test]
        fn no_pattern_hides(
            before in "(.{0,80}[^a-zA-Z0-9_])?",
            attack in attack(),
            after in ".{0,80}",
            ways in prop::collection::vec(any::<u8>(), 1..12),
            depth in 1_usize..4,
        ) {
            let text = json(&format!("{before}{attack}{after}"), &ways, depth);
            prop_assert!(find(text.as_bytes()).is_some(), "{text}");
        }

        /// Of texts with the letters of the patterns, exactly those that have one.
        #[test]
        fn finds_what_the_model_finds(
            text in "[<sScript{javascript:$=on_ \"a]{0,60}",
            ways in prop::collection::vec(any::<u8>(), 1..12),
        ) {
            let written = json(&text, &ways, 1);
            prop_assert_eq!(find(written.as_bytes()).is_some(), model(&text), "{}", written);
            prop_assert_eq!(find(text.as_bytes()).is_some(), model(&text));
        }

        #[test]
        fn any_bytes_are_read(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            find(&bytes);
        }
    }

    #[test]
    fn patterns_are_named() {
        for (text, name) in [
            (r#"{"a":"<ScRiPt>"}"#, "script_tag"),
            (r#"{"a":"\u003cscript src=x"}"#, "script_tag"),
            (r#"{"a":"see JavaScript:alert(1)"}"#, "script_url"),
            (r#"{"a":"<img src=x onerror=alert(1)>"}"#, "event_handler"),
            (r#"{"a":"a\nonload=b"}"#, "event_handler"),
            (r#"{"a":"\\u006fnload\\u003db"}"#, "event_handler"),
            (r#"{"a":"${env.SECRET}"}"#, "template"),
            (r#"{"a":"\u0024\u007bx}"}"#, "template"),
        ] {
            assert_eq!(find(text.as_bytes()).map(Pattern::name), Some(name), "{text}");
        }
    }

    #[test]
    fn ordinary_text_passes() {
        for text in [
            r#"{"subject":"a < b, a << script, <b>","j":"java script","at":"2026-11-21"}"#,
            r#"{"url":"https://a.example/?connection_id=5&session=7","price":"$5","on":"on = off","x":"{$a}"}"#,
            r#"{"data":"aGVsbG8gd29ybGQ=","path":"C:\\new\\table","say":"\"on\" and\non"}"#,
            r#"{"a":"\ud83d\ude00 caf\u00e9 \u6771\u4eac","b":"javascript is a language"}"#,
            "",
        ] {
            assert_eq!(find(text.as_bytes()), None, "{text}");
        }
    }
}
