//! `weir blacklist`: who may not come in.

use std::net::IpAddr;

use clap::{Args, Subcommand};
use ipnet::IpNet;
use serde_json::{Value, json};

use super::{Answered, rows, seconds};
use crate::cli::Failure;
use crate::cli::admin::{AdminFailure, Target, segment};
use crate::cli::style::{cell, table};

/// Where it is.
const PATH: &str = "/mcp/admin/blacklist";

/// What stands before a client's name that looks like an address.
const CLIENT: &str = "client:";

#[derive(Debug, Subcommand)]
pub(in crate::cli) enum Command {
    /// Who is on it, until when, and why
    List(Target),
    /// Keep somebody out; whoever is connected goes at once
    Add(Add),
    /// Let somebody in again
    Remove(Remove),
}

#[derive(Debug, Args)]
pub(in crate::cli) struct Add {
    /// An address, a network such as 10.0.0.0/8, or a client's name (client:NAME where it looks like an address)
    who: String,
    /// For how long, such as 30s, 5m or 24h [default: for good]
    #[arg(long = "for", value_name = "TIME")]
    lasts: Option<String>,
    /// Why, for the operators
    #[arg(long, value_name = "TEXT")]
    reason: Option<String>,
    #[command(flatten)]
    at: Target,
}

#[derive(Debug, Args)]
pub(in crate::cli) struct Remove {
    /// As it was added
    who: String,
    #[command(flatten)]
    at: Target,
}

impl Command {
    pub(super) fn ask(&self, environment: &[(String, String)]) -> Result<Answered<'_>, Failure> {
        Ok(match self {
            Command::List(at) => (at.admin(environment)?.get(PATH)?, list, at),
            Command::Add(add) => (add.at.admin(environment)?.post(PATH, &add.order()?)?, added, &add.at),
            Command::Remove(Remove { who, at }) => {
                let (kind, name) = kind(who);
                let path = format!("{PATH}?{kind}={}", segment(name));
                (at.admin(environment)?.delete(&path)?, removed, at)
            }
        })
    }
}

impl Add {
    fn order(&self) -> Result<Value, AdminFailure> {
        let (kind, name) = kind(&self.who);
        let mut order = json!({ kind: name });
        if let Some(lasts) = &self.lasts {
            order["expires_in"] = seconds("--for", lasts)?.into();
        }
        if let Some(reason) = &self.reason {
            order["reason"] = reason.as_str().into();
        }
        Ok(order)
    }
}

/// Whether somebody is named by address or as a client, and how.
fn kind(who: &str) -> (&'static str, &str) {
    if let Some(name) = who.strip_prefix(CLIENT) {
        return ("client", name);
    }
    let is_address = who.parse::<IpAddr>().is_ok() || who.parse::<IpNet>().is_ok();
    (if is_address { "address" } else { "client" }, who)
}

fn list(answer: &Value) -> String {
    let entries = rows(answer, "entries", &["client", "address", "expires_at", "reason"]);
    match entries.is_empty() {
        true => "nobody is on the blacklist".to_owned(),
        false => table(&["client", "address", "until", "reason"], &entries),
    }
}

fn added(answer: &Value) -> String {
    let who = if answer["client"].is_null() { &answer["address"] } else { &answer["client"] };
    match answer["expires_at"].as_str() {
        Some(_) => format!("{} is kept out until {}", cell(who), cell(&answer["expires_at"])),
        None => format!("{} is kept out", cell(who)),
    }
}

fn removed(_: &Value) -> String {
    "removed".to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_looks_like_an_address_is_one() {
        assert_eq!(kind("10.0.0.0/8"), ("address", "10.0.0.0/8"));
        assert_eq!(kind("::1"), ("address", "::1"));
        assert_eq!(kind("u1"), ("client", "u1"));
        assert_eq!(kind("client:10.0.0.1"), ("client", "10.0.0.1"));
    }
}
