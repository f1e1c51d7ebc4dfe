//! The admin port's endpoint for the blacklist. The list that it shows is the control thread's own; every shard has
//! the same.

use std::sync::{Arc, Mutex, PoisonError};

use axum::Router;
use axum::body::Bytes;
use axum::extract::{Query, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Json, Response};
use axum::routing::get;
use serde::{Deserialize, Serialize};
use serde_json::json;
use weir_ring::clock::Clock;
use weir_ring::time::Wall;
use weir_ring::token::Member;
use weir_shard::error::Error;
use weir_shard::limits::Subject;
use weir_shard::mail::Mail;
use weir_shard::message::timestamp;
use weir_shard::policy::blacklist::{Blacklist, Change, Terms};

use super::api::{Admin, refuse};
use super::mailbox::Mailbox;

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

/// The control thread's list. Clones share it.
#[derive(Clone, Debug)]
pub(super) struct Listed(Arc<Mutex<Blacklist>>);

impl Listed {
    pub(super) fn new(subjects: &[Subject]) -> Listed {
        Listed(Arc::new(Mutex::new(Blacklist::with(subjects, 0))))
    }

    /// The configuration names other subjects: who is new may not come in, who is gone may. Others stay as they are.
    pub(super) async fn renew(&self, old: &[Subject], new: &[Subject], mailbox: &Mailbox) {
        let gone = old.iter().filter(|subject| !new.contains(subject)).cloned().map(Change::Remove);
        let come = new.iter().filter(|subject| !old.contains(subject)).cloned();
        for change in gone.chain(come.map(|subject| Change::Add(subject, Terms::configured()))) {
            // It holds more than a configuration names.
            let _ = self.with(|list| list.change(change.clone()));
            for shard in (0..mailbox.shards()).map(Member) {
                mailbox.send(shard, Mail::Blacklist(Box::new(change.clone()))).await;
            }
        }
    }

    fn with<T>(&self, work: impl FnOnce(&mut Blacklist) -> T) -> T {
        work(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// All endpoints.
pub(super) fn router() -> Router<Arc<Admin>> {
    let others = async || refuse(&Error::MethodNotAllowed { allow: "GET, POST, DELETE" });
    Router::new().route("/mcp/admin/blacklist", get(list).post(add).delete(remove).fallback(others))
}

async fn list(State(admin): State<Arc<Admin>>) -> Response {
    admin.blacklist().with(|list| {
        list.sweep(now());
        let mut entries: Vec<(Subject, &Terms)> = list.entries().collect();
        entries.sort_by_cached_key(|(subject, _)| subject.to_string());
        let entries: Vec<Shown<'_>> = entries.iter().map(|(subject, terms)| shown(subject, terms)).collect();
        Json(json!({ "entries": entries })).into_response()
    })
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
    let change = Change::Add(subject.clone(), terms.clone());
    let taken = admin.blacklist().with(|list| {
        list.sweep(now());
        list.change(change.clone())
    });
    if taken.is_err() {
        return refuse(&Error::insufficient_resources());
    }
    tell(&admin, &change).await;
    (StatusCode::CREATED, Json(shown(&subject, &terms))).into_response()
}

async fn remove(State(admin): State<Arc<Admin>>, Query(named): Query<Named>) -> Response {
    let subject = match named.subject() {
        Ok(subject) => subject,
        Err(error) => return refuse(&error),
    };
    let change = Change::Remove(subject.clone());
    let was_there = admin.blacklist().with(|list| {
        let was_there = list.entries().any(|(other, _)| other == subject);
        // Removing takes no room.
        let _ = list.change(change.clone());
        was_there
    });
    if !was_there {
        return refuse(&Error::NotFound { what: "entry" });
    }
    tell(&admin, &change).await;
    StatusCode::NO_CONTENT.into_response()
}

/// Tells every shard.
async fn tell(admin: &Admin, change: &Change) {
    for shard in admin.shards() {
        admin.send(shard, Mail::Blacklist(Box::new(change.clone()))).await;
    }
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
