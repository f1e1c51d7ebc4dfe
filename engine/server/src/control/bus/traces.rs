//! What traced clients went through of late, and others that were refused something. `/mcp/admin/trace/{client}`.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use axum::Router;
use axum::extract::{Path, State};
use axum::response::{IntoResponse, Json, Response};
use axum::routing::get;
use serde::Deserialize;
use serde_json::json;
use serde_json::value::RawValue;
use weir_shard::error::Error;
use weir_shard::mail::Mail;
use weir_shard::vsm::Topic;

use super::{Observer, Published};
use crate::control::api::{Admin, refuse};

/// Events kept of a traced client.
const TRACED_MAX: usize = 256;

/// Events kept of one that is not.
const OTHERS_MAX: usize = 16;

/// Clients of whom events are kept; of more, who was heard of last.
const CLIENTS_MAX: usize = 1_000;

/// What the event of a refusal is called.
const DENIED: &str = "denied";

/// How long a client is traced that nothing is said of, and at most.
const TIME: Duration = Duration::from_secs(60);
const TIME_MAX: u64 = 3_600;

/// What is kept. Clones share it.
#[derive(Clone, Default)]
pub(in crate::control) struct Traces(Arc<Mutex<Inner>>);

#[derive(Default)]
struct Inner {
    clients: BTreeMap<Box<str>, History>,
    /// Events heard: tells which client was heard of last.
    heard: u64,
}

#[derive(Default)]
struct History {
    events: VecDeque<Arc<Published>>,
    /// It is traced until then.
    until: Option<Instant>,
    heard: u64,
}

/// What a trace is to be.
#[derive(Deserialize)]
struct Order {
    /// Seconds.
    for_s: Option<u64>,
}

impl Observer for Traces {
    fn observe(&mut self, published: &Arc<Published>) {
        if let Topic::Client(client) = published.topic() {
            self.lock().keep(client, published.clone(), Instant::now());
        }
    }
}

impl Traces {
    /// How many refusals are kept of each client.
    pub(in crate::control) fn refusals(&self) -> BTreeMap<Box<str>, u64> {
        let inner = self.lock();
        let denied =
            |history: &History| history.events.iter().filter(|it| it.name() == DENIED).count() as u64;
        inner.clients.iter().map(|(client, history)| (client.clone(), denied(history))).collect()
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Inner {
    fn keep(&mut self, client: &str, published: Arc<Published>, now: Instant) {
        let history = self.history(client);
        let most = if history.is_traced(now) { TRACED_MAX } else { OTHERS_MAX };
        history.events.push_back(published);
        while history.events.len() > most {
            history.events.pop_front();
        }
    }

    /// As the shards take it: for so long at least; zero: not any more.
    fn trace(&mut self, client: &str, time: Duration, now: Instant) {
        let until = &mut self.history(client).until;
        *until = if time.is_zero() { None } else { (*until).max(Some(now + time)) };
    }

    /// A client's, which was heard of now. The one that was not for longest gives way to a new one.
    fn history(&mut self, client: &str) -> &mut History {
        self.heard += 1;
        if !self.clients.contains_key(client) && self.clients.len() >= CLIENTS_MAX {
            let oldest = self.clients.iter().min_by_key(|(_, history)| history.heard);
            if let Some(name) = oldest.map(|(name, _)| name.clone()) {
                self.clients.remove(&name);
            }
        }
        let history = self.clients.entry(client.into()).or_default();
        history.heard = self.heard;
        history
    }
}

impl History {
    fn is_traced(&self, now: Instant) -> bool {
        self.until.is_some_and(|until| now < until)
    }
}

/// The endpoints.
pub(super) fn router() -> Router<Arc<Admin>> {
    let refused = async || refuse(&Error::MethodNotAllowed { allow: "GET, POST, DELETE" });
    Router::new().route("/mcp/admin/trace/{client}", get(show).post(begin).delete(end).fallback(refused))
}

async fn show(State(admin): State<Arc<Admin>>, Path(client): Path<String>) -> Response {
    let inner = admin.traces().lock();
    let history = inner.clients.get(&*client);
    let events = history.into_iter().flat_map(|history| &history.events);
    // What was published is JSON.
    let events: Vec<_> = events.filter_map(|it| RawValue::from_string(it.text().to_owned()).ok()).collect();
    let traced = history.is_some_and(|history| history.is_traced(Instant::now()));
    Json(json!({ "client": client, "traced": traced, "events": events })).into_response()
}

async fn begin(
    State(admin): State<Arc<Admin>>,
    Path(client): Path<String>,
    Json(Order { for_s }): Json<Order>,
) -> Response {
    let time = match for_s {
        None => TIME,
        Some(seconds @ 1..=TIME_MAX) => Duration::from_secs(seconds),
        Some(_) => return refuse(&Error::malformed("for_s is a whole number of seconds from 1 to 3600")),
    };
    trace(&admin, client, time).await
}

async fn end(State(admin): State<Arc<Admin>>, Path(client): Path<String>) -> Response {
    trace(&admin, client, Duration::ZERO).await
}

/// On every shard: an MCP client's sessions live where their ids do.
async fn trace(admin: &Admin, client: String, time: Duration) -> Response {
    if Topic::named(&format!("client:{client}")).is_none() {
        return refuse(&Error::malformed("no client can have such a name"));
    }
    admin.traces().lock().trace(&client, time, Instant::now());
    for shard in admin.shards() {
        admin.send(shard, Mail::Trace { client: client.as_str().into(), time }).await;
    }
    Json(json!({ "client": client, "for_s": time.as_secs() })).into_response()
}

#[cfg(test)]
mod tests {
    use weir_ring::time::Wall;
    use weir_shard::vsm::{Event, Source};

    use super::*;

    fn event() -> Arc<Published> {
        Arc::new(Published::event(Wall(0), Source::Control, Event::SheddingChanged { level: 1 }))
    }

    #[test]
    fn histories_are_bounded_and_the_oldest_client_gives_way() {
        let mut inner = Inner::default();
        let now = Instant::now();
        inner.history("traced").until = Some(now + TIME);
        for _ in 0..2 * TRACED_MAX {
            inner.keep("traced", event(), now);
            inner.keep("other", event(), now);
        }
        assert_eq!(inner.clients["traced"].events.len(), TRACED_MAX);
        assert_eq!(inner.clients["other"].events.len(), OTHERS_MAX);
        for client in 0..CLIENTS_MAX - 1 {
            inner.keep(&client.to_string(), event(), now);
        }
        assert_eq!(inner.clients.len(), CLIENTS_MAX);
        assert!(inner.clients.contains_key("other") && !inner.clients.contains_key("traced"));
    }
}
