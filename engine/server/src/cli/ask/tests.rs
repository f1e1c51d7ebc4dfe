use anstream::adapter::strip_str;
use serde_json::json;

use super::*;

/// Without colours.
fn lines(table: &str) -> Vec<String> {
    strip_str(table).to_string().lines().map(str::to_owned).collect()
}

#[test]
fn breakers_stand_one_below_the_other() {
    let breaker = |name, held: Option<u64>| json!({"name": name, "state": "open", "succeeded": 0, "failed": 10, "retry_after_ms": 29_001, "held_ms": held});
    let table = show::breakers(&json!({ "breakers": [breaker("websocket", None), breaker("a", Some(1))] }));
    assert_eq!(
        lines(&table),
        [
            "breaker    state  succeeded  failed  retry in  held for",
            "websocket  open           0      10      30 s         -",
            "a          open           0      10      30 s       1 s",
        ]
    );
}

#[test]
fn figures_are_named_by_where_they_stand() {
    let table = show::plain(&json!({"turns": 3, "load": {"turns": 0.1234}, "shards": [{"turns": 3}]}));
    assert_eq!(lines(&table), ["load.turns  0.12", "turns          3"]);
}

#[test]
fn times_are_whole_seconds() {
    assert_eq!((seconds("--for", "5m").ok(), seconds("--for", "1s").ok()), (Some(300), Some(1)));
    for wrong in ["", "5", "0s", "500ms", "1500ms"] {
        let said = seconds("--for", wrong).expect_err("no whole seconds").to_string();
        assert!(said.contains("--for") && said.contains("30s"), "{said}");
    }
}
