//! The rules while the gateway runs: their file is read again with the configuration, or alone when the operator says so,
//! as a whole or not at all, and given to every shard, which takes them between two messages.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use axum::Router;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Json, Response};
use axum::routing::{get, post};
use serde::Serialize;
use serde_json::json;
use tokio::sync::{Mutex, MutexGuard};
use tracing::{error, info};
use weir_ring::clock::Clock;
use weir_ring::token::Member;
use weir_shard::error::Error;
use weir_shard::limits::{self, Config, RoleRules, RuleSet};
use weir_shard::mail::{Answer, Mail, Question};
use weir_shard::message::timestamp;
use weir_shard::policy::rules::{RuleCount, Rules};
use weir_shard::vsm::{Event, Source};

use super::api::{Admin, no_answer, refuse};
use super::bus::{Bus, Published};
use super::mailbox::Mailbox;
use crate::config;
use crate::gateway::random;

/// The rules that hold, and where they come from.
pub(super) struct Rulebook {
    /// Locked while it is replaced: all shards get the files in the same order.
    held: Mutex<Held>,
    mailbox: Mailbox,
    bus: Bus,
}

/// Rules, and what they are made from.
pub(super) struct Held {
    /// None: there are none but those about injection.
    file: Option<PathBuf>,
    rules: limits::Rules,
    roles: Box<[RoleRules]>,
    /// RFC 3339.
    since: String,
}

/// A rule as it is shown.
#[derive(Serialize)]
struct Shown<'a> {
    name: &'a str,
    effect: &'static str,
    dry_run: bool,
    allowed: u64,
    refused: u64,
    reported: u64,
}

impl Rulebook {
    /// The rules that the shards began with.
    pub(super) fn new(file: Option<PathBuf>, config: &Config, mailbox: Mailbox, bus: Bus) -> Rulebook {
        let (rules, roles) = (config.rules.clone(), config.auth.roles.clone());
        Rulebook { held: Mutex::new(Held { file, rules, roles, since: now() }), mailbox, bus }
    }

    /// Takes what a configuration that was read again says of rules. The shards get what this returns, none if they
    /// have the same already, and until they do, the lock is held.
    ///
    /// # Errors
    /// The kernel has no randomness.
    pub(super) async fn adopt(
        &self,
        file: Option<PathBuf>,
        config: &Config,
    ) -> io::Result<(Option<Rules>, MutexGuard<'_, Held>)> {
        let mut held = self.held.lock().await;
        held.file = file;
        if held.rules == config.rules && held.roles == config.auth.roles {
            return Ok((None, held));
        }
        let rules = Rules::new(&config.rules, &config.auth.roles, random().map(u64::from_ne_bytes)?);
        (held.rules, held.roles, held.since) = (config.rules.clone(), config.auth.roles.clone(), now());
        self.tell(&held);
        Ok((Some(rules), held))
    }

    /// Reads the file again. When this returns each shard has its rules, or none has.
    ///
    /// # Errors
    /// What is wrong with it; the rules stay as they are.
    pub(super) async fn reload(&self) -> Result<(), String> {
        let mut held = self.held.lock().await;
        let Some(file) = &held.file else {
            return Err("there is no rule file; set rules.file and reload the configuration".into());
        };
        let roles: Vec<&str> =
            held.roles.iter().map(|role| &*role.name).filter(|name| !name.is_empty()).collect();
        let set = match config::load_rules(file, &roles) {
            Ok(set) => set,
            Err(wrong) => {
                let message = wrong.to_string();
                error!("the rules stay as they are: {message}");
                self.say(Event::RulesRejected { message: message.as_str().into() });
                return Err(message);
            }
        };
        let limits = limits::Rules { set, ..held.rules.clone() };
        let seed = random().map(u64::from_ne_bytes).map_err(|error| error.to_string())?;
        let rules = Rules::new(&limits, &held.roles, seed);
        for shard in 0..self.mailbox.shards() {
            self.mailbox.send(Member(shard), Mail::Rules(Box::new(rules.clone()))).await;
        }
        (held.rules, held.since) = (limits, now());
        self.tell(&held);
        Ok(())
    }

    /// Says that other rules hold.
    fn tell(&self, held: &Held) {
        let RuleSet { rules, dry_run } = &held.rules.set;
        info!(rules = rules.len(), dry_run, file = ?held.file, "other rules hold");
        self.say(Event::RulesReloaded { rules: rules.len() as u64, dry_run: *dry_run });
    }

    fn say(&self, event: Event) {
        self.bus.publish(Published::event(Clock::now().wall, Source::Control, event));
    }
}

/// All endpoints.
pub(super) fn router() -> Router<Arc<Admin>> {
    let refuse = |allow| async move || refuse(&Error::MethodNotAllowed { allow });
    Router::new()
        .route("/mcp/admin/rules", get(list))
        .route("/mcp/admin/rules/reload", post(reload).fallback(refuse("POST")))
}

async fn list(State(admin): State<Arc<Admin>>) -> Response {
    let rulebook = admin.rules();
    let held = rulebook.held.lock().await;
    let mut totals = vec![RuleCount::default(); held.rules.set.rules.len()];
    for shard in admin.shards() {
        let Ok(Answer::Rules(counts)) = admin.ask(shard, Question::Rules).await else {
            return no_answer(shard);
        };
        totals.iter_mut().zip(&counts).for_each(|(total, count)| total.add(count));
    }
    let shown = held.rules.set.rules.iter().zip(&totals).map(|(rule, count)| Shown {
        name: &rule.name,
        effect: rule.effect.name(),
        dry_run: rule.dry_run || held.rules.set.dry_run,
        allowed: count.allowed,
        refused: count.refused,
        reported: count.reported,
    });
    let shown: Vec<Shown<'_>> = shown.collect();
    Json(json!({ "file": held.file, "since": held.since, "dry_run": held.rules.set.dry_run, "rules": shown }))
        .into_response()
}

async fn reload(State(admin): State<Arc<Admin>>) -> Response {
    match admin.rules().reload().await {
        Ok(()) => list(State(admin)).await,
        Err(wrong) => {
            let body = json!({ "error": "invalid_message", "reason": "malformed", "message": wrong, "retry_after": null });
            (StatusCode::BAD_REQUEST, Json(body)).into_response()
        }
    }
}

fn now() -> String {
    timestamp(Clock::now().wall)
}
