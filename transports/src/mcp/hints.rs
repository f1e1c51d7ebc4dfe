//! What a result of 2026-07-28 says beside its contents: `resultType` and who made it (basic/index), how
//! long and for whom it may be kept (server/utilities/caching). Older revisions have none of it.

use super::about::SERVER_INFO;
use super::members::{in_front, rebuild};
use super::object::find;
use super::splice::splice;
use super::{Method, key};

/// For whom a result may be kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scope {
    /// For everyone.
    Public,
    /// For the authorization context that asked.
    Private,
}

/// How long and for whom a result may be kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Hints {
    /// Milliseconds for which it is fresh; 0: ask each time.
    pub ttl_ms: u64,
    /// For whom.
    pub scope: Scope,
}

impl Hints {
    /// Of a result that gives none: ask each time, and keep it from others.
    pub const NONE: Hints = Hints { ttl_ms: 0, scope: Scope::Private };

    /// From the text of a result. What is absent or makes no sense counts as in [`Hints::NONE`].
    pub fn read(result: &str) -> Hints {
        find(result, ["ttlMs", "cacheScope"]).map_or(Hints::NONE, |[ttl_ms, scope]| Hints::of(ttl_ms, scope))
    }

    /// From the texts of `ttlMs` and `cacheScope`.
    pub(super) fn of(ttl_ms: Option<&str>, scope: Option<&str>) -> Hints {
        let ttl_ms = ttl_ms.and_then(|text| text.parse().ok()).unwrap_or(Hints::NONE.ttl_ms);
        let scope = if scope == Some("\"public\"") { Scope::Public } else { Hints::NONE.scope };
        Hints { ttl_ms, scope }
    }

    /// Of a result that is made of two: as short as the shorter, private if one is.
    pub fn and(self, other: Hints) -> Hints {
        let scope = if self.scope == Scope::Public { other.scope } else { Scope::Private };
        Hints { ttl_ms: self.ttl_ms.min(other.ttl_ms), scope }
    }
}

/// Appends the members that a complete result of 2026-07-28 has beside its contents, when the gateway itself
/// makes it. Those that may be kept (server/utilities/caching) give `hints`.
pub fn write_complete(out: &mut Vec<u8>, hints: Option<Hints>) {
    out.extend_from_slice(b"\"resultType\":\"complete\"");
    if let Some(hints) = hints {
        out.extend_from_slice(b",\"ttlMs\":");
        out.extend_from_slice(itoa::Buffer::new().format(hints.ttl_ms).as_bytes());
        out.extend_from_slice(match hints.scope {
            Scope::Public => b",\"cacheScope\":\"public\"" as &[u8],
            Scope::Private => b",\"cacheScope\":\"private\"",
        });
    }
    for part in [",\"_meta\":{\"", key::SERVER_INFO, "\":", SERVER_INFO, "}"] {
        out.extend_from_slice(part.as_bytes());
    }
}

/// Whether complete results of the method must give [`Hints`].
const fn is_cacheable(method: Method) -> bool {
    method.list_key().is_some() || matches!(method, Method::Discover | Method::ResourcesRead)
}

/// Appends a result of any server as a client of 2026-07-28 wants it: what such a result must say and
/// this one does not is put in front of it. `server` is the text of the server's `serverInfo`; without it
/// the gateway names itself. What is no object is passed on.
pub fn to_modern(out: &mut Vec<u8>, method: Method, result: &str, server: Option<&str>) {
    let Ok([result_type, ttl_ms, scope, meta]) = find(result, ["resultType", "ttlMs", "cacheScope", "_meta"])
    else {
        return out.extend_from_slice(result.as_bytes());
    };
    let server = format!("\"{}\":{}", key::SERVER_INFO, server.unwrap_or(SERVER_INFO));
    let new_meta = format!("\"_meta\":{{{server}}}");
    let cacheable = is_cacheable(method) && matches!(result_type, None | Some("\"complete\""));
    let missing = [
        (result_type.is_none(), "\"resultType\":\"complete\""),
        (cacheable && ttl_ms.is_none(), "\"ttlMs\":0"),
        (cacheable && scope.is_none(), "\"cacheScope\":\"private\""),
        (meta.is_none(), &new_meta),
    ];
    let missing: Vec<_> = missing.into_iter().filter_map(|(missing, text)| missing.then_some(text)).collect();
    let nameless = meta.filter(|meta| matches!(find(meta, [key::SERVER_INFO]), Ok([None])));
    let edits = [in_front(result, &missing.join(",")), nameless.and_then(|meta| in_front(meta, &server))];
    let edits: Vec<_> = edits.iter().flatten().map(|(place, with)| (*place, with.as_bytes())).collect();
    splice(out, result, &edits);
}

