//! `weir errors` and `weir queue`: what one client was refused, and what waits for whom.

use clap::Args;
use serde_json::{Value, json};

use super::{Answered, rows};
use crate::cli::Failure;
use crate::cli::admin::{Target, segment};
use crate::cli::style::{bad, cell, table, warning};

#[derive(Debug, Args)]
pub(in crate::cli) struct Errors {
    /// The client's name
    client: String,
    #[command(flatten)]
    at: Target,
}

#[derive(Debug, Args)]
pub(in crate::cli) struct Queue {
    /// Clients at most, those with the most messages first
    #[arg(long, value_name = "N", default_value_t = 20)]
    limit: usize,
    #[command(flatten)]
    at: Target,
}

impl Errors {
    pub(super) fn ask(&self, environment: &[(String, String)]) -> Result<Answered<'_>, Failure> {
        let admin = self.at.admin(environment)?;
        let name = segment(&self.client);
        let kept = admin.get(&format!("/mcp/admin/trace/{name}"))?;
        let events = kept["events"].as_array().into_iter().flatten();
        let errors: Vec<&Value> = events.filter(|event| event["event"] == "denied").collect();
        if errors.is_empty() {
            // Whoever is unknown is not who was refused nothing.
            admin.get(&format!("/mcp/health/client/{name}"))?;
        }
        Ok((json!({ "client_id": self.client, "errors": errors }), errors_table, &self.at))
    }
}

impl Queue {
    pub(super) fn ask(&self, environment: &[(String, String)]) -> Result<Answered<'_>, Failure> {
        let admin = self.at.admin(environment)?;
        let stats = admin.get("/mcp/stats")?;
        let pools = admin.get("/mcp/admin/pools")?;
        let clients = admin.get(&format!("/mcp/admin/connections?sort=queue&limit={}", self.limit))?;
        let waits = |client: &&Value| client["queue"] != 0 || client["bytes"] != 0;
        let clients: Vec<&Value> =
            clients["clients"].as_array().into_iter().flatten().filter(waits).collect();
        let pools = pools["pools"].as_array().into_iter().flatten();
        let pools: Vec<Value> =
            pools.map(|pool| json!({ "name": pool["name"], "queue_length": pool["queue_length"] })).collect();
        let answer = json!({
            "outbox_bytes": stats["outbox_bytes"],
            "unacknowledged": stats["delivery"]["pending"],
            "dead_letters": stats["delivery"]["letters"],
            "mcp_calls": stats["mcp"]["calls"],
            "pools": pools,
            "clients": clients,
        });
        Ok((answer, queue_tables, &self.at))
    }
}

fn errors_table(answer: &Value) -> String {
    let errors = answer["errors"].as_array().into_iter().flatten();
    let errors: Vec<Vec<String>> = errors
        .map(|error| {
            let data = &error["data"];
            let reason = bad(&cell(&data["detail"]));
            vec![cell(&error["timestamp"]), cell(&data["operation"]), cell(&data["type"]), reason]
        })
        .collect();
    match errors.is_empty() {
        true => format!("{} was refused nothing of late", cell(&answer["client_id"])),
        false => table(&["when", "operation", "type", "reason"], &errors),
    }
}

fn queue_tables(answer: &Value) -> String {
    let facts = [
        ("bytes in outboxes", &answer["outbox_bytes"]),
        ("messages not acknowledged", &answer["unacknowledged"]),
        ("dead letters", &answer["dead_letters"]),
        ("MCP requests under way", &answer["mcp_calls"]),
    ];
    let mut facts: Vec<Vec<String>> =
        facts.iter().map(|(name, value)| vec![(*name).to_owned(), cell(value)]).collect();
    for pool in answer["pools"].as_array().into_iter().flatten() {
        let waiting = cell(&pool["queue_length"]);
        let waiting = if waiting == "0" { waiting } else { warning(&waiting) };
        facts.push(vec![format!("requests that wait for {}", cell(&pool["name"])), waiting]);
    }
    let members = ["client_id", "queue", "bytes", "connections", "idle_seconds"];
    let clients = rows(answer, "clients", &members);
    let clients = match clients.is_empty() {
        true => "nothing waits for a client\n".to_owned(),
        false => table(&["client", "messages", "bytes", "connections", "idle s"], &clients),
    };
    format!("{}\n{clients}", table(&[], &facts))
}

#[cfg(test)]
mod tests {
    use anstream::adapter::strip_str;

    use super::*;

    #[test]
    fn refusals_have_when_what_and_why() {
        let error = json!({"timestamp": "2026-11-21T17:00:00.000Z", "event": "denied",
            "data": {"operation": "0001000000000002", "type": "chat", "detail": "client"}});
        let shown = errors_table(&json!({ "client_id": "u1", "errors": [error] }));
        let shown = strip_str(&shown).to_string();
        assert!(shown.ends_with("2026-11-21T17:00:00.000Z  0001000000000002  chat  client\n"), "{shown}");
        assert!(errors_table(&json!({"client_id": "u1", "errors": []})).contains("refused nothing"));
    }

    #[test]
    fn nothing_waits_in_an_idle_gateway() {
        let shown = queue_tables(&json!({"outbox_bytes": 0, "pools": [{"name": "a", "queue_length": 2}]}));
        let shown = strip_str(&shown).to_string();
        assert!(shown.contains("requests that wait for a   2\n"), "{shown}");
        assert!(shown.ends_with("nothing waits for a client\n"), "{shown}");
    }
}
