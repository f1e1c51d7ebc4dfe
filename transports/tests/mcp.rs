//! The texts of MCP: what is read of them, what is put in their place.

#[path = "mcp/eras.rs"]
mod eras;
#[path = "mcp/headers.rs"]
mod headers;
#[path = "mcp/methods.rs"]
mod methods;
#[path = "mcp/objects.rs"]
mod objects;
#[path = "mcp/param_headers.rs"]
mod param_headers;
#[path = "mcp/params.rs"]
mod params;
#[path = "mcp/splices.rs"]
mod splices;

use proptest::prelude::*;
use serde_json::Value;

/// Values of every type, at most six containers deep.
fn value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        // Such that the oracle reads what it wrote.
        any::<i32>().prop_map(|eighths| Value::from(f64::from(eighths) / 8.0)),
        ".{0,20}".prop_map(Value::from),
    ];
    leaf.prop_recursive(6, 40, 6, |inner| {
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..6).prop_map(Value::from),
            object(inner).prop_map(Value::Object),
        ]
    })
}

/// Objects of up to five members.
fn object(inner: impl Strategy<Value = Value>) -> impl Strategy<Value = serde_json::Map<String, Value>> {
    proptest::collection::vec(("[a-c\"é]{0,3}", inner), 0..6)
        .prop_map(|members| members.into_iter().collect())
}

/// `value` as a text, without or with space between its parts.
fn text(value: &Value, pretty: bool) -> String {
    if pretty { serde_json::to_string_pretty(value) } else { serde_json::to_string(value) }.unwrap()
}