/// Appends a complete result of 2026-07-28 as it was before that revision: without `resultType` and hints.
pub fn to_legacy(out: &mut Vec<u8>, result: &str) {
    rebuild(out, result, b"", &["resultType", "ttlMs", "cacheScope"]);
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::{Value, json};

    use super::*;

    fn modern(method: &str, result: &str) -> String {
        let mut out = Vec::new();
        to_modern(&mut out, Method::of(method), result, Some("{\"name\":\"s\"}"));
        String::from_utf8(out).unwrap()
    }

    fn legacy(result: &str) -> String {
        let mut out = Vec::new();
        to_legacy(&mut out, result);
        String::from_utf8(out).unwrap()
    }

    const NAMED: &str = r#""io.modelcontextprotocol/serverInfo":{"name":"s"}"#;

    #[test]
    fn a_legacy_result_gets_what_it_lacks() {
        let cases = [
            (
                "tools/call",
                r#"{"content":[1.0]}"#,
                r#"{"resultType":"complete","_meta":{@},"content":[1.0]}"#,
            ),
            (
                "tools/list",
                r#"{ "tools":[] }"#,
                r#"{"resultType":"complete","ttlMs":0,"cacheScope":"private","_meta":{@}, "tools":[] }"#,
            ),
            ("ping", "{}", r#"{"resultType":"complete","_meta":{@}}"#),
            ("ping", r#"{"_meta":{}}"#, r#"{"resultType":"complete","_meta":{@}}"#),
            ("ping", r#"{"_meta":{"a":1},"b":2}"#, r#"{"resultType":"complete","_meta":{@,"a":1},"b":2}"#),
            (
                "resources/read",
                r#"{"ttlMs":5,"_meta":{@}}"#,
                r#"{"resultType":"complete","cacheScope":"private","ttlMs":5,"_meta":{@}}"#,
            ),
        ];
        for (method, result, expected) in cases {
            assert_eq!(modern(method, &result.replace('@', NAMED)), expected.replace('@', NAMED));
        }
    }

    #[test]
    fn what_a_modern_result_says_stays() {
        let asked = r#"{"resultType":"input_required","requestState":"s","_meta":{@}}"#.replace('@', NAMED);
        assert_eq!(modern("resources/read", &asked), asked);
        assert_eq!(modern("tools/list", "[]"), "[]");
    }

    #[test]
    fn the_gateway_names_itself_where_the_server_does_not() {
        let mut out = Vec::new();
        to_modern(&mut out, Method::Ping, "{}", None);
        let result: Value = serde_json::from_slice(&out).unwrap();
        assert_eq!(result["_meta"][key::SERVER_INFO]["name"], "weir");
    }

    #[test]
    fn a_modern_result_becomes_a_legacy_one() {
        let result =
            r#"{"resultType":"complete","tools":[ 1e0 ],"ttlMs":1,"cacheScope":"public","_meta":{}}"#;
        assert_eq!(legacy(result), r#"{"tools":[ 1e0 ],"_meta":{}}"#);
        assert_eq!(legacy(r#"{"resultType":"complete"}"#), "{}");
    }

    proptest! {
        #[test]
        fn to_modern_and_back_loses_nothing(
            keys in proptest::collection::btree_set("[a-z\"\\\\]{0,4}", 0..5), list: bool, value in ".{0,5}",
        ) {
            let object = Value::Object(keys.into_iter().map(|key| (key, json!([value]))).collect());
            let there = modern(if list { "tools/list" } else { "tools/call" }, &object.to_string());
            let mut back: Value = serde_json::from_str(&legacy(&there)).unwrap();
            back.as_object_mut().unwrap().remove("_meta");
            prop_assert_eq!(back, object);
        }
    }

    #[test]
    fn merged_hints_keep_the_stricter_of_each() {
        let public = |ttl_ms| Hints { ttl_ms, scope: Scope::Public };
        assert_eq!(public(5).and(public(3)), public(3));
        assert_eq!(public(5).and(Hints::NONE), Hints::NONE);
        assert_eq!(Hints::NONE.and(public(5)), Hints::NONE);
        assert_eq!(Hints::read(r#"{"ttlMs":7,"cacheScope":"public"}"#), public(7));
        for unclear in ["{}", "[]", r#"{"ttlMs":-1,"cacheScope":"all"}"#, r#"{"ttlMs":"9","cacheScope":1}"#] {
            assert_eq!(Hints::read(unclear), Hints::NONE, "{unclear}");
        }
    }
}
