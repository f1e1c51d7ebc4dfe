//! Lists of names: who or what a rule is about.

use super::Pattern;

/// Names that fit one of some patterns, or, where all of these are exceptions, none of them. Empty: all.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Names {
    these: Vec<Pattern>,
    all_but: Vec<Pattern>,
}

impl Names {
    /// Reads patterns; a `!` before one makes it an exception. `None`: one of them is no [`Pattern`].
    pub fn parse<S: AsRef<str>>(texts: &[S]) -> Option<Names> {
        let mut names = Names::default();
        for text in texts {
            match text.as_ref().strip_prefix('!') {
                Some(others) => names.all_but.push(Pattern::parse(others)?),
                None => names.these.push(Pattern::parse(text.as_ref())?),
            }
        }
        Some(names)
    }

    /// Whether all names are meant, and those who have none.
    pub fn is_all(&self) -> bool {
        self.these.is_empty() && self.all_but.is_empty()
    }

    /// Whether a name is meant; `{sub}` in a pattern is `subject`.
    pub fn has(&self, name: &str, subject: &str) -> bool {
        self.has_any(&[name], &[name], subject)
    }

    /// The same of what has several names: those that may be meant, and those that may be an exception.
    pub fn has_any<S: AsRef<str>>(&self, meant: &[S], excepted: &[S], subject: &str) -> bool {
        let is_one =
            |pattern: &Pattern, names: &[S]| names.iter().any(|name| pattern.matches(name.as_ref(), subject));
        let is_open = self.these.is_empty() || !self.all_but.is_empty();
        self.these.iter().any(|pattern| is_one(pattern, meant))
            || is_open && !self.all_but.iter().any(|pattern| is_one(pattern, excepted))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(texts: &[&str]) -> Names {
        Names::parse(texts).expect("patterns")
    }

    #[test]
    fn names_are_these_or_all_but_those() {
        assert!(names(&[]).is_all() && names(&[]).has("any", ""));
        let these = names(&["chat", "order.*"]);
        assert!(these.has("chat", "") && these.has("order.new", "") && !these.has("chats", ""));
        let others = names(&["!chat", "!order.*"]);
        assert!(others.has("delete", "") && !others.has("chat", "") && !others.has("order.new", ""));
        assert!(names(&["own:{sub}"]).has("own:a", "a") && !names(&["own:{sub}"]).has("own:b", "a"));
        assert_eq!(Names::parse(&["a", ""]), None);
    }

    #[test]
    fn what_has_several_names_is_meant_by_any_and_spared_by_its_own() {
        let (shown, all) = (["files__read"].as_slice(), ["read", "files__read"].as_slice());
        assert!(names(&["read"]).has_any(all, shown, ""));
        assert!(!names(&["read"]).has_any(shown, all, ""));
        assert!(names(&["!read"]).has_any(all, shown, ""), "the name that is seen is another");
        assert!(!names(&["!read"]).has_any(shown, all, ""));
    }
}
