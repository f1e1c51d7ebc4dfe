//! The configuration as a JSON Schema, for editors that read TOML with one.

use serde_json::{Map, Value as Json, json};
use toml::de::DeTable;

use super::keys::{Key, Kind};
use super::manual::{Entry, MANUAL};
use super::value::Value;
use super::{auth, hooks, keys, methods, tls, upstream};

/// What durations look like.
const DURATION: &str = "^[0-9]+ *(ms|s|m|h)$";

/// The schema of a file (JSON Schema, draft 2020-12).
pub(crate) fn schema() -> Json {
    let mut root = section(None);
    for entry in MANUAL.entries() {
        place(&mut root, entry.key.name, of_entry(entry));
    }
    let objects = json!({ "type": "array", "items": { "type": "object" } });
    let named = json!({ "type": "object", "additionalProperties": { "type": "object" } });
    for list in auth::LISTS {
        let sections = list.ends_with(".roles");
        place(&mut root, list, if sections { named.clone() } else { objects.clone() });
    }
    place(&mut root, methods::KEY, named);
    for list in [hooks::WEBHOOKS, hooks::HANDLERS, tls::CERTIFICATES] {
        place(&mut root, list, objects.clone());
    }
    place(&mut root, upstream::KEY, upstreams());
    root["$schema"] = "https://json-schema.org/draft/2020-12/schema".into();
    root["title"] = "Weir's configuration".into();
    root
}

fn section(about: Option<String>) -> Json {
    let mut section = json!({ "type": "object", "properties": {}, "additionalProperties": false });
    if let Some(about) = about {
        section["description"] = about.into();
    }
    section
}

/// Puts what a key takes where its name says, and makes sections on the way.
fn place(root: &mut Json, name: &str, takes: Json) {
    let mut at = root;
    for (dot, _) in name.match_indices('.') {
        let part = name[..dot].rsplit('.').next().unwrap_or_default();
        at = at["properties"]
            .as_object_mut()
            .expect("a section has properties")
            .entry(part)
            .or_insert_with(|| section(MANUAL.section(&name[..dot])));
    }
    let part = name.rsplit('.').next().unwrap_or_default();
    at["properties"][part] = takes;
}

fn of_entry(entry: &Entry) -> Json {
    let Entry { key, default, .. } = entry;
    let mut takes = takes(&key.kind);
    let reload = match key.fixed {
        None => "A reload applies it.".to_owned(),
        Some(why) => format!("A change needs a restart: {why}."),
    };
    let about = [entry.line(), format!("Variable {}. {reload}", key.variable())];
    let about: Vec<String> = about.into_iter().filter(|part| !part.is_empty()).collect();
    takes["description"] = about.join(" ").into();
    takes["default"] = toml_value(default).map_or(Json::Null, |value| json_of(&value));
    takes
}

/// What a key takes; texts that stand for lists are judged by the gateway alone.
fn takes(kind: &Kind) -> Json {
    match kind {
        Kind::Switch(_) => json!({ "type": "boolean" }),
        Kind::Number { min, max, .. } => json!({ "type": "integer", "minimum": min, "maximum": max }),
        Kind::Time { .. } => json!({ "type": "string", "pattern": DURATION }),
        Kind::Part(_) => json!({ "type": "number", "exclusiveMinimum": 0, "maximum": 1 }),
        Kind::Cores(_) => json!({ "type": ["string", "integer"] }),
        Kind::Choice { words, .. } => {
            let words =
                words.iter().map(|word| word.parse::<bool>().map_or_else(|_| json!(word), Json::Bool));
            json!({ "enum": words.collect::<Vec<_>>() })
        }
        Kind::Secret { min, .. } => {
            json!({ "anyOf": [{ "const": "" }, { "type": "string", "minLength": min, "maxLength": 4096 }] })
        }
        Kind::Hosts(_) | Kind::Networks(_) | Kind::Origins(_) | Kind::Tokens(_) | Kind::Names(_) => texts(),
        Kind::Algorithms(_) | Kind::Subjects(_) | Kind::PayloadKeys { .. } | Kind::Servers(_) => texts(),
        Kind::Address(_) | Kind::Folder(_) | Kind::File(_) | Kind::PublicKey(_) | Kind::KeyUrl(_) => text(),
        Kind::Resource(_) => text(),
    }
}

fn text() -> Json {
    json!({ "type": "string" })
}

fn texts() -> Json {
    json!({ "type": ["array", "string"], "items": { "type": "string" } })
}

/// `[[upstream]]`: what is its own is not looked into; bounds are.
fn upstreams() -> Json {
    let mut properties = Map::new();
    for name in upstream::OWN_KEYS {
        properties.insert(name.to_owned(), json!({}));
    }
    for key in keys::UPSTREAM_KEYS {
        properties.insert(key.name.to_owned(), takes(&key.kind));
    }
    for name in keys::UPSTREAM_SECTIONS {
        let of_section = |key: &&Key| key.name.split_once('.').is_some_and(|(section, _)| section == name);
        let mut inner = section(None);
        for key in keys::KEYS.iter().filter(of_section) {
            let (_, own) = key.name.split_once('.').unwrap_or_default();
            inner["properties"][own] = takes(&key.kind);
        }
        properties.insert(name.to_owned(), inner);
    }
    let item = json!({
        "type": "object", "properties": properties, "additionalProperties": false, "required": ["name"],
    });
    json!({ "type": "array", "items": item })
}

/// What a text of TOML's is.
pub(super) fn toml_value(text: &str) -> Option<Value> {
    let document = format!("value = {text}");
    let table = DeTable::parse(&document).ok()?;
    table.get_ref().get("value").map(|value| Value::of_toml(value.get_ref()))
}

fn json_of(value: &Value) -> Json {
    match value {
        Value::Switch(on) => json!(on),
        Value::Number(number) => json!(number),
        Value::Fraction(fraction) => json!(fraction),
        Value::Text(text) => json!(text),
        Value::List(items) => items.iter().map(json_of).collect(),
        Value::Hidden { .. } | Value::Other(_) => Json::Null,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_key_is_in_the_schema_with_a_default_that_it_takes() {
        let schema = schema();
        for entry in MANUAL.entries() {
            let place = entry.key.name.replace('.', "/properties/");
            let found = schema.pointer(&format!("/properties/{place}")).expect(entry.key.name);
            assert!(!found["default"].is_null() && found["description"].is_string(), "{found}");
        }
        assert_eq!(schema["properties"]["server"]["properties"]["shards"]["maximum"], 256);
        assert_eq!(
            schema["properties"]["mcp"]["properties"]["builtin"]["enum"],
            json!(["auto", true, false])
        );
        assert_eq!(
            schema["properties"]["upstream"]["items"]["properties"]["pool"]["properties"]["size"]["minimum"],
            1
        );
        assert_eq!(schema["properties"]["rate_limiting"]["properties"]["roles"]["type"], "object");
    }
}
