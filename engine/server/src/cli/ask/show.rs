//! Answers as tables.

use serde_json::Value;

/// Lines of columns, the first of them their names.
#[derive(Debug, Default)]
pub(super) struct Table(Vec<Vec<String>>);

impl Table {
    fn of(names: &[&str], rows: impl Iterator<Item = Vec<String>>) -> Table {
        let names = names.iter().map(|name| name.to_string()).collect();
        Table(std::iter::once(names).chain(rows).collect())
    }

    /// The lines, with columns one below the other.
    pub(super) fn lines(&self) -> impl Iterator<Item = String> {
        let columns = self.0.iter().map(Vec::len).max().unwrap_or(0);
        let width = |column: usize| {
            let cells = self.0.iter().filter_map(|row: &Vec<String>| row.get(column));
            cells.map(|cell| cell.chars().count()).max()
        };
        let widths: Vec<usize> = (0..columns).map(|column| width(column).unwrap_or(0)).collect();
        self.0.iter().map(move |row| {
            let cells = row.iter().zip(&widths).map(|(cell, width)| format!("{cell:width$}"));
            cells.collect::<Vec<_>>().join("  ").trim_end().to_owned()
        })
    }
}

/// A value as people read it; a number at most to a hundredth.
fn text(value: &Value) -> String {
    match value {
        Value::Null => "-".to_owned(),
        Value::String(text) => text.clone(),
        Value::Number(number) if number.is_f64() => {
            let number = number.as_f64().unwrap_or(0.0);
            let rounded = format!("{number:.2}");
            rounded.trim_end_matches('0').trim_end_matches('.').to_owned()
        }
        other => other.to_string(),
    }
}

/// Milliseconds as seconds, for what lasts.
fn seconds(value: &Value) -> String {
    value.as_u64().map_or_else(|| "-".to_owned(), |millis| format!("{} s", millis.div_ceil(1_000)))
}

/// The objects in a list of an answer, each by its named members.
fn rows<'a>(
    answer: &'a Value,
    list: &str,
    members: &'a [&'a str],
) -> impl Iterator<Item = Vec<String>> + use<'a> {
    let objects = answer[list].as_array().map(Vec::as_slice).unwrap_or_default();
    objects.iter().map(move |object| {
        let cell = |member: &&str| {
            if member.ends_with("_ms") && *member != "avg_checkout_time_ms" {
                seconds(&object[*member])
            } else {
                text(&object[*member])
            }
        };
        members.iter().map(cell).collect()
    })
}

/// The members of an object, one a line; those of objects in it under both names.
fn members(table: &mut Vec<Vec<String>>, prefix: &str, answer: &Value) {
    for (name, value) in answer.as_object().into_iter().flatten() {
        match value {
            Value::Object(_) => members(table, &format!("{prefix}{name}."), value),
            // Core by core: with --json.
            Value::Array(_) => {}
            value => table.push(vec![format!("{prefix}{name}"), text(value)]),
        }
    }
}

pub(super) fn stats(answer: &Value) -> Table {
    let mut lines = Vec::new();
    members(&mut lines, "", answer);
    Table(lines)
}

pub(super) fn plain(answer: &Value) -> Table {
    stats(answer)
}

pub(super) fn control(answer: &Value) -> Table {
    stats(answer)
}

pub(super) fn ring(answer: &Value) -> Table {
    let mut table = Table::of(
        &["shard", "weight", "virtual nodes", "keys"],
        rows(answer, "nodes", &["id", "weight", "vnode_count", "key_count"]),
    );
    table.0.push(vec!["variance".to_owned(), text(&answer["distribution_variance"])]);
    table
}

pub(super) fn clients(answer: &Value) -> Table {
    let members = &[
        "client_id",
        "transport",
        "connections",
        "age_seconds",
        "idle_seconds",
        "queue",
        "bytes",
        "received",
    ];
    let names = &["client", "transport", "connections", "age s", "idle s", "queue", "bytes", "received"];
    Table::of(names, rows(answer, "clients", members))
}

pub(super) fn breakers(answer: &Value) -> Table {
    let members = &["name", "state", "succeeded", "failed", "retry_after_ms", "held_ms"];
    Table::of(
        &["breaker", "state", "succeeded", "failed", "retry in", "held for"],
        rows(answer, "breakers", members),
    )
}

pub(super) fn pools(answer: &Value) -> Table {
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
    Table::of(names, rows(answer, "pools", members))
}
