//! The rule file while the gateway runs: read again on SIGHUP or when the operator says so, as a whole or not at all,
//! and given to every shard, which takes it between two messages.

use std::path::PathBuf;
use std::sync::Arc;

use axum::Router;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Json, Response};
use axum::routing::{get, post};
use serde::Serialize;
use serde_json::json;
use tokio::sync::Mutex;
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
    /// None: there are none, ever.
    file: Option<PathBuf>,
    /// Beside the operator's own.
    injection: limits::Rules,
    roles: Box<[RoleRules]>,
    /// Locked while it is replaced: all shards get the files in the same order.
    held: Mutex<Held>,
    mailbox: Mailbox,
    bus: Bus,
}

struct Held {
    set: RuleSet,
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
        let limits::Rules { injection, backend_injection, set } = config.rules.clone();
        let injection = limits::Rules { injection, backend_injection, set: RuleSet::default() };
        let held = Mutex::new(Held { set, since: now() });
        Rulebook { file, injection, roles: config.auth.roles.clone(), held, mailbox, bus }
    }

    /// Whether there is a file.
    pub(super) fn has_file(&self) -> bool {
        self.file.is_some()
    }

    /// What the rules are called, in their order.
    pub(super) async fn names(&self) -> Vec<Box<str>> {
        self.held.lock().await.set.rules.iter().map(|rule| rule.name.clone()).collect()
    }

    /// Reads the file again. When this returns each shard has its rules, or none has.
    ///
    /// # Errors
    /// What is wrong with it; the rules stay as they are.
    pub(super) async fn reload(&self) -> Result<usize, String> {
        let Some(file) = &self.file else {
            return Err("there is no rule file; set rules.file and start again".into());
        };
        let mut held = self.held.lock().await;
        let roles: Vec<&str> = self.roles.iter().map(|role| &*role.name).collect();
        let set = match config::load_rules(file, &roles) {
            Ok(set) => set,
            Err(wrong) => {
                let message = wrong.to_string();
                error!("the rules stay as they are: {message}");
                self.say(Event::RulesRejected { message: message.as_str().into() });
                return Err(message);
            }
        };
        let limits = limits::Rules { set, ..self.injection.clone() };
        let seed = random().map(u64::from_ne_bytes).map_err(|error| error.to_string())?;
        let rules = Rules::new(&limits, &self.roles, seed);
        for shard in 0..self.mailbox.shards() {
            self.mailbox.send(Member(shard), Mail::Rules(Box::new(rules.clone()))).await;
        }
        let (count, dry_run) = (limits.set.rules.len(), limits.set.dry_run);
        *held = Held { set: limits.set, since: now() };
        info!(rules = count, dry_run, file = %file.display(), "the rules were read again");
        self.say(Event::RulesReloaded { rules: count as u64, dry_run });
        Ok(count)
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
    let mut totals = vec![RuleCount::default(); held.set.rules.len()];
    for shard in admin.shards() {
        let Ok(Answer::Rules(counts)) = admin.ask(shard, Question::Rules).await else {
            return no_answer(shard);
        };
        totals.iter_mut().zip(&counts).for_each(|(total, count)| total.add(count));
    }
    let shown = held.set.rules.iter().zip(&totals).map(|(rule, count)| Shown {
        name: &rule.name,
        effect: rule.effect.name(),
        dry_run: rule.dry_run || held.set.dry_run,
        allowed: count.allowed,
        refused: count.refused,
        reported: count.reported,
    });
    let shown: Vec<Shown<'_>> = shown.collect();
    let file = &rulebook.file;
    Json(json!({ "file": file, "since": held.since, "dry_run": held.set.dry_run, "rules": shown }))
        .into_response()
}

async fn reload(State(admin): State<Arc<Admin>>) -> Response {
    match admin.rules().reload().await {
        Ok(_) => list(State(admin)).await,
        Err(wrong) => {
            let body = json!({ "error": "invalid_message", "reason": "malformed", "message": wrong, "retry_after": null });
            (StatusCode::BAD_REQUEST, Json(body)).into_response()
        }
    }
}

fn now() -> String {
    timestamp(Clock::now().wall)
}
