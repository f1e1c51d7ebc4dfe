//! Commands that ask a running gateway by its admin port.

mod blacklist;
mod dlq;
mod features;
mod show;
#[cfg(test)]
mod tests;
mod trouble;

use std::process::ExitCode;
use std::time::Duration;

use clap::{Args, Subcommand};
use serde_json::{Value, json};

use self::features::Features;
use self::show::rows;
use super::Failure;
use super::admin::{Admin, AdminFailure, Target, segment};
use crate::config::duration;

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Load, admission and shedding; sets the last two for a while
    Control(Control),
    /// Clients: who, since when, how much waits for them
    Clients(Clients),
    /// Circuit breakers of transports, router and upstreams; holds one for a while
    Breakers(Breakers),
    /// Connections to upstreams; sets a pool's size and weight for a while
    Pool(Pool),
    /// Which shard is home to how many clients and topics
    HashRing(Target),
    /// Which part of the messages spans are recorded of, and what becomes of these; sets it
    Sampling(Sampling),
    /// What the rules have allowed, refused and reported; reads their file again
    Rules(Rules),
    /// What can be switched while the gateway runs, and what it costs; switches one
    Features(Features),
    /// Have the configuration read again, and print what has changed and what needs a restart
    Reload(Target),
    /// Forget clients that are away
    Cleanup(Cleanup),
    /// Messages that were given up: lists, shows, sends again and forgets them
    #[command(subcommand)]
    Dlq(dlq::Command),
    /// What one client was refused of late, and why
    Errors(trouble::Errors),
    /// What waits: in outboxes, for acknowledgements, for servers, and for whom
    Queue(trouble::Queue),
    /// Who may not come in
    #[command(subcommand)]
    Blacklist(blacklist::Command),
    /// Begin the orderly stop
    Drain(Drain),
}

/// For how long what is set lasts.
#[derive(Debug, Args)]
pub(super) struct Term {
    /// How long it lasts, such as 30s, 5m or 1h, at most 168h [default: 5m]
    #[arg(long = "for", value_name = "TIME")]
    lasts: Option<String>,
}

#[derive(Debug, Args)]
pub(super) struct Control {
    /// Who may come in: open, soft (guests and, in a crowd, newcomers are refused), hard (nobody), auto
    #[arg(long, value_name = "STATE")]
    admission: Option<String>,
    /// Which publishes are refused: 0 none, 1 low, 2 also normal, 3 also high, auto
    #[arg(long, value_name = "LEVEL")]
    shedding: Option<String>,
    #[command(flatten)]
    term: Term,
    #[command(flatten)]
    at: Target,
}

#[derive(Debug, Args)]
pub(super) struct Clients {
    /// What they are sorted by, the largest first [default: age]
    #[arg(long, value_name = "KEY", value_parser = ["age", "idle", "queue", "bytes", "errors"])]
    sort: Option<String>,
    /// Only who is connected for so long, such as 24h
    #[arg(long, value_name = "TIME")]
    older: Option<String>,
    /// At most as many [default: 100]
    #[arg(long, value_name = "N")]
    limit: Option<usize>,
    #[command(flatten)]
    at: Target,
}

#[derive(Debug, Args)]
pub(super) struct Breakers {
    /// The breaker to hold
    #[arg(requires = "state")]
    name: Option<String>,
    /// open, closed, or auto: as what happens decides
    state: Option<String>,
    #[command(flatten)]
    term: Term,
    #[command(flatten)]
    at: Target,
}

#[derive(Debug, Args)]
pub(super) struct Pool {
    /// The upstream whose pool is set
    upstream: Option<String>,
    /// Connections that may stay, all shards together
    #[arg(long, value_name = "N", requires = "upstream")]
    size: Option<u32>,
    /// Its share of control.pool_total
    #[arg(long, value_name = "N", requires = "upstream")]
    weight: Option<u32>,
    /// As configured again
    #[arg(long, requires = "upstream", conflicts_with_all = ["size", "weight"])]
    reset: bool,
    #[command(flatten)]
    term: Term,
    #[command(flatten)]
    at: Target,
}

#[derive(Debug, Args)]
pub(super) struct Cleanup {
    /// How long they must have been away, such as 300s
    #[arg(long, value_name = "TIME")]
    max_idle: String,
    #[command(flatten)]
    at: Target,
}

#[derive(Debug, Args)]
pub(super) struct Drain {
    /// Why, for the clients and the log, at most 256 bytes
    #[arg(long, value_name = "TEXT")]
    reason: Option<String>,
    #[command(flatten)]
    at: Target,
}

#[derive(Debug, Args)]
pub(super) struct Sampling {
    /// The part, from 0 to 1, until the gateway ends
    rate: Option<f64>,
    #[command(flatten)]
    at: Target,
}

#[derive(Debug, Args)]
pub(super) struct Rules {
    /// Read the rule file again first
    #[arg(long)]
    reload: bool,
    #[command(flatten)]
    at: Target,
}

/// Runs the command.
///
/// # Errors
/// Nobody answers, or with a refusal.
pub(super) fn run(command: Command, environment: &[(String, String)]) -> Result<ExitCode, Failure> {
    let (answer, show, at) = ask(&command, environment)?;
    at.show(&answer, show);
    Ok(ExitCode::SUCCESS)
}

/// How an answer is shown.
type Show = fn(&Value) -> String;

