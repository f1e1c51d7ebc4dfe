//! URIs of resources that say which upstream they are of.
//!
//! A URI of the upstream `files` is shown as `files+URI`: letters, digits, `-` and `+` may stand in a
//! scheme (RFC 3986 section 3.1). The URI of a user interface (MCP Apps, SEP-1865) must begin with
//! `ui://`, so there the upstream follows that: `ui://files+REST`.

use super::names::is_upstream_name;

/// The scheme of user interfaces.
const UI: &str = "ui://";

/// How clients see `uri`, or a template of URIs, of `upstream`.
pub fn shown(upstream: &str, uri: &str) -> String {
    match uri.strip_prefix(UI) {
        Some(rest) => [UI, upstream, "+", rest].concat(),
        None => [upstream, "+", uri].concat(),
    }
}

/// The upstream and its own URI: the reverse of [`shown`]. `None`: the URI names no upstream. Whether there
/// is such an upstream is the caller's to say: `git+ssh://host` may be shown so or be so.
pub fn split(uri: &str) -> Option<(&str, String)> {
    let (scheme, rest) = match uri.strip_prefix(UI) {
        Some(rest) => (UI, rest),
        None => ("", uri),
    };
    let (upstream, rest) = rest.split_once('+').filter(|(upstream, _)| is_upstream_name(upstream))?;
    Some((upstream, [scheme, rest].concat()))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_shown_uri_splits_again(upstream in "[a-z][a-z0-9-]{0,31}", ui: bool, uri in any::<String>()) {
            let uri = if ui { format!("{UI}{uri}") } else { uri };
            let shown = shown(&upstream, &uri);
            prop_assert_eq!(split(&shown), Some((&*upstream, uri)));
        }
    }

    #[test]
    fn the_upstream_becomes_part_of_the_scheme() {
        assert_eq!(shown("files", "file:///a+b"), "files+file:///a+b");
        assert_eq!(split("files+git+ssh://host"), Some(("files", "git+ssh://host".into())));
        assert_eq!(shown("files", "{scheme}://{+path}"), "files+{scheme}://{+path}");
    }

    #[test]
    fn user_interfaces_keep_their_scheme() {
        assert_eq!(shown("weather", "ui://view/main"), "ui://weather+view/main");
        assert_eq!(split("ui://weather+view/main"), Some(("weather", "ui://view/main".into())));
        assert_eq!(split("ui://view/main"), None);
    }

    #[test]
    fn uris_without_an_upstream_do_not_split() {
        for uri in ["file:///a", "file:///a+b", "+a:b", "UP+a:b", ""] {
            assert_eq!(split(uri), None, "{uri}");
        }
    }
}
