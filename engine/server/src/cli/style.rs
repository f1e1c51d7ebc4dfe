//! How answers look on a terminal: tables, colours, and what of a stranger's text is not written as it came.
//!
//! Colours are always there; what prints them (`anstream`) leaves them out where standard output is no terminal, or
//! `NO_COLOR` is set.

use std::fmt::Write;

use anstream::adapter::strip_str;
use anstyle::{AnsiColor, Style};
use serde_json::Value;

/// What is as it should be.
pub(super) fn good(text: &str) -> String {
    paint(AnsiColor::Green.on_default(), text)
}

/// What is on its way to be wrong.
pub(super) fn warning(text: &str) -> String {
    paint(AnsiColor::Yellow.on_default(), text)
}

/// What is wrong.
pub(super) fn bad(text: &str) -> String {
    paint(AnsiColor::Red.on_default().bold(), text)
}

/// What is read last.
pub(super) fn dim(text: &str) -> String {
    paint(Style::new().dimmed(), text)
}

/// Names of columns and parts.
pub(super) fn head(text: &str) -> String {
    paint(Style::new().bold(), text)
}

fn paint(style: Style, text: &str) -> String {
    format!("{style}{text}{style:#}")
}

/// `text` with what would steer a terminal written out.
pub(super) fn printable(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for letter in text.chars() {
        if letter.is_control() {
            let _ = write!(out, "{}", letter.escape_default());
        } else {
            out.push(letter);
        }
    }
    out
}

/// A value as a table shows it; a number at most to a hundredth.
pub(super) fn cell(value: &Value) -> String {
    match value {
        Value::Null => "-".to_owned(),
        Value::String(text) => printable(text),
        Value::Number(number) if number.is_f64() => {
            let rounded = format!("{:.2}", number.as_f64().unwrap_or(0.0));
            rounded.trim_end_matches('0').trim_end_matches('.').to_owned()
        }
        // JSON escapes what controls below the space; the others are rare, and are escaped here.
        other => printable(&other.to_string()),
    }
}

/// Rows under a head, if there is one, each column as wide as it must be; what begins with a digit stands on the right.
pub(super) fn table(names: &[&str], rows: &[Vec<String>]) -> String {
    let names: Vec<String> = names.iter().map(|name| head(name)).collect();
    let names = Some(&names).filter(|names| !names.is_empty());
    let lines = || names.into_iter().chain(rows);
    let columns = lines().map(Vec::len).max().unwrap_or(0);
    let cells = |column: usize| lines().filter_map(move |row| row.get(column));
    let widths: Vec<usize> =
        (0..columns).map(|column| cells(column).map(|cell| width(cell)).max().unwrap_or(0)).collect();
    let line = |row: &Vec<String>| {
        let cells = row.iter().zip(&widths).map(|(cell, &wide)| {
            let (plain, pad) = (strip_str(cell).to_string(), " ".repeat(wide.saturating_sub(width(cell))));
            let digits = plain.strip_prefix('-').unwrap_or(&plain);
            let number = plain == "-" || digits.starts_with(|first: char| first.is_ascii_digit());
            if number { pad + cell } else { cell.clone() + &pad }
        });
        cells.collect::<Vec<_>>().join("  ").trim_end().to_owned() + "\n"
    };
    lines().map(line).collect()
}

/// Columns that `cell` takes, colours left out.
fn width(cell: &str) -> usize {
    strip_str(cell).to_string().chars().count()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_stand_below_each_other_whatever_their_colours() {
        let rows = [vec![good("websocket"), "12".to_owned()], vec!["sse".to_owned(), bad("3.5")]];
        let table = table(&["transport", "open"], &rows);
        assert_ne!(table, strip_str(&table).to_string(), "there are colours");
        assert_eq!(strip_str(&table).to_string(), "transport  open\nwebsocket    12\nsse         3.5\n");
    }

    #[test]
    fn a_strangers_text_steers_no_terminal() {
        let shown = cell(&Value::from("a\x1b[2Jb\u{9b}c\n\u{e9}"));
        assert_eq!(shown, "a\\u{1b}[2Jb\\u{9b}c\\n\u{e9}");
        assert_eq!(cell(&serde_json::json!(1.50)), "1.5");
    }
}