/// An answer, how it is shown, and whether that is asked for as JSON.
type Answered<'a> = (Value, Show, &'a Target);

fn ask<'a>(command: &'a Command, environment: &[(String, String)]) -> Result<Answered<'a>, Failure> {
    let caller = |at: &Target| at.admin(environment);
    Ok(match command {
        Command::HashRing(at) => (caller(at)?.get("/mcp/admin/ring")?, show::ring, at),
        Command::Drain(order) => {
            let why = json!({ "reason": order.reason });
            (caller(&order.at)?.post("/mcp/admin/drain", &why)?, show::plain, &order.at)
        }
        Command::Reload(at) => (caller(at)?.post("/mcp/admin/reload", &json!({}))?, show::reload, at),
        Command::Control(order) => (order.ask(&caller(&order.at)?)?, show::plain, &order.at),
        Command::Clients(order) => (caller(&order.at)?.get(&order.path()?)?, show::clients, &order.at),
        Command::Breakers(order) => (order.ask(&caller(&order.at)?)?, show::breakers, &order.at),
        Command::Pool(order) => (order.ask(&caller(&order.at)?)?, show::pools, &order.at),
        Command::Sampling(order) => (order.ask(&caller(&order.at)?)?, show::plain, &order.at),
        Command::Dlq(order) => order.ask(environment)?,
        Command::Errors(order) => order.ask(environment)?,
        Command::Queue(order) => order.ask(environment)?,
        Command::Blacklist(order) => order.ask(environment)?,
        Command::Rules(order) => (order.ask(&caller(&order.at)?)?, show::rules, &order.at),
        Command::Features(order) => (order.ask(&caller(&order.at)?)?, features::show, &order.at),
        Command::Cleanup(order) => {
            let idle = json!({ "max_idle_s": seconds("--max-idle", &order.max_idle)? });
            (caller(&order.at)?.post("/mcp/admin/cleanup", &idle)?, show::plain, &order.at)
        }
    })
}

impl Term {
    /// The order, with how long it lasts.
    fn of(&self, mut order: Value) -> Result<Value, AdminFailure> {
        if let Some(lasts) = &self.lasts {
            order["for_s"] = seconds("--for", lasts)?.into();
        }
        Ok(order)
    }
}

impl Control {
    fn ask(&self, caller: &Admin) -> Result<Value, AdminFailure> {
        if self.admission.is_none() && self.shedding.is_none() {
            return caller.get("/mcp/admin/control");
        }
        let mut order = json!({});
        if let Some(admission) = &self.admission {
            order["admission"] = admission.as_str().into();
        }
        if let Some(level) = &self.shedding {
            order["shedding"] = level.parse::<u64>().map_or_else(|_| level.as_str().into(), Value::from);
        }
        caller.put("/mcp/admin/control", &self.term.of(order)?)
    }
}

impl Clients {
    fn path(&self) -> Result<String, AdminFailure> {
        let mut query = form_urlencoded::Serializer::new(String::new());
        if let Some(sort) = &self.sort {
            query.append_pair("sort", sort);
        }
        if let Some(older) = &self.older {
            query.append_pair("older", &seconds("--older", older)?.to_string());
        }
        if let Some(limit) = self.limit {
            query.append_pair("limit", &limit.to_string());
        }
        Ok(format!("/mcp/admin/connections?{}", query.finish()))
    }
}

impl Breakers {
    fn ask(&self, caller: &Admin) -> Result<Value, AdminFailure> {
        let (Some(name), Some(state)) = (&self.name, &self.state) else {
            return caller.get("/mcp/admin/breakers");
        };
        let path = format!("/mcp/admin/breakers/{}", segment(name));
        caller.put(&path, &self.term.of(json!({ "state": state }))?)
    }
}

impl Pool {
    fn ask(&self, caller: &Admin) -> Result<Value, AdminFailure> {
        let Some(upstream) = &self.upstream else { return caller.get("/mcp/admin/pools") };
        let order = match (self.reset, self.size, self.weight) {
            (true, ..) => json!({ "size": null, "weight": null }),
            (false, Some(size), Some(weight)) => json!({ "size": size, "weight": weight }),
            (false, Some(size), None) => json!({ "size": size }),
            (false, None, Some(weight)) => json!({ "weight": weight }),
            (false, None, None) => return caller.get("/mcp/admin/pools"),
        };
        caller.put(&format!("/mcp/admin/pools/{}", segment(upstream)), &self.term.of(order)?)
    }
}

impl Sampling {
    fn ask(&self, caller: &Admin) -> Result<Value, AdminFailure> {
        match self.rate {
            Some(rate) => caller.put("/mcp/admin/sampling", &json!({ "rate": rate })),
            None => caller.get("/mcp/admin/sampling"),
        }
    }
}

impl Rules {
    fn ask(&self, caller: &Admin) -> Result<Value, AdminFailure> {
        match self.reload {
            true => caller.post("/mcp/admin/rules/reload", &json!({})),
            false => caller.get("/mcp/admin/rules"),
        }
    }
}

/// Whole seconds of a time such as `5m`.
fn seconds(flag: &'static str, text: &str) -> Result<u64, AdminFailure> {
    let time = duration(text).filter(|time| time.subsec_nanos() == 0 && *time >= Duration::from_secs(1));
    time.map(|time| time.as_secs()).ok_or_else(|| AdminFailure::Time { flag, text: text.to_owned() })
}
