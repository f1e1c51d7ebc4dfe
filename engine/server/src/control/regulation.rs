//! The admin port's endpoints for what the shards refuse and share out: admission, shedding, breakers, pools, the hash
//! ring, and clients. What is set here ends by itself.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Bytes;
use axum::extract::{Path, Query, State};
use axum::response::{IntoResponse, Json, Response};
use axum::routing::{get, post, put};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::{Value, json};
use weir_ring::token::Member;
use weir_shard::error::Error;
use weir_shard::mail::{Answer, Lever, Mail, Override, Question};
use weir_shard::metrics::{ClientView, ControlView};
use weir_shard::policy::Hold;
use weir_shard::policy::admission::Admission;

use super::api::{Admin, no_answer, refuse};
use super::dashboard;

/// How long what is set lasts if that is not said, and at most: seconds.
const LASTS: u64 = 300;
const LASTS_MAX: u64 = 7 * 24 * 3_600;

/// Clients of a list that does not say how many, and of the longest list.
const LIMIT: usize = 100;
const LIMIT_MAX: usize = 10_000;

/// What a list can be sorted by, the largest first.
const SORTS: [&str; 5] = ["age", "idle", "queue", "bytes", "errors"];

/// A breaker is to be `open` or `closed`; `auto`: as what happens decides.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct BreakerOrder {
    state: Box<str>,
    for_s: Option<u64>,
}

/// What all shards are to do, each part if it is there.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ControlOrder {
    /// `open`, `soft`, `hard` or `auto`.
    admission: Option<Box<str>>,
    /// From 0 to 3, or `auto`.
    shedding: Option<Value>,
    for_s: Option<u64>,
}

/// Numbers of a pool, for all shards together. `null` is as configured.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct PoolOrder {
    #[serde(default, deserialize_with = "given")]
    size: Option<Option<u32>>,
    #[serde(default, deserialize_with = "given")]
    weight: Option<Option<u32>>,
    for_s: Option<u64>,
}

/// Which clients, in which order.
#[derive(Deserialize)]
struct Selection {
    sort: Option<Box<str>>,
    /// Connected for at least so many seconds.
    older: Option<u64>,
    /// Those whose name has this in it, in any case.
    name: Option<Box<str>>,
    limit: Option<usize>,
}

/// A client as lists show it.
#[derive(Serialize)]
struct Listed<'a> {
    #[serde(flatten)]
    client: &'a ClientView,
    /// Refusals that are kept of it.
    errors: u64,
}

