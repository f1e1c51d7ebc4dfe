//! Names of tools and prompts that say which upstream they are of: `UPSTREAM__NAME`.
//!
//! All characters are allowed in tool names (2025-11-25 and later, server/tools, Tool Names).

/// Stands between an upstream's name and what it calls its tool or prompt. No upstream's name holds it.
const SEPARATOR: &str = "__";

/// What clients call `name` of `upstream`.
pub fn prefixed(upstream: &str, name: &str) -> String {
    [upstream, SEPARATOR, name].concat()
}

/// The upstream and what it calls the tool or prompt itself: the reverse of [`prefixed`]. `None`: the name
/// begins with no upstream's name. Whether there is such an upstream is the caller's to say.
pub fn split(name: &str) -> Option<(&str, &str)> {
    name.split_once(SEPARATOR).filter(|(upstream, _)| is_upstream_name(upstream))
}

/// Whether an upstream may have this name: `[a-z][a-z0-9-]{0,31}`.
pub fn is_upstream_name(name: &str) -> bool {
    name.len() <= 32
        && name.starts_with(|first: char| first.is_ascii_lowercase())
        && name.bytes().all(|byte| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'-'))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_prefixed_name_splits_again(upstream in "[a-z][a-z0-9-]{0,31}", name in any::<String>()) {
            let prefixed = prefixed(&upstream, &name);
            prop_assert_eq!(split(&prefixed), Some((&*upstream, &*name)));
        }
    }

    #[test]
    fn the_first_separator_decides() {
        assert_eq!(split("files__read__all"), Some(("files", "read__all")));
        assert_eq!(split("files___read"), Some(("files", "_read")));
        assert_eq!(split("files__"), Some(("files", "")));
    }

    #[test]
    fn names_without_an_upstream_do_not_split() {
        for name in ["read", "__read", "read_all", "Files__read", "9__read", "my_files__read", ""] {
            assert_eq!(split(name), None, "{name}");
        }
        assert_eq!(split(&prefixed(&"a".repeat(33), "read")), None);
    }
}
