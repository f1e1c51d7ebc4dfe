//! Lists that come in pages (server/utilities/pagination), read from upstreams and written to clients.

use std::borrow::Cow;

use super::Method;
use super::hints::{Hints, write_complete};
use super::object::{elements, find, string, write_str};

/// One page of a list, as an upstream gave it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Page<'a> {
    /// The texts of its tools, prompts, resources or templates.
    pub items: Vec<&'a str>,
    /// Where the next page begins; may say nothing and yet be one.
    pub next_cursor: Option<Cow<'a, str>>,
    /// How long and for whom it may be kept.
    pub hints: Hints,
}

impl<'a> Page<'a> {
    /// Reads the result of `method`. `None`: the method has no list, or the result none of its kind, which
    /// is the upstream's fault.
    pub fn read(method: Method, result: &'a str) -> Option<Page<'a>> {
        let keys = [method.list_key()?, "nextCursor", "ttlMs", "cacheScope"];
        let [items, next_cursor, ttl_ms, scope] = find(result, keys).ok()?;
        Some(Page {
            items: elements(items?).collect::<Result<_, _>>().ok()?,
            next_cursor: next_cursor.and_then(string),
            hints: Hints::of(ttl_ms, scope),
        })
    }
}

/// What an item of the list of `method` is called by: its `name`, `uri` or `uriTemplate`. `None`: it has no
/// such string, which is the upstream's fault.
pub fn name_of<'a>(method: Method, item: &'a str) -> Option<Cow<'a, str>> {
    let key = match method {
        Method::ToolsList | Method::PromptsList => "name",
        Method::ResourcesList => "uri",
        Method::ResourceTemplatesList => "uriTemplate",
        _ => return None,
    };
    let [name] = find(item, [key]).ok()?;
    string(name?)
}

/// Appends the result of a list that the gateway made itself of the texts of `items`. With `hints` it is
/// one of 2026-07-28.
pub fn write_page<'a>(
    out: &mut Vec<u8>,
    method: Method,
    items: impl IntoIterator<Item = &'a [u8]>,
    next_cursor: Option<&str>,
    hints: Option<Hints>,
) {
    out.push(b'{');
    write_str(out, method.list_key().unwrap_or_default());
    out.extend_from_slice(b":[");
    for (place, item) in items.into_iter().enumerate() {
        if place > 0 {
            out.push(b',');
        }
        out.extend_from_slice(item);
    }
    out.push(b']');
    if let Some(cursor) = next_cursor {
        out.extend_from_slice(b",\"nextCursor\":");
        write_str(out, cursor);
    }
    if hints.is_some() {
        out.push(b',');
        write_complete(out, hints);
    }
    out.push(b'}');
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::mcp::hints::Scope;

    fn page(items: &[String], next_cursor: Option<&str>, hints: Option<Hints>) -> String {
        let mut out = Vec::new();
        let items = items.iter().map(String::as_bytes);
        write_page(&mut out, Method::PromptsList, items, next_cursor, hints);
        String::from_utf8(out).unwrap()
    }

    proptest! {
        #[test]
        fn a_written_page_reads_back(
            names in proptest::collection::vec(any::<String>(), 0..5),
            next_cursor: Option<String>,
            hints: Option<(u64, bool)>,
        ) {
            let items: Vec<_> =
                names.iter().map(|name| serde_json::json!({"x": 1, "name": name}).to_string()).collect();
            let hints = hints.map(|(ttl_ms, public)| {
                Hints { ttl_ms, scope: if public { Scope::Public } else { Scope::Private } }
            });
            let text = page(&items, next_cursor.as_deref(), hints);
            let read = Page::read(Method::PromptsList, &text).unwrap();
            prop_assert_eq!(&read.items, &items);
            prop_assert_eq!(read.next_cursor, next_cursor.map(Cow::Owned));
            prop_assert_eq!(read.hints, hints.unwrap_or(Hints::NONE));
            let read: Option<Vec<_>> =
                read.items.iter().map(|item| name_of(Method::PromptsList, item)).collect();
            prop_assert_eq!(read.unwrap(), names);
        }
    }

    #[test]
    fn pages_are_written_for_either_era() {
        assert_eq!(
            page(&["{}".into(), "{}".into()], Some(""), None),
            r#"{"prompts":[{},{}],"nextCursor":""}"#
        );
        let modern: serde_json::Value = serde_json::from_str(&page(&[], None, Some(Hints::NONE))).unwrap();
        assert_eq!(modern["resultType"], "complete");
        assert_eq!(modern["cacheScope"], "private");
        assert_eq!(modern["_meta"][crate::mcp::key::SERVER_INFO]["name"], "weir");
    }

    #[test]
    fn an_empty_cursor_is_one_and_null_is_none() {
        let next = |text| Page::read(Method::ToolsList, text).unwrap().next_cursor;
        assert_eq!(next(r#"{"tools":[],"nextCursor":""}"#), Some("".into()));
        assert_eq!(next(r#"{"tools":[],"nextCursor":null}"#), None);
    }

    #[test]
    fn what_is_no_list_is_told() {
        for text in ["{}", r#"{"tools":{}}"#, r#"{"prompts":[]}"#, "[]", r#"{"tools":[],"tools":[]}"#] {
            assert_eq!(Page::read(Method::ToolsList, text), None, "{text}");
        }
        assert_eq!(Page::read(Method::ToolsCall, r#"{"tools":[]}"#), None);
        assert_eq!(name_of(Method::ResourcesList, r#"{"uri":"a:1","name":"n"}"#).as_deref(), Some("a:1"));
        assert_eq!(
            name_of(Method::ResourceTemplatesList, r#"{"uriTemplate":"{x}"}"#).as_deref(),
            Some("{x}")
        );
        assert_eq!(name_of(Method::ToolsList, r#"{"name":1}"#), None);
    }
}
