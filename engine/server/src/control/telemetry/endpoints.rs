//! The admin port's endpoint for sampling.

use std::sync::Arc;

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::response::{IntoResponse, Json, Response};
use axum::routing::get;
use serde::Deserialize;
use tracing::info;
use weir_shard::error::Error;
use weir_shard::mail::Mail;

use crate::control::api::{Admin, refuse};

/// The part of the messages that is to be sampled.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Order {
    rate: f64,
}

/// All endpoints.
pub(in crate::control) fn router() -> Router<Arc<Admin>> {
    let refuse = async || refuse(&Error::MethodNotAllowed { allow: "GET, PUT" });
    Router::new().route("/mcp/admin/sampling", get(sampling).put(set_sampling).fallback(refuse))
}

async fn sampling(State(admin): State<Arc<Admin>>) -> Response {
    Json(admin.telemetry().report()).into_response()
}

async fn set_sampling(State(admin): State<Arc<Admin>>, body: Bytes) -> Response {
    let order: Order = match serde_json::from_slice(&body) {
        Ok(order) => order,
        Err(error) => return refuse(&Error::malformed(error.to_string())),
    };
    if !(0.0..=1.0).contains(&order.rate) {
        return refuse(&Error::malformed("rate is a number from 0 to 1"));
    }
    admin.telemetry().set_rate(order.rate);
    for shard in admin.shards() {
        admin.send(shard, Mail::Sampling(order.rate)).await;
    }
    info!(rate = order.rate, "the part of the messages that is sampled is set");
    Json(admin.telemetry().report()).into_response()
}
