//! The admin port's endpoints.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use axum::Router;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::middleware;
use axum::response::{IntoResponse, Json, Response};
use axum::routing::get;
use serde::Serialize;
use serde_json::json;
use weir_ring::driver::Kind;
use weir_ring::time::Wall;
use weir_ring::token::Member;
use weir_shard::error::Error;
use weir_shard::hash_ring::HashRing;
use weir_shard::limits::{Auth, Browser};
use weir_shard::mail::{Answer, Mail, Question};
use weir_shard::metrics::Stats;

use super::blacklist;
use super::bus::{self, Bus, Desk, Traces};
use super::current::Current;
use super::dashboard::{self, Dashboard};
use super::draining::{self, Draining};
use super::features::{self, Features};
use super::guard::{self, Guard};
use super::intelligence::{self, Intelligence};
use super::listed::Listed;
use super::mailbox::{Mailbox, NoAnswer};
use super::profile::{self, Profiles};
use super::reload::{self, Reloader};
use super::revocations::{Revocations, Unrevoked};
use super::rules::Rulebook;
use super::telemetry::{self, Telemetry};
use super::{dlq, metrics, pages, regulation, rules, tokens};

/// What the endpoints work with.
pub(super) struct Admin {
    mailbox: Mailbox,
    ring: HashRing,
    blacklist: Arc<Listed>,
    started: Instant,
    draining: Draining,
    auth: Current<Auth>,
    revocations: Mutex<Revocations>,
    insight: Insight,
}

/// What is known of the gateway.
pub(super) struct Insight {
    /// What the shards run on.
    pub(super) driver: Kind,
    pub(super) bus: Bus,
    /// The webhooks.
    pub(super) desks: Vec<Desk>,
    /// What traced clients went through.
    pub(super) traces: Traces,
    pub(super) intelligence: Intelligence,
    pub(super) rules: Arc<Rulebook>,
    /// What is switched on.
    pub(super) features: Features,
    /// Where CPU time goes.
    pub(super) profiles: Profiles,
    pub(super) telemetry: Telemetry,
    pub(super) reloader: Arc<Reloader>,
    pub(super) dashboard: Dashboard,
}

/// `GET /mcp/stats`: the figures of all shards together, then of each.
#[derive(Serialize)]
struct Figures<'a> {
    version: &'static str,
    driver: &'static str,
    uptime_seconds: u64,
    #[serde(flatten)]
    total: &'a Stats,
    shards: Vec<Stats>,
}

impl Admin {
    pub(super) fn new(
        mailbox: Mailbox,
        ring: HashRing,
        blacklist: Arc<Listed>,
        auth: Current<Auth>,
        revocations: Revocations,
        insight: Insight,
        draining: Draining,
    ) -> Admin {
        let started = Instant::now();
        let revocations = Mutex::new(revocations);
        Admin { mailbox, ring, blacklist, started, auth, revocations, insight, draining }
    }

    /// What happens and what hurts.
    pub(super) fn bus(&self) -> &Bus {
        &self.insight.bus
    }

    /// What traced clients went through.
    pub(super) fn traces(&self) -> &Traces {
        &self.insight.traces
    }

    /// The webhooks.
    pub(super) fn desks(&self) -> &[Desk] {
        &self.insight.desks
    }

    /// What tokens are made with, and whom they are for.
    pub(super) fn auth(&self) -> Arc<Auth> {
        self.auth.get()
    }

    /// The orderly stop.
    pub(super) fn draining(&self) -> &Draining {
        &self.draining
    }

    /// All shards.
    pub(super) fn shards(&self) -> impl Iterator<Item = Member> + use<> {
        (0..self.mailbox.shards()).map(Member)
    }

    /// Who is home to whom.
    pub(super) fn ring(&self) -> &HashRing {
        &self.ring
    }

    /// The shard of a client.
    pub(super) fn home(&self, client: &str) -> Member {
        Member(self.ring.home(client.as_bytes()))
    }

    /// The token of this `jti` is taken by no shard any more.
    ///
    /// # Errors
    /// It still is.
    pub(super) async fn revoke(&self, token_id: &str, until: Wall, now: Wall) -> Result<(), Unrevoked> {
        self.revocations.lock().unwrap_or_else(PoisonError::into_inner).add(token_id, until, now)?;
        for shard in self.shards() {
            self.mailbox.send(shard, Mail::Revoke { token_id: token_id.into(), until }).await;
        }
        Ok(())
    }

