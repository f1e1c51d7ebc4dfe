//! What `subscriptions/listen` (2026-07-28, basic/patterns/subscriptions) asks of several upstreams.

use super::object::{elements, string, write_str};
use super::{Filter, uris};

/// Appends a filter as the params of the request and of its acknowledgement have it, under
/// `notifications`. What it does not want it does not name.
pub fn write_filter(out: &mut Vec<u8>, filter: Filter<'_>) {
    let flags = [
        (filter.tools_list_changed, "\"toolsListChanged\":true"),
        (filter.prompts_list_changed, "\"promptsListChanged\":true"),
        (filter.resources_list_changed, "\"resourcesListChanged\":true"),
    ];
    let uris = filter.resource_subscriptions.map(|uris| format!("\"resourceSubscriptions\":{uris}"));
    let flags = flags.into_iter().filter(|(wanted, _)| *wanted).map(|(_, text)| text.to_owned());
    let members: Vec<_> = flags.chain(uris).collect();
    out.extend_from_slice(format!("{{{}}}", members.join(",")).as_bytes());
}

/// The text of an array: of the URIs in `shown`, the text of one too, those of `upstream`, as it has them
/// itself. `None`: there are none.
pub fn uris_of(upstream: &str, shown: &str) -> Option<String> {
    let mut own = Vec::new();
    for uri in elements(shown).map_while(Result::ok).filter_map(string) {
        if let Some((_, uri)) = uris::split(&uri).filter(|(named, _)| *named == upstream) {
            own.push(if own.is_empty() { b'[' } else { b',' });
            write_str(&mut own, &uri);
        }
    }
    own.push(b']');
    String::from_utf8(own).ok().filter(|text| text.len() > 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_written_filter_reads_back() {
        for flags in 0..8 {
            for resource_subscriptions in [None, Some(r#"["a:1", "b:2"]"#)] {
                let filter = Filter {
                    tools_list_changed: flags & 1 > 0,
                    prompts_list_changed: flags & 2 > 0,
                    resources_list_changed: flags & 4 > 0,
                    resource_subscriptions,
                };
                let mut out = Vec::new();
                write_filter(&mut out, filter);
                assert_eq!(Filter::read(str::from_utf8(&out).unwrap()), Ok(filter));
            }
        }
    }

    #[test]
    fn each_upstream_is_asked_for_its_own() {
        let shown = r#"["a+x:1", "b+x:2", "x:3", "a+y:\"4"]"#;
        assert_eq!(uris_of("a", shown).as_deref(), Some(r#"["x:1","y:\"4"]"#));
        assert_eq!(uris_of("b", shown).as_deref(), Some(r#"["x:2"]"#));
        assert_eq!(uris_of("c", shown), None);
        assert_eq!(uris_of("c", "[]"), None);
    }
}
