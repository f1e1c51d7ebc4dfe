//! The dashboard: a page of the admin port, and the stream of figures that it lives by. The shards are asked once for
//! all who watch; what only a page shows (breakers, pools) only while somebody does.

mod assets;
mod chronicle;
mod frame;
mod past;
mod ring;
mod stream;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use serde_json::{Value, json};
use tokio::sync::{Notify, watch};
use tokio::time;
use weir_ring::clock::Clock;
use weir_ring::time::Wall;
use weir_ring::token::Member;
use weir_shard::mail::{Answer, Question};
use weir_shard::metrics::{ControlView, Stats};

pub(super) use self::assets::page;
pub(super) use self::chronicle::Chronicle;
use self::frame::{Frame, Look};
use self::past::Past;
pub(super) use self::ring::part;
pub(super) use self::stream::router;
use super::api::Admin;
use crate::config;

/// What the page is told of the gateway as it was started.
pub(crate) struct Facts {
    pub(crate) dashboard: config::Dashboard,
    /// The core of each shard.
    pub(crate) cores: Vec<usize>,
    /// How long an orderly stop may take.
    pub(crate) drain_timeout: Duration,
}

/// The dashboard. Clones share it.
#[derive(Clone)]
pub(super) struct Dashboard(Arc<Inner>);

struct Inner {
    facts: Facts,
    started: Wall,
    chronicle: Chronicle,
    /// The lock is only ever taken on the control thread.
    past: Mutex<Past>,
    /// Somebody has come.
    come: Notify,
    /// The newest frame, as JSON, while somebody watches.
    frames: watch::Sender<Option<Arc<str>>>,
}

/// What one shard answers; nothing if it does not.
type Answers = (Option<Box<Stats>>, Option<Box<ControlView>>);

impl Dashboard {
    /// One whose figures begin now.
    pub(super) fn new(facts: Facts, chronicle: Chronicle) -> Dashboard {
        let past = Mutex::new(Past::new(facts.dashboard.history));
        let (started, come, frames) = (Clock::now().wall, Notify::new(), watch::Sender::new(None));
        Dashboard(Arc::new(Inner { facts, started, chronicle, past, come, frames }))
    }

    /// Whether there is a page.
    pub(super) fn is_enabled(&self) -> bool {
        self.0.facts.dashboard.enabled
    }

    /// Asks the shards again and again, as long as the process lives.
    pub(super) async fn watch(self, admin: Arc<Admin>) {
        let mut ticks = time::interval(self.0.facts.dashboard.interval);
        loop {
            tokio::select! {
                _ = ticks.tick() => {
                    self.look(&admin, true).await;
                    // However late the answers were, the next point is a whole interval long.
                    ticks.reset();
                }
                () = self.0.come.notified() => self.look(&admin, false).await,
            }
        }
    }

    /// Asks the shards, and shows what they say. What they have counted since the last `tick` is a point of the graphs.
    async fn look(&self, admin: &Arc<Admin>, tick: bool) {
        let watched = self.0.frames.receiver_count() > 0;
        let answers = ask_all(admin, watched).await;
        let mut past = self.past();
        let look = Look::of(answers, past.stats(), admin.uptime_seconds());
        if tick {
            past.note(&look, admin.is_draining());
        }
        let frame = watched.then(|| self.frame(admin, &look, &past));
        self.0.frames.send_replace(frame);
    }

    fn past(&self) -> MutexGuard<'_, Past> {
        self.0.past.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn frame(&self, admin: &Admin, look: &Look, past: &Past) -> Arc<str> {
        let intelligence = admin.intelligence().glance();
        let frame = Frame::of(look, past, &self.0.facts, &self.0.chronicle.standing(), intelligence);
        // Plain structs of texts and numbers always serialize.
        serde_json::to_string(&frame).unwrap_or_default().into()
    }

    /// What a page is told first: what does not change while the process lives, and what was before.
    fn hello(&self, admin: &Admin) -> Value {
        let Facts { dashboard, cores, drain_timeout } = &self.0.facts;
        // What was published is JSON.
        let told = self.0.chronicle.told();
        let news: Vec<Value> = told.iter().filter_map(|it| serde_json::from_str(it.text()).ok()).collect();
        json!({
            "version": env!("CARGO_PKG_VERSION"),
            "started": self.0.started.0,
            "interval_ms": dashboard.interval.as_millis() as u64,
            "history_ms": dashboard.history.as_millis() as u64,
            "drain_timeout_ms": drain_timeout.as_millis() as u64,
            "cores": cores,
            "ring": ring::draw(admin.ring()),
            "history": self.past().points().collect::<Vec<_>>(),
            "news": news,
        })
    }
}

/// What every shard says, its control too if that is wanted.
async fn ask_all(admin: &Arc<Admin>, control: bool) -> Vec<Answers> {
    let asked: Vec<_> =
        admin.shards().map(|shard| tokio::spawn(ask(admin.clone(), shard, control))).collect();
    let mut answers = Vec::new();
    for asked in asked {
        answers.push(asked.await.unwrap_or_default());
    }
    answers
}

async fn ask(admin: Arc<Admin>, shard: Member, control: bool) -> Answers {
    let Ok(Answer::Stats(stats)) = admin.ask(shard, Question::Stats).await else { return (None, None) };
    if !control {
        return (Some(stats), None);
    }
    match admin.ask(shard, Question::Control).await {
        Ok(Answer::Control(view)) => (Some(stats), Some(view)),
        _ => (Some(stats), None),
    }
}
