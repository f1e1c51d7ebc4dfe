//! `GET /debug/pprof/profile?seconds=`: where the process spends its CPU time, as a flame graph. While one is taken the
//! kernel interrupts whoever runs, 99 times a second of CPU time; otherwise nothing is there. A ring's wait that is
//! interrupted begins a turn with nothing to do.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::{Query, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Json, Response};
use axum::routing::get;
use pprof::ProfilerGuardBuilder;
use serde::Deserialize;
use serde_json::json;
use tokio::sync::Mutex;
use tokio::{task, time};
use tracing::{info, warn};
use weir_shard::error::Error;

use super::api::{Admin, refuse};

/// Samples a second of CPU time: not in step with anything that happens a hundred times a second.
const FREQUENCY: i32 = 99;

/// How long one takes unless it is said, and at most: seconds.
const SECONDS: u64 = 10;
const SECONDS_MAX: u64 = 60;

/// Code that looks for callers itself, and code whose callers cannot be found; samples there are left out. The C library
/// is not among it: that is where system calls are made, and most of a gateway's time is the kernel's.
const OPAQUE: [&str; 3] = ["libgcc", "ld-linux", "vdso"];

/// The graph is a page with a script of its own, which finds functions and enlarges them.
const POLICY: &str =
    "default-src 'none'; script-src 'unsafe-inline'; style-src 'unsafe-inline'; frame-ancestors 'none'";

/// The one profile that may be under way.
#[derive(Default)]
pub(super) struct Profiles(Mutex<()>);

#[derive(Deserialize)]
struct Span {
    seconds: Option<u64>,
}

/// The endpoint.
pub(super) fn router() -> Router<Arc<Admin>> {
    Router::new().route("/debug/pprof/profile", get(profile))
}

async fn profile(State(admin): State<Arc<Admin>>, Query(span): Query<Span>) -> Response {
    let seconds = match span.seconds.unwrap_or(SECONDS) {
        seconds @ 1..=SECONDS_MAX => seconds,
        _ => return refuse(&Error::malformed("seconds is a whole number from 1 to 60")),
    };
    let Ok(_one) = admin.profiles().0.try_lock() else { return busy() };
    info!(seconds, "a profile is taken");
    match take(Duration::from_secs(seconds)).await {
        Ok(svg) => {
            let headers =
                [(header::CONTENT_TYPE, "image/svg+xml"), (header::CONTENT_SECURITY_POLICY, POLICY)];
            (headers, svg).into_response()
        }
        Err(error) => {
            warn!("there is no profile: {error}");
            failed(&error)
        }
    }
}

/// The profile of so much time. Who hangs up ends it.
async fn take(time: Duration) -> Result<Vec<u8>, String> {
    let guard = ProfilerGuardBuilder::default().frequency(FREQUENCY).blocklist(&OPAQUE).build();
    let guard = guard.map_err(|error| error.to_string())?;
    time::sleep(time).await;
    // Names are looked up in the program's own file, which takes a while.
    let drawn = task::spawn_blocking(move || {
        let report = guard.report().build().map_err(|error| error.to_string())?;
        drop(guard);
        if report.data.is_empty() {
            return Err(
                "the process has used no CPU time that could be seen; ask for more seconds".to_owned()
            );
        }
        let mut svg = Vec::new();
        report.flamegraph(&mut svg).map_err(|error| error.to_string())?;
        Ok(svg)
    });
    drawn.await.map_err(|error| error.to_string())?
}

fn busy() -> Response {
    let body = json!({
        "error": "conflict",
        "reason": "in_progress",
        "message": "Another profile is being taken, and there is one at a time; try again when it is done.",
        "retry_after": SECONDS * 1_000,
    });
    (StatusCode::CONFLICT, Json(body)).into_response()
}

fn failed(error: &str) -> Response {
    let body = json!({
        "error": "unavailable",
        "reason": "profile",
        "message": format!("There is no profile: {error}."),
        "retry_after": null,
    });
    (StatusCode::SERVICE_UNAVAILABLE, Json(body)).into_response()
}
