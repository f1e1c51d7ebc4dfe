//! `weir dlq`: messages that were given up.

use clap::{Args, Subcommand};
use serde_json::{Value, json};

use super::{Answered, rows};
use crate::cli::Failure;
use crate::cli::admin::{Target, segment};
use crate::cli::style::{cell, printable, table};

/// Where they are.
const PATH: &str = "/mcp/admin/dlq";

#[derive(Debug, Subcommand)]
pub(in crate::cli) enum Command {
    /// Who did not acknowledge what, the oldest first
    List(List),
    /// One of them, with what it says
    Show(Show),
    /// Send again, under the old ids
    Redrive(Chosen),
    /// Forget
    Purge(Chosen),
}

#[derive(Debug, Args)]
pub(in crate::cli) struct List {
    /// Of this client only
    #[arg(long, value_name = "NAME")]
    client: Option<String>,
    /// At most as many, up to 1000 [default: 100]
    #[arg(long, value_name = "N")]
    limit: Option<usize>,
    /// Those after this id
    #[arg(long, value_name = "ID")]
    after: Option<String>,
    #[command(flatten)]
    at: Target,
}

#[derive(Debug, Args)]
pub(in crate::cli) struct Show {
    /// Its id, such as 5plqaj65-7
    id: String,
    #[command(flatten)]
    at: Target,
}

/// Which of them.
#[derive(Debug, Args)]
#[group(id = "which", required = true, multiple = false, args = ["id", "client", "all"])]
pub(in crate::cli) struct Chosen {
    /// This one
    id: Option<String>,
    /// Those of this client
    #[arg(long, value_name = "NAME")]
    client: Option<String>,
    /// All there are
    #[arg(long)]
    all: bool,
    #[command(flatten)]
    at: Target,
}

impl Command {
    pub(super) fn ask(&self, environment: &[(String, String)]) -> Result<Answered<'_>, Failure> {
        Ok(match self {
            Command::List(order) => (order.at.admin(environment)?.get(&order.path())?, list, &order.at),
            Command::Show(Show { id, at }) => {
                (at.admin(environment)?.get(&format!("{PATH}/{}", segment(id)))?, letter, at)
            }
            Command::Redrive(chosen) => {
                let admin = chosen.at.admin(environment)?;
                (admin.post(&chosen.path("/redrive"), &json!({}))?, done, &chosen.at)
            }
            Command::Purge(chosen) => {
                (chosen.at.admin(environment)?.delete(&chosen.path(""))?, done, &chosen.at)
            }
        })
    }
}

impl List {
    fn path(&self) -> String {
        let mut query = form_urlencoded::Serializer::new(String::new());
        let limit = self.limit.map(|limit| limit.to_string());
        for (name, value) in [("client", &self.client), ("limit", &limit), ("after", &self.after)] {
            if let Some(value) = value {
                query.append_pair(name, value);
            }
        }
        format!("{PATH}?{}", query.finish())
    }
}

impl Chosen {
    /// Of one, or of many, with `deed` behind it.
    fn path(&self, deed: &str) -> String {
        match (&self.id, &self.client, self.all) {
            (Some(id), ..) => format!("{PATH}/{}{deed}", segment(id)),
            (None, Some(client), _) => format!("{PATH}{deed}?client={}", segment(client)),
            (None, None, _) => format!("{PATH}{deed}"),
        }
    }
}

fn list(answer: &Value) -> String {
    let members = ["id", "client_id", "state", "attempts", "bytes", "died_at"];
    let letters = rows(answer, "letters", &members);
    if letters.is_empty() {
        return "there are no dead letters".to_owned();
    }
    let letters = table(&["id", "client", "state", "attempts", "bytes", "given up"], &letters);
    match answer["next"].as_str() {
        Some(next) => format!("{letters}more: --after {}\n", printable(next)),
        None => letters,
    }
}

fn letter(answer: &Value) -> String {
    let names = ["id", "client_id", "state", "attempts", "bytes", "died_at"];
    let facts: Vec<Vec<String>> =
        names.iter().map(|&name| vec![name.to_owned(), cell(&answer[name])]).collect();
    format!("{}{}", table(&[], &facts), printable(&answer["message"].to_string()))
}

/// What has become of one, or of how many.
fn done(answer: &Value) -> String {
    for deed in ["redriven", "purged"] {
        if let Some(count) = answer[deed].as_u64() {
            return format!("{count} {deed}");
        }
    }
    format!("{}  {}", cell(&answer["id"]), cell(&answer["client_id"]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_or_many_are_named_by_the_path() {
        let chosen = |id: Option<&str>, client: Option<&str>| Chosen {
            id: id.map(str::to_owned),
            client: client.map(str::to_owned),
            all: id.is_none() && client.is_none(),
            at: Target::default(),
        };
        assert_eq!(chosen(Some("5plqaj65-7"), None).path("/redrive"), "/mcp/admin/dlq/5plqaj65-7/redrive");
        assert_eq!(chosen(None, Some("a b")).path(""), "/mcp/admin/dlq?client=a%20b");
        assert_eq!(chosen(None, None).path("/redrive"), "/mcp/admin/dlq/redrive");
    }
}
