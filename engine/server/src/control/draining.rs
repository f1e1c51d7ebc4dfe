//! The orderly stop of the process: begun once, by a signal or an operator, told to the bus, and watched until it is
//! over.

use std::io;
use std::os::fd::OwnedFd;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Json, Response};
use axum::routing::post;
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::{task, time};
use tracing::{info, warn};
use weir_ring::clock::Clock;
use weir_ring::socket;
use weir_shard::error::Error;
use weir_shard::mail::{Answer, DrainOrder, Mail, Question};
use weir_shard::metrics::{Drain, Stats};
use weir_shard::vsm::{DrainPhase, Event, Source};

use super::api::{Admin, refuse};
use super::bus::Published;
use super::notify::Manager;

/// How long webhooks are waited for when all else is over.
const WEBHOOKS_PATIENCE: Duration = Duration::from_secs(2);

/// How long a successor has to take the last connections.
const EXIT_PATIENCE: Duration = Duration::from_secs(2);

/// How often is looked whether they are done.
const WEBHOOKS_PAUSE: Duration = Duration::from_millis(10);

/// Longest reason of an operator, bytes.
const REASON_BYTES_MAX: usize = 256;

/// The sockets that the data threads listen on, by the names of the listeners.
#[derive(Debug, Default)]
pub(crate) struct Doors(Vec<(&'static str, Vec<OwnedFd>)>);

/// What is known of the orderly stop.
pub(super) struct Draining {
    doors: Doors,
    /// From the moment `/ready` says no until shards are told.
    delay: Duration,
    manager: Manager,
    begun: OnceLock<Begun>,
    ended: AtomicBool,
    /// Passes connections on to a successor.
    exit: Mutex<Option<JoinHandle<()>>>,
}

/// It was asked for.
struct Begun {
    reason: Arc<str>,
    at: Instant,
}

/// The body of the request for it.
#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct Order {
    reason: Option<Box<str>>,
}

impl Doors {
    /// Also these.
    pub(crate) fn add(&mut self, name: &'static str, sockets: Vec<OwnedFd>) {
        self.0.push((name, sockets));
    }

    /// The same for another process.
    ///
    /// # Errors
    /// The process has no descriptor left.
    pub(crate) fn copies(&self) -> io::Result<Vec<(String, Vec<OwnedFd>)>> {
        let copy = |sockets: &[OwnedFd]| sockets.iter().map(OwnedFd::try_clone).collect::<io::Result<_>>();
        self.0.iter().map(|(name, sockets)| Ok(((*name).to_owned(), copy(sockets)?))).collect()
    }

    /// Nobody can connect any more.
    fn shut(&self) {
        for door in self.0.iter().flat_map(|(_, sockets)| sockets) {
            if let Err(error) = socket::stop_listening(door) {
                warn!("a listener cannot be shut: {error}; who connects waits until the process has ended");
            }
        }
    }
}

impl Draining {
    pub(super) fn new(doors: Doors, delay: Duration, manager: Manager) -> Draining {
        let (begun, ended, exit) = (OnceLock::new(), AtomicBool::new(false), Mutex::default());
        Draining { doors, delay, manager, begun, ended, exit }
    }

    /// Connections leave by that thread, and the process ends when it has.
    pub(super) fn wait_for(&self, exit: JoinHandle<()>) {
        *self.exit.lock().unwrap_or_else(PoisonError::into_inner) = Some(exit);
    }

    /// Nobody can connect any more.
    pub(super) fn shut_doors(&self) {
        self.doors.shut();
    }
}

impl Admin {
    /// Begins the orderly stop; false: it has begun before.
    pub(super) fn begin_drain(self: &Arc<Self>, order: DrainOrder) -> bool {
        let begun = Begun { reason: order.reason.clone(), at: Instant::now() };
        if self.draining().begun.set(begun).is_err() {
            return false;
        }
        tokio::spawn(self.clone().drain(order));
        true
    }

    /// Readiness has gone red. A while later listeners close and the shards begin to send clients away.
    async fn drain(self: Arc<Self>, order: DrainOrder) {
        self.say(DrainPhase::Begun, &order.reason, Drain::default());
        if !order.succeeded {
            self.draining().manager.stopping();
            time::sleep(self.draining().delay).await;
        }
        for shard in self.shards() {
            self.send(shard, Mail::Drain(order.clone())).await;
        }
        if !order.succeeded {
            self.draining().shut_doors();
        }
    }

    /// All shards are drained: the bus is told, and webhooks have a moment to pass it on.
    pub(super) async fn ended(&self) {
        self.read_last();
        self.draining().ended.store(true, Ordering::Relaxed);
        let Some(Begun { reason, at }) = self.draining().begun.get() else { return };
        info!(reason = &**reason, seconds = at.elapsed().as_secs_f32(), "drained");
        self.say(DrainPhase::Ended, reason, Drain::default());
        self.let_emigrants_go().await;
        let told = async {
            while !self.desks().iter().all(|desk| desk.is_idle()) {
                time::sleep(WEBHOOKS_PAUSE).await;
            }
        };
        if time::timeout(WEBHOOKS_PATIENCE, told).await.is_err() {
            warn!("a webhook was not told everything before the end");
        }
    }

    /// Connections that have left their shards are on their way to the successor.
    async fn let_emigrants_go(&self) {
        let exit = self.draining().exit.lock().unwrap_or_else(PoisonError::into_inner).take();
        let Some(exit) = exit else { return };
        self.end_emigration();
        let gone = task::spawn_blocking(move || exit.join());
        if time::timeout(EXIT_PATIENCE, gone).await.is_err() {
            warn!(
                "the successor does not take all connections before the end; their clients come back to it"
            );
        }
    }

    fn say(&self, phase: DrainPhase, reason: &Arc<str>, left: Drain) {
        let Drain { connections, calls, .. } = left;
        let event = Event::Drain { phase, reason: (&**reason).into(), connections, calls };
        self.bus().publish(Published::event(Clock::now().wall, Source::Control, event));
    }

    /// Whether it has been asked for.
    pub(super) fn is_draining(&self) -> bool {
        self.draining().begun.get().is_some()
    }

    /// How far the stop is; none: there is none.
    pub(super) async fn progress(&self) -> Option<Value> {
        let Begun { reason, at } = self.draining().begun.get()?;
        let mut total = Stats::default();
        if !self.draining().ended.load(Ordering::Relaxed) {
            for shard in self.shards() {
                if let Ok(Answer::Stats(stats)) = self.ask(shard, Question::Stats).await {
                    total.add(&stats);
                }
            }
        }
        let ended = self.draining().ended.load(Ordering::Relaxed);
        let Drain { phase, connections, calls } = total.drain;
        let phase = if ended { Some(DrainPhase::Ended) } else { phase };
        Some(json!({
            "status": "draining",
            "reason": &**reason,
            "phase": phase.unwrap_or(DrainPhase::Begun),
            "connections": connections,
            "calls": calls,
            "seconds": at.elapsed().as_secs(),
        }))
    }
}

pub(super) fn router() -> Router<Arc<Admin>> {
    let order = post(drain).get(progress);
    Router::new().route(
        "/mcp/admin/drain",
        order.fallback(async || refuse(&Error::MethodNotAllowed { allow: "GET, POST" })),
    )
}

async fn drain(State(admin): State<Arc<Admin>>, body: Bytes) -> Response {
    let order: Result<Order, _> =
        if body.is_empty() { Ok(Order::default()) } else { serde_json::from_slice(&body) };
    let reason = match order {
        Ok(Order { reason }) => reason,
        Err(_) => return refuse(&Error::malformed("the body is {\"reason\": \"...\"}, or nothing")),
    };
    if reason.as_ref().is_some_and(|reason| reason.len() > REASON_BYTES_MAX) {
        return refuse(&Error::malformed("a reason has at most 256 bytes"));
    }
    let order = match &reason {
        Some(reason) => {
            DrainOrder { reason: (&**reason).into(), message: (&**reason).into(), ..DrainOrder::default() }
        }
        None => DrainOrder { reason: "operator".into(), ..DrainOrder::default() },
    };
    if admin.begin_drain(order) {
        let reason = reason.as_deref().unwrap_or("none given");
        info!(reason, "an operator asks for the end: telling clients, then ending");
    }
    (StatusCode::ACCEPTED, Json(json!({ "status": "draining" }))).into_response()
}

async fn progress(State(admin): State<Arc<Admin>>) -> Response {
    let progress = admin.progress().await;
    Json(progress.unwrap_or_else(|| json!({ "status": "serving" }))).into_response()
}
