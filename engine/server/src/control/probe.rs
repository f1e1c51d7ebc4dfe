//! What may be asked where `admin.probe_bind` says, by everybody who reaches it and nothing else: whether the gateway
//! lives, whether it takes clients, and its metrics.

use std::sync::Arc;

use axum::Router;
use axum::middleware;
use axum::routing::get;
use weir_shard::error::Error;
use weir_shard::limits::Browser;

use super::api::{Admin, health, ready, refuse};
use super::current::Current;
use super::{metrics, pages};

/// The endpoints. Probes and scrapers call them by any name; pages of other origins are kept out.
pub(super) fn router(admin: Arc<Admin>) -> Router {
    let browser = Browser { hosts: Vec::new(), ..Browser::default() };
    Router::new()
        .route("/health", get(health))
        .route("/ready", get(ready))
        .merge(metrics::router())
        .fallback(async || refuse(&Error::NotFound { what: "path" }))
        .method_not_allowed_fallback(async || refuse(&Error::MethodNotAllowed { allow: "GET" }))
        .layer(middleware::from_fn_with_state(Current::new(pages::rules(&browser)), pages::guard))
        .with_state(admin)
}
