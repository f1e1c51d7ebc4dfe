//! `GET /mcp/admin/events`: the bus as an SSE stream, from now on. `GET /mcp/admin/webhooks`: how those do.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::{Query, State};
use axum::response::sse::{Event, KeepAlive, Sse};
use axum::response::{IntoResponse, Json, Response};
use axum::routing::get;
use futures_util::stream;
use serde::Deserialize;
use serde_json::json;
use weir_shard::error::Error;
use weir_shard::vsm::Topics;

use super::{Desk, Heard, traces};
use crate::control::api::{Admin, refuse};

/// A comment at least this often, so that both ends notice when the other is gone.
const KEEP_ALIVE: Duration = Duration::from_secs(15);

/// What is to be heard.
#[derive(Deserialize)]
struct Wanted {
    /// Names of topics with commas between.
    topics: Option<String>,
}

/// The endpoints.
pub(in crate::control) fn router() -> Router<Arc<Admin>> {
    Router::new()
        .route("/mcp/admin/events", get(events))
        .route("/mcp/admin/webhooks", get(webhooks))
        .merge(traces::router())
}

/// How the webhooks do.
async fn webhooks(State(admin): State<Arc<Admin>>) -> Response {
    let figures: Vec<_> = admin.desks().iter().map(Desk::figures).collect();
    Json(json!({ "webhooks": figures })).into_response()
}

async fn events(State(admin): State<Arc<Admin>>, Query(wanted): Query<Wanted>) -> Response {
    let names = wanted.topics.as_deref().unwrap_or_default();
    let names = names.split(',').map(str::trim).filter(|name| !name.is_empty());
    let Ok(topics) = Topics::of(names) else {
        return refuse(&Error::malformed(
            "topics has a name that no topic has; there are *, s1_operations to s5_policy, algedonic, transport and \
             client:NAME",
        ));
    };
    let events = stream::unfold(admin.bus().subscribe(topics), async |mut subscription| {
        let event = match subscription.next().await? {
            Heard::Published(published) => Event::default().event(published.name()).data(published.text()),
            Heard::Missed(count) => Event::default().event("missed").data(format!(r#"{{"count":{count}}}"#)),
        };
        Some((Ok::<_, Infallible>(event), subscription))
    });
    Sse::new(events).keep_alive(KeepAlive::new().interval(KEEP_ALIVE)).into_response()
}
