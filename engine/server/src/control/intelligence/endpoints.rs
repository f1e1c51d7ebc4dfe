//! The admin port's endpoints for what is known of the last hour.

use std::sync::Arc;

use axum::Router;
use axum::extract::{Path, Query, State};
use axum::response::{IntoResponse, Json, Response};
use axum::routing::get;
use serde::Deserialize;
use serde_json::json;
use weir_shard::error::Error;
use weir_shard::mail::{Answer, Question};
use weir_shard::metrics::{Behaviour, Costs};

use super::features::Bill;
use super::metric::Metric;
use super::series::SECONDS;
use crate::control::api::{Admin, no_answer, refuse};

/// Suspects that are named.
const SUSPECTS: usize = 20;

/// How far back.
#[derive(Deserialize)]
struct Span {
    seconds: Option<usize>,
}

/// All endpoints.
pub(in crate::control) fn router() -> Router<Arc<Admin>> {
    Router::new()
        .route("/mcp/stats/features", get(features))
        .route("/mcp/admin/intelligence", get(overview))
        .route("/mcp/admin/intelligence/{metric}", get(series))
}

async fn overview(State(admin): State<Arc<Admin>>) -> Response {
    let mut behaviour = Behaviour::default();
    for shard in admin.shards() {
        match admin.ask(shard, Question::Behaviour { most: SUSPECTS }).await {
            Ok(Answer::Behaviour(more)) => behaviour.add(*more, SUSPECTS),
            _ => return no_answer(shard),
        }
    }
    let mind = admin.intelligence().lock();
    Json(json!({
        "metrics": mind.board.outlooks().collect::<Vec<_>>(),
        "active": mind.board.active().collect::<Vec<_>>(),
        "history": mind.board.told().collect::<Vec<_>>(),
        "clients": behaviour,
    }))
    .into_response()
}

async fn features(State(admin): State<Arc<Admin>>) -> Response {
    let mut costs = Costs::default();
    for shard in admin.shards() {
        match admin.ask(shard, Question::Costs).await {
            Ok(Answer::Costs(more)) => costs.add(&more),
            _ => return no_answer(shard),
        }
    }
    Json(Bill::of(&costs)).into_response()
}

async fn series(
    State(admin): State<Arc<Admin>>,
    Path(name): Path<String>,
    Query(span): Query<Span>,
) -> Response {
    let Some(metric) = Metric::named(&name) else { return refuse(&Error::NotFound { what: "metric" }) };
    let seconds = span.seconds.unwrap_or(SECONDS).min(SECONDS);
    let values = admin.intelligence().lock().board.recent(metric, seconds);
    Json(json!({ "metric": metric.name(), "unit": metric.unit(), "values": values })).into_response()
}