    /// Tokens that are taken by no shard any more, each with when it would have expired.
    pub(super) fn withdrawn(&self) -> Vec<(String, u64)> {
        let all = self.revocations.lock().unwrap_or_else(PoisonError::into_inner).all();
        all.into_iter().map(|revocation| (revocation.token_id.into(), revocation.until.0)).collect()
    }

    /// Asks a shard.
    pub(super) async fn ask(&self, shard: Member, question: Question) -> Result<Answer, NoAnswer> {
        self.mailbox.ask(shard, question).await
    }

    /// Asks a shard what may take it so long.
    pub(super) async fn ask_for(
        &self,
        shard: Member,
        question: Question,
        patience: Duration,
    ) -> Result<Answer, NoAnswer> {
        self.mailbox.ask_for(shard, question, patience).await
    }

    /// Tells a shard.
    pub(super) async fn send(&self, shard: Member, letter: Mail) {
        self.mailbox.send(shard, letter).await;
    }

    /// See [`Mailbox::read_last`].
    pub(super) fn read_last(&self) {
        self.mailbox.read_last();
    }

    /// No more connections leave.
    pub(super) fn end_emigration(&self) {
        self.mailbox.end_emigration();
    }

    /// Who may not come in.
    pub(super) fn blacklist(&self) -> &Listed {
        &self.blacklist
    }

    /// What is known of the last hour.
    pub(super) fn intelligence(&self) -> &Intelligence {
        &self.insight.intelligence
    }

    /// What is switched on.
    pub(super) fn features(&self) -> &Features {
        &self.insight.features
    }

    /// The profile that may be under way.
    pub(super) fn profiles(&self) -> &Profiles {
        &self.insight.profiles
    }

    /// What may be sent and asked for.
    pub(super) fn rules(&self) -> &Rulebook {
        &self.insight.rules
    }

    /// Where spans go.
    pub(super) fn telemetry(&self) -> &Telemetry {
        &self.insight.telemetry
    }

    /// Who reads the configuration again.
    pub(super) fn reloader(&self) -> &Reloader {
        &self.insight.reloader
    }

    /// The page.
    pub(super) fn dashboard(&self) -> &Dashboard {
        &self.insight.dashboard
    }

    pub(super) fn uptime_seconds(&self) -> u64 {
        self.started.elapsed().as_secs()
    }
}

/// All endpoints, for the operators and the pages that may use them.
pub(super) fn router(admin: Arc<Admin>, guard: Arc<Guard>, pages: Current<Browser>) -> Router {
    let page = if admin.dashboard().is_enabled() { dashboard::router() } else { Router::new() };
    Router::new()
        .route("/", get(index))
        .route("/health", get(health))
        .route("/ready", get(ready))
        .route("/mcp/stats", get(stats))
        .route("/mcp/health/client/{client_id}", get(client))
        .route("/mcp/health/{client_id}", get(client))
        .merge(dlq::router())
        .merge(blacklist::router())
        .merge(bus::router())
        .merge(tokens::router())
        .merge(features::router())
        .merge(intelligence::router())
        .merge(metrics::router())
        .merge(profile::router())
        .merge(regulation::router())
        .merge(reload::router())
        .merge(rules::router())
        .merge(telemetry::router())
        .merge(page)
        .merge(draining::router())
        .fallback(async || refuse(&Error::NotFound { what: "path" }))
        .method_not_allowed_fallback(async || refuse(&Error::MethodNotAllowed { allow: "GET" }))
        .layer(middleware::from_fn_with_state(guard, guard::check))
        .layer(middleware::from_fn_with_state(pages, pages::guard))
        .with_state(admin)
}

/// The dashboard for browsers, a list of endpoints for everybody else.
async fn index(State(admin): State<Arc<Admin>>, headers: HeaderMap) -> Response {
    let accepts = headers.get(header::ACCEPT).and_then(|value| value.to_str().ok());
    let mut answer = match accepts {
        Some(types) if admin.dashboard().is_enabled() && types.contains("text/html") => {
            dashboard::page().await
        }
        _ => endpoints().into_response(),
    };
    answer.headers_mut().insert(header::VARY, HeaderValue::from_static("Accept"));
    answer
}