/// Which key's place is to be shown, too.
#[derive(Deserialize)]
struct Place {
    key: Option<Box<str>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct CleanupOrder {
    max_idle_s: u64,
}

/// A member that is there, `null` included.
fn given<'de, D: Deserializer<'de>>(from: D) -> Result<Option<Option<u32>>, D::Error> {
    Option::deserialize(from).map(Some)
}

/// All endpoints.
pub(super) fn router() -> Router<Arc<Admin>> {
    let refuse = |allow| async move || refuse(&Error::MethodNotAllowed { allow });
    Router::new()
        .route("/mcp/admin/control", get(control).put(set_control).fallback(refuse("GET, PUT")))
        .route("/mcp/admin/breakers", get(breakers))
        .route("/mcp/admin/breakers/{name}", put(set_breaker).fallback(refuse("PUT")))
        .route("/mcp/admin/pools", get(pools))
        .route("/mcp/admin/pools/{upstream}", put(set_pool).fallback(refuse("PUT")))
        .route("/mcp/admin/ring", get(ring))
        .route("/mcp/admin/connections", get(connections))
        .route("/mcp/admin/cleanup", post(cleanup).fallback(refuse("POST")))
}

async fn control(State(admin): State<Arc<Admin>>) -> Response {
    let shards = match look(&admin).await {
        Ok(shards) => shards,
        Err(shard) => return no_answer(shard),
    };
    let total = total(&shards);
    Json(json!({
        "admission": total.admission,
        "admission_held_ms": total.admission_held_ms,
        "shedding": total.shedding,
        "shedding_held_ms": total.shedding_held_ms,
        "load": total.load,
        "turn_ms": total.turn_ms,
        "shards": shards,
    }))
    .into_response()
}

async fn breakers(State(admin): State<Arc<Admin>>) -> Response {
    match look(&admin).await {
        Ok(shards) => Json(json!({ "breakers": total(&shards).breakers })).into_response(),
        Err(shard) => no_answer(shard),
    }
}

async fn pools(State(admin): State<Arc<Admin>>) -> Response {
    match look(&admin).await {
        Ok(shards) => {
            let total = total(&shards);
            Json(json!({ "total": total.pool_total, "pools": total.pools })).into_response()
        }
        Err(shard) => no_answer(shard),
    }
}

async fn ring(State(admin): State<Arc<Admin>>, Query(Place { key }): Query<Place>) -> Response {
    let shards = match look(&admin).await {
        Ok(shards) => shards,
        Err(shard) => return no_answer(shard),
    };
    let keys: Vec<u64> = shards.iter().map(|shard| shard.keys).collect();
    let nodes = admin.ring().nodes().map(|(id, weight, vnode_count)| {
        let key_count = keys.get(usize::from(id));
        json!({ "id": id, "weight": weight, "vnode_count": vnode_count, "key_count": key_count })
    });
    let nodes: Vec<Value> = nodes.collect();
    let mut answer = json!({ "nodes": nodes, "distribution_variance": variance(&keys) });
    if let Some(key) = key {
        let place = dashboard::part(admin.ring().place(key.as_bytes()));
        answer["key"] = json!({ "key": key, "place": place, "home": admin.home(&key).0 });
    }
    Json(answer).into_response()
}

async fn connections(State(admin): State<Arc<Admin>>, Query(selection): Query<Selection>) -> Response {
    let sort = selection.sort.as_deref().unwrap_or("age");
    if !SORTS.contains(&sort) {
        return refuse(&Error::malformed("sort is age, idle, queue, bytes or errors"));
    }
    let mut clients = Vec::new();
    for shard in admin.shards() {
        match admin.ask(shard, Question::Clients).await {
            Ok(Answer::Clients(some)) => clients.extend(some),
            _ => return no_answer(shard),
        }
    }
    let refusals = admin.traces().refusals();
    let errors = |client: &ClientView| refusals.get(&client.client_id).copied().unwrap_or(0);
    let key = |client: &ClientView| match sort {
        "idle" => client.idle_seconds,
        "queue" => client.queue,
        "bytes" => client.bytes,
        "errors" => errors(client),
        _ => client.age_seconds,
    };
    let name = selection.name.as_deref().unwrap_or_default().to_lowercase();
    clients.retain(|client: &ClientView| {
        client.age_seconds >= selection.older.unwrap_or(0) && client.client_id.to_lowercase().contains(&name)
    });
    let count = clients.len();
    clients.sort_by(|one, other| key(other).cmp(&key(one)).then_with(|| one.client_id.cmp(&other.client_id)));
    clients.truncate(selection.limit.unwrap_or(LIMIT).clamp(1, LIMIT_MAX));
    let clients: Vec<Listed<'_>> =
        clients.iter().map(|client| Listed { errors: errors(client), client }).collect();
    Json(json!({ "count": count, "clients": clients })).into_response()
}

async fn set_control(State(admin): State<Arc<Admin>>, body: Bytes) -> Response {
    let order: ControlOrder = match read(&body) {
        Ok(order) => order,
        Err(error) => return refuse(&error),
    };
    let levers = order.levers().and_then(|levers| Ok((levers, lasts(order.for_s)?)));
    match levers {
        Ok((levers, lasts)) => {
            for lever in levers {
                pull(&admin, &lever, lasts).await;
            }
            control(State(admin)).await
        }
        Err(error) => refuse(&error),
    }
}

async fn set_breaker(State(admin): State<Arc<Admin>>, Path(name): Path<Box<str>>, body: Bytes) -> Response {
    let order = read::<BreakerOrder>(&body).and_then(|order| {
        let to = match &*order.state {
            "open" => Some(Hold::Open),
            "closed" => Some(Hold::Closed),
            "auto" => None,
            _ => return Err(Error::malformed("state is open, closed or auto")),
        };
        Ok((to, lasts(order.for_s)?))
    });
    let (to, lasts) = match order {
        Ok(order) => order,
        Err(error) => return refuse(&error),
    };
    let is_there = |view: &ControlView| view.breakers.iter().any(|breaker| breaker.name == name);
    if let Err(answer) = check(&admin, is_there, "breaker").await {
        return answer;
    }
    pull(&admin, &Lever::Breaker(name, to), lasts).await;
    breakers(State(admin)).await
}

async fn set_pool(State(admin): State<Arc<Admin>>, Path(name): Path<Box<str>>, body: Bytes) -> Response {
    let order = read::<PoolOrder>(&body).and_then(|order| {
        order.check()?;
        let lasts = lasts(order.for_s)?;
        Ok((order, lasts))
    });
    let (PoolOrder { size, weight, .. }, lasts) = match order {
        Ok(order) => order,
        Err(error) => return refuse(&error),
    };
    let is_there = |view: &ControlView| view.pools.iter().any(|pool| pool.name == name);
    if let Err(answer) = check(&admin, is_there, "upstream").await {
        return answer;
    }
    let shards = admin.shards().count() as u32;
    if let Some(size) = size {
        let each = size.map(|size| size.div_ceil(shards));
        pull(&admin, &Lever::PoolSize(name.clone(), each), lasts).await;
    }
    if let Some(weight) = weight {
        pull(&admin, &Lever::PoolWeight(name, weight), lasts).await;
    }
    pools(State(admin)).await
}

async fn cleanup(State(admin): State<Arc<Admin>>, body: Bytes) -> Response {
    let idle = match read::<CleanupOrder>(&body) {
        Ok(order) => Duration::from_secs(order.max_idle_s),
        Err(error) => return refuse(&error),
    };
    let mut forgotten = 0;
    for shard in admin.shards() {
        match admin.ask(shard, Question::Cleanup { idle }).await {
            Ok(Answer::Cleaned(some)) => forgotten += some,
            _ => return no_answer(shard),
        }
    }
    Json(json!({ "forgotten": forgotten })).into_response()
}

impl ControlOrder {
    fn levers(&self) -> Result<Vec<Lever>, Error> {
        let mut levers = Vec::new();
        match self.admission.as_deref() {
            None => {}
            Some("auto") => levers.push(Lever::Admission(None)),
            Some(name) => match Admission::named(name) {
                Some(state) => levers.push(Lever::Admission(Some(state))),
                None => return Err(Error::malformed("admission is open, soft, hard or auto")),
            },
        }
        match &self.shedding {
            None => {}
            Some(Value::String(word)) if word == "auto" => levers.push(Lever::Shedding(None)),
            Some(level) => match level.as_u64() {
                Some(level @ 0..=3) => levers.push(Lever::Shedding(Some(level as u8))),
                _ => return Err(Error::malformed("shedding is a number from 0 to 3, or auto")),
            },
        }
        if levers.is_empty() { Err(Error::MissingField { field: "admission" }) } else { Ok(levers) }
    }
}

impl PoolOrder {
    fn check(&self) -> Result<(), Error> {
        let right = |number: Option<Option<u32>>| {
            number.flatten().is_none_or(|number| (1..=1_000_000).contains(&number))
        };
        match (self.size, self.weight) {
            (None, None) => Err(Error::MissingField { field: "size" }),
            (size, weight) if right(size) && right(weight) => Ok(()),
            _ => Err(Error::malformed("size and weight are numbers from 1 to 1000000, or null")),
        }
    }
}

fn read<T: DeserializeOwned>(body: &[u8]) -> Result<T, Error> {
    serde_json::from_slice(body).map_err(|error| Error::malformed(error.to_string()))
}

/// How long what is set lasts.
fn lasts(seconds: Option<u64>) -> Result<Duration, Error> {
    match seconds.unwrap_or(LASTS) {
        seconds @ 1..=LASTS_MAX => Ok(Duration::from_secs(seconds)),
        _ => Err(Error::malformed("for_s is a number of seconds from 1 to 604800")),
    }
}

/// Moves a lever on every shard.
async fn pull(admin: &Admin, lever: &Lever, lasts: Duration) {
    for shard in admin.shards() {
        let by_hand = Override { what: lever.clone(), lasts };
        admin.send(shard, Mail::Override(Box::new(by_hand))).await;
    }
}

/// What every shard shows. The error is the one that did not answer.
async fn look(admin: &Admin) -> Result<Vec<ControlView>, Member> {
    let mut views = Vec::new();
    for shard in admin.shards() {
        match admin.ask(shard, Question::Control).await {
            Ok(Answer::Control(view)) => views.push(*view),
            _ => return Err(shard),
        }
    }
    Ok(views)
}

/// Whether what is named is there.
async fn check(
    admin: &Admin,
    is_there: impl Fn(&ControlView) -> bool,
    what: &'static str,
) -> Result<(), Response> {
    match look(admin).await {
        Ok(views) if views.first().is_some_and(is_there) => Ok(()),
        Ok(_) => Err(refuse(&Error::NotFound { what })),
        Err(shard) => Err(no_answer(shard)),
    }
}

fn total(shards: &[ControlView]) -> ControlView {
    let mut total = shards.first().cloned().unwrap_or_default();
    shards.iter().skip(1).for_each(|other| total.add(other));
    total
}

/// How unevenly keys are spread: the variance of what each has, relative to the mean. 0: all have as many.
fn variance(keys: &[u64]) -> f64 {
    let mean = keys.iter().sum::<u64>() as f64 / keys.len().max(1) as f64;
    if mean == 0.0 {
        return 0.0;
    }
    let squares = keys.iter().map(|keys| (*keys as f64 / mean - 1.0).powi(2));
    squares.sum::<f64>() / keys.len() as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn orders_say_what_is_wrong_with_them() {
        let levers = |body: &str| read::<ControlOrder>(body.as_bytes()).and_then(|order| order.levers());
        let both = levers(r#"{"admission":"hard","shedding":2,"for_s":9}"#).expect("an order");
        assert_eq!(both, [Lever::Admission(Some(Admission::Hard)), Lever::Shedding(Some(2))]);
        assert_eq!(levers(r#"{"shedding":"auto"}"#).expect("an order"), [Lever::Shedding(None)]);
        for wrong in ["{}", r#"{"admission":"shut"}"#, r#"{"shedding":4}"#, r#"{"shed":1}"#, "", "[]"] {
            assert!(levers(wrong).is_err(), "{wrong}");
        }
        assert_eq!(lasts(None), Ok(Duration::from_secs(300)));
        assert!(lasts(Some(0)).is_err() && lasts(Some(u64::MAX)).is_err());
        let pool = |body: &str| read::<PoolOrder>(body.as_bytes()).map(|order| (order.size, order.weight));
        assert_eq!(pool(r#"{"size":null,"weight":3}"#), Ok((Some(None), Some(Some(3)))));
        assert_eq!(pool(r#"{"for_s":1}"#), Ok((None, None)));
    }

    #[test]
    fn variance_is_zero_where_all_have_as_many() {
        assert_eq!([variance(&[]), variance(&[0, 0]), variance(&[5, 5])], [0.0; 3]);
        assert_eq!(variance(&[10, 0]), 1.0);
    }
}
