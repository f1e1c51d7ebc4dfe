//! The page's endpoints, and the stream that it lives by.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::State;
use axum::response::sse::{Event, KeepAlive, Sse};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use futures_util::stream;
use tokio::sync::watch;
use weir_shard::vsm::Topics;

use super::assets;
use super::chronicle::is_news;
use crate::control::api::Admin;
use crate::control::bus::{Heard, Subscription};

/// A comment at least this often, so that both ends notice when the other is gone.
const KEEP_ALIVE: Duration = Duration::from_secs(15);

/// Who watches.
struct Watcher {
    /// What is said first.
    hello: Option<String>,
    frames: watch::Receiver<Option<Arc<str>>>,
    bus: Subscription,
}

/// All endpoints.
pub(in crate::control) fn router() -> Router<Arc<Admin>> {
    Router::new()
        .route("/mcp/dashboard", get(assets::page))
        .route("/metrics/dashboard", get(assets::page))
        .route("/mcp/dashboard/{file}", get(assets::file))
        .route("/mcp/admin/dashboard/events", get(events))
}

/// First `hello`, then a `frame` at each interval, and `news` as they come. A page that reads slowly misses frames, never
/// the newest one.
async fn events(State(admin): State<Arc<Admin>>) -> Response {
    let dashboard = admin.dashboard();
    let mut frames = dashboard.0.frames.subscribe();
    frames.mark_unchanged();
    let bus = admin.bus().subscribe(Topics::all());
    // Nothing is said between this and the subscription, as only this thread does.
    let hello = dashboard.hello(&admin);
    dashboard.0.come.notify_one();
    let watcher = Watcher { hello: Some(hello.to_string()), frames, bus };
    let events = stream::unfold(watcher, async |mut watcher| {
        let event = watcher.next().await?;
        Some((Ok::<_, Infallible>(event), watcher))
    });
    Sse::new(events).keep_alive(KeepAlive::new().interval(KEEP_ALIVE)).into_response()
}

impl Watcher {
    async fn next(&mut self) -> Option<Event> {
        if let Some(hello) = self.hello.take() {
            return Some(Event::default().event("hello").data(hello));
        }
        loop {
            tokio::select! {
                heard = self.bus.next() => match heard? {
                    Heard::Published(published) if is_news(&published) => {
                        return Some(Event::default().event("news").data(published.text()));
                    }
                    Heard::Published(_) => {}
                    Heard::Missed(count) => {
                        return Some(Event::default().event("missed").data(format!(r#"{{"count":{count}}}"#)));
                    }
                },
                changed = self.frames.changed() => {
                    changed.ok()?;
                    let frame = self.frames.borrow_and_update().clone();
                    if let Some(frame) = frame {
                        return Some(Event::default().event("frame").data(&*frame));
                    }
                }
            }
        }
    }
}
