//! Patterns of names: tools, topics.

/// Most bytes of a pattern.
const BYTES_MAX: usize = 256;
/// Most `*` of a pattern: what bounds the work of a match.
const STARS_MAX: usize = 8;
/// Stands for who asks.
const SUBJECT: &str = "{sub}";

/// Names, some of whose parts may be anything (`*`) or the asker's own name (`{sub}`): `room:*`,
/// `topic:{sub}:*`. Everything else stands for itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pattern(Box<[Box<[Part]>]>);

/// A part of a run between two `*`.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Part {
    Text(Box<str>),
    Subject,
}

impl Pattern {
    /// Reads a pattern. `None`: it is empty, longer than 256 bytes, or has more than 8 `*`.
    pub fn parse(text: &str) -> Option<Pattern> {
        let stars = text.bytes().filter(|byte| *byte == b'*').count();
        if text.is_empty() || text.len() > BYTES_MAX || stars > STARS_MAX {
            return None;
        }
        Some(Pattern(text.split('*').map(run).collect()))
    }

    /// Whether `name` is such a name for `subject`.
    pub fn matches(&self, name: &str, subject: &str) -> bool {
        let [first, rest @ ..] = &*self.0 else { return false };
        let Some(mut left) = strip(name, first, subject) else { return false };
        let Some((last, middle)) = rest.split_last() else { return left.is_empty() };
        for run in middle {
            // The first place is as good as any: what follows is then longest.
            let found = left.char_indices().map(|(at, _)| &left[at..]).chain([""]);
            match found.into_iter().find_map(|tail| strip(tail, run, subject)) {
                Some(tail) => left = tail,
                None => return false,
            }
        }
        let length: usize = last.iter().map(|part| part.text(subject).len()).sum();
        let tail = left.len().checked_sub(length).and_then(|at| left.get(at..));
        tail.is_some_and(|tail| strip(tail, last, subject).is_some())
    }
}

impl Part {
    fn text<'a>(&'a self, subject: &'a str) -> &'a str {
        match self {
            Part::Text(text) => text,
            Part::Subject => subject,
        }
    }
}

/// The parts of a text without `*`.
fn run(text: &str) -> Box<[Part]> {
    let mut parts = Vec::new();
    for (index, piece) in text.split(SUBJECT).enumerate() {
        if index > 0 {
            parts.push(Part::Subject);
        }
        if !piece.is_empty() {
            parts.push(Part::Text(piece.into()));
        }
    }
    parts.into()
}

/// What is left of `name` after `run`, with which it begins.
fn strip<'a>(name: &'a str, run: &[Part], subject: &str) -> Option<&'a str> {
    run.iter().try_fold(name, |left, part| left.strip_prefix(part.text(subject)))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn matches(pattern: &str, name: &str) -> bool {
        Pattern::parse(pattern).expect("a pattern").matches(name, "u*1")
    }

    #[test]
    fn stars_are_any_run_and_all_else_is_itself() {
        for (pattern, name, expected) in [
            ("*", "", true),
            ("*", "anything:at*all", true),
            ("room:*", "room:", true),
            ("room:*", "room:7", true),
            ("room:*", "rooms:7", false),
            ("a", "a", true),
            ("a", "aa", false),
            ("*a", "ba", true),
            ("a*a", "a", false),
            ("a*a", "aa", true),
            ("*b*b*", "abab", true),
            ("a*b*c", "axbxbxc", true),
            ("a*b*c", "axcxb", false),
            ("**", "x", true),
            ("a.c", "abc", false),
            ("[a]", "a", false),
            ("ä*", "äö", true),
            ("*ö", "äö", true),
            ("*x", "ö", false),
        ] {
            assert_eq!(matches(pattern, name), expected, "{pattern} {name}");
        }
    }

    #[test]
    fn the_subject_is_no_pattern() {
        assert!(matches("topic:{sub}:*", "topic:u*1:news"));
        assert!(!matches("topic:{sub}:*", "topic:u21:news"));
        assert!(!matches("topic:{sub}", "topic:{sub}"));
        assert!(matches("*{sub}", "for u*1"));
    }

    #[test]
    fn patterns_have_bounds() {
        assert_eq!(Pattern::parse(""), None);
        assert_eq!(Pattern::parse(&"a".repeat(257)), None);
        assert_eq!(Pattern::parse("*********"), None);
        assert!(Pattern::parse("********").is_some());
    }

    proptest! {
        /// The same as the definition, read letter by letter.
        #[test]
        fn matching_follows_the_definition(pattern in "[ab*]{1,8}", name in "[abä]{0,12}") {
            fn follows(pattern: &[char], name: &[char]) -> bool {
                match (pattern.split_first(), name.split_first()) {
                    (None, None) => true,
                    (Some(('*', rest)), _) if follows(rest, name) => true,
                    (Some(('*', _)), Some((_, tail))) => follows(pattern, tail),
                    (Some((one, rest)), Some((other, tail))) if one == other => follows(rest, tail),
                    _ => false,
                }
            }
            let letters = |text: &str| text.chars().collect::<Vec<_>>();
            prop_assert_eq!(matches(&pattern, &name), follows(&letters(&pattern), &letters(&name)));
        }
    }
}
