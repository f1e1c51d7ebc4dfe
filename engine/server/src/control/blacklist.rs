//! The admin port's endpoint for the blacklist.

use std::sync::Arc;

use axum::Router;
use axum::body::Bytes;
use axum::extract::{Query, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Json, Response};
use axum::routing::get;
use serde::{Deserialize, Serialize};
use serde_json::json;
use tracing::warn;
use weir_ring::clock::Clock;
use weir_ring::time::Wall;
use weir_shard::error::Error;
use weir_shard::limits::{Subject, Terms};
use weir_shard::mail::Mail;
use weir_shard::message::timestamp;
use weir_shard::policy::blacklist::Change;

use super::api::{Admin, refuse};
use super::listed::Unchanged;

/// Longest reason, bytes.
const REASON_BYTES_MAX: usize = 1_024;

/// Whom an entry is about, one of the two.
#[derive(Deserialize)]
struct Named {
    /// A client's name.
    client: Option<Box<str>>,
    /// An address or a network.
    address: Option<String>,
}

/// An entry to be made.
#[derive(Deserialize)]
struct Entry {
    #[serde(flatten)]
    named: Named,
    /// For how many seconds; for good if it is left out.
    expires_in: Option<u64>,
    /// For the operator's own eyes.
    #[serde(default)]
    reason: Box<str>,
}

/// An entry as it is shown.
#[derive(Serialize)]
struct Shown<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    client: Option<Box<str>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    address: Option<String>,
    /// RFC 3339; null: never.
    expires_at: Option<String>,
    reason: &'a str,
}

/// All endpoints.
pub(super) fn router() -> Router<Arc<Admin>> {
    let others = async || refuse(&Error::MethodNotAllowed { allow: "GET, POST, DELETE" });
    Router::new().route("/mcp/admin/blacklist", get(list).post(add).delete(remove).fallback(others))
}

async fn list(State(admin): State<Arc<Admin>>) -> Response {
    let entries = admin.blacklist().holding(now());
    let entries: Vec<Shown<'_>> = entries.iter().map(|entry| shown(&entry.subject, &entry.terms)).collect();
    Json(json!({ "entries": entries })).into_response()
}

async fn add(State(admin): State<Arc<Admin>>, body: Bytes) -> Response {
    let entry = match serde_json::from_slice::<Entry>(&body) {
        Ok(entry) => entry,
        Err(error) => return refuse(&Error::malformed(error.to_string())),
    };
    let subject = match entry.named.subject() {
        Ok(subject) => subject,
        Err(error) => return refuse(&error),
    };
    if entry.reason.len() > REASON_BYTES_MAX {
        return refuse(&Error::MessageTooLarge { bytes_max: REASON_BYTES_MAX });
    }
    let until = entry.expires_in.map(|seconds| Wall(now().0.saturating_add(seconds.saturating_mul(1_000))));
    let terms = Terms { until, reason: entry.reason };
    match make(&admin, Change::Add(subject.clone(), terms.clone())).await {
        Ok(()) => (StatusCode::CREATED, Json(shown(&subject, &terms))).into_response(),
        Err(error) => refuse(&error),
    }
}

async fn remove(State(admin): State<Arc<Admin>>, Query(named): Query<Named>) -> Response {
    let subject = match named.subject() {
        Ok(subject) => subject,
        Err(error) => return refuse(&error),
    };
    match make(&admin, Change::Remove(subject)).await {
        Ok(()) => StatusCode::NO_CONTENT.into_response(),
        Err(error) => refuse(&error),
    }
}

/// Changes the list, then tells every shard.
async fn make(admin: &Admin, change: Change) -> Result<(), Error> {
    admin.blacklist().change(&change, now()).map_err(|why| match why {
        Unchanged::Full => Error::insufficient_resources(),
        Unchanged::Unknown => Error::NotFound { what: "entry" },
        Unchanged::Storage(error) => {
            warn!("the blacklist does not change, as the data folder refuses it: {error}");
            Error::storage()
        }
    })?;
    for shard in admin.shards() {
        admin.send(shard, Mail::Blacklist(Box::new(change.clone()))).await;
    }
    Ok(())
}

impl Named {
    fn subject(self) -> Result<Subject, Error> {
        match (self.client, self.address) {
            (Some(client), None) if !client.is_empty() => Ok(Subject::Client(client)),
            (None, Some(address)) => match address.parse() {
                Ok(subject @ Subject::Network(_)) => Ok(subject),
                _ => Err(Error::malformed("address is an IP address or a network such as 10.0.0.0/8")),
            },
            _ => Err(Error::malformed("an entry names a client or an address, and not both")),
        }
    }
}

fn shown<'a>(subject: &Subject, terms: &'a Terms) -> Shown<'a> {
    let (client, address) = match subject {
        Subject::Client(client) => (Some(client.clone()), None),
        network => (None, Some(network.to_string())),
    };
    Shown { client, address, expires_at: terms.until.map(timestamp), reason: &terms.reason }
}

fn now() -> Wall {
    Clock::now().wall
}
