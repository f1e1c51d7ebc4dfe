//! What several servers offer together, said as of one (2025-11-25 basic/lifecycle, Capability Negotiation;
//! 2026-07-28 schema, `ServerCapabilities`).

use serde_json::{Map, Value, json};

/// The capabilities of a gateway to servers with these, each the text of an object: what any of them can,
/// the gateway can, down to nested flags. What is no object is left out.
///
/// The gateway itself tells of changes to each list it has. Unless `complete`, servers are still to come,
/// and with them may come tools, prompts and resources, so it has all three.
pub fn merge<'a>(servers: impl IntoIterator<Item = &'a str>, complete: bool) -> String {
    let mut merged = Map::new();
    for server in servers {
        if let Ok(Value::Object(server)) = serde_json::from_str(server) {
            merge_objects(&mut merged, server);
        }
    }
    for list in ["tools", "prompts", "resources"] {
        if merged.get(list).is_some_and(Value::is_object) || !complete {
            merge_objects(&mut merged, Map::from_iter([(list.into(), json!({"listChanged": true}))]));
        }
    }
    Value::Object(merged).to_string()
}

/// Adds `more` to `merged`: objects member by member, flags or-ed; of other values that differ the first
/// stays. Recurses no deeper than serde_json reads, 128 objects.
fn merge_objects(merged: &mut Map<String, Value>, more: Map<String, Value>) {
    for (key, value) in more {
        match (merged.get_mut(&key), value) {
            (_, Value::Null) => {}
            (Some(Value::Object(merged)), Value::Object(more)) => merge_objects(merged, more),
            (Some(Value::Bool(flag)), Value::Bool(other)) => *flag |= other,
            (Some(_), _) => {}
            (None, value) => {
                merged.insert(key, value);
            }
        }
    }
}

/// What models should know of several servers, each given by its name and its instructions: those of one
/// as they are, those of more each under its server's name. `None`: no server has any.
pub fn instructions<'a>(servers: impl IntoIterator<Item = (&'a str, &'a str)>) -> Option<String> {
    let said: Vec<_> = servers.into_iter().filter(|(_, text)| !text.is_empty()).collect();
    match said.as_slice() {
        [] => None,
        [(_, text)] => Some((*text).to_owned()),
        several => {
            let parts: Vec<_> = several.iter().map(|(name, text)| format!("# {name}\n\n{text}")).collect();
            Some(parts.join("\n\n"))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn merged(servers: &[&str], complete: bool) -> Value {
        serde_json::from_str(&merge(servers.iter().copied(), complete)).unwrap()
    }

    #[test]
    fn what_any_server_can_the_gateway_can() {
        let servers = [
            r#"{"tools":{},"resources":{"subscribe":false},"logging":{},"experimental":{"a":{"x":1}}}"#,
            r#"{"resources":{"subscribe":true,"listChanged":false},"completions":{},"experimental":{"b":{}}}"#,
            r#"{"extensions":{"io.example/e":{"x":[1]}},"experimental":{"a":{"x":2,"y":3}}}"#,
        ];
        let expected = json!({
            "tools": {"listChanged": true},
            "resources": {"subscribe": true, "listChanged": true},
            "logging": {},
            "completions": {},
            "experimental": {"a": {"x": 1, "y": 3}, "b": {}},
            "extensions": {"io.example/e": {"x": [1]}},
        });
        assert_eq!(merged(&servers, true), expected);
    }

    #[test]
    fn servers_to_come_may_have_lists() {
        let lists = json!({
            "tools": {"listChanged": true}, "prompts": {"listChanged": true}, "resources": {"listChanged": true},
        });
        assert_eq!(merged(&[], false), lists);
        assert_eq!(merged(&[], true), json!({}));
    }

    #[test]
    fn nonsense_and_absence_add_nothing() {
        assert_eq!(merged(&["[]", "{", r#"{"tools":null,"logging":null}"#], true), json!({}));
        assert_eq!(merged(&[r#"{"logging":{}}"#, r#"{"logging":null}"#], true), json!({"logging": {}}));
    }

    #[test]
    fn instructions_stand_under_their_servers_name_when_there_are_several() {
        assert_eq!(instructions([]), None);
        assert_eq!(instructions([("a", "")]), None);
        assert_eq!(instructions([("a", "use it"), ("b", "")]).as_deref(), Some("use it"));
        let both = instructions([("a", "use it"), ("b", "or not")]);
        assert_eq!(both.as_deref(), Some("# a\n\nuse it\n\n# b\n\nor not"));
    }
}
