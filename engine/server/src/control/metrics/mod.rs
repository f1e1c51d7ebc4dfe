//! `GET /metrics`: what the shards and the control thread count, as Prometheus reads it. Nothing is kept for it: a scrape
//! asks the shards by mail, as `/mcp/stats` does, and writes what they answer. So there is no registry whose counters
//! would have to be shared between threads, and what nobody scrapes costs nothing.

mod delivery;
mod page;
mod process;
mod servers;
mod shards;
mod sundries;

use std::sync::Arc;

use axum::Router;
use axum::extract::State;
use axum::http::{HeaderMap, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use weir_ring::token::Member;
use weir_shard::mail::{Answer, Question};
use weir_shard::metrics::{ControlView, Costs, Stats};
use weir_shard::policy::rules::RuleCount;

use self::page::{Format, Page};
use super::api::Admin;

/// What one shard says.
struct Shard {
    /// Its number.
    number: String,
    stats: Box<Stats>,
    control: Box<ControlView>,
}

/// What all of them say.
struct Snapshot {
    /// Those that answered.
    shards: Vec<Shard>,
    /// Of each shard, by number, whether it did.
    up: Vec<bool>,
    /// Of those that did, together.
    total: Stats,
    control: ControlView,
    costs: Costs,
    rules: Vec<RuleCount>,
}

/// All that one shard was asked.
type Said = (Box<Stats>, Box<ControlView>, Box<Costs>, Box<[RuleCount]>);

/// The endpoint.
pub(super) fn router() -> Router<Arc<Admin>> {
    Router::new().route("/metrics", get(metrics))
}

/// What everybody may scrape from where `admin.probe_bind` says.
pub(super) async fn metrics(State(admin): State<Arc<Admin>>, headers: HeaderMap) -> Response {
    let format = Format::of(&headers);
    let snapshot = Snapshot::take(&admin).await;
    let mut page = Page::new(format);
    shards::write(&mut page, &snapshot);
    delivery::write(&mut page, &snapshot);
    servers::write(&mut page, &snapshot);
    sundries::write(&mut page, &snapshot, &admin).await;
    process::write(&mut page);
    ([(header::CONTENT_TYPE, format.content_type())], page.finish()).into_response()
}

impl Snapshot {
    /// Asks all shards at the same time: one that is stalled takes the patience that all have, once.
    async fn take(admin: &Arc<Admin>) -> Snapshot {
        let asked: Vec<_> = admin.shards().map(|shard| tokio::spawn(ask(Arc::clone(admin), shard))).collect();
        let mut snapshot = Snapshot {
            shards: Vec::new(),
            up: Vec::new(),
            total: Stats::default(),
            control: ControlView::default(),
            costs: Costs::default(),
            rules: Vec::new(),
        };
        for (number, answer) in asked.into_iter().enumerate() {
            // A task fails only when the runtime ends.
            let said = answer.await.ok().flatten();
            snapshot.up.push(said.is_some());
            if let Some(said) = said {
                snapshot.add(number, said);
            }
        }
        snapshot
    }

    fn add(&mut self, number: usize, (stats, control, costs, rules): Said) {
        self.total.add(&stats);
        match self.shards.is_empty() {
            true => self.control = (*control).clone(),
            false => self.control.add(&control),
        }
        self.costs.add(&costs);
        match self.rules.is_empty() {
            true => self.rules = rules.to_vec(),
            false => self.rules.iter_mut().zip(&rules).for_each(|(one, other)| one.add(other)),
        }
        self.shards.push(Shard { number: number.to_string(), stats, control });
    }

    /// A number of each shard.
    fn each<V>(&self, value: impl Fn(&Shard) -> V) -> impl Iterator<Item = (&str, V)> {
        self.shards.iter().map(move |shard| (&*shard.number, value(shard)))
    }
}

/// None: the shard does not answer.
async fn ask(admin: Arc<Admin>, shard: Member) -> Option<Said> {
    let Ok(Answer::Stats(stats)) = admin.ask(shard, Question::Stats).await else { return None };
    let Ok(Answer::Control(control)) = admin.ask(shard, Question::Control).await else { return None };
    let Ok(Answer::Costs(costs)) = admin.ask(shard, Question::Costs).await else { return None };
    let Ok(Answer::Rules(rules)) = admin.ask(shard, Question::Rules).await else { return None };
    Some((stats, control, costs, rules))
}
