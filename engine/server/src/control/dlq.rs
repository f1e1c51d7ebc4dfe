//! The admin port's endpoints for dead letters.

use std::sync::Arc;

use axum::Router;
use axum::extract::{Path, Query, State};
use axum::response::{IntoResponse, Json, Response};
use axum::routing::{get, post};
use serde::Deserialize;
use serde_json::json;
use weir_ring::token::Member;
use weir_shard::dead::{MessageId, View};
use weir_shard::error::Error;
use weir_shard::mail::{Answer, DeadQuestion, Question};

use super::api::{Admin, no_answer, refuse};

/// Letters of a list that does not say how many.
const LIMIT: usize = 100;

/// Letters of the longest list.
const LIMIT_MAX: usize = 1_000;

/// Which letters.
#[derive(Deserialize)]
struct Selection {
    /// Of this client only.
    client: Option<Box<str>>,
    /// At most as many.
    limit: Option<usize>,
    /// Those after this id.
    after: Option<String>,
}

/// All endpoints.
pub(super) fn router() -> Router<Arc<Admin>> {
    let refuse = |allow| async move || refuse(&Error::MethodNotAllowed { allow });
    Router::new()
        .route("/mcp/admin/dlq", get(list).delete(purge_all).fallback(refuse("GET, DELETE")))
        .route("/mcp/admin/dlq/redrive", post(redrive_all).fallback(refuse("POST")))
        .route("/mcp/admin/dlq/{id}", get(show).delete(purge).fallback(refuse("GET, DELETE")))
        .route("/mcp/admin/dlq/{id}/redrive", post(redrive).fallback(refuse("POST")))
}

async fn list(State(admin): State<Arc<Admin>>, Query(selection): Query<Selection>) -> Response {
    let limit = selection.limit.unwrap_or(LIMIT).clamp(1, LIMIT_MAX);
    let after = match selection.after.as_deref().map(MessageId::parse) {
        Some(None) => return refuse(&Error::malformed("after is no message's id")),
        after => after.flatten(),
    };
    let question = DeadQuestion::List { client: selection.client.clone(), after, limit };
    match ask(&admin, selection.client.as_deref(), question).await {
        Err(shard) => no_answer(shard),
        Ok(Answers { mut letters, .. }) => {
            letters.sort_by_key(|letter| letter.id);
            letters.truncate(limit);
            let next = letters.last().filter(|_| letters.len() == limit).map(|letter| letter.id);
            Json(json!({ "letters": letters, "next": next })).into_response()
        }
    }
}

async fn show(State(admin): State<Arc<Admin>>, Path(id): Path<String>) -> Response {
    one(&admin, &id, DeadQuestion::Show).await
}

async fn redrive(State(admin): State<Arc<Admin>>, Path(id): Path<String>) -> Response {
    one(&admin, &id, DeadQuestion::Redrive).await
}

async fn purge(State(admin): State<Arc<Admin>>, Path(id): Path<String>) -> Response {
    one(&admin, &id, DeadQuestion::Purge).await
}

async fn redrive_all(
    State(admin): State<Arc<Admin>>,
    Query(Selection { client, .. }): Query<Selection>,
) -> Response {
    let question = DeadQuestion::RedriveAll { client: client.clone() };
    match ask(&admin, client.as_deref(), question).await {
        Ok(Answers { count, .. }) => Json(json!({ "redriven": count })).into_response(),
        Err(shard) => no_answer(shard),
    }
}

async fn purge_all(
    State(admin): State<Arc<Admin>>,
    Query(Selection { client, .. }): Query<Selection>,
) -> Response {
    let question = DeadQuestion::PurgeAll { client: client.clone() };
    match ask(&admin, client.as_deref(), question).await {
        Ok(Answers { count, .. }) => Json(json!({ "purged": count })).into_response(),
        Err(shard) => no_answer(shard),
    }
}

/// Asks about one letter. Nobody but its shard knows where it is.
async fn one(admin: &Admin, id: &str, question: fn(MessageId) -> DeadQuestion) -> Response {
    let Some(id) = MessageId::parse(id) else {
        return refuse(&Error::NotFound { what: "dead letter" });
    };
    match ask(admin, None, question(id)).await {
        Err(shard) => no_answer(shard),
        Ok(Answers { letters, .. }) => match letters.first() {
            Some(letter) => Json(letter).into_response(),
            None => refuse(&Error::NotFound { what: "dead letter" }),
        },
    }
}

/// What the shards answered, together.
#[derive(Default)]
struct Answers {
    letters: Vec<View>,
    count: usize,
}

/// Asks the home of `client`, or every shard. The error is the shard that did not answer.
async fn ask(admin: &Admin, client: Option<&str>, question: DeadQuestion) -> Result<Answers, Member> {
    let shards = match client {
        Some(client) => vec![admin.home(client)],
        None => admin.shards().collect(),
    };
    let mut answers = Answers::default();
    for shard in shards {
        match admin.ask(shard, Question::Dead(question.clone())).await {
            Ok(Answer::Dead(letters)) => answers.letters.extend(letters),
            Ok(Answer::DeadCount(count)) => answers.count += count,
            _ => return Err(shard),
        }
    }
    Ok(answers)
}