fn endpoints() -> Json<serde_json::Value> {
    Json(json!({
        "name": "weir",
        "version": env!("CARGO_PKG_VERSION"),
        "endpoints": {
            "/health": "200 while the process lives",
            "/ready": "200 while it takes clients, 503 once it is stopping",
            "/metrics": "the same and more, for Prometheus",
            "/mcp/dashboard": "all of it as a page that follows along",
            "/mcp/stats": "figures of all shards together and of each",
            "/mcp/stats/features": "what each feature costs, as measured",
            "/mcp/health/client/{client_id}": "one client",
            "/mcp/admin/blacklist": "who may not come in; GET, POST, DELETE",
            "/mcp/admin/events": "what happens and what hurts, as an SSE stream; ?topics=",
            "/mcp/admin/breakers": "of transports, router and upstreams; PUT /{name} holds one for a while",
            "/mcp/admin/cleanup": "POST: forgets clients that are away",
            "/mcp/admin/connections": "clients, by age, idle, queue or bytes",
            "/mcp/admin/control": "load, admission, shedding; PUT holds them for a while",
            "/mcp/admin/trace/{client}": "what single messages of a client go through; GET, POST {for_s}, DELETE",
            "/mcp/admin/dlq": "dead letters; /{id}, /{id}/redrive, /redrive",
            "/mcp/admin/drain": "POST {reason?}: the orderly stop; GET: how far it is",
            "/mcp/admin/features": "what can be switched while the gateway runs, with its cost; GET, PUT {name: true or false}",
            "/mcp/admin/intelligence": "the last hour: metrics, trends, forecasts, alerts, suspects; /{metric}",
            "/mcp/admin/pools": "connections to upstreams; PUT /{upstream} sets size and weight for a while",
            "/mcp/admin/reload": "POST: reads the configuration again; GET: what came of it",
            "/mcp/admin/ring": "which shard is home to how many",
            "/mcp/admin/rules": "what may be sent and asked for, and how often it was refused; POST /reload reads the file again",
            "/mcp/admin/sampling": "which part of the messages spans are recorded of, and what becomes of these; PUT {rate}",
            "/mcp/admin/webhooks": "what has become of what webhooks were to be told",
            "/debug/pprof/profile": "where CPU time goes, as a flame graph; ?seconds=",
            "/mcp/admin/token": "POST: makes an access token",
            "/mcp/admin/revoke": "POST: an access token is not taken any more",
        },
    }))
}

pub(super) async fn health(State(admin): State<Arc<Admin>>) -> Json<serde_json::Value> {
    Json(json!({
        "status": "ok",
        "version": env!("CARGO_PKG_VERSION"),
        "uptime_seconds": admin.uptime_seconds(),
    }))
}

pub(super) async fn ready(State(admin): State<Arc<Admin>>) -> Response {
    match admin.progress().await {
        Some(progress) => (StatusCode::SERVICE_UNAVAILABLE, Json(progress)).into_response(),
        None => Json(json!({"status": "ready"})).into_response(),
    }
}

async fn stats(State(admin): State<Arc<Admin>>) -> Response {
    let (mut total, mut shards) = (Stats::default(), Vec::new());
    for shard in admin.shards() {
        let Ok(Answer::Stats(stats)) = admin.ask(shard, Question::Stats).await else {
            return no_answer(shard);
        };
        total.add(&stats);
        shards.push(*stats);
    }
    let uptime_seconds = admin.uptime_seconds();
    let (version, driver) = (env!("CARGO_PKG_VERSION"), admin.insight.driver.name());
    let figures = Figures { version, driver, uptime_seconds, total: &total, shards };
    let mut figures = json!(figures);
    admin.intelligence().complete(&mut figures, &total);
    Json(figures).into_response()
}

async fn client(State(admin): State<Arc<Admin>>, Path(client): Path<String>) -> Response {
    let home = admin.home(&client);
    match admin.ask(home, Question::Health { client: client.into() }).await {
        Ok(Answer::Health(Some(health))) => Json(health).into_response(),
        Ok(Answer::Health(None)) => refuse(&Error::NotFound { what: "client" }),
        _ => no_answer(home),
    }
}

/// The same bodies as on the data ports.
pub(super) fn refuse(error: &Error) -> Response {
    let status = StatusCode::from_u16(error.http_status()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let mut body = Vec::new();
    error.write_json(&mut body);
    (status, [(header::CONTENT_TYPE, "application/json")], body).into_response()
}

pub(super) fn no_answer(shard: Member) -> Response {
    let body = json!({
        "error": "timeout",
        "reason": "timeout",
        "message": format!("Shard {} did not answer; it is overloaded, stalled or ended. Try again.", shard.0),
        "retry_after": 1_000,
    });
    (StatusCode::GATEWAY_TIMEOUT, Json(body)).into_response()
}
