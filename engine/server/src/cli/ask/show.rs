//! Answers as tables.

use serde_json::Value;

use crate::cli::style::{bad, cell, good, table, warning};

/// Milliseconds as seconds, for what lasts.
fn seconds(value: &Value) -> String {
    value.as_u64().map_or_else(|| "-".to_owned(), |millis| format!("{} s", millis.div_ceil(1_000)))
}

/// The objects in a list of an answer, each by its named members.
pub(super) fn rows(answer: &Value, list: &str, members: &[&str]) -> Vec<Vec<String>> {
    let objects = answer[list].as_array().map(Vec::as_slice).unwrap_or_default();
    let row = |object: &Value| {
        let shown = |member: &&str| {
            if member.ends_with("_ms") && *member != "avg_checkout_time_ms" {
                seconds(&object[*member])
            } else {
                cell(&object[*member])
            }
        };
        members.iter().map(shown).collect()
    };
    objects.iter().map(row).collect()
}

/// The members of an object, one a line; those of objects in it under both names.
fn members(lines: &mut Vec<Vec<String>>, prefix: &str, answer: &Value) {
    for (name, value) in answer.as_object().into_iter().flatten() {
        match value {
            Value::Object(_) => members(lines, &format!("{prefix}{name}."), value),
            // Core by core: with --json.
            Value::Array(_) => {}
            value => lines.push(vec![format!("{prefix}{name}"), cell(value)]),
        }
    }
}

pub(super) fn plain(answer: &Value) -> String {
    let mut lines = Vec::new();
    members(&mut lines, "", answer);
    table(&[], &lines)
}

pub(super) fn ring(answer: &Value) -> String {
    let mut nodes = rows(answer, "nodes", &["id", "weight", "vnode_count", "key_count"]);
    nodes.push(vec!["variance".to_owned(), cell(&answer["distribution_variance"])]);
    table(&["shard", "weight", "virtual nodes", "keys"], &nodes)
}

pub(super) fn reload(answer: &Value) -> String {
    let text = |value: &Value| value.as_str().unwrap_or("-").to_owned();
    let listed = |list: &str| answer[list].as_array().map(Vec::as_slice).unwrap_or_default().iter();
    let changed = listed("changed").map(|change| {
        let values = match &change["from"] {
            Value::Null => String::new(),
            from => format!("{} -> {}", text(from), text(&change["to"])),
        };
        vec!["changed".to_owned(), text(&change["key"]), values]
    });
    let waiting = listed("needs_restart")
        .map(|wait| vec!["needs a restart".to_owned(), text(&wait["key"]), text(&wait["why"])]);
    let unchanged = vec![vec!["unchanged".to_owned(), format!("{} keys", listed("unchanged").count())]];
    table(&[], &changed.chain(waiting).chain(unchanged).collect::<Vec<_>>())
}

pub(super) fn rules(answer: &Value) -> String {
    let members = &["name", "effect", "dry_run", "allowed", "refused", "reported"];
    table(&["rule", "effect", "dry run", "allowed", "refused", "reported"], &rows(answer, "rules", members))
}

pub(super) fn clients(answer: &Value) -> String {
    let members = &[
        "client_id",
        "transport",
        "connections",
        "age_seconds",
        "idle_seconds",
        "queue",
        "bytes",
        "received",
        "errors",
    ];
    let names =
        &["client", "transport", "connections", "age s", "idle s", "queue", "bytes", "received", "errors"];
    table(names, &rows(answer, "clients", members))
}

pub(super) fn breakers(answer: &Value) -> String {
    let members = &["name", "state", "succeeded", "failed", "retry_after_ms", "held_ms"];
    let mut breakers = rows(answer, "breakers", members);
    for row in &mut breakers {
        row[1] = match row[1].as_str() {
            "open" => bad("open"),
            "closed" => good("closed"),
            other => warning(other),
        };
    }
    table(&["breaker", "state", "succeeded", "failed", "retry in", "held for"], &breakers)
}

pub(super) fn pools(answer: &Value) -> String {
    let members = &[
        "name",
        "status",
        "size",
        "available",
        "in_use",
        "overflow",
        "queue_length",
        "avg_checkout_time_ms",
        "weight",
        "allocated",
    ];
    let names = &[
        "upstream",
        "status",
        "size",
        "available",
        "in use",
        "overflow",
        "waiting",
        "wait ms",
        "weight",
        "allocated",
    ];
    table(names, &rows(answer, "pools", members))
}
